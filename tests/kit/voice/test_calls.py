"""A call: its conversation, its end and handoffs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

import httpx2
import pytest
from fastapi import FastAPI

from app.voice.phrases import phrases
from kit import defaults, twiml
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, caller_on, calls_of
from kit.local_server import serve
from kit.plugin import Web
from kit.testing import Dial
from kit.twiml import Document, Relay
from kit.voice_fixtures import LONG, HeldModel, contents, counting
from kit.workers import begin


async def opened(web: Web) -> Relay:
    """The `<ConversationRelay>` of a new call."""
    answer = await web.post("/twiml", {"CallSid": "CA1", "AccountSid": defaults.ACCOUNT_SID})
    relay = twiml.read(answer.text).relay
    assert relay
    return relay


UP = {"CallStatus": "in-progress"}
ENDED = {**UP, "SessionStatus": "ended"}
FAILED = {**UP, "SessionStatus": "failed", "ErrorCode": "64105"}
CALL_SID = "CA" + "1" * 32


@pytest.fixture
async def app(request: pytest.FixtureRequest) -> FastAPI:
    """An app with a call in progress and the capabilities that a test names, else those of the project."""
    app = build_app(capabilities=getattr(request, "param", None))
    await begin(calls_of(app), CALL_SID)
    return app


@pytest.fixture
async def in_call(app: FastAPI) -> AsyncGenerator[Web]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        yield Web(http)


async def action(web: Web, form: Mapping[str, str], **more: str) -> Document:
    """The TwiML of the action URL after the session has ended like this."""
    return twiml.read((await web.post("/connect-action", {"CallSid": CALL_SID, **form, **more})).text)


# --- a conversation ------------------------------------------------------------------------------------------


async def test_the_first_word_is_sent_before_the_model_has_the_last_one(dial: Dial, held: HeldModel) -> None:
    call = await counting(dial, held)
    held.released = True
    assert (await call.hears_reply(call.turns[0])).text == "red blue"
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
        ("red ", False),
        ("Yes.", False),
    ]
    assert [frame["last"] for frame in call.frames].count(True) == 2 and call.frames[-1]["last"]


async def speaks_over(call: Call) -> None:
    await call.interrupts(after="red")


async def says_more(call: Call) -> None:
    await call.says("And now?")


@pytest.mark.parametrize("stop", [speaks_over, says_more, Call.hangs_up, Call.drops])
async def test_a_model_is_stopped_once_its_caller_no_longer_listens(
    dial: Dial, held: HeldModel, stop: Callable[[Call], Awaitable[None]]
) -> None:
    """Also one that gives no further token, which would end at its deadline."""
    call = await counting(dial, held)
    task = call.session.turn.task
    await stop(call)
    await wait_until(task.done, "the turn works on")
    await wait_until(lambda: held.ended, "the model works on")


async def test_hanging_up_stops_the_model(dial: Dial, held: HeldModel) -> None:
    call = await counting(dial, held)
    session = call.session
    await call.hangs_up()
    await held.ends()
    assert contents(session)[-1].strip() == "red"
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


# --- ends --------------------------------------------------------------------------------------------------


ENDINGS: dict[str, tuple[Mapping[str, str], str, list[str]]] = {  # the form, the text of <Say>, the verbs
    "the caller hung up": ({"CallStatus": "completed", "SessionStatus": "completed"}, "", []),
    "the agent ended the call": (ENDED, phrases.GOODBYE, ["Say", "Hangup"]),
    **{
        f"handoff {data}": ({**ENDED, "HandoffData": data}, phrases.GOODBYE, ["Say", "Hangup"])
        for data in ('{"reasonCode": "done"}', "{}", "{not json", "", "null", "[1]", '"text"')
    },
}


@pytest.mark.parametrize(("form", "text", "verbs"), ENDINGS.values(), ids=ENDINGS.keys())
async def test_a_call_that_has_ended_is_forgotten(
    app: FastAPI, in_call: Web, form: Mapping[str, str], text: str, verbs: list[str]
) -> None:
    assert calls_of(app).get(CALL_SID)
    document = await action(in_call, form)
    assert document.verbs == verbs and document.said.endswith(text)  # a regulation may add words before the goodbye
    assert calls_of(app).get(CALL_SID) is None


async def test_an_interruption_of_a_reply_without_its_markup_keeps_what_was_heard(dial: Dial) -> None:
    says = "<think>no</think>One **moment** please, see https://example.com/a?b=c and more."
    call = await dial({"hears": "", "says": says, "word_delay": 0.002})
    await call.begins("Tell me everything")
    assert await call.interrupts(after="see example.com") == "One moment please, see example.com"
    await call.says("Stop")
    assert contents(call.session) == ["Tell me everything", "One moment please, see example.com"]


async def test_plain_words_are_sent_as_the_model_gives_them(dial: Dial) -> None:
    says = "It is well-known: 2 * 3 is 6, if x < 5."
    call = await dial({"hears": "", "says": says})
    await call.says("Tell me")
    assert [frame["token"] for frame in call.frames if frame["token"]] == [f"{word} " for word in says.split()][:-1] + [
        "5."
    ]
