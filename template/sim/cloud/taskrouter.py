"""TaskRouter."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cloud.core import Product


@dataclass
class TaskRouter(Product):
    host = "taskrouter.twilio.com"
