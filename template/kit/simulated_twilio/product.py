"""The HTTP side of Twilio's simulated REST APIs: routing, authentication, delays and faults."""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import b64decode
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs
from uuid import uuid4

import httpx2

from app.twilio_http import IN_REGION

T = TypeVar("T")
Answer = tuple[int, Any]  # status and JSON body
Handler = Callable[..., Awaitable[Answer]]


class Clock:
    """Seconds since the account was created, `pace` times as fast as real ones. Tests stop and advance the clock."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self._base, self._since = 0.0, time.monotonic()

    def now(self) -> float:
        return self._base + (time.monotonic() - self._since) * self.pace

    def stop(self) -> None:
        """From now on only `advance` moves the clock, and `sleep` returns at once."""
        self._base, self.pace = self.now(), 0.0

    def advance(self, seconds: float) -> None:
        self._base += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.pace if self.pace else 0)


class ApiError(Exception):
    """An error response. `code` is Twilio's error code."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.answer: Answer = (status, {"code": code or 20000 + status, "message": message, "status": status})


class NotFound(ApiError):
    def __init__(self, name: str) -> None:
        super().__init__(404, f"{name} was not found")


class BadRequest(ApiError):
    def __init__(self, message: str, code: int = 20001) -> None:
        super().__init__(400, message, code)


@dataclass
class Request:
    """`body` is parsed JSON or the fields of a form; `query` and forms hold the last value of each name.

    `values` has all values of a form.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Any
    values: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Fault:
    """Every response takes `delay` seconds longer, and the next `times` have `status`."""

    delay: float = 0.0
    status: int = 0
    times: int = 1_000_000


@dataclass
class Product:
    """One API of Twilio. Methods marked with `route` respond to its requests.

    `setting` is the setting that a project has when it uses the product during conversations.
    """

    host = ""
    setting = ""
    clock: Clock
    fault: Fault = field(default_factory=Fault)
    requests: list[Request] = field(default_factory=list)
    page_size: int = 50

    def set_state(self, facts: dict[str, Any]) -> None:
        """Set the state before a conversation. Raises ValueError for a field that the product does not have."""
        raise ValueError(f"{type(self).__name__} can be given nothing, and is given {', '.join(facts)}")

    async def simulate(self, customer: Any, event: Any) -> None:
        """Simulate an event during a conversation. Raises ValueError for an event that the product does not have."""
        raise ValueError(f"{type(self).__name__} has no events")

    async def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        fault = self.fault
        await asyncio.sleep(fault.delay)
        try:
            if fault.status and fault.times > 0:
                fault.times -= 1
                raise ApiError(fault.status, "injected", 20500)
            for match, handler in self._matches(request):
                return await handler(self, request, **match.groupdict())
            raise NotFound(f"{request.method} {request.path}")
        except ApiError as error:
            return error.answer

    def serves(self, request: Request) -> bool:
        return any(True for _ in self._matches(request))

    def page(self, request: Request, key: str, records: Iterable[Any]) -> dict[str, Any]:
        """One page of a list, with the token of the next one."""
        found = list(records)
        size, start = int(request.query.get("pageSize", self.page_size)), int(request.query.get("pageToken", 0))
        following = {"nextToken": str(start + size)} if start + size < len(found) else {}
        return {key: found[start : start + size], "meta": {"key": key, "pageSize": size, **following}}

    def numbered_page(self, request: Request, records: list[T]) -> tuple[list[T], dict[str, Any], str | None]:
        """One page of a list of the older APIs: records, page and page_size, and the query of the next page."""
        size, number = int(request.query.get("PageSize", self.page_size)), int(request.query.get("Page", 0))
        more = len(records) > (number + 1) * size
        following = f"?PageSize={size}&Page={number + 1}&PageToken=PA{number:032x}" if more else None
        return records[number * size : (number + 1) * size], {"page": number, "page_size": size}, following

    def _matches(self, request: Request) -> Iterator[tuple[re.Match[str], Handler]]:
        for name in dir(type(self)):
            handler = getattr(type(self), name)
            for pattern in getattr(handler, "patterns", ()):
                if match := pattern.fullmatch(f"{request.method} {request.path}"):
                    yield match, handler


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Mark the handler of requests like `GET /v1/Stores/{store}`."""
    pattern = re.compile(re.sub(r"\\?\{(\w+)\\?\}", r"(?P<\1>[^/]+)", f"{method} {path}"))

    def mark(handler: Handler) -> Handler:
        marked: Any = handler
        marked.patterns = [*getattr(handler, "patterns", ()), pattern]
        return handler

    return mark


def get(known: Mapping[str, T], id: str) -> T:
    """A resource by its id. Raises NotFound."""
    if id not in known:
        raise NotFound(id)
    return known[id]


def identifier(kind: str, number: int) -> str:
    """An id of the newer APIs: a kind and 26 characters."""
    return f"{kind}_{number:026d}"


def sid(prefix: str) -> str:
    """An id of the older APIs: a prefix and 32 characters."""
    return prefix + uuid4().hex


def timestamp() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def snake_case(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a form by the names of JSON: FriendlyName -> friendly_name."""
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in form.items()}


class Transport(httpx2.AsyncBaseTransport):
    """Sends the requests of an HTTP client to the products. Several products may share a host.

    `keys` are the accepted pairs of user and password, in one `region`. `hosts` have been asked.
    """

    region = "us1"

    def __init__(self, products: Iterable[Product], keys: Collection[tuple[str, str]]) -> None:
        self.products: dict[str, list[Product]] = defaultdict(list)
        for product in products:
            self.products[product.host].append(product)
        self.keys = {":".join(key) for key in keys}
        self.hosts: set[str] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        status, answer = await self.answer(request)
        headers = {"Location": answer["location"]} if status == 308 else None
        return httpx2.Response(status, headers=headers, json=answer) if answer is not None else httpx2.Response(status)

    async def answer(self, sent: httpx2.Request) -> Answer:
        url, content = sent.url, sent.content.decode()
        scheme, _, credentials = sent.headers.get("Authorization", "").partition(" ")
        self.hosts.add(url.host)
        host, region = without_region(url.host)
        if host not in self.products:
            raise httpx2.ConnectError(f"{url.host} is not simulated")
        if scheme != "Basic" or b64decode(credentials).decode() not in self.keys or region != self.region:
            return ApiError(401, "Authenticate", 20003).answer
        form = parse_qs(content, keep_blank_values=True)
        body: Any = {name: values[-1] for name, values in form.items()}
        if sent.headers.get("Content-Type", "").startswith("application/json"):
            body = json.loads(content or "null")
        request = Request(sent.method, url.path, dict(url.params), body, form)
        products = self.products[host]
        return await next((each for each in products if each.serves(request)), products[0]).answer(request)


def without_region(host: str) -> tuple[str, str]:
    """The host of a product, and the region that it is in. "" for a host of a region that has not got the product."""
    product, *place, _, _ = host.split(".")
    if not place:
        return host, "us1"
    edge, region = place if len(place) == 2 else ("", place[0])  # one without a city is closed since 2026-04-28
    city, products = IN_REGION.get(region, ("", []))
    known = product in products and (region == "us1" or edge == city or edge.endswith("-ix"))
    return (f"{product}.twilio.com" if edge and known else ""), region


def keys(settings: Any) -> list[tuple[str, str]]:
    """The account with its Auth Token, and the API key if the project has one."""
    secret = getattr(settings, "api_secret", None)
    own = [(settings.api_key, secret.get_secret_value())] if secret else []
    return [(settings.account_sid, settings.auth_token.get_secret_value()), *own]
