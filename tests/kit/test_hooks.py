"""Hooks of capabilities: their order, and a conversation that goes on when they fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Self

import httpx2
import pytest
from fastapi import APIRouter

from app.capability import Capability, Services, Timeouts
from kit import defaults
from kit.agent_app import build_app
from kit.testing import Begin, Session

hook_calls: list[str] = []


class RecordingCapability(Capability):
    """Records every hook as it is called."""

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
            """Say who it is."""
            return f"{self.name} knows {session.caller}"

        caller_is.__name__ = f"caller_is_{self.name}"
        return [caller_is]

    async def on_start(self, session: Session) -> None:
        hook_calls.append(f"{self.name}.on_start")

    async def on_resume(self, session: Session) -> None:
        hook_calls.append(f"{self.name}.on_resume")

    async def context(self, session: Session, text: str) -> str | None:
        hook_calls.append(f"{self.name}.context {text}")
        return f"{self.name} knows that they like tea."

    async def on_end(self, session: Session) -> None:
        hook_calls.append(f"{self.name}.on_end after {len(session.history)} messages")


class Second(RecordingCapability):
    name = "second"


class Broken(Capability):
    """Every hook raises."""

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        raise RuntimeError("tools")

    async def on_start(self, session: Session) -> None:
        raise RuntimeError("on_start")

    async def context(self, session: Session, text: str) -> str | None:
        raise RuntimeError("context")

    async def on_end(self, session: Session) -> None:
        raise RuntimeError("on_end")


TWO_CAPABILITIES = [RecordingCapability, Second]


@pytest.fixture(autouse=True)
def no_hook_calls() -> None:
    hook_calls.clear()


async def test_hooks_are_called_in_order_and_the_context_reaches_the_model(begin: Begin) -> None:
    talk = await begin({"says": "Yes."}, capabilities=TWO_CAPABILITIES)
    await talk.says("Hello")
    for name in ("first", "second"):
        assert f"{name} knows that they like tea." in await talk.instructions()
    await talk.ends()
    hooks = ("on_start", "context Hello", "on_end after 2 messages")
    assert hook_calls == [f"{name}.{hook}" for hook in hooks for name in ("first", "second")]


async def test_a_tool_of_a_capability_reaches_the_model_and_knows_the_session(begin: Begin) -> None:
    talk = await begin({"calls": {"caller_is_second": {}}}, capabilities=TWO_CAPABILITIES)
    reply = await talk.says("Who am I?")
    assert (reply.tools, reply.text) == (["caller_is_second"], f"second knows {defaults.CALLER}")


async def test_tools_of_a_capability_stand_beside_your_own(begin: Begin) -> None:
    def own() -> str:
        """Do something."""
        return "done"

    talk = await begin({"calls": {"own": {}, "caller_is_first": {}}}, tools=[own], capabilities=TWO_CAPABILITIES)
    assert sorted((await talk.says("Both")).tools) == ["caller_is_first", "own"]


async def test_a_conversation_goes_on_when_a_hook_raises_and_each_is_logged(
    begin: Begin, logged: Callable[[], str]
) -> None:
    talk = await begin({"calls": {"caller_is_first": {}}}, capabilities=[Broken, RecordingCapability])
    assert (await talk.says("Who am I?")).text == f"first knows {defaults.CALLER}"
    await talk.ends()
    assert hook_calls == ["first.on_start", "first.context Who am I?", "first.on_end after 4 messages"]
    failed = [json.loads(line) for line in logged().splitlines() if "capability.failed" in line]
    assert [each["hook"] for each in failed] == ["on_start", "tools", "context", "on_end"]
    assert {each["capability"] for each in failed} == {"Broken"}


class Hanging(Capability):
    """Hooks that never return."""

    async def on_start(self, session: Session) -> None:
        await asyncio.Event().wait()

    async def context(self, session: Session, text: str) -> str | None:
        await asyncio.Event().wait()
        return None


async def test_a_conversation_goes_on_when_a_hook_hangs(begin: Begin, logged: Callable[[], str]) -> None:
    talk = await begin({"says": "Yes."}, capabilities=[Hanging], timeouts=Timeouts(hook=0.05))
    assert (await talk.says("Hello")).text == "Yes."
    assert logged().count("capability.failed") == 2


async def test_routes_are_mounted() -> None:
    app = build_app(capabilities=TWO_CAPABILITIES)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        for name in ("first", "second"):
            assert (await http.get(f"/{name}")).json() == {"account": defaults.ACCOUNT_SID}


async def test_a_capability_without_hooks_changes_nothing(begin: Begin) -> None:
    talk = await begin({"says": "Yes."}, capabilities=[Capability])
    assert (await talk.says("Hello")).text == "Yes."
