"""What callers may expect of a conversation, on every path; of capabilities, and when a model or a tool fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from agent import phrases
from app import config
from app.connection import Connection
from app.main import create_app
from app.registry import load_prompt
from app.session import this_session
from app.tests.test_capability import TWO, Hanging, nothing_seen, seen
from app.tests.test_failures import BROKEN
from app.turn import Turn
from app.voice.calls import Calls
from kit import defaults, twiml
from kit.agent_app import build_app
from kit.caller import Call, caller_on, calls_of
from kit.conventions import played
from kit.local_server import serve
from kit.plugin import Web
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_fixtures import Dial

LONG = {"hears": "", "says": "One moment please, here is a long story about many things.", "word_delay": 0.01}


def spoken(history: list[m.ModelMessage]) -> list[str]:
    """The conversation as the model would be told of it, without tools."""
    parts = [part for message in history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.TextPart | m.UserPromptPart)]


async def test_the_caller_is_greeted_and_answered(call: Call) -> None:
    assert call.greeting == phrases.GREETING
    turn = await call.says("Hello")
    assert turn.text == "You said something."


async def test_the_first_word_leaves_before_the_last_one_is_known(dial: Dial) -> None:
    heard = False

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "one "
        while not heard:  # perhaps in a loop of its own
            await asyncio.sleep(0.005)
        yield "two"

    call = await dial(models=[played(FunctionModel(stream_function=stream))])
    turn = await call.begins("Count")
    await call.hears("one")
    heard = True
    assert (await call.hears_out(turn)).text == "one two"
    assert [frame.get("last") for frame in call.frames] == [False, False, True]


async def test_the_history_holds_what_the_caller_heard(dial: Dial) -> None:
    call = await dial(LONG)
    await call.says("Hello")
    await call.begins("Tell me everything")
    assert await call.interrupts(after="One moment") == "One moment"
    await call.says("Stop")
    assert spoken(call.session.history)[2:4] == ["Tell me everything", "One moment"]


async def test_an_interruption_after_the_last_word_was_sent_shortens_the_history_too(dial: Dial) -> None:
    call = await dial({"says": "First this. Then that."})
    turn = await call.says("Tell me")
    turn.playback.spoken = len("First this.")
    turn.playback.rate = 0.0001
    await call.interrupts()
    await call.says("Go on")
    assert spoken(call.session.history) == ["Tell me", "First this."]


async def look() -> str:
    """Look something up."""
    await this_session().say("One moment.")
    return "found"


async def test_what_is_said_beside_an_answer_stands_where_it_was_said(dial: Dial) -> None:
    call = await dial({"hears": "look", "calls": {"look": {}}, "then": "Here it is."}, {"says": "Yes."}, tools=[look])
    await call.says("Please look")
    await call.session.say("We close at nine.")
    async with asyncio.timeout(5):
        while not call.remarks:
            await asyncio.sleep(0.002)
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "We close", "durationUntilInterruptMs": 100})
    await call.says("What?")
    await call.says("And?")
    said = ["Please look", "One moment.", "Here it is.", "We close at nine.", "What?", "Yes."]
    assert [each for each in spoken(call.session.history) if each] == said


@pytest.mark.parametrize("heard", ["First this.", ""])
def test_what_was_thought_goes_with_the_words_it_led_to(heard: str) -> None:
    """OpenAI refuses a reasoning item without the item that followed it, from then on in every turn."""
    turn = Turn("Tell me", spoken_text="First this. Then that.", heard_text=heard)
    thought, looked = m.ThinkingPart("", id="rs_1"), m.ThinkingPart("", id="rs_2")
    call = m.ToolCallPart("look", {}, "call_1")
    turn.record = [
        m.ModelRequest([m.UserPromptPart("Tell me")], run_id=turn.run_id),
        m.ModelResponse([looked, call], run_id=turn.run_id),
        m.ModelRequest([m.ToolReturnPart("look", "It is there.", "call_1")], run_id=turn.run_id),
        m.ModelResponse([thought, m.TextPart("First this. Then that.", id="msg_1")], run_id=turn.run_id),
    ]
    responses = [message.parts for message in turn.history() if isinstance(message, m.ModelResponse)]
    assert responses == [[looked, call], *([[m.TextPart(heard)]] if heard else [])]


async def test_a_reply_of_which_nothing_was_heard_is_not_remembered(dial: Dial) -> None:
    call = await dial({"hears": "first", "says": "never heard", "delay": 0.1}, {"hears": "", "says": "Yes."})
    await call.begins("first")
    await call.interrupts()
    await call.says("second")
    await call.says("third")
    assert spoken(call.session.history) == ["first", "second", "Yes."]


async def test_an_interrupted_greeting_is_known_to_the_model(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    call = await dial(LONG)
    call.playback.rate = 0.0001
    call.playback.spoken = len(phrases.GREETING) // 2
    heard = await call.interrupts()
    assert heard and heard != phrases.GREETING
    await call.says("Hello")
    assert call.session.greeting == heard


async def test_new_words_end_the_old_reply_and_close_its_turn(dial: Dial) -> None:
    call = await dial(
        {"hears": "long", "says": "a b c d e f g h", "word_delay": 0.02}, {"hears": "short", "says": "Yes."}
    )
    await call.begins("long")
    await call.hears("a b")
    await call.begins("short")
    await call.hears("Yes.")
    await asyncio.sleep(0.1)
    text = "".join("|" if frame["last"] else frame["token"] for frame in call.frames)
    assert text.count("|") == 2
    assert text.endswith("|Yes.|")
    assert "h" not in text


async def test_hanging_up_stops_the_model(dial: Dial) -> None:
    call = await dial(LONG)
    await call.begins("Tell me")
    await call.hears("One")
    session = call.session
    await call.hangs_up()
    said = session.history
    await asyncio.sleep(0.1)
    assert session.history == said and "things" not in spoken(session.history)[-1]
    assert call.app.state.conversations.active == 0


async def test_two_calls_at_once_do_not_mix() -> None:
    rules = [
        {"hears": name, "says": f"Hello {name}, hello {name}, hello {name}.", "word_delay": 0.01}
        for name in ("Ada", "Bob")
    ]
    app = create_app(defaults.settings(), [scripted(*rules)], [], transport=SimulatedAccount().transport)
    async with (
        serve(app) as address,
        caller_on(app, address, caller="+15005550007") as ada,
        caller_on(app, address, caller="+15005550008") as bob,
    ):
        one, two = await asyncio.gather(ada.says("I am Ada"), bob.says("I am Bob"))
        assert (one.text, two.text) == ("Hello Ada, hello Ada, hello Ada.", "Hello Bob, hello Bob, hello Bob.")
        assert ada.session.caller == "+15005550007" and bob.session.caller == "+15005550008"


async def test_the_model_is_told_prompt_greeting_and_time(dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await call.says("Hello")
    request = next(message for message in call.session.turn.messages if isinstance(message, m.ModelRequest))
    assert request.instructions
    for known in (phrases.GREETING, "UTC", load_prompt().strip()):
        assert known in request.instructions


async def test_a_conversation_alternates_between_caller_and_agent(dial: Dial) -> None:
    call = await dial(LONG)
    for _ in range(3):
        await call.begins("Hello")
        await call.interrupts(after="One moment")
    await call.says("Hello")
    kinds = [type(message) for message in call.session.history]
    assert kinds == [m.ModelRequest, m.ModelResponse] * 3


async def leave() -> str:
    """Hang up."""
    await this_session().connection.end({"reasonCode": "done"})
    return "The call ends."


async def test_whoever_speaks_over_the_goodbye_stays_on_the_line(dial: Dial) -> None:
    call = await dial(
        {"hears": "bye", "calls": {"leave": {}}, "then": "Goodbye and have a nice day.", "word_delay": 0.02},
        {"hears": "wait", "says": "I am here."},
        tools=[leave],
    )
    await call.begins("bye")
    await call.interrupts(after="Goodbye and")
    turn = await call.says("wait")
    assert turn.text == "I am here."
    assert (await call.says("wait, still here?")).text == "I am here." and call.ended_by is None
    await call.begins("bye")
    await call.over()
    assert call.ended_by == "agent" and call.handoff == {"reasonCode": "done"}


@pytest.mark.parametrize("spoken", [[], ["Hello"]], ids=["before the first words", "after a turn"])
async def test_a_call_can_be_ended_while_nobody_speaks(dial: Dial, spoken: list[str]) -> None:
    call = await dial(LONG)
    for text in spoken:
        await call.says(text)
    await call.session.connection.end({"reasonCode": "done"})
    await call.over()
    assert (call.ended_by, call.handoff) == ("agent", {"reasonCode": "done"})


async def test_an_end_from_outside_waits_for_the_words(dial: Dial) -> None:
    call = await dial(LONG)
    turn = await call.begins("Hello")
    await call.hears("One")
    await call.session.connection.end({"reasonCode": "done"})
    await call.over()
    assert turn.text == LONG["says"]
    assert [frame["type"] for frame in call.frames].count("end") == 1


__all__ = ["nothing_seen"]  # a fixture


async def test_a_call_that_comes_back_does_not_start_again(dial: Dial) -> None:
    call = await dial({"says": "Yes."}, capabilities=TWO)
    await call.drops()
    await call.says("Hello")
    assert seen[:4] == ["first.on_start", "second.on_start", "first.on_resume", "second.on_resume"]


async def test_a_caller_is_told_to_hold_while_a_hook_hangs(dial: Dial) -> None:
    call = await dial({"says": "Yes."}, deadline=0.05, capabilities=[Hanging])
    turn = await call.says("Hello")
    assert turn.text.startswith(phrases.HOLD) and turn.text.endswith(phrases.APOLOGY)


async def test_calls_in_progress_are_ended_when_the_server_stops() -> None:
    app = build_app(capabilities=TWO)
    async with app.router.lifespan_context(app):
        await calls_of(app).start("CA1", caller="+1500", called="+1501", connection=Connection())
    assert seen[-1] == "second.on_end after 0 messages"


@pytest.mark.parametrize("rule", [*BROKEN.values(), {"says": "One two", "breaks_off": True}])
async def test_a_broken_turn_is_closed_exactly_once(dial: Dial, rule: dict[str, Any]) -> None:
    call = await dial(rule, deadline=0.1)
    await call.says("Hello")
    assert [frame["last"] for frame in call.frames].count(True) == 1
    assert call.frames[-1]["last"] is True


async def test_a_silent_model_is_given_up_at_the_deadline(dial: Dial) -> None:
    call = await dial({"hangs": True}, fallback=[{"says": "Yes."}], deadline=0.1)
    turn = await call.says("Hello")
    assert turn.text.endswith("Yes.") and turn.total is not None and turn.total >= 100


async def test_a_tool_that_hangs_is_held_for_and_then_given_up(dial: Dial) -> None:
    async def hang() -> str:
        """Look something up."""
        await asyncio.Event().wait()
        return "never"

    call = await dial({"calls": {"hang": {}}, "then": "Sorry, that did not work."}, tools=[hang], deadline=0.3)
    turn = await call.says("Look it up")
    assert turn.text == f"{phrases.HOLD} Sorry, that did not work."


async def test_a_slow_tool_is_waited_for(dial: Dial) -> None:
    async def slow() -> str:
        """Look something up."""
        await asyncio.sleep(0.3)
        return "found"

    call = await dial({"calls": {"slow": {}}}, tools=[slow], deadline=0.2)
    assert (await call.says("Look it up")).text == f"{phrases.HOLD} found"


async def test_to_hold_is_not_to_answer(dial: Dial) -> None:
    async def slow() -> str:
        """Look something up."""
        await asyncio.sleep(0.3)
        return "found"

    call = await dial({"calls": {"slow": {}}, "then": " "}, tools=[slow], deadline=0.2)
    turn = await call.says("Look it up")
    assert turn.text.startswith(phrases.HOLD) and turn.text.endswith(phrases.APOLOGY)


class SlowTool:
    """A tool that works until it is told to finish."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.finish = asyncio.Event()
        self.finished = asyncio.Event()

    async def book(self) -> str:
        """Book it."""
        self.started.set()
        await self.finish.wait()
        self.finished.set()
        return "booked"


