"""Twilio's REST APIs through its helper library, over httpx."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import httpx2
from pydantic import Field, SecretStr
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from app.settings import Settings


class ApiSettings(Settings):
    """An API key instead of the Auth Token: it can be revoked without breaking the signatures of webhooks."""

    api_key: str = Field(
        alias="TWILIO_API_KEY",
        pattern="^SK[0-9a-f]{32}$",
        examples=["SK" + "0" * 32],
        description="Create an API key (SK and 32 characters) in the Twilio Console under Account, API keys.",
    )
    api_secret: SecretStr = Field(
        alias="TWILIO_API_SECRET",
        min_length=1,
        examples=["an-api-secret-of-nobody"],
        description="Copy the secret that the Console shows once, when it creates the API key.",
    )


class OrchestratorSettings(ApiSettings):
    conversation_configuration_id: str = Field(
        alias="TWILIO_CONVERSATION_CONFIGURATION_ID",
        pattern="^conv_configuration_[0-9a-z]{26}$",
        examples=["conv_configuration_" + "0" * 26],
        description="Copy the id of your conversation configuration (conv_configuration_ and 26 characters).",
    )


class Http(AsyncHttpClient):  # type: ignore[misc]
    """Sends the helper library's requests with httpx, since its own asynchronous client sends JSON bodies as forms.

    Drop when twilio > 9.13 passes tests/kit/test_twilio_api.py of the template without it.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport | None, timeout: float) -> None:
        super().__init__(logging.getLogger("twilio"), True, timeout)
        self.client = httpx2.AsyncClient(verify=_ssl_context(), transport=transport, timeout=timeout)

    async def request(
        self,
        method: str,
        url: str,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        auth: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 (the signature is the library's)
        allow_redirects: bool = False,
    ) -> Response:
        json = (headers or {}).get("Content-Type") == "application/json"
        response = await self.client.request(
            method,
            url,
            params=params,
            json=data if json else None,
            data=None if json else data,
            headers={name: value for name, value in (headers or {}).items() if isinstance(value, str)},
            auth=auth,
            timeout=timeout or self.timeout,
            follow_redirects=True,  # 308: two profiles were merged
        )
        return Response(response.status_code, response.text, response.headers)

    async def close(self) -> None:
        await self.client.aclose()


@cache
def _ssl_context() -> Any:
    """One for all clients: it takes 20 ms to load the certificates."""
    return httpx2.create_ssl_context()


def twilio_client(
    settings: ApiSettings, transport: httpx2.AsyncBaseTransport | None = None, timeout: float = 10.0
) -> Client:
    """A client for the library's `*_async` methods. `timeout` in seconds, for each request."""
    return Client(
        settings.api_key,
        settings.api_secret.get_secret_value(),
        settings.account_sid,
        http_client=Http(transport, timeout),
    )


async def list_all(resource: Any, **filters: Any) -> list[Any]:
    """All records of a list resource. Raises TwilioRestException.

    The library's `list_async` requests the second page synchronously, which fails.
    Drop when twilio > 9.13 passes tests/kit/test_twilio_api.py of the template without it.
    """
    page = await _fetch_page(resource, **filters)
    records = list(page)
    while page.next_token:
        page = await _fetch_page(resource, **filters, page_token=page.next_token)
        records += page
    return records


async def _fetch_page(resource: Any, **filters: Any) -> Any:
    try:
        return await resource.page_async(**filters)
    except TwilioException as error:
        match error.args:  # of a page, the library raises the response without its status
            case (_, Response(status_code=status)):
                raise TwilioRestException(status, "", "Unable to fetch a page") from None
        raise
