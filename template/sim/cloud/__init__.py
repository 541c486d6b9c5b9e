"""The Twilio account that lives on this machine: one state behind `agent call`, scenarios and tests.

It behaves as the real one does where that matters: writes are answered before they can be read, and a conversation is
listed seconds after its call began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.cloud.conversations import Conversations
from sim.cloud.core import Fault, Transport
from sim.world import settings

if TYPE_CHECKING:
    from sim.call import Call


class Cloud:
    """`pace` divides every delay, as it does that of a voice."""

    def __init__(self, pace: float = 1000.0) -> None:
        known: Any = settings()
        self.conversations = Conversations(pace=pace)
        products = [self.conversations]
        self.transport = Transport(
            {product.host: product for product in products}, (known.api_key, known.api_secret.get_secret_value())
        )

    def given(self, facts: dict[str, Any]) -> None:
        """Make it so before the call: `slow` and `fails` name a product and seconds or a status."""
        for name, seconds in facts.pop("slow", {}).items():
            getattr(self, name).fault.delay = seconds
        for name, status in facts.pop("fails", {}).items():
            getattr(self, name).fault = Fault(status=status)
        if facts:
            raise ValueError(f"given.twilio knows no {', '.join(facts)}")

    async def connected(self, call: Call) -> None:
        """ConversationRelay has connected a call."""
        if configuration := call.attribute("conversationConfiguration", ""):
            self.conversations.begin(configuration, "VOICE", call.sid, call.caller, call.called)

    async def happens(self, call: Call, event: dict[str, Any]) -> None:
        """Something happens at Twilio during a call."""
        raise ValueError(f"nothing at Twilio is called {', '.join(event)}")
