"""Tools for scenarios with `given: {tools: sample}`, which do not depend on agent/tools.py."""

from __future__ import annotations

from app.session import this_session


async def order_status(order_number: str) -> str:
    """Say where an order is. Use it when the caller asks about a delivery and has given an order number."""
    return f"Order {order_number} left the warehouse this morning and arrives tomorrow."


async def end_call(reason: str) -> str:
    """Hang up. Use it when the caller says goodbye or needs nothing more, after your last words."""
    await this_session().end({"reasonCode": reason})
    return "The call ends as soon as you have finished speaking."


SAMPLE_TOOLS = [order_status, end_call]
