"""Intelligence."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cloud.core import Product


@dataclass
class Intelligence(Product):
    host = "intelligence.twilio.com"
