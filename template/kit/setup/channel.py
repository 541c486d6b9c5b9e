"""How people reach the agent, as far as the account has to know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kit.setup.api import Record
from kit.setup.plan import Check, Setup, nothing


class Way:
    """One for calls, one for messages."""

    one_way: Sequence[str] = ()

    def number(self, setup: Setup) -> Record:
        """Fields of the phone number, as in IncomingPhoneNumber."""
        return {}

    def channels(self, setup: Setup, number: str) -> dict[str, Record]:
        """`channelSettings` of a new conversation configuration."""
        return {}

    def kept(self, channel: str, existing: Record, wanted: Record) -> Record:
        """What a channel should be that a configuration has already."""
        return existing

    def callbacks(self, setup: Setup) -> Sequence[str]:
        """Where Conversation Orchestrator tells what happens."""
        return ()

    def checks(self, setup: Setup) -> AsyncIterator[Check]:
        """Proofs that it works."""
        return nothing()
