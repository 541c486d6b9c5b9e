"""Twilio's REST APIs, for a project that asks them nothing during a conversation: what `agent setup` needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.cloud.core import Transport, keys
from sim.cloud.numbers import Numbers, Regions
from sim.world import settings

if TYPE_CHECKING:
    from sim.call import Call
    from sim.twiml import Queue


class NoCloud:
    """In the place of the simulated account."""

    def __init__(self, pace: float = 1000.0) -> None:
        self.numbers = Numbers(pace=pace)
        self.regions = Regions(pace=pace)
        self.transport = Transport([self.numbers, self.regions], keys(settings()))

    def given(self, facts: dict[str, Any]) -> None:
        """What a scenario says of Twilio."""
        if facts:
            raise ValueError("this project asks Twilio nothing: there is nothing to be given")

    async def connected(self, call: Call) -> None:
        """ConversationRelay has connected a call."""

    def conversation_of(self, call: Call) -> str:
        """The id of the conversation that a call is."""
        return ""

    async def queued(self, call: Call, queue: Queue) -> None:
        """A call has come into the queue of a workflow."""

    async def happens(self, call: Call, event: dict[str, Any]) -> None:
        """Something happens at Twilio during a call."""
        raise ValueError("this project asks Twilio nothing: nothing can happen there")
