"""Sends the requests of Twilio's helper library with httpx."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import httpx2
from twilio.http import AsyncHttpClient
from twilio.http.response import Response


class Http(AsyncHttpClient):  # type: ignore[misc]
    """Sends the helper library's requests with httpx, since its own asynchronous client sends JSON bodies as forms.

    Drop when twilio > 9.13 passes tests/kit/orchestrator/test_twilio_api.py of the template without it.
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
