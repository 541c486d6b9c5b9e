"""Detect background work and its outcomes.

A channel or a capability may have two attributes. `working` is true while it works in the background. `finished` has
pairs: the id of a webhook or message, and its outcome, for instance "failed".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI

from kit.defaults import Problem


async def wait_until(condition: Callable[[], Any], problem: str, timeout: float = 30.0) -> None:
    """Raises Problem when the condition is not met within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise Problem(f"{problem} (waited {timeout:.0f} s)") from None


def is_busy(app: FastAPI) -> bool:
    return any(getattr(each, "working", None) for each in _parts(app))


def outcomes(app: FastAPI, id: str) -> list[str]:
    """The outcomes of the webhook or message with this id, oldest first."""
    return [outcome for part in _parts(app) for own, outcome in getattr(part, "finished", ()) if own == id]


def _parts(app: FastAPI) -> Iterator[Any]:
    yield from app.state.conversations.channels
    yield from app.state.conversations.capabilities
