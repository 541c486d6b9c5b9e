"""What the history keeps of a call that is interrupted, and how a call ends."""

from __future__ import annotations

import pytest
from pydantic_ai import messages as m

from app import config, this_session
from app.turn import Turn
from app.voice.phrases import phrases
from kit.activity import wait_until
from kit.testing import Dial
from kit.voice_fixtures import LONG, HeldModel, contents, counting, held

__all__ = ["held"]  # a fixture


async def test_an_interruption_after_the_last_word_was_sent_shortens_the_history_too(dial: Dial) -> None:
    call = await dial({"says": "First this. Then that."})
    turn = await call.says("Tell me")
    turn.playback.spoken = len("First this.")
    turn.playback.rate = 0.0001
    await call.interrupts()
    await call.says("Go on")
    assert contents(call.session) == ["Tell me", "First this."]


async def look() -> str:
    """Look something up."""
    await this_session().say("One moment.")
    return "found"


async def test_text_outside_a_reply_keeps_its_place_in_the_history(dial: Dial) -> None:
    call = await dial({"hears": "look", "calls": {"look": {}}, "then": "Here it is."}, {"says": "Yes."}, tools=[look])
    await call.says("Please look")
    await call.session.say("We close at nine.")
    await wait_until(lambda: call.remarks, "the agent said nothing")
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "We close", "durationUntilInterruptMs": 100})
    await call.says("What?")
    await call.says("And?")
    texts = ["Please look", "One moment.", "Here it is.", "We close at nine.", "What?", "Yes."]
    assert [text for text in contents(call.session) if text] == texts


@pytest.mark.parametrize("heard", ["First this.", ""])
def test_reasoning_is_removed_together_with_the_text_that_followed_it(heard: str) -> None:
    """OpenAI rejects a reasoning item without the item that followed it, in this turn and in every later one."""
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


async def test_a_reply_that_was_not_heard_is_not_in_the_history(dial: Dial) -> None:
    call = await dial({"hears": "first", "hangs": True}, {"hears": "", "says": "Yes."})
    await call.begins("first")
    await call.interrupts()
    await call.says("second")
    await call.says("third")
    assert contents(call.session) == ["first", "second", "Yes."]


async def test_the_session_keeps_the_heard_part_of_the_greeting(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    call = await dial(capabilities=[])
    call.playback.rate = 0.0001
    call.playback.spoken = len(phrases.GREETING) // 2
    heard = await call.interrupts()
    assert heard and heard != phrases.GREETING
    await call.says("Hello")
    assert call.session.greeting == heard


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


async def test_a_caller_who_interrupts_the_goodbye_stays_in_the_call(dial: Dial) -> None:
    call = await dial(
        {"hears": "bye", "calls": {"leave": {}}, "then": "Goodbye and have a nice day.", "word_delay": 0.002},
        {"hears": "wait", "says": "I am here."},
        tools=[leave],
    )
    await call.begins("bye")
    await call.interrupts(after="Goodbye and")
    turn = await call.says("wait")
    assert turn.text == "I am here."
    assert (await call.says("wait, still here?")).text == "I am here." and call.ended_by is None
    await call.begins("bye")
    await call.wait_for_end()
    assert call.ended_by == "agent" and call.handoff == {"reasonCode": "done"}


@pytest.mark.parametrize("prompts", [[], ["Hello"]], ids=["before the first prompt", "after a turn"])
async def test_a_call_can_be_ended_between_turns(dial: Dial, prompts: list[str]) -> None:
    call = await dial()
    for text in prompts:
        await call.says(text)
    await call.session.connection.end({"reasonCode": "done"})
    await call.wait_for_end()
    assert (call.ended_by, call.handoff) == ("agent", {"reasonCode": "done"})


async def test_an_end_during_a_turn_waits_for_its_last_token(dial: Dial, held: HeldModel) -> None:
    call = await counting(dial, held)
    await call.session.connection.end({"reasonCode": "done"})
    held.released = True
    await call.wait_for_end()
    assert call.turns[0].text == "red blue"
    assert [frame["type"] for frame in call.frames].count("end") == 1
