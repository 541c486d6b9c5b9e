"""The client of all requests to Twilio."""

from __future__ import annotations

import ssl
from typing import Any

import httpx2
import pytest

from app.twilio_http import Http
from kit import defaults


def test_certificates_are_verified_and_nothing_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr("app.twilio_http.httpx2.AsyncClient", lambda **options: made.update(options))
    Http(None, 7.0, defaults.settings())
    assert made["verify"].verify_mode is ssl.CERT_REQUIRED and made["verify"].check_hostname
    assert made["timeout"] == 7.0


async def test_a_request_may_have_a_time_of_its_own() -> None:
    seen: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"]["read"])
        return httpx2.Response(200, text="{}")

    http = Http(httpx2.MockTransport(answer), 7.0, defaults.settings())
    await http.request("GET", "https://api.twilio.com/x")
    await http.request("GET", "https://api.twilio.com/x", timeout=2.0)
    assert seen == [7.0, 2.0]
    await http.close()
    assert http.client.is_closed


async def test_a_redirect_is_followed() -> None:
    """308: two profiles were merged."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        moved = {"Location": "https://memory.twilio.com/new"}
        return httpx2.Response(200, text="new") if "new" in str(request.url) else httpx2.Response(308, headers=moved)

    http = Http(httpx2.MockTransport(answer), 7.0, defaults.settings())
    response = await http.request("GET", "https://memory.twilio.com/old")
    assert (response.status_code, response.text) == (200, "new")
