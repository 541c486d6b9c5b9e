"""Webhooks as Twilio sends them, signed with the Auth Token."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import httpx2
from twilio.request_validator import RequestValidator

from kit.defaults import AUTH_TOKEN, PUBLIC_URL

WEBHOOK_TIMEOUT = 30.0  # seconds


def sign(url: str, form: Mapping[str, str] | None = None, token: str = AUTH_TOKEN) -> str:
    """The value of X-Twilio-Signature. A MultiDict may hold a field more than once."""
    return str(RequestValidator(token).compute_signature(url, form or {}))


def signed_json(url: str, body: Any, token: str = AUTH_TOKEN) -> tuple[str, bytes, dict[str, str]]:
    """URL, content and headers of a JSON webhook. The URL, which is signed, has a hash of the content."""
    content = json.dumps(body).encode()
    url = f"{url}?bodySHA256={hashlib.sha256(content).hexdigest()}"
    return url, content, {"Content-Type": "application/json", "X-Twilio-Signature": sign(url, token=token)}


class WebhookSender:
    """Sends webhooks to the app that is served at `address`, host and port."""

    def __init__(self, address: str) -> None:
        self.address = address
        # verify=False saves the time to load certificates: the app is served over plain http.
        self._http = httpx2.AsyncClient(
            base_url=f"http://{address}", timeout=WEBHOOK_TIMEOUT, trust_env=False, verify=False
        )

    async def post_form(self, path: str, form: dict[str, str]) -> httpx2.Response:
        headers = {"X-Twilio-Signature": sign(f"{PUBLIC_URL}{path}", form)}
        return await self._http.post(path, data=form, headers=headers)

    async def post_json(self, path: str, body: Any, token: str | None = None) -> httpx2.Response:
        """A webhook that Twilio repeats has the same idempotency `token`."""
        url, content, headers = signed_json(f"{PUBLIC_URL}{path}", body)
        if token:
            headers["i-twilio-idempotency-token"] = token
        return await self._http.post(url.removeprefix(PUBLIC_URL), content=content, headers=headers)

    async def aclose(self) -> None:
        await self._http.aclose()
