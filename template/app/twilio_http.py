"""Sends the requests of Twilio's helper library with httpx."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import httpx2
from twilio.base.deserialize import iso8601_datetime
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from app.settings import Settings

# City of a region, and the products that it has; others are in US1 only. A region has its own credentials. 2026-11-29:
# https://www.twilio.com/docs/global-infrastructure/regional-product-and-feature-availability
IN_REGION = {"us1": ("", ["api"]), "ie1": ("dublin", ["api", "taskrouter"]), "au1": ("sydney", ["api"])}
ssl_context = cache(httpx2.create_ssl_context)  # one for all clients: it takes 20 ms to load the certificates


def regional(url: str, settings: Settings) -> str:
    """The URL at the host of TWILIO_REGION. One without a city, which the library makes, is closed since 2026-04-28."""
    product, _, domain = httpx2.URL(url).host.partition(".")
    city, products = IN_REGION[settings.twilio_region]
    edge = (settings.twilio_edge or city) if product in products else ""
    if domain.endswith("twilio.com"):
        domain = f"{edge}.{settings.twilio_region}.twilio.com" if edge else "twilio.com"
    return str(httpx2.URL(url).copy_with(host=".".join(filter(None, [product, domain]))))


class Http(AsyncHttpClient):  # type: ignore[misc]
    """Sends the helper library's requests with httpx, since its own asynchronous client sends JSON bodies as forms.

    Drop when twilio > 9.13 passes tests/kit/orchestrator/test_twilio_api.py of the template without it.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport | None, timeout: float, settings: Settings) -> None:
        super().__init__(logging.getLogger("twilio"), True, timeout)
        self.settings = settings
        self.client = httpx2.AsyncClient(verify=ssl_context(), transport=transport, timeout=timeout)
        iso8601_datetime("2026-11-30T00:00:00Z")  # loads what the first caller would wait for

    async def request(self, method: str, url: str, **sent: Any) -> Response:
        """`sent` has params, data, headers, auth and timeout (seconds), as the library names them."""
        headers = {name: value for name, value in (sent.get("headers") or {}).items() if isinstance(value, str)}
        response = await self.client.request(
            method,
            regional(url, self.settings),
            params=sent.get("params"),
            headers=headers,
            auth=sent.get("auth"),
            timeout=sent.get("timeout") or self.timeout,
            follow_redirects=True,  # 308: two profiles were merged
            **{"json" if headers.get("Content-Type") == "application/json" else "data": sent.get("data")},
        )
        return Response(response.status_code, response.text, response.headers)

    async def close(self) -> None:
        await self.client.aclose()