@pytest.fixture
def slow() -> SlowTool:
    return SlowTool()


BOOKS = [{"hears": "book", "says": "One moment. ", "calls": {"book": {}}}, {"hears": "", "says": "Yes."}]


async def test_an_interrupted_tool_finishes(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.interrupts(after="One moment.")
    slow.finish.set()
    async with asyncio.timeout(1):
        await slow.finished.wait()


async def test_the_next_turn_knows_the_outcome_of_an_interrupted_tool(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.interrupts(after="One moment.")
    slow.finish.set()
    await slow.finished.wait()
    await call.says("Did it work?")
    assert outcomes(call) == ["booked"]


async def test_the_next_turn_knows_that_an_outcome_is_unknown(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.interrupts(after="One moment.")
    await call.says("Did it work?")
    assert ["not known" in outcome for outcome in outcomes(call)] == [True]
    slow.finish.set()


async def test_new_words_without_an_interruption_keep_the_tool_call_too(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.says("Are you there?")
    assert len(outcomes(call)) == 1
    slow.finish.set()


async def test_every_tool_call_in_the_history_has_exactly_one_return(dial: Dial, slow: SlowTool) -> None:
    async def quick() -> str:
        """Look it up."""
        return "found"

    call = await dial(
        {"hears": "both", "calls": {"quick": {}, "book": {}}},
        {"hears": "quick", "calls": {"quick": {}}},
        {"hears": "", "says": "Yes."},
        tools=[slow.book, quick],
    )
    await call.says("quick")
    await call.begins("both")
    await slow.started.wait()
    await call.interrupts()
    await call.says("And now?")
    slow.finish.set()
    parts = [part for message in call.session.history for part in message.parts]
    called = Counter(part.tool_call_id for part in parts if isinstance(part, m.ToolCallPart))
    returned = Counter(part.tool_call_id for part in parts if isinstance(part, m.ToolReturnPart))
    assert len(called) == 3 and called == returned


@pytest.mark.parametrize("path", ["/twiml", "/connect-action"])
async def test_a_defect_in_a_twilio_route_is_spoken(web: Web, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.delattr(phrases, "GREETING")
    monkeypatch.delattr(Calls, "end")
    answer = await web.post(path, {"CallSid": "CA1", "CallStatus": "in-progress"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    assert twiml.read(answer.text).said == phrases.UNAVAILABLE


async def test_a_defect_in_a_turn_ends_in_an_apology(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await dial({"says": "Yes."})
    monkeypatch.delattr(call.session, "now")
    assert (await call.says("Hello")).text == phrases.APOLOGY


def outcomes(call: Call) -> list[str]:
    """What tools have returned, according to the history."""
    parts = [part for message in call.session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.ToolReturnPart)]
