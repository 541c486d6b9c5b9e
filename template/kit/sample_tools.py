"""Tools for scenarios with `given: {tools: sample}`, which do not depend on agent/tools.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.session import this_session


async def order_status(order_number: str) -> str:
    """Say where an order is. Use it when the caller asks about a delivery and has given an order number."""
    return f"Order {order_number} left the warehouse this morning and arrives tomorrow."


async def place_order(product: str, quantity: int) -> str:
    """Place an order. Use it only after you have repeated product, quantity and price, and the caller has said yes."""
    return f"The order is placed: {quantity} of {product}. It is sent tomorrow."


async def add_note(ticket: str, note: str) -> str:
    """Add a note to a ticket. Use it when a colleague asks for that, and read back what you have added."""
    return f"Ticket {ticket} has the note: {note}"


async def keep_answer(answer: str) -> str:
    """Keep what the person has answered to the reason of your call, in one sentence. Use it as soon as they have."""
    return f"Kept: {answer}"


async def end_call(reason: str) -> str:
    """Hang up. Use it when the caller says goodbye or needs nothing more, after your last words."""
    await this_session().end({"reasonCode": reason})
    return "The call ends as soon as you have finished speaking."


SAMPLE_TOOLS: list[Callable[..., Any]] = [order_status, place_order, add_note, keep_answer, end_call]
