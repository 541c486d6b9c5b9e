"""The WebSocket of calls: the handshake, at the address that the TwiML names."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator

import httpx2
from twilio.request_validator import RequestValidator

from app.voice.relay_attributes import websocket_url
from kit.doctor.check import Examined, check

UNABLE = "https://www.twilio.com/docs/api/errors/64102"


@check(
    "WSS001",
    fix="Have every proxy on the way pass the headers Upgrade and Connection, over HTTP/1.1, to exactly that path.",
    docs=UNABLE,
    live=True,
    needs=("END003", "END004"),
)
async def opens(examined: Examined) -> AsyncIterator[str]:
    """A WebSocket handshake gets through to the server."""
    status = await examined.once(twilios)
    if status not in (101, 403):
        yield f"The handshake at {websocket_url(examined.settings)} is answered with {status}, not with 101."


@check(
    "WSS002",
    fix="Give the server the same PUBLIC_URL and TWILIO_AUTH_TOKEN as here, and have the proxy leave the path alone.",
    docs=UNABLE,
    live=True,
    needs=("WSS001",),
)
async def lets_in(examined: Examined) -> AsyncIterator[str]:
    """The server lets Twilio's WebSocket in."""
    if await examined.once(twilios) == 403:
        yield "A handshake with a valid signature is refused (403): callers hear the greeting, then nothing."


@check(
    "WSS003",
    fix="Take away what accepts the WebSocket in the server's place: the server itself refuses it with 403.",
    docs="https://www.twilio.com/docs/usage/security#validating-requests",
    live=True,
    needs=("WSS001",),
)
async def strangers(examined: Examined) -> AsyncIterator[str]:
    """Nobody but Twilio can open the WebSocket."""
    if await handshake(examined, signature="") == 101:
        yield "The WebSocket opens without a signature: anybody can talk to the agent, at your cost."


async def twilios(examined: Examined) -> int:
    """The status of the handshake that Twilio would make."""
    token = RequestValidator(examined.settings.auth_token.get_secret_value())
    return await handshake(examined, str(token.compute_signature(websocket_url(examined.settings), {})))


async def handshake(examined: Examined, signature: str) -> int:
    """The status of an opening handshake (RFC 6455). The line is dropped at once; no frame is sent."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        **({"X-Twilio-Signature": signature} if signature else {}),
    }
    url = httpx2.URL(f"https{websocket_url(examined.settings).removeprefix('wss')}")
    async with examined.http.stream("GET", url, headers=headers) as answer:
        return answer.status_code
