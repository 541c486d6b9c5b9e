"""Signatures of calls, beside those of app/voice/tests/test_security.py: proxies, forged headers, and handshakes."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from starlette.datastructures import MultiDict
from websockets.exceptions import InvalidStatus

from app.voice.tests.test_security import FORM, PATHS
from kit import defaults
from kit.plugin import Web, sign
from kit.voice_fixtures import WEBSOCKET_URL, websocket

FORGED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "8080",
    "X-Original-Host": "evil.example",
}


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_no_form_is_refused(web: Web, path: str) -> None:
    headers = {"X-Twilio-Signature": sign(f"{defaults.PUBLIC_URL}{path}"), "Content-Type": "application/json"}
    answer = await web.http.post(path, content=b"\xff\xfe{", headers=headers)
    assert answer.status_code < 500 and answer.status_code != 200 or "<Response" in answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, FORGED, {"Host": "evil.example"}], ids=["plain", "forwarded", "host"])
async def test_only_the_public_address_is_valid_under_any_headers(web: Web, path: str, headers: dict[str, str]) -> None:
    assert (await web.post(path, FORM, headers=headers)).status_code == 200
    for url in (f"https://evil.example{path}", f"http://evil.example{path}", f"http://10.0.0.7:8000{path}"):
        assert (await web.post(path, FORM, headers=headers, signature=sign(url, FORM))).status_code == 403


WRONG_HANDSHAKES: dict[str, str] = {
    "none": "",
    "malformed": "x" * 28,
    "for another address": sign("wss://evil.example/ws"),
    "for https": sign(WEBSOCKET_URL.replace("wss", "https")),
    "with another token": sign(WEBSOCKET_URL, token="another-token"),
}


@pytest.mark.parametrize("signature", WRONG_HANDSHAKES.values(), ids=WRONG_HANDSHAKES.keys())
async def test_a_handshake_without_a_valid_signature_is_refused_and_is_no_error_of_the_server(
    address: str, logged: Callable[[], str], signature: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await websocket(address, signature=signature)
    assert refused.value.response.status_code == 403
    await (await websocket(address)).close()  # the server has done with the first one
    log = logged()
    assert "Exception" not in log and "Traceback" not in log and '"level": "error"' not in log


async def test_forged_headers_neither_break_nor_open_the_websocket(address: str) -> None:
    socket = await websocket(address, headers=FORGED)
    await socket.close()
    with pytest.raises(InvalidStatus):
        await websocket(address, headers=FORGED, signature=sign("wss://evil.example/ws"))


@pytest.mark.parametrize("path", PATHS)
async def test_all_values_of_a_field_count_for_the_signature(web: Web, path: str) -> None:
    form = MultiDict([*FORM.items(), ("Twice", "b"), ("Twice", "a")])
    for signed, status in ((form, 200), (dict(form), 403)):
        headers = {"X-Twilio-Signature": sign(f"{defaults.PUBLIC_URL}{path}", signed)}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = await web.http.post(path, content=urlencode(form.multi_items()), headers=headers)
        assert answer.status_code == status
