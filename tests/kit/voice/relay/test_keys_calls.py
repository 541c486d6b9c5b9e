"""Keys that come quickly, twice, or while the agent speaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic_ai.messages import TextPart, UserPromptPart

from app.voice.phrases import phrases
from app.voice.relay.connection import KEYPAD_PAUSE
from kit.activity import wait_until
from kit.caller import Call
from kit.testing import Dial
from kit.voice_fixtures import LONG, contents


@pytest.mark.parametrize(
    ("keys", "read"),
    [
        ("4711##", "4 7 1 1"),
        ("4711###", "4 7 1 1"),
        ("##", "#"),
        ("*", "*"),
        ("**#", "* *"),
        ("0##", "0"),
        ("1*2#", "1 * 2"),
    ],
)
async def test_keys_up_to_the_last_hash_are_one_turn(
    call: Call, advance_clock: Callable[[float], None], keys: str, read: str
) -> None:
    turn = await call.types(keys)
    if not keys.endswith("#"):
        await wait_until(lambda: call.session.connection.digits == keys, "the keys did not arrive")
        advance_clock(KEYPAD_PAUSE)
    await call.hears_reply(turn)
    await call.says("Hello")
    await call.says("Again")
    assert contents(call.session, UserPromptPart) == [f"(The caller pressed {read} on the keypad.)", "Hello"]


async def test_a_hash_that_follows_the_answer_at_once_belongs_to_the_keys_before(call: Call) -> None:
    await call.presses("4711#")
    await call.sends({"type": "dtmf", "digit": "#"})
    await call.says("Hello")
    await call.says("Again")
    assert contents(call.session, UserPromptPart) == ["(The caller pressed 4 7 1 1 on the keypad.)", "Hello"]


async def test_a_later_hash_is_a_key_of_its_own(call: Call, advance_clock: Callable[[float], None]) -> None:
    await call.presses("4711#")
    advance_clock(KEYPAD_PAUSE)
    await call.presses("#")
    await call.says("Hello")
    assert contents(call.session, UserPromptPart)[1] == "(The caller pressed # on the keypad.)"


async def test_keys_after_the_hash_are_the_next_turn(call: Call) -> None:
    await call.presses("12#")
    await call.presses("34#")
    await call.says("Hello")
    assert [text[20:24] for text in contents(call.session, UserPromptPart)] == ["1 2 ", "3 4 "]


@pytest.mark.parametrize("heard", ["One moment", "", None])
async def test_the_interruption_of_a_menu_does_not_lose_the_keys_that_came_before_it(
    dial: Dial, heard: str | None
) -> None:
    """Twilio reports the interruption of the menu when the turn of the keys has begun."""
    call = await dial({"hears": "pressed", "says": "Booked.", "delay": 0.05}, LONG)
    await call.begins("Tell me")
    await call.hears("One moment please")
    turn = await call.types("47#")
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": 12.5})
    assert (await call.hears_reply(turn)).text.strip() == "Booked."
    await call.says("Tell me")
    told, *answers = contents(call.session, TextPart)
    assert answers == ["Booked."] if heard else [told, *answers][-1] == "Booked."
    assert told == heard if heard else True


async def test_a_late_report_of_an_interruption_leaves_the_next_answer_alone(dial: Dial) -> None:
    call = await dial({"hears": "open", "says": "Until six.", "delay": 0.05}, LONG)
    await call.begins("Tell me")
    await call.hears("One moment please")
    turn = await call.begins("How long are you open?")
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "One moment", "durationUntilInterruptMs": 12})
    assert (await call.hears_reply(turn)).text.strip() == "Until six."
    await call.says("Tell me")
    assert contents(call.session, TextPart)[:2] == ["One moment", "Until six."]


async def test_the_interruption_of_the_greeting_does_not_lose_the_keys_that_came_before_it(dial: Dial) -> None:
    call = await dial({"hears": "pressed", "says": "Booked.", "delay": 0.05}, {"says": "Yes."})
    turn = await call.types("47#")
    heard = phrases.GREETING[:5]
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": 100})
    assert (await call.hears_reply(turn)).text.strip() == "Booked."
    assert call.session.greeting == heard


async def test_keys_on_both_sides_of_an_interruption_are_one_turn(
    dial: Dial, advance_clock: Callable[[float], None]
) -> None:
    call = await dial({"hears": "pressed", "says": "Booked."}, LONG)
    await call.begins("Tell me")
    await call.hears("One")
    turn = await call.types("4")
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "One", "durationUntilInterruptMs": 100})
    for frame in ({"type": "dtmf", "digit": "7"}, {"type": "prompt", "voicePrompt": "."}):
        await call.sends(frame)
    await wait_until(lambda: call.session.connection.digits == "47", "the keys did not arrive")
    advance_clock(KEYPAD_PAUSE)
    await call.hears_reply(turn)
    assert call.session.turn.user_text == "(The caller pressed 4 7 on the keypad.)"
