"""Requests to Twilio's REST APIs, answered on this machine: routing, keys, delays and faults."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx2

Answer = tuple[int, Any]
Handler = Callable[..., Awaitable[Answer]]


class NotFound(Exception):
    """Twilio's 404."""


class Refused(Exception):
    """Twilio's 400."""


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
                except Refused as refused:
                    return 400, {"code": 20001, "message": str(refused), "status": 400}
        return 404, {"code": 20404, "message": f"{request.method} {request.path} was not found", "status": 404}

    def serves(self, request: Request) -> bool:
        return any(pattern.fullmatch(f"{request.method} {request.path}") for pattern, _ in self._routes())

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


def identifier(kind: str, number: int) -> str:
    """An id of Twilio's shape: a kind and 26 characters."""
    return f"{kind}_{number:026d}"


def page(request: Request, key: str, records: list[Any], size: int = 50) -> dict[str, Any]:
    """One page of a list, with the token of the next one."""
    size, start = int(request.query.get("pageSize", size)), int(request.query.get("pageToken", 0))
    following = {"nextToken": str(start + size)} if start + size < len(records) else {}
    return {key: records[start : start + size], "meta": {"key": key, "pageSize": size, **following}}


class Transport(httpx2.AsyncBaseTransport):
    """The network's edge for whoever uses httpx: requests go to the products instead.

    Several products may share a host. `keys` are the pairs of user and password that are let in.
    """

    def __init__(self, products: Iterable[Product], keys: Collection[tuple[str, str]]) -> None:
        self.products: dict[str, list[Product]] = defaultdict(list)
        for product in products:
            self.products[product.host].append(product)
        self.keys = {":".join(key) for key in keys}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        content = await request.aread()
        kind = request.headers.get("Content-Type", "")
        status, answer = await self.answer(
            request.method, request.url, request.headers.get("Authorization", ""), kind, content.decode()
        )
        headers = {"Location": answer["location"]} if status == 308 else None
        return httpx2.Response(status, headers=headers, json=answer) if answer is not None else httpx2.Response(status)

    async def answer(self, method: str, url: httpx2.URL, authorization: str, kind: str, content: str) -> Answer:
        if url.host not in self.products:
            raise httpx2.ConnectError(f"{url.host} is not simulated")
        if authorization.removeprefix("Basic ") and b64decode(authorization[6:]).decode() not in self.keys:
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}
        body: Any = {name: values[-1] for name, values in parse_qs(content, keep_blank_values=True).items()}
        if kind.startswith("application/json"):
            body = json.loads(content or "null")
        request = Request(method, url.path, dict(url.params), body)
        products = self.products[url.host]
        return await next((each for each in products if each.serves(request)), products[0]).answer(request)


def keys(settings: Any) -> list[tuple[str, str]]:
    """Who is let in: the account with its Auth Token, and the API key if the project has one."""
    secret = getattr(settings, "api_secret", None)
    own = [(settings.api_key, secret.get_secret_value())] if secret else []
    return [(settings.account_sid, settings.auth_token.get_secret_value()), *own]
