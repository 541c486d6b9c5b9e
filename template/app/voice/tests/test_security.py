"""Who is let in, what is told to nobody, and what nonsense on the wire cannot do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kit import defaults
from kit.caller import Call, calls_of
from kit.plugin import Web, sign
from kit.voice_fixtures import WEBSOCKET_URL, Dial, websocket

FORM = {
    "AccountSid": defaults.ACCOUNT_SID,
    "CallSid": "CA" + "1" * 32,
    "CallStatus": "in-progress",
    "From": defaults.CALLER,
}
PATHS = ["/twiml", "/connect-action"]
FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "8080",
    "X-Original-Host": "evil.example",
}

# How a signature can be wrong. Each is computed for `url` and the form above.
WRONG: dict[str, Callable[[str], str]] = {
    "none": lambda url: "",
    "nonsense": lambda url: "x" * 28,
    "for another address": lambda url: sign(url.replace("agent.example", "evil.example"), FORM),
    "for another path": lambda url: sign(f"{url}x", FORM),
    "for http": lambda url: sign(url.replace("https", "http"), FORM),
    "with another token": lambda url: sign(url, FORM, token="another-token"),
    "of another body": lambda url: sign(url, {**FORM, "CallStatus": "completed"}),
    "of no body": lambda url: sign(url),
}


@pytest.mark.parametrize("path", PATHS)
async def test_what_twilio_has_signed_is_answered(web: Web, path: str) -> None:
    assert (await web.post(path, FORM)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_request_without_a_valid_signature_is_refused(web: Web, path: str, wrong: Callable[[str], str]) -> None:
    answer = await web.post(path, FORM, signed=wrong(f"{defaults.PUBLIC_URL}{path}"))
    assert answer.status_code == 403


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_no_form_is_refused(web: Web, path: str) -> None:
    headers = {"X-Twilio-Signature": sign(f"{defaults.PUBLIC_URL}{path}"), "Content-Type": "application/json"}
    answer = await web.http.post(path, content=b"\xff\xfe{", headers=headers)
    assert answer.status_code < 500 and answer.status_code != 200 or "<Response" in answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [FORGED, {"Host": "evil.example"}], ids=["forwarded", "host"])
async def test_a_proxy_cannot_break_a_valid_request(web: Web, path: str, headers: dict[str, str]) -> None:
    assert (await web.post(path, FORM, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [FORGED, {"Host": "evil.example"}], ids=["forwarded", "host"])
async def test_forged_headers_do_not_make_another_address_valid(web: Web, path: str, headers: dict[str, str]) -> None:
    for url in (f"https://evil.example{path}", f"http://evil.example{path}", f"http://10.0.0.7:8000{path}"):
        assert (await web.post(path, FORM, headers=headers, signed=sign(url, FORM))).status_code == 403


WRONG_HANDSHAKES: dict[str, str] = {
    "none": "",
    "nonsense": "x" * 28,
    "for another address": sign("wss://evil.example/ws"),
    "for https": sign(WEBSOCKET_URL.replace("wss", "https")),
    "with another token": sign(WEBSOCKET_URL, token="another-token"),
}


@pytest.mark.parametrize("signature", WRONG_HANDSHAKES.values(), ids=WRONG_HANDSHAKES.keys())
async def test_a_handshake_without_a_valid_signature_is_refused(address: str, signature: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await websocket(address, signed=signature)
    assert refused.value.response.status_code == 403


async def test_a_refused_handshake_is_no_error_of_the_server(address: str, logged: Callable[[], str]) -> None:
    with pytest.raises(InvalidStatus):
        await websocket(address, signed="")
    await asyncio.sleep(0.02)
    log = logged()
    assert "Exception" not in log and "Traceback" not in log and '"level": "error"' not in log


async def test_forged_headers_neither_break_nor_open_the_websocket(address: str) -> None:
    socket = await websocket(address, headers=FORGED)
    await socket.close()
    with pytest.raises(InvalidStatus):
        await websocket(address, headers=FORGED, signed=sign("wss://evil.example/ws"))


# --- the same call again, and calls of others ---------------------------------------------------------


def setup(call_sid: str, **changes: Any) -> str:
    frame = {
        "type": "setup",
        "callSid": call_sid,
        "accountSid": defaults.ACCOUNT_SID,
        "from": defaults.CALLER,
        "to": "+1500",
    }
    return json.dumps({**frame, **changes})


async def closed(socket: ClientConnection) -> bool:
    """Whether the server closes the socket instead of answering."""
    try:
        await asyncio.wait_for(socket.recv(), 10)
    except ConnectionClosed:
        return True
    return False


async def test_the_setup_of_a_finished_call_is_refused(call: Call) -> None:
    await call.hangs_up()
    again = await websocket(call.address)
    await again.send(setup(call.sid))
    assert await closed(again)
    assert calls_of(call.app).get(call.sid) is None


async def test_the_setup_of_a_call_being_served_is_refused(call: Call) -> None:
    intruder = await websocket(call.address)
    await intruder.send(setup(call.sid))
    assert await closed(intruder)


async def test_a_refused_second_setup_does_not_disturb_the_call(call: Call) -> None:
    intruder = await websocket(call.address)
    await intruder.send(setup(call.sid))
    assert await closed(intruder)
    assert (await call.says("Hello")).text == "You said something."
    assert call.app.state.conversations.active == 1


async def test_the_setup_of_another_account_is_refused(call: Call) -> None:
    socket = await websocket(call.address)
    await socket.send(setup("CA" + uuid4().hex, accountSid="AC" + "9" * 32))
    assert await closed(socket)
    assert call.app.state.conversations.active == 1


# --- nonsense ------------------------------------------------------------------------------------------

NONSENSE: dict[str, str | bytes] = {
    "not JSON": "hello",
    "empty": "",
    "a list": "[1, 2]",
    "a string": '"setup"',
    "null": "null",
    "binary": b"\x00\x01\xff",
    "binary JSON": b'{"type": "info"}',
    "no type": '{"voicePrompt": "Hello"}',
    "an unknown type": '{"type": "somethingNew", "value": 1}',
    "a type that is a number": '{"type": 7}',
    "a prompt without words": '{"type": "prompt"}',
    "a prompt of the wrong type": '{"type": "prompt", "voicePrompt": {"a": 1}, "last": true}',
    "an interruption without words": '{"type": "interrupt"}',
    "a key without a digit": '{"type": "dtmf"}',
    "an error without a description": '{"type": "error"}',
    "a second setup": '{"type": "setup"}',
    "deep": "[" * 50_000,
    "a megabyte": json.dumps({"type": "prompt", "voicePromt": "x" * 1_000_000}),
}


@pytest.mark.parametrize("frame", NONSENSE.values(), ids=NONSENSE.keys())
async def test_a_frame_that_makes_no_sense_does_not_end_the_call(call: Call, frame: str | bytes) -> None:
    await call.sends(frame)
    assert (await call.says("Hello")).text == "You said something."


async def test_many_frames_that_make_no_sense_do_not_end_the_call(call: Call) -> None:
    for frame in NONSENSE.values():
        await call.sends(frame)
    assert (await call.says("Hello")).text == "You said something."


@pytest.mark.parametrize("kind", ["prompt", "interrupt", "dtmf", "error", "info"])
async def test_a_frame_before_setup_does_not_end_the_call(address: str, kind: str) -> None:
    frame = {"type": kind, "voicePrompt": "Hello", "digit": "1", "description": "too early"}
    assert await answered_after(address, json.dumps(frame))


async def test_frames_that_make_no_sense_before_setup_do_not_end_the_call(address: str) -> None:
    assert await answered_after(address, *NONSENSE.values())


async def answered_after(address: str, *frames: str | bytes) -> bool:
    """Whether the agent answers on a socket on which these frames have come before the setup."""
    socket = await websocket(address)
    for frame in (*frames, setup("CA" + uuid4().hex), '{"type": "prompt", "voicePrompt": "Hello", "last": true}'):
        await socket.send(frame)
    answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
    await socket.close()
    return bool(answer["token"] == "Yes.")


# --- what stays inside ---------------------------------------------------------------------------------


async def test_neither_numbers_nor_words_are_logged(dial: Dial, logged: Callable[[], str]) -> None:
    def look_up(order: str) -> str:
        """Look something up."""
        return "the parcel is in Timbuktu"

    call = await dial(
        {"hears": "pineapple", "says": "Rhubarb it is.", "word_delay": 0.01},
        {"hears": "order", "calls": {"look_up": {"order": "marzipan"}}},
        {"hears": "broken", "says": "Sauerkraut", "breaks_off": True},
        tools=[look_up],
    )
    await call.begins("pineapple please")
    await call.interrupts(after="Rhubarb")
    await call.says("my order, calling from +1 500 555 0006")
    await call.says("it is broken")
    await call.sends('{"type": "interrupt", "utteranceUntilInterrupt": ["pineapple"]}')
    await call.sends('{"type": "prompt", "voicePrompt": 7, "lang": "pineapple"}')
    await call.sends(
        '{"type": "error", "description": "Invalid message: {\\"token\\": \\"Rhubarb\\"} to +15005550006"}'
    )
    await call.drops()
    await call.says("pineapple again")
    await call.hangs_up()
    log = logged()
    assert "call.ended" in log and "twilio.error" in log
    numbers = ("5550006", "555 0006", "5550001")  # not fewer digits: a time may have four of them
    for secret in ("pineapple", "Rhubarb", "marzipan", "Timbuktu", "Sauerkraut", *numbers, defaults.AUTH_TOKEN):
        assert secret not in log


async def test_a_defect_is_logged_with_its_place_and_without_its_text(
    address: str, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError(f"{defaults.CALLER} said pineapple")

    monkeypatch.setattr("app.voice.calls.Calls.find", breaks)
    async with httpx2.AsyncClient(base_url=f"http://{address}", verify=False) as http:
        await Web(http).post("/connect-action", FORM)
    log = logged()
    assert "RuntimeError" in log and "test_security.py" in log
    assert "pineapple" not in log and defaults.CALLER not in log
