"""Memory."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cloud.core import Product


@dataclass
class Memory(Product):
    host = "memory.twilio.com"
