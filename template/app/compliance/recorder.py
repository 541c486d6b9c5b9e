"""What a capability that records calls can do for the others."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Recorder(Protocol):
    """Pauses and resumes the recordings of a call. Both raise when Twilio refuses."""

    async def pause_recording(self, call_sid: str) -> None:
        """Nothing of the call is recorded when this returns, also when there is no recording."""

    async def resume_recording(self, call_sid: str) -> None:
        """The recordings that were paused go on."""
