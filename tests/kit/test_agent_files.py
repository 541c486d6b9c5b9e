"""The files of agent/ as they are delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent import tools
from kit.testing import Begin


async def test_an_order_has_a_status() -> None:
    assert "4711" in await tools.order_status("4711")


async def test_the_agent_looks_an_order_up(begin: Begin, agent_tools: list[Callable[..., Any]]) -> None:
    talk = await begin({"calls": {"order_status": {"order_number": "4711"}}}, tools=agent_tools)
    reply = await talk.says("Where is my order 4711?")
    assert reply.tools == ["order_status"]
