"""The Twilio account that lives on this machine: one state behind the terminal, scenarios and tests.

It behaves as the real one does where that matters: writes are answered before they can be read, and a conversation is
listed seconds after it began.
"""

from __future__ import annotations

from typing import Any

from sim.cloud.analyses import Analyses
from sim.cloud.configurations import Configurations
from sim.cloud.conversations import Conversations
from sim.cloud.core import Fault, Product, Transport, keys
from sim.cloud.flex import Flex
from sim.cloud.intelligence import Intelligence
from sim.cloud.memory import Memory
from sim.cloud.numbers import Numbers, Regions
from sim.cloud.stores import Stores
from sim.cloud.taskrouter import TaskRouter
from sim.cloud.workspaces import Workspaces
from sim.world import settings


class Cloud:
    """`pace` divides every delay, as it does every other wait."""

    def __init__(self, pace: float = 1000.0, taskrouter: TaskRouter | None = None) -> None:
        self.numbers = Numbers(pace=pace)
        self.regions = Regions(pace=pace)
        self.stores = Stores(pace=pace)
        self.configurations = Configurations(pace=pace)
        self.analyses = Analyses(pace=pace)
        self.workspaces = Workspaces(pace=pace)
        self.memory = Memory(pace=pace, stores=self.stores)
        self.conversations = Conversations(pace=pace, memory=self.memory)
        self.intelligence = Intelligence(pace=pace)
        self.taskrouter = taskrouter or TaskRouter(pace=pace)
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

    def _product(self, name: str) -> Product:
        product = getattr(self, name, None)
        if not isinstance(product, Product):
            known = [each for each, value in vars(self).items() if isinstance(value, Product)]
            raise ValueError(f"there is no {name} at Twilio; there are {', '.join(known)}")
        return product
