"""What a channel (voice, messaging) sets in the account: `CHANNEL` of its `resources.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kit.setup.api import Record
from kit.setup.resource import Proof, SetupContext, no_proofs


class ChannelSetup:
    """Contributes to the phone number and to the conversation configuration."""

    one_way: Sequence[str] = ()

    def number_fields(self, setup: SetupContext) -> Record:
        """Fields of the phone number, as in IncomingPhoneNumber."""
        return {}

    def channel_settings(self, setup: SetupContext, number: str) -> dict[str, Record]:
        """`channelSettings` of a new conversation configuration."""
        return {}

    def merge_channel(self, existing: Record, wanted: Record) -> Record:
        """Settings of a channel that the configuration already has."""
        return existing

    def status_callbacks(self, setup: SetupContext) -> Sequence[str]:
        """URLs for status callbacks of Conversation Orchestrator."""
        return ()

    def proofs(self, setup: SetupContext) -> AsyncIterator[Proof]:
        """Proofs of `verify`."""
        return no_proofs()
