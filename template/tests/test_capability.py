"""What a capability may do to a call, shown with one that belongs to nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Self

import httpx2
import pytest
from fastapi import APIRouter
from pydantic_ai.messages import ModelRequest

from agent import words
from app.capability import Capability, Services
from app.main import create_app
from app.session import Line, Session
from sim import world
from sim.call import Call
from sim.features import Cloud
from sim.model import scripted
from tests.conftest import Dial

seen: list[str] = []


class Watching(Capability):
    """Notes every hook as it is called."""

    name = "first"

    def __init__(self, account_sid: str) -> None:
        self.account_sid = account_sid

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services.settings.account_sid)

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{self.name}", lambda: {"account": self.account_sid}, methods=["GET"])
        return router

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        def caller_is() -> str:
            """Say who calls."""
            return f"{self.name} knows {session.caller}"

        caller_is.__name__ = f"caller_is_{self.name}"
        return [caller_is]

    async def on_start(self, session: Session) -> None:
        seen.append(f"{self.name}.on_start")

    async def on_resume(self, session: Session) -> None:
        seen.append(f"{self.name}.on_resume")

    async def context(self, session: Session, text: str) -> str | None:
        seen.append(f"{self.name}.context {text}")
        return f"{self.name} knows that the caller likes tea."

    async def on_end(self, session: Session) -> None:
        seen.append(f"{self.name}.on_end after {len(session.history)} messages")


class Second(Watching):
    name = "second"


class Broken(Capability):
    """Raises wherever it can."""

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        raise RuntimeError("tools")

    async def on_start(self, session: Session) -> None:
        raise RuntimeError("on_start")

    async def context(self, session: Session, text: str) -> str | None:
        raise RuntimeError("context")

    async def on_end(self, session: Session) -> None:
        raise RuntimeError("on_end")


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    seen.clear()
    monkeypatch.setattr("app.main.CAPABILITIES", [Watching, Second])


def instructions(call: Call) -> str:
    """What the model was told before the last turn."""
    request = next(message for message in call.session.turn.exchanged if isinstance(message, ModelRequest))
    return str(request.instructions)


async def test_hooks_are_called_in_the_order_in_which_a_call_lives(dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await call.says("Hello")
    await call.hangs_up()
    assert seen == [
        "first.on_start",
        "second.on_start",
        "first.context Hello",
        "second.context Hello",
        "first.on_end after 2 messages",
        "second.on_end after 2 messages",
    ]


async def test_a_call_that_comes_back_does_not_start_again(dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await call.drops()
    await call.says("Hello")
    assert seen[:4] == ["first.on_start", "second.on_start", "first.on_resume", "second.on_resume"]


async def test_context_reaches_the_model(dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await call.says("Hello")
    assert "first knows that the caller likes tea." in instructions(call)
    assert "second knows that the caller likes tea." in instructions(call)


async def test_a_tool_reaches_the_model_and_knows_the_call(dial: Dial) -> None:
    call = await dial({"calls": {"caller_is_second": {}}})
    turn = await call.says("Who am I?")
    assert (turn.tools, turn.text) == (["caller_is_second"], f"second knows {world.CALLER}")


async def test_tools_of_a_capability_stand_beside_your_own(dial: Dial) -> None:
    def own() -> str:
        """Do something."""
        return "done"

    call = await dial({"calls": {"own": {}, "caller_is_first": {}}}, tools=[own])
    assert sorted((await call.says("Both")).tools) == ["caller_is_first", "own"]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.CAPABILITIES", [Broken, Watching])


async def test_a_call_goes_on_when_a_hook_raises(broken: None, dial: Dial) -> None:
    call = await dial({"calls": {"caller_is_first": {}}})
    assert (await call.says("Who am I?")).text == f"first knows {world.CALLER}"
    await call.hangs_up()
    assert seen == ["first.on_start", "first.context Who am I?", "first.on_end after 4 messages"]


class Hanging(Capability):
    """Takes forever wherever it can."""

    async def on_start(self, session: Session) -> None:
        await asyncio.Event().wait()

    async def context(self, session: Session, text: str) -> str | None:
        await asyncio.Event().wait()
        return None


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.CAPABILITIES", [Hanging])


async def test_a_call_goes_on_when_a_hook_hangs(
    hanging: None, dial: Dial, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    monkeypatch.setattr("app.capability.PATIENCE", 0.05)
    call = await dial({"says": "Yes."})
    assert (await call.says("Hello")).text == "Yes."
    assert logged().count("capability.failed") == 2


async def test_a_caller_is_told_to_hold_while_a_hook_hangs(hanging: None, dial: Dial) -> None:
    call = await dial({"says": "Yes."}, deadline=0.05)
    turn = await call.says("Hello")
    assert turn.text.startswith(words.HOLD) and turn.text.endswith(words.APOLOGY)


async def test_a_hook_that_raises_is_logged(broken: None, dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial({"says": "Yes."})
    await call.says("Hello")
    await call.hangs_up()
    failed = [line for line in logged().splitlines() if "capability.failed" in line]
    assert [json.loads(line)["hook"] for line in failed] == ["on_start", "tools", "context", "on_end"]
    assert {json.loads(line)["capability"] for line in failed} == {"Broken"}


async def test_routes_are_mounted() -> None:
    app = create_app(world.settings(), [scripted({"says": "Yes."})], [], transport=Cloud().transport)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        for name in ("first", "second"):
            assert (await http.get(f"/{name}")).json() == {"account": world.ACCOUNT_SID}


async def test_a_capability_without_hooks_changes_nothing(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.CAPABILITIES", [Capability])
    call = await dial({"says": "Yes."})
    assert (await call.says("Hello")).text == "Yes."


async def test_calls_in_progress_are_ended_when_the_server_stops() -> None:
    app = create_app(world.settings(), [scripted({"says": "Yes."})], [], transport=Cloud().transport)
    async with app.router.lifespan_context(app):
        await app.state.calls.start("CA1", caller="+1500", called="+1501", line=Line())
    assert seen[-1] == "second.on_end after 0 messages"
