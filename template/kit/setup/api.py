"""Requests to Twilio's control planes. Responses are not changed: records that are saved for undo must be complete.

The models of the helper library leave out unknown fields, and its client drops the null that removes a channel.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import Field, SecretStr

from app.settings import Settings
from app.twilio_http import Http, regional

PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each retry
POLL = 1.0  # seconds between two polls of an operation
MAX_POLLS = 120

HINTS = {
    401: "TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET, is not right, "
    "or of another region than TWILIO_REGION.",
    403: "The key may not do this (take a standard one, not a restricted one), or the account has not got the product.",
}
CODES = {520044: "The account has as many memory stores as it may have. Delete one, or name one with --store."}

Record = dict[str, Any]


class SetupSettings(Settings):
    """Settings of `agent setup`. Without an API key, requests are authenticated with the Auth Token."""

    api_key: str | None = Field(
        None,
        alias="TWILIO_API_KEY",
        pattern="^SK[0-9a-f]{32}$",
        description="Create an API key (SK and 32 characters) at 1console.twilio.com, API Keys & creds.",
    )
    api_secret: SecretStr | None = Field(
        None,
        alias="TWILIO_API_SECRET",
        description="Copy the secret that the Console shows once, when it creates the API key.",
    )


class SetupError(Exception):
    """One line: problem and fix. `code` is the exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class ApiError(SetupError):
    """Twilio refused a request."""

    def __init__(self, method: str, url: str, status: int, code: int | None, message: str) -> None:
        hint = CODES.get(code or 0) or HINTS.get(status, "")
        place = urlsplit(url)
        super().__init__(
            f"Twilio answered {status} to {method} {place.hostname}{place.path}"
            f"{f' ({code}: {message})' if code else ''}. {hint}".strip()
        )
        self.status = status


class OperationFailed(SetupError):
    """An accepted operation (202) has failed."""


class Api:
    """`pace` divides every pause."""

    def __init__(
        self, settings: SetupSettings, transport: httpx2.AsyncBaseTransport | None = None, pace: float = 1.0
    ) -> None:
        self.account = settings.account_sid
        self.auth = (settings.account_sid, settings.auth_token.get_secret_value())
        if settings.api_key and settings.api_secret:
            self.auth = (settings.api_key, settings.api_secret.get_secret_value())
        self.http = Http(transport, 20.0, settings)
        self.pace = pace

    async def close(self) -> None:
        await self.http.close()

    async def pause(self, seconds: float | None = None) -> None:
        """Sleep; by default for the time between two polls."""
        await asyncio.sleep((POLL if seconds is None else seconds) / self.pace)

    async def get(self, url: str, **params: Any) -> Record:
        return await self._request("GET", url, params=params)

    async def find(self, url: str) -> Record | None:
        """As `get`, but None for a 404."""
        try:
            return await self.get(url)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def post_form(self, url: str, fields: Record) -> Record:
        return await self._request("POST", url, data=fields)

    async def send_json(self, method: str, url: str, body: Record, **headers: str) -> Record:
        """Send a JSON body."""
        return await self._request(method, url, data=body, headers={"Content-Type": "application/json", **headers})

    async def delete(self, url: str) -> None:
        """A 404 counts as deleted."""
        try:
            await self.wait_for_operation(await self._request("DELETE", url))
        except ApiError as error:
            if error.status != 404:
                raise

    async def list_all(self, url: str, key: str) -> list[Any]:
        """All records of a paged list (`meta.nextToken`, `meta.next_page_url` or `next_page_uri`)."""
        found: list[Any] = []
        following: str | None = url
        token: str | None = None
        while following:
            answer = await self.get(following, **({"pageToken": token} if token else {}))
            found += answer.get(key) or []
            meta = answer.get("meta") or {}
            token = meta.get("nextToken")
            after = meta.get("next_page_url") or answer.get("next_page_uri")
            following = url if token else str(httpx2.URL(url).join(after)) if after else None
        return found

    async def wait_for_operation(self, answer: Record) -> Record:
        """Poll an accepted operation (202) until it is COMPLETED. Returns the operation."""
        status_url = answer.get("statusUrl")
        if not status_url:
            return answer
        for _ in range(MAX_POLLS):
            operation = await self.get(str(status_url))
            if operation.get("status") == "COMPLETED":
                return operation
            if operation.get("status") == "FAILED":
                raise OperationFailed(f"Twilio did not do it: {operation.get('error') or 'no reason given'}.")
            await self.pause()
        raise SetupError("Twilio is still at it. Run the same command again later: it goes on from here.")

    async def _request(self, method: str, url: str, **more: Any) -> Record:
        """Send a request. Repeats it after a 429; a GET also after a 5xx or a network error."""
        if not str(urlsplit(url).hostname).endswith(".twilio.com"):  # also for URLs taken from responses
            raise SetupError(f"{urlsplit(url).hostname} is not Twilio: it does not get the account's keys.")
        url, reads = regional(url, self.http.settings), method == "GET"
        for pause in (*PAUSES, None):
            try:
                answer = await self.http.request(method, url, auth=self.auth, **more)
                status, text = int(answer.status_code), str(answer.text)
            except httpx2.TransportError as error:
                status, text = 0, type(error).__name__
            again = status == 429 or (reads and (status == 0 or status >= 500))
            if pause is None or not again:
                break
            await self.pause(pause)
        if status == 0:
            raise SetupError(f"{urlsplit(url).hostname} cannot be reached ({text}).")
        body = parsed(text)
        if not 200 <= status < 300:
            raise ApiError(method, url, status, body.get("code"), str(body.get("message", ""))[:200])
        if status_url := body.get("statusUrl"):  # a URL or a path
            body["statusUrl"] = str(httpx2.URL(url).join(str(status_url)))
        return body


def parsed(text: str) -> Record:
    try:
        body = json.loads(text or "{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
