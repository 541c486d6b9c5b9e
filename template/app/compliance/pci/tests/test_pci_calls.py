"""Card numbers on the keypad, and in the handoff data of a call."""

from __future__ import annotations

import json

from app.compliance.pci import CARD
from app.compliance.pci.tests.test_pci import DIGITS, SPOKEN, RecordingModel, longest
from app.session import this_session
from kit.activity import wait_until
from kit.voice_fixtures import Dial


async def test_keys_are_filtered_as_words_are(dial: Dial) -> None:
    model = RecordingModel()
    call = await dial(models=model.models)
    await call.presses(f"{DIGITS}#")
    assert longest(model.last) == 0 and CARD in model.last
    await call.presses("4711#")
    assert "4 7 1 1" not in model.last  # right after a card number this may be its code


async def test_keys_over_two_turns(dial: Dial) -> None:
    model = RecordingModel()
    call = await dial(models=model.models)
    await call.presses(f"{DIGITS[:8]}#")
    await call.presses(f"{DIGITS[8:]}#")
    assert longest(model.last) == 0


async def test_a_short_number_on_the_keypad_is_heard(dial: Dial) -> None:
    model = RecordingModel()
    call = await dial(models=model.models)
    await call.presses("4711#")
    assert "4 7 1 1" in model.last


async def test_handoff_data_has_no_card_number(dial: Dial) -> None:
    async def leave() -> str:
        """Hang up."""
        await this_session().end({"reasonCode": "sale", "note": {"card": SPOKEN}})
        return "The call ends."

    call = await dial({"calls": {"leave": {}}, "then": "Goodbye."}, tools=[leave])
    await call.says("Goodbye")
    await call.hangs_up()
    assert CARD in json.dumps(call.handoff) and longest(json.dumps(call.handoff)) == 0


async def test_a_sentence_between_turns_has_no_card_number(dial: Dial) -> None:
    async def remind() -> str:
        """Remind."""
        await this_session().say(f"Paid with {DIGITS}.")
        return "Done."

    call = await dial({"calls": {"remind": {}}, "then": "Yes."}, tools=[remind])
    await call.says("Remind me")
    assert f"Paid with {CARD}." in str(call.frames) and longest(str(call.frames)) == 0


async def test_a_partial_prompt_has_no_card_number(dial: Dial) -> None:
    call = await dial()
    await call.sends({"type": "prompt", "voicePrompt": f"It is {SPOKEN}", "lang": "en-US", "last": False})
    await wait_until(lambda: call.session.hearing != "", "no partial prompt")
    assert call.session.hearing == f"It is {CARD}"
