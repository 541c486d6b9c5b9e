"""What a runtime loads late, the first caller of a worker waits for: the start loads it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from app.registry import RUNTIME
from kit.agent_app import build_app

FIRST_CALL = """
import asyncio, sys
from kit.agent_app import build_app
from kit.caller import dial_app

async def call():
    async with dial_app(build_app({"says": "It is on its way."})) as line:
        before = set(sys.modules)
        await line.says("Where is my order?")
        await line.says("And when does it come?")
        others = ("encodings", "kit", "phonenumbers.data")  # the last is that of the caller's country
        late = [name for name in set(sys.modules) - before if not name.startswith(others)]
        print("late:", *sorted(late))

asyncio.run(call())
"""


@pytest.mark.skipif(RUNTIME.__name__ == "AgentCore", reason="its agent, a server of its own, is here in this process")
@pytest.mark.skipif(Path("app/observability").exists(), reason="exporters load in threads of their own")
def test_the_first_turn_of_a_worker_imports_nothing() -> None:
    """In a process of its own: this one has had turns."""
    done = subprocess.run([sys.executable, "-c", FIRST_CALL], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("late:")] == [[]]


async def test_the_start_rehearses_a_turn(monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]) -> None:
    """With no model of the project, which would cost something."""
    said: list[str] = []
    answer: Any = RUNTIME.answer

    async def heard(*turn: Any) -> AsyncGenerator[str]:
        async for token in answer(*turn):
            said.append(token)
            yield token

    monkeypatch.setattr(RUNTIME, "answer", heard)
    app = build_app({"says": "Good morning."})
    async with app.router.lifespan_context(app):
        assert said == ["Yes."] and "not_warm" not in logged()
