"""Keys that a `<Gather>` asks for, and recordings, in the simulated account."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request, Response
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from kit.caller import dial_app
from kit.simulated_twilio.account import SimulatedAccount
from tests.kit.test_caller_calls import fake
from tests.kit.test_simulated_account import client

RELAY = '<Connect><ConversationRelay url="wss://agent.example/ws" welcomeGreeting="Hello"/></Connect>'
CALLBACK = 'recordingStatusCallback="https://agent.example/status" recordingStatusCallbackEvent="in-progress completed"'
START = f'<Start><Recording channels="dual" {CALLBACK}/></Start>'
ASKS = '<Gather action="https://agent.example/asked" numDigits="1"><Say>Press one.</Say></Gather>'


def app(opening: str, asked: str = "") -> FastAPI:
    """An app with these verbs for a new call, and after the keys."""
    made = fake(twiml=f"<Response>{opening}</Response>")
    made.state.forms = []

    @made.post("/asked")
    async def keys(request: Request) -> Response:
        made.state.forms.append(dict(await request.form()))
        return Response(f"<Response>{asked}</Response>", media_type="application/xml")

    @made.post("/status")
    async def status(request: Request) -> Response:
        made.state.forms.append(dict(await request.form()))
        return Response(status_code=204)

    return made


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


@pytest.fixture
def twilio(account: SimulatedAccount) -> Client:
    return client(account)


@pytest.mark.parametrize(("keys", "recorded"), [(["1"], True), ([], False)], ids=["keys", "silence"])
async def test_keys_go_to_the_address_and_silence_to_the_next_verb(
    account: SimulatedAccount, keys: list[str], recorded: bool
) -> None:
    account.keys = keys
    made = app(ASKS + RELAY, START + RELAY)
    async with dial_app(made, account=account) as call:
        assert (call.opening, call.greeting, call.farewell) == ("Press one.", "Hello", "")
        assert bool(account.recordings.of(call.sid)) is recorded
    assert [form.get("Digits") for form in made.state.forms[:1]] == (["1"] if recorded else [])


async def test_a_recording_is_reported_listed_paused_resumed_and_deleted(
    account: SimulatedAccount, twilio: Client
) -> None:
    made = app(START + RELAY)
    async with dial_app(made, account=account) as call:
        (listed,) = await twilio.calls(call.sid).recordings.page_async()
        recording = twilio.calls(call.sid).recordings(listed.sid)
        for status in ("paused", "in-progress"):
            assert (await recording.update_async(status=status)).status == status
        with pytest.raises(TwilioRestException):
            await recording.update_async(status="completed")
        with pytest.raises(TwilioRestException):
            await twilio.calls("CA" + "9" * 32).recordings(listed.sid).update_async(status="paused")
    assert [form["RecordingStatus"] for form in made.state.forms] == ["in-progress", "completed"]
    assert [form["RecordingSid"] for form in made.state.forms] == [listed.sid] * 2
    assert [status for _, status in account.recordings.log] == ["in-progress", "paused", "in-progress", "completed"]
    with pytest.raises(TwilioRestException) as error:
        await recording.update_async(status="paused")
    assert error.value.code == 21220
    assert await twilio.recordings(listed.sid).delete_async()
    assert not list(await twilio.recordings.page_async())
