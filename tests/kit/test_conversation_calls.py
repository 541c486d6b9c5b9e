"""A conversation on every path: instructions, hooks, and failures of models, routes and capabilities."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai import messages as m

from app.capability import Capability
from app.connection import Connection
from app.registry import load_prompt
from app.voice.calls import Calls
from app.voice.phrases import phrases
from kit import twiml
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.plugin import Web
from kit.testing import Dial
from tests.kit.test_hooks import TWO_CAPABILITIES, Hanging, hook_calls, no_hook_calls

__all__ = ["no_hook_calls"]  # a fixture


async def test_the_caller_is_greeted_and_answered(call: Call) -> None:
    assert call.greeting == phrases.GREETING
    turn = await call.says("Hello")
    assert turn.text == "You said something."


async def test_the_instructions_have_prompt_greeting_and_time(dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await call.says("Hello")
    request = next(message for message in call.session.turn.messages if isinstance(message, m.ModelRequest))
    assert request.instructions
    for text in (phrases.GREETING, "UTC", load_prompt().strip()):
        assert text in request.instructions


async def test_a_resumed_call_runs_on_resume_and_not_on_start(dial: Dial) -> None:
    call = await dial({"says": "Yes."}, capabilities=TWO_CAPABILITIES)
    await call.drops()
    await call.says("Hello")
    assert hook_calls[:4] == ["first.on_start", "second.on_start", "first.on_resume", "second.on_resume"]


class HangingContext(Hanging):
    """Hangs in each turn, but not when the call starts."""

    on_start = Capability.on_start


async def test_a_caller_is_asked_to_hold_while_a_hook_hangs(dial: Dial) -> None:
    call = await dial(deadline=0.02, capabilities=[HangingContext])
    turn = await call.says("Hello")
    assert turn.text.startswith(phrases.HOLD) and turn.text.endswith(phrases.APOLOGY)
    assert [frame["last"] for frame in call.frames].count(True) == 1 and call.frames[-1]["last"] is True


async def test_calls_in_progress_are_ended_when_the_server_stops() -> None:
    app = build_app(capabilities=TWO_CAPABILITIES)
    async with app.router.lifespan_context(app):
        await calls_of(app).start("CA1", caller="+1500", called="+1501", connection=Connection())
    assert hook_calls[-1] == "second.on_end after 0 messages"


@pytest.mark.parametrize(
    "rule", [{"fails": True}, {"says": ""}, {"says": "  \n "}, {"says": "One two", "breaks_off": True}]
)
async def test_a_broken_turn_is_closed_exactly_once(dial: Dial, rule: dict[str, Any]) -> None:
    call = await dial(rule)
    await call.says("Hello")
    assert [frame["last"] for frame in call.frames].count(True) == 1
    assert call.frames[-1]["last"] is True


@pytest.mark.parametrize("path", ["/twiml", "/connect-action"])
async def test_an_error_in_a_route_is_an_apology_in_twiml(web: Web, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.delattr("agent.phrases.GREETING", raising=False)
    monkeypatch.delitem(phrases._defaults, "GREETING")
    monkeypatch.delattr(Calls, "end")
    answer = await web.post(path, {"CallSid": "CA1", "CallStatus": "in-progress"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    assert twiml.read(answer.text).said == phrases.UNAVAILABLE


async def test_an_error_in_a_turn_is_an_apology(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await dial({"says": "Yes."})
    monkeypatch.delattr(call.session, "now")
    assert (await call.says("Hello")).text == phrases.APOLOGY
