"""A caller who says nothing is asked, and then the agent hangs up; on every path and runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import Session
from app.capability import Capability
from app.voice.phrases import phrases
from app.voice.silence import CHARACTERS_PER_SECOND, Silence, duration
from kit.activity import wait_until
from kit.caller import Call
from kit.testing import Dial, play
from kit.voice_fixtures import contents

Advance = Callable[[float], None]
LIMIT = 10.0


async def settle() -> None:
    """Let everything run that is due."""
    for _ in range(50):
        await asyncio.sleep(0)


def silence_of(call: Call) -> Silence:
    silence: Silence = call.session.connection.silence
    return silence


async def quiet(call: Call) -> Silence:
    """The agent has finished speaking: Twilio says so."""
    await speaker(call, "agentSpeaking", "off")
    return silence_of(call)


async def speaker(call: Call, name: str, value: str) -> None:
    before = [silence_of(call).speaking, silence_of(call).talking, silence_of(call).until]
    await call.sends({"type": "info", "name": name, "value": value, "ts": 1700000000000})
    now = silence_of(call)
    await wait_until(lambda: before != [now.speaking, now.talking, now.until], f"{name} {value} was ignored")


async def asked(call: Call, times: int = 1) -> None:
    await wait_until(lambda: call.remarks == [phrases.STILL_THERE] * times, "the caller was not asked")


async def test_a_silent_caller_is_asked_then_hears_goodbye(
    dial: Dial, advance_clock: Advance, logged: Callable[[], str]
) -> None:
    call = await dial(silence=LIMIT)
    await quiet(call)
    advance_clock(LIMIT - 1)
    await settle()
    assert not call.remarks
    advance_clock(1.1)
    await asked(call)
    assert contents(call.session)[-1] == phrases.STILL_THERE, "the model knows that it was asked"
    advance_clock(LIMIT)
    await settle()
    assert call.ended_by is None, "the question itself takes time"
    advance_clock(duration(phrases.STILL_THERE) + 0.1)
    await call.wait_for_end()
    assert call.ended_by == "agent" and phrases.GOODBYE in call.farewell
    assert call.handoff == {"reasonCode": "caller_silent"}
    lines = [line for line in logged().splitlines() if "caller.silent" in line]
    assert ["asked" in lines[0], "ended" in lines[1]] == [True, True] and len(lines) == 2


async def test_words_after_the_question_begin_anew(dial: Dial, advance_clock: Advance) -> None:
    call = await dial(silence=LIMIT)
    await quiet(call)
    advance_clock(LIMIT + 0.1)
    await asked(call)
    await call.says("Yes, I am here.")
    await quiet(call)
    advance_clock(LIMIT + 0.1)
    await asked(call, 2)
    assert call.ended_by is None


async def test_without_speaker_events_the_length_of_the_text_counts(dial: Dial, advance_clock: Advance) -> None:
    text = "word " * 60
    call = await dial({"hears": "", "says": text}, silence=LIMIT)
    await call.says("Tell me everything.")
    advance_clock(LIMIT + len(text) / CHARACTERS_PER_SECOND - 1)
    await settle()
    assert not call.remarks, "these words are still being played"
    advance_clock(1.5)
    await asked(call)


async def test_the_greeting_counts_as_speech(dial: Dial, advance_clock: Advance) -> None:
    call = await dial(silence=LIMIT)
    advance_clock(LIMIT + duration(call.session.greeting) - 1)
    await settle()
    assert not call.remarks
    advance_clock(1.5)
    await asked(call)


@pytest.mark.parametrize("name", ["agentSpeaking", "clientSpeaking"])
async def test_nothing_is_counted_while_somebody_speaks(dial: Dial, advance_clock: Advance, name: str) -> None:
    call = await dial(silence=LIMIT)
    await speaker(call, name, "on")
    for _ in range(5):
        advance_clock(LIMIT + 1)
        await settle()
    assert not call.remarks
    await speaker(call, name, "off")
    advance_clock(LIMIT + duration(call.session.greeting) + 0.1)
    await asked(call)


async def test_text_that_is_played_counts_as_speech(dial: Dial, advance_clock: Advance) -> None:
    call = await dial(silence=LIMIT)
    await quiet(call)
    advance_clock(LIMIT - 1)
    await speaker(call, "tokensPlayed", "Hello")
    advance_clock(LIMIT - 1)
    await settle()
    assert not call.remarks
    advance_clock(1.1)
    await asked(call)


async def test_nothing_is_counted_while_a_human_has_the_call(dial: Dial, advance_clock: Advance) -> None:
    class Human(Capability):
        has_the_call = True

        async def is_with_human(self, session: Session) -> bool:
            return self.has_the_call

    call = await dial(silence=LIMIT, capabilities=[Human])
    await quiet(call)
    for _ in range(3):
        advance_clock(LIMIT + 1)
        await settle()
    assert not call.remarks
    Human.has_the_call = False
    advance_clock(LIMIT + 1)
    await asked(call)


@pytest.mark.parametrize("noise", ["", "...", "\u200b"])
async def test_a_noise_breaks_no_silence(
    dial: Dial, advance_clock: Advance, logged: Callable[[], str], noise: str
) -> None:
    call = await dial(silence=LIMIT)
    silence = await quiet(call)
    since = silence.until
    advance_clock(LIMIT / 2)
    await call.sends({"type": "prompt", "voicePrompt": noise, "lang": "en-US", "last": True})
    await call.sends("no frame")
    await wait_until(lambda: "frame.ignored" in logged(), "the frames were not read")
    assert silence.until == since
    advance_clock(LIMIT / 2 + 0.1)
    await asked(call)


async def test_nothing_is_counted_while_a_tool_works(dial: Dial, advance_clock: Advance) -> None:
    """Also when the caller has interrupted the turn of the tool with a noise."""
    started, finish = asyncio.Event(), asyncio.Event()

    async def book() -> str:
        """Book it."""
        started.set()
        await finish.wait()
        return "booked"

    rules: list[dict[str, Any]] = [{"hears": "book", "says": "One moment. ", "calls": {"book": {}}}]
    call = await dial(*rules, {"hears": "", "says": "Yes."}, tools=[book], silence=LIMIT, deadline=30)
    await call.begins("book it")
    await started.wait()
    await call.hears("One moment.")
    await call.interrupts()
    for _ in range(2):
        advance_clock(LIMIT + 1)
        await settle()
    assert not call.remarks
    finish.set()
    await wait_until(lambda: all(each.done() for each in call.session.turn.tools.values()), "the tool did not end")
    advance_clock(LIMIT + 1)
    await settle()
    advance_clock(LIMIT + 1)
    await asked(call)


async def test_nothing_is_counted_while_the_model_answers(dial: Dial, advance_clock: Advance) -> None:
    call = await dial({"hears": "", "says": "One two three four", "word_delay": 3.0}, silence=LIMIT, deadline=30)
    await call.begins("Count slowly")
    await call.hears("One")
    advance_clock(4.0)
    await settle()
    silence = silence_of(call)
    assert call.session.connection.turn_is_open and not silence.asked


async def test_keys_and_halves_of_sentences_count_as_words(dial: Dial, advance_clock: Advance) -> None:
    call = await dial(silence=LIMIT)
    silence = await quiet(call)
    for frame in ({"type": "dtmf", "digit": "4"}, {"type": "prompt", "voicePrompt": "I", "lang": "en", "last": False}):
        advance_clock(1.0)
        before = silence.until
        await call.sends(frame)
        await wait_until(lambda before=before: silence.until > before, "the frame did not count")


async def test_zero_is_never(dial: Dial, advance_clock: Advance) -> None:
    call = await dial(silence=0)
    advance_clock(3600)
    await settle()
    assert not call.remarks and "speaker-events" not in call.attribute("events", "")


async def test_twilio_is_asked_for_speaker_events_once(dial: Dial) -> None:
    call = await dial()
    assert call.attribute("events", "").split().count("speaker-events") == 1


async def test_the_count_ends_with_the_connection(dial: Dial, advance_clock: Advance) -> None:
    """A menu, a payment, a queue or a lost WebSocket has none; a call that is back begins anew."""
    call = await dial(silence=LIMIT)
    first = await quiet(call)
    await call.drops()
    advance_clock(LIMIT - 1)
    await settle()
    assert first.watching and first.watching.done() and not call.remarks
    second = silence_of(call)
    assert second is not first and second.watching and not second.watching.done()
    await call.hangs_up()
    await wait_until(second.watching.done, "the count goes on")


async def test_a_silence_of_the_simulator_takes_the_time_of_the_caller(dial: Dial) -> None:
    call = await dial(silence=15)
    await call.stays_silent(10)
    assert not call.remarks
    await call.stays_silent(20)
    await asked(call)
    await call.stays_silent(45)
    assert call.ended_by == "agent" and phrases.GOODBYE in call.farewell


def test_wide_characters_take_longer() -> None:
    assert duration("もしもし") == 3 * duration("hell")


SCENARIO = """
turns:
  - answer: true
  - silence: 20
    expect: {phrase: STILL_THERE}
  - caller: Yes, one moment.
  - silence: 45
    expect: {phrase: GOODBYE}
expect: {ended_by: agent}
"""


async def test_a_scenario_may_wait_for_the_question(tmp_path: Path) -> None:
    path = tmp_path / "silent.yml"
    path.write_text(SCENARIO)
    assert (await play(path)).failures == []
