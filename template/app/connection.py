"""Operations that every channel supports, and those that only some do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class NotSupported(Exception):
    """This connection cannot do that. The message names the operation."""


class Connection:
    """The way to the other party. A channel overrides what it can do; the rest raises NotSupported."""

    open = True
    spoken = True  # False in a text conversation, which needs no hold phrase
    hold = ""  # said when a model or a tool takes long; empty in a text conversation
    apology = ""  # said when no model could answer
    instructions = ""  # added to the model's instructions
    turn_is_open = False  # tokens of a turn are being sent

    async def say(self, text: str) -> None:
        """Say `text` at once, between the agent's turns or after the tokens that are being sent."""
        raise NotSupported("say")

    async def append_to_turn(self, text: str) -> None:
        """Add `text` to the end of the turn that is open."""
        await self.say(text)

    async def update_state(self, state: Mapping[str, Any], guidance: Sequence[str] | None) -> None:
        """Merge `state` into a text conversation, for its next message. `guidance` None keeps the old."""
        raise NotSupported("update_state")

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """End after the tokens of this turn, or at once between turns. `<Connect action>` gets `handoff`."""
        raise NotSupported("end")

    async def play(self, source: str, loop: int = 1) -> None:
        """Play an audio file (https URL) to the caller, `loop` times."""
        raise NotSupported("play")

    async def send_digits(self, digits: str) -> None:
        """Send DTMF tones: 0-9, *, # and w for a pause of half a second."""
        raise NotSupported("send_digits")

    async def switch_language(self, code: str) -> None:
        """Switch speech-to-text and text-to-speech to a language of the project, as in "es-MX"."""
        raise NotSupported("switch_language")
