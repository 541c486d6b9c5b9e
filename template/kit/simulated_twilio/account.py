"""The Twilio account that lives on this machine: one state behind the terminal, scenarios and tests.

It behaves as the real one does where that matters: writes are answered before they can be read, and a conversation is
listed seconds after it began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.defaults import settings
from kit.simulated_twilio.call_queue import CallQueue
from kit.simulated_twilio.conversation_configurations import Configurations
from kit.simulated_twilio.conversations import Conversations
from kit.simulated_twilio.flex import Flex
from kit.simulated_twilio.intelligence import Intelligence
from kit.simulated_twilio.intelligence_configurations import Analyses
from kit.simulated_twilio.memory import Memory
from kit.simulated_twilio.memory_stores import Stores
from kit.simulated_twilio.numbers import Numbers, Regions
from kit.simulated_twilio.product import Fault, Product, Transport, keys
from kit.simulated_twilio.taskrouter_workspaces import Workspaces

if TYPE_CHECKING:
    from kit.caller import Call
    from kit.twiml import Queue


class SimulatedAccount:
    """`pace` divides every delay, as it does every other wait."""

    def __init__(self, pace: float = 1000.0) -> None:
        self.numbers = Numbers(pace=pace)
        self.regions = Regions(pace=pace)
        self.stores = Stores(pace=pace)
        self.configurations = Configurations(pace=pace)
        self.analyses = Analyses(pace=pace)
        self.workspaces = Workspaces(pace=pace)
        self.memory = Memory(pace=pace, stores=self.stores)
        self.conversations = Conversations(pace=pace, memory=self.memory)
        self.intelligence = Intelligence(pace=pace)
        self.taskrouter = CallQueue(pace=pace)
        self.flex = Flex(pace=pace, taskrouter=self.taskrouter)
        self.transport = Transport(self.products(), keys(settings()))

    def products(self) -> list[Product]:
        return [product for product in vars(self).values() if isinstance(product, Product)]

    def given(self, facts: dict[str, Any]) -> None:
        """Make it so beforehand: what a product knows, and for each its `slow` (seconds) and `fails` (status)."""
        for name, known in facts.items():
            product = self._product(name)
            product.fault = Fault(known.pop("slow", 0.0), known.pop("fails", 0))
            if known:
                product.given(known)

    async def happens(self, somebody: Any, event: dict[str, Any]) -> None:
        """Something happens at Twilio while somebody talks to the agent: the name of a product, and what."""
        for name, what in event.items():
            await self._product(name).happens(somebody, what)

    async def connected(self, call: Call) -> None:
        """ConversationRelay has connected a call."""
        self.flex.subscriber = call.post_form
        if configuration := call.attribute("conversationConfiguration", ""):
            self.conversations.begin(configuration, "VOICE", call.sid, call.caller, call.called)

    async def queued(self, call: Call, queue: Queue) -> None:
        """A call has come into the queue of a workflow."""
        await self.taskrouter.enqueue(call, queue)

    def conversation_of(self, call: Call) -> str:
        """The id of the conversation that a call is."""
        return str(self.conversations.of(call.sid)["id"])

    def _product(self, name: str) -> Product:
        product = getattr(self, name, None)
        if not isinstance(product, Product):
            known = [each for each, value in vars(self).items() if isinstance(value, Product)]
            raise ValueError(f"there is no {name} at Twilio; there are {', '.join(known)}")
        return product
