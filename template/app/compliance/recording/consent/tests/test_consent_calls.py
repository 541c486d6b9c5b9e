"""Nothing is recorded before the caller has pressed the key of the question."""

from __future__ import annotations

import pytest

from app.compliance.recording.wording import sentence
from app.voice.phrases import phrases as spoken
from kit import defaults, twiml
from kit.plugin import Web
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_fixtures import Dial

FORM = {"CallSid": "CA1", "AccountSid": defaults.ACCOUNT_SID, "From": defaults.CALLER}


async def test_the_call_begins_with_the_question_and_without_a_recording(web: Web) -> None:
    document = twiml.read((await web.post("/twiml", FORM)).text)
    assert document.verbs == ["Gather", "Say", "Connect"]
    said = (sentence("introduction"), sentence("question"), sentence("refused"))
    assert document.said == " ".join(said)
    assert document.asks == f"{defaults.PUBLIC_URL}/recording/answer"


@pytest.mark.parametrize(
    ("presses", "recordings", "words"),
    [
        (["1"], ["in-progress"], sentence("agreed")),
        (["2"], [], sentence("refused")),
        (["*"], [], sentence("refused")),
        ([], [], sentence("refused")),
    ],
    ids=["yes", "another key", "star", "silence"],
)
async def test_only_the_key_of_the_question_begins_a_recording(
    dial: Dial, presses: list[str], recordings: list[str], words: str
) -> None:
    account = SimulatedAccount()
    account.keys += presses
    call = await dial(account=account)
    assert [each["status"] for each in account.recordings.of(call.sid)] == recordings
    assert call.opening.endswith(words)
    assert spoken.GREETING in call.greeting
    assert (await call.says("Hello")).text
    assert call.session.state["recorded"] is bool(recordings)


@pytest.mark.parametrize("form", [FORM, {**FORM, "Digits": ""}, {**FORM, "Digits": "11"}], ids=["none", "empty", "two"])
async def test_an_answer_without_that_key_is_no(web: Web, form: dict[str, str]) -> None:
    document = twiml.read((await web.post("/recording/answer", form)).text)
    assert (document.verbs, document.recording) == (["Say", "Connect"], None)


async def test_an_answer_without_a_signature_is_refused(web: Web) -> None:
    answer = await web.post("/recording/answer", {**FORM, "Digits": "1"}, signature="x" * 28)
    assert answer.status_code == 403
