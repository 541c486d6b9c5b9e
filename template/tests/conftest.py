"""Every test dials the real app over loopback; a guard proves that nothing leaves the machine."""

from __future__ import annotations

import os

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import structlog

from app.main import create_app
from sim import world
from sim.call import Call
from sim.call import call as dial_app
from sim.guard import offline
from sim.model import scripted

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


@pytest.fixture(autouse=True)
def network_blocked() -> Iterator[list[str]]:
    """Fail a test that tries to leave the machine, even if the code swallows the error."""
    with offline() as refused:
        yield refused
    assert refused == []


class Dial(Protocol):
    async def __call__(
        self,
        *rules: dict[str, Any],
        fallback: list[dict[str, Any]] | None = None,
        tools: list[Callable[..., Any]] | None = None,
        **settings: Any,
    ) -> Call: ...


@pytest.fixture
async def dial() -> AsyncGenerator[Dial]:
    """Ring an agent whose model follows `rules`, and hang up at the end.

    `settings` change those of sim/world.py; `tools` replace agent/tools.py, so that these tests do not depend on it.
    """
    async with AsyncExitStack() as calls:

        async def ring(
            *rules: dict[str, Any],
            fallback: list[dict[str, Any]] | None = None,
            tools: list[Callable[..., Any]] | None = None,
            **settings: Any,
        ) -> Call:
            models = [scripted(*rules), *([scripted(*fallback)] if fallback is not None else [])]
            app = create_app(world.settings(**settings), models, tools or [])
            return await calls.enter_async_context(dial_app(app))

        yield ring


@pytest.fixture
async def call(dial: Dial) -> Call:
    """A call to an agent that repeats what it hears."""
    return await dial({"hears": "", "says": "You said something."})
