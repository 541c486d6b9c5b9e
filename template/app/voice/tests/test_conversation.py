"""A conversation on every path: turns, interruptions, the end, and failures of models, tools and capabilities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.capability import Capability
from app.connection import Connection
from app.registry import load_prompt
from app.session import Session
from app.tests.test_turn import BROKEN, TWO_CAPABILITIES, Hanging, hook_calls, no_hook_calls
from app.voice.calls import Calls
from app.voice.phrases import phrases
from kit import twiml
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, caller_on, calls_of
from kit.conventions import build_model
from kit.local_server import serve
from kit.plugin import Web
from kit.scripted_model import last_exchange
from kit.voice_fixtures import Dial

LONG = {"hears": "", "says": "One moment please, here is a long story about many things.", "word_delay": 0.002}


class HeldModel:
    """Asked to count, it says "one " and, once it is released, "two". Else it says "Yes."."""

    def __init__(self) -> None:
        self.released = self.ended = False
        self.models = [build_model(FunctionModel(stream_function=self.stream))]

    async def stream(self, messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        if last_exchange(messages)[0] != "Count":
            yield "Yes."
            return
        try:
            yield "one "
            while not self.released:  # not an event: the model may run in an event loop of its own
                await asyncio.sleep(0.001)
            yield "two"
        finally:
            self.ended = True

    async def ends(self) -> None:
        """Release the model, and wait until it has said "two" or was stopped before."""
        self.released = True
        await wait_until(lambda: self.ended, "the model did not end")


@pytest.fixture
def held() -> HeldModel:
    return HeldModel()


async def counting(dial: Dial, held: HeldModel) -> Call:
    """A call in which the model has said "one" and waits."""
    call = await dial(models=held.models)
    await call.begins("Count")
    await call.hears("one")
    return call


def contents(session: Session, *kinds: type[Any]) -> list[str]:
    """The contents of parts of the history, of these types: by default the words of both sides."""
    parts = [part for message in session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, kinds or (m.TextPart, m.UserPromptPart))]


async def test_the_caller_is_greeted_and_answered(call: Call) -> None:
    assert call.greeting == phrases.GREETING
    turn = await call.says("Hello")
    assert turn.text == "You said something."


async def test_the_first_word_is_sent_before_the_model_has_the_last_one(dial: Dial, held: HeldModel) -> None:
    call = await counting(dial, held)
    held.released = True
    assert (await call.hears_reply(call.turns[0])).text == "one two"
    assert [frame.get("last") for frame in call.frames] == [False, False, True]


async def test_the_history_keeps_only_the_text_that_the_caller_heard(dial: Dial) -> None:
    call = await dial(LONG)
    await call.says("Hello")
    await call.begins("Tell me everything")
    assert await call.interrupts(after="One moment") == "One moment"
    await call.says("Stop")
    assert contents(call.session)[2:4] == ["Tell me everything", "One moment"]


async def test_a_new_prompt_stops_the_reply_and_closes_its_turn(dial: Dial, held: HeldModel) -> None:
    call = await counting(dial, held)
    assert (await call.says("And now?")).text == "Yes."
    await held.ends()
    assert [(frame["token"], frame["last"]) for frame in call.frames if frame["token"]] == [
        ("one ", False),
        ("Yes.", False),
    ]
    assert [frame["last"] for frame in call.frames].count(True) == 2 and call.frames[-1]["last"]


async def test_hanging_up_stops_the_model(dial: Dial, held: HeldModel) -> None:
    call = await counting(dial, held)
    session = call.session
    await call.hangs_up()
    await held.ends()
    assert contents(session)[-1].strip() == "one"
    assert call.app.state.conversations.active == 0


async def test_two_calls_at_once_do_not_mix() -> None:
    rules = [
        {"hears": name, "says": f"Hello {name}, hello {name}, hello {name}.", "word_delay": 0.001}
        for name in ("Ada", "Bob")
    ]
    app = build_app(*rules, capabilities=[])
    async with (
        serve(app) as address,
        caller_on(app, address, caller="+15005550007") as ada,
        caller_on(app, address, caller="+15005550008") as bob,
    ):
        one, two = await asyncio.gather(ada.says("I am Ada"), bob.says("I am Bob"))
        assert (one.text, two.text) == ("Hello Ada, hello Ada, hello Ada.", "Hello Bob, hello Bob, hello Bob.")
        assert ada.session.caller == "+15005550007" and bob.session.caller == "+15005550008"


async def test_the_instructions_have_prompt_greeting_and_time(dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await call.says("Hello")
    request = next(message for message in call.session.turn.messages if isinstance(message, m.ModelRequest))
    assert request.instructions
    for text in (phrases.GREETING, "UTC", load_prompt().strip()):
        assert text in request.instructions


__all__ = ["no_hook_calls"]  # a fixture


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


@pytest.mark.parametrize("rule", [*BROKEN.values(), {"says": "One two", "breaks_off": True}])
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
