"""The order before a recording, pause and resume, and the end of a recording that the caller does not want."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from twilio.base.exceptions import TwilioException

from app.compliance.recording import STATUS, Consent, Recording
from app.compliance.recording.wording import sentence
from kit import defaults, twiml
from kit.caller import Call
from kit.plugin import Web
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_fixtures import Dial

YES, NO = "1", "2"
OBJECTS = {"hears": "record", "calls": {"stop_recording": {}}, "then": "It has stopped."}


def recording_of(call: Call) -> Recording:
    return next(each for each in call.app.state.conversations.capabilities if isinstance(each, Recording))


async def recorded(dial: Dial, *rules: dict[str, Any]) -> Call:
    """A call that is recorded, since its caller has agreed where callers are asked."""
    account = SimulatedAccount()
    account.keys.append(YES)
    call = await dial(*rules, account=account)
    assert [each["status"] for each in call.account.recordings.of(call.sid)] == ["in-progress"]
    while "recorded" not in call.session.state:  # `on_start` of another capability may wait for a database
        await asyncio.sleep(0.01)
    return call


def statuses(call: Call) -> list[str]:
    return [status for _, status in call.account.recordings.log]


async def test_words_come_first_then_the_recording_then_the_agent(web: Web, asks: bool) -> None:
    form = {"CallSid": "CA1", "AccountSid": defaults.ACCOUNT_SID, "From": defaults.CALLER}
    path = "/recording/answer" if asks else "/twiml"
    document = twiml.read((await web.post(path, {**form, "Digits": YES})).text)
    assert document.verbs == ["Say", "Start", "Connect"]
    said = sentence("agreed") if asks else f"{sentence('introduction')} {sentence('notice')}"
    assert document.said == said
    assert document.recording and document.recording.callback == f"{defaults.PUBLIC_URL}{STATUS}"
    assert document.recording.channels == "dual"


async def test_a_call_that_reconnects_has_one_recording(dial: Dial) -> None:
    call = await recorded(dial)
    await call.drops()
    assert (await call.says("Hello")).text
    assert statuses(call) == ["in-progress"]


async def test_a_recording_pauses_and_goes_on(dial: Dial) -> None:
    call = await recorded(dial)
    recording = recording_of(call)
    await recording.pause_recording(call.sid)
    await recording.pause_recording(call.sid)
    await recording.resume_recording(call.sid)
    assert statuses(call) == ["in-progress", "paused", "in-progress"]


async def test_a_pause_that_twilio_refuses_raises(dial: Dial) -> None:
    call = await recorded(dial)
    call.account.set_state({"recordings": {"fails": 500}})
    with pytest.raises(TwilioException):
        await recording_of(call).pause_recording(call.sid)


async def test_the_caller_can_stop_the_recording_for_good(dial: Dial) -> None:
    call = await recorded(dial, OBJECTS, {"hears": "", "says": "Yes."})
    assert (await call.says("Do not record me")).tools == ["stop_recording"]
    await recording_of(call).resume_recording(call.sid)
    assert statuses(call) == ["in-progress", "stopped"]
    assert call.session.state["recorded"] is False


async def test_the_agent_does_not_claim_a_stop_that_twilio_refused(dial: Dial) -> None:
    call = await recorded(dial)
    call.account.set_state({"recordings": {"fails": 500}})
    assert not await recording_of(call).stop(call.session)
    assert call.session.state["recorded"] is True


async def test_the_end_of_a_recording_is_logged_without_its_address(dial: Dial, logged: Callable[[], str]) -> None:
    call = await recorded(dial)
    await call.hangs_up()
    await call.aclose()
    lines = [line for line in logged().splitlines() if '"recording.status"' in line]
    assert len(lines) == 2 and '"completed"' in lines[1]
    assert not any("api.twilio.com" in line or defaults.CALLER in line for line in lines)


async def test_reports_without_a_signature_are_refused(web: Web) -> None:
    assert (await web.post(STATUS, {"CallSid": "CA1"}, signature="")).status_code == 403


@pytest.fixture
def asks() -> bool:
    """Whether this project asks for consent."""
    from app.registry import PARTS

    return any(issubclass(part, Consent) for part in PARTS)
