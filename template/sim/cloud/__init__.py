"""The Twilio account that lives on this machine: one state behind `agent call`, scenarios and tests.

It behaves as the real one does where that matters: writes are answered before they can be read, and a conversation is
listed seconds after its call began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.cloud.conversations import Conversations
from sim.cloud.core import Fault, Product, Transport
from sim.cloud.flex import Flex
from sim.cloud.intelligence import Intelligence
from sim.cloud.memory import Memory
from sim.cloud.taskrouter import TaskRouter
from sim.world import settings

if TYPE_CHECKING:
    from sim.call import Call
    from sim.twiml import Queue


class Cloud:
    """`pace` divides every delay, as it does that of a voice."""

    def __init__(self, pace: float = 1000.0) -> None:
        self.memory = Memory(pace=pace)
        self.conversations = Conversations(pace=pace, memory=self.memory)
        self.intelligence = Intelligence(pace=pace)
        self.taskrouter = TaskRouter(pace=pace)
        self.flex = Flex(pace=pace, taskrouter=self.taskrouter)
        products = [self.conversations, self.memory, self.intelligence, self.taskrouter, self.flex]
        key, secret = getattr(settings(), "api_key", ""), getattr(settings(), "api_secret", None)
        self.transport = Transport(
            {product.host: product for product in products}, (key, secret.get_secret_value() if secret else "")
        )

    def given(self, facts: dict[str, Any]) -> None:
        """Make it so before the call: what a product knows, and for each its `slow` (seconds) and `fails` (status)."""
        for name, known in facts.items():
            product = self._product(name)
            product.fault = Fault(known.pop("slow", 0.0), known.pop("fails", 0))
            if known:
                product.given(known)

    async def connected(self, call: Call) -> None:
        """ConversationRelay has connected a call."""
        self.flex.subscriber = call.post_form
        if configuration := call.attribute("conversationConfiguration", ""):
            self.conversations.begin(configuration, "VOICE", call.sid, call.caller, call.called)

    async def queued(self, call: Call, queue: Queue) -> None:
        """A call has come into the queue of a workflow."""
        await self.taskrouter.enqueue(call, queue)

    async def happens(self, call: Call, event: dict[str, Any]) -> None:
        """Something happens at Twilio during a call: the name of a product, and what."""
        for name, what in event.items():
            await self._product(name).happens(call, what)

    def _product(self, name: str) -> Product:
        product = getattr(self, name, None)
        if not isinstance(product, Product):
            known = [each for each, value in vars(self).items() if isinstance(value, Product)]
            raise ValueError(f"there is no {name} at Twilio; there are {', '.join(known)}")
        return product
