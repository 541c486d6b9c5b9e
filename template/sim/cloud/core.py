"""Requests to Twilio's REST APIs, answered on this machine: routing, keys, delays and faults."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx2

Answer = tuple[int, Any]
Handler = Callable[..., Awaitable[Answer]]


class NotFound(Exception):
    """Twilio's 404."""


@dataclass
class Request:
    """One request. `body` is parsed JSON, or the fields of a form; `query` holds each parameter's last value."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class Fault:
    """What goes wrong: every answer takes `delay` seconds longer, and the next `times` of them have `status`."""

    delay: float = 0.0
    status: int = 0
    times: int = 1_000_000


@dataclass
class Product:
    """One of Twilio's hosts. Methods marked by `route` answer its requests."""

    host = ""
    pace: float = 1000.0
    fault: Fault = field(default_factory=Fault)
    requests: list[Request] = field(default_factory=list)

    def given(self, facts: dict[str, Any]) -> None:
        """What it knows beforehand. Raises ValueError for what it cannot know."""
        raise ValueError(f"{type(self).__name__} can be given nothing, and is given {', '.join(facts)}")

    async def happens(self, somebody: Any, event: Any) -> None:
        """What it does while somebody talks to the agent. Raises ValueError for what it cannot do."""
        raise ValueError(f"nothing of {type(self).__name__} can happen")

    async def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        await asyncio.sleep(self.fault.delay)
        if self.fault.status and self.fault.times > 0:
            self.fault.times -= 1
            return self.fault.status, {"code": 20500, "message": "injected", "status": self.fault.status}
        for pattern, handler in self._routes():
            if match := pattern.fullmatch(f"{request.method} {request.path}"):
                try:
                    return await handler(self, request, **match.groupdict())
                except NotFound as missing:
                    return 404, {"code": 20404, "message": str(missing), "status": 404}
        return 404, {"code": 20404, "message": f"{request.method} {request.path} was not found", "status": 404}

    def _routes(self) -> Iterator[tuple[re.Pattern[str], Handler]]:
        for name in dir(type(self)):
            handler = getattr(type(self), name)
            for pattern in getattr(handler, "patterns", ()):
                yield pattern, handler


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Mark the handler of requests like `GET /v1/Stores/{store}`."""
    pattern = re.compile(re.sub(r"\\?\{(\w+)\\?\}", r"(?P<\1>[^/]+)", f"{method} {path}"))

    def mark(handler: Handler) -> Handler:
        marked: Any = handler
        marked.patterns = [*getattr(handler, "patterns", ()), pattern]
        return handler

    return mark


class Transport(httpx2.AsyncBaseTransport):
    """The network's edge for whoever uses httpx: requests go to the products instead."""

    def __init__(self, products: dict[str, Product], key: tuple[str, str]) -> None:
        self.products = products
        self.key = key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        kind = request.headers.get("Content-Type", "")
        status, answer = await self.answer(
            request.method, request.url, request.headers.get("Authorization", ""), kind, content.decode()
        )
        headers = {"Location": answer["location"]} if status == 308 else None
        return httpx2.Response(status, headers=headers, json=answer) if answer is not None else httpx2.Response(status)

    async def answer(self, method: str, url: httpx2.URL, authorization: str, kind: str, content: str) -> Answer:
        product = self.products.get(url.host)
        if product is None:
            raise httpx2.ConnectError(f"{url.host} is not simulated")
        if authorization.removeprefix("Basic ") and b64decode(authorization[6:]).decode() != ":".join(self.key):
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}
        body: Any = {name: values[-1] for name, values in parse_qs(content).items()}
        if kind.startswith("application/json"):
            body = json.loads(content or "null")
        return await product.answer(Request(method, url.path, dict(url.params), body))
