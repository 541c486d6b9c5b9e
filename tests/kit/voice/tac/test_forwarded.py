"""The address that TAC validates signatures against: PUBLIC_URL, whatever a proxy says."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.voice.tac import ForwardedHeaders


async def passed(scope: Scope) -> Scope:
    """The scope that the app sees."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    async def unused(*_: Any) -> Any: ...

    await ForwardedHeaders(app, "https://agent.example:8443/voice")(scope, unused, unused)
    return scopes[0]


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_public_address_replaces_that_of_a_proxy_and_other_headers_stay(kind: str) -> None:
    other = (b"x-twilio-signature", b"abc")
    proxied = [(b"x-forwarded-host", b"evil.example"), (b"x-forwarded-proto", b"http"), other]
    public = [(b"x-forwarded-host", b"agent.example:8443/voice"), (b"x-forwarded-proto", b"https"), other]
    assert sorted((await passed({"type": kind, "headers": proxied}))["headers"]) == sorted(public)


async def test_the_lifespan_passes_unchanged() -> None:
    assert await passed({"type": "lifespan"}) == {"type": "lifespan"}
