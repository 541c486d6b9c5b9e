"""Phone calls over ConversationRelay, and texts, as Twilio sends them: cheap enough that one process holds hundreds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4
from xml.etree import ElementTree

PUBLIC_URL, ACCOUNT_SID, AUTH_TOKEN = "https://agent.example", "AC" + "0" * 32, "example-auth-token"
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "agent.example"}  # as a proxy adds them
CALLER, CALLED = "+15005550006", "+15005550001"
SAYS = "Standard delivery takes three days and is free."  # the answer of every server to every prompt
PROMPT = {"type": "prompt", "voicePrompt": "Tell me about delivery.", "lang": "en-US", "last": True}
TURN_TIMEOUT = 30.0  # seconds without the last token after which a turn is lost
FORGOTTEN = 0.5  # seconds from the end of a conversation in writing until Twilio does not know it any more
WEBHOOK_TIMEOUT = 15.0  # seconds; Twilio waits as long for TwiML
WEBSOCKET = 0x81  # a text in one frame
PING, CLOSE = 0x89, 0x88


class Refused(Exception):
    """The server does not take this call: 503 or words instead of TwiML that connects it, or no WebSocket."""


def sign(url: str, form: Mapping[str, str] | None = None) -> str:
    """The value of X-Twilio-Signature."""
    signed = url + "".join(name + value for name, value in sorted((form or {}).items()))
    return base64.b64encode(hmac.new(AUTH_TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()


async def request(port: int, method: str, target: str, headers: Mapping[str, str], body: str = "") -> tuple[int, bytes]:
    """Status and body of a response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        given = {"Host": "agent.example", "Connection": "close", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n{body}".encode())
        head_received, _, content = (await reader.read()).partition(b"\r\n\r\n")
        return int(head_received.split(b" ", 2)[1] if head_received else 0), content
    finally:
        writer.close()


async def webhook(port: int, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
    """Post a signed form."""
    headers = {"X-Twilio-Signature": sign(f"{PUBLIC_URL}{path}", form), **FORWARDED}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    async with asyncio.timeout(WEBHOOK_TIMEOUT):
        return await request(port, "POST", path, headers, urlencode(form))


@dataclass
class Tally:
    """What happened to calls. Times are seconds since the prompt."""

    admitted: int = 0
    refused: int = 0
    turns: int = 0  # that were answered
    lost: int = 0  # without a last token, or after the connection was closed
    apologised: int = 0  # answered with other words than those of the model
    held: int = 0  # answered after "One moment"
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)


class Line(asyncio.Protocol):
    """The WebSocket of a call, Twilio's side. Reads only what a server may send: no fragments, no extensions."""

    def __init__(self) -> None:
        self.buffer = b""
        self.frames: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # None when the server has closed
        self.upgraded = asyncio.get_running_loop().create_future()
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.upgraded.done():
            self.upgraded.set_result(0)
        self.frames.put_nowait(None)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.upgraded.done():
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self.upgraded.set_result(int(head.split(b" ", 2)[1]))
            self.buffer = rest
        while len(self.buffer) >= 2:
            kind, length, start = self.buffer[0], self.buffer[1], 2
            if length >= 126:
                start = 4 if length == 126 else 10
                if len(self.buffer) < start:
                    return
                (length,) = struct.unpack("!H" if length == 126 else "!Q", self.buffer[2:start])
            if len(self.buffer) < start + length:
                return
            content, self.buffer = self.buffer[start : start + length], self.buffer[start + length :]
            if kind == WEBSOCKET:
                self.frames.put_nowait(json.loads(content))
            elif kind == PING:
                self.write(0x8A, content)
            elif kind == CLOSE:
                self.frames.put_nowait(None)

    def write(self, kind: int, content: bytes) -> None:
        length = len(content)
        size = bytes([0x80 | length]) if length < 126 else struct.pack("!BH", 0xFE, length)
        assert self.transport
        self.transport.write(bytes([kind]) + size + bytes(4) + content)  # a mask of zeros

    def send(self, frame: Mapping[str, Any]) -> None:
        self.write(WEBSOCKET, json.dumps(frame).encode())

    def close(self) -> None:
        assert self.transport
        if not self.transport.is_closing():
            self.write(CLOSE, struct.pack("!H", 1000))
            self.transport.close()


class Call:
    """One call: `dial`, then turns, then `hang_up`."""

    def __init__(self, port: int, tally: Tally) -> None:
        self.port = port
        self.tally = tally
        self.sid = f"CA{uuid4().hex}"
        self.line: Line | None = None
        self.action = ""

    def form(self, **more: str) -> dict[str, str]:
        parties = {"AccountSid": ACCOUNT_SID, "CallSid": self.sid, "From": CALLER, "To": CALLED}
        return {**parties, "Direction": "inbound", "ApiVersion": "2010-04-01", **more}

    async def dial(self) -> bool:
        """Ask for TwiML and connect. False, and counted, when the server refuses the call."""
        try:
            await self._connect(*await self._twiml())
        except (Refused, OSError, TimeoutError):
            self.tally.refused += 1
            return False
        self.tally.admitted += 1
        return True

    async def _twiml(self) -> tuple[str, dict[str, str]]:
        status, content = await webhook(self.port, "/twiml", self.form(CallStatus="ringing"))
        if status != 200:
            raise Refused(f"/twiml answers {status}")
        document = ElementTree.fromstring(content)
        connect, relay = document.find("Connect"), document.find("Connect/ConversationRelay")
        if connect is None or relay is None:
            raise Refused("/twiml answers words")
        self.action = urlsplit(connect.get("action", "")).path
        parameters = {each.get("name", ""): each.get("value", "") for each in relay.iter("Parameter")}
        if configuration := relay.get("conversationConfiguration"):
            query = f"call={self.sid}&configuration={configuration}"
            await request(self.port, "GET", f"/benchmark/connected?{query}", {})
        return relay.get("url", ""), parameters

    async def _connect(self, url: str, parameters: Mapping[str, str]) -> None:
        _, self.line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", self.port)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Host": "agent.example", "Connection": "Upgrade", "Upgrade": "websocket", **FORWARDED}
        upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, "X-Twilio-Signature": sign(url)}
        head = "".join(f"{name}: {value}\r\n" for name, value in upgrade.items())
        assert self.line.transport
        self.line.transport.write(f"GET {urlsplit(url).path} HTTP/1.1\r\n{head}\r\n".encode())
        async with asyncio.timeout(WEBHOOK_TIMEOUT):
            if (status := await self.line.upgraded) != 101:
                self.line.transport.close()
                raise Refused(f"the WebSocket answers {status}")
        setup = {"type": "setup", "sessionId": f"VX{self.sid[2:]}", "accountSid": ACCOUNT_SID, "callSid": self.sid}
        setup |= {"from": CALLER, "to": CALLED, "direction": "inbound", "callType": "PSTN"}
        self.line.send({**setup, "callStatus": "IN-PROGRESS", "customParameters": parameters})

    async def turn(self) -> bool:
        """Say something and wait for the whole answer. False when the turn is lost."""
        assert self.line
        began, text, first, frames = monotonic(), "", 0.0, self.line.frames
        self.line.send(PROMPT)
        try:
            async with asyncio.timeout(TURN_TIMEOUT):
                while True:
                    frame = await frames.get()
                    if frame is None:
                        raise Refused
                    first = first or monotonic() - began
                    text += frame.get("token", "")
                    if frame.get("last"):
                        break
        except (Refused, TimeoutError):
            self.tally.lost += 1
            return False
        self.tally.turns += 1
        self.tally.first.append(first)
        self.tally.last.append(monotonic() - began)
        text = text.strip()
        self.tally.held += text.endswith(SAYS) and text != SAYS
        self.tally.apologised += not text.endswith(SAYS)
        return True

    async def hang_up(self) -> None:
        """Close the WebSocket and post the end of the session to the action of <Connect>."""
        if self.line:
            self.line.close()
        if self.action:
            ended = self.form(CallStatus="completed", SessionStatus="ended", SessionDuration="60")
            with suppress(OSError, TimeoutError):  # a server that is overloaded: its turns tell
                await webhook(self.port, self.action, ended)


class Texter:
    """A customer who writes some SMS. The simulated Twilio in the server's process writes the webhooks."""

    def __init__(self, port: int, number: int, tally: Tally) -> None:
        self.port = port
        self.number = f"+1500556{number:04}"
        self.tally = tally

    async def converse(self, messages: int) -> None:
        """Write `messages`, wait for the answer to each, and end the conversation."""
        conversation = ""
        for number in range(messages):
            body = await self.simulated("write", author=self.number, text=f"Tell+me+about+delivery+{number}.")
            conversation = body["data"]["conversationId"]
            await self.deliver(body)
            answered = await self.simulated("answers", conversation=conversation, number=number + 1)
            self.tally.turns += answered
            self.tally.lost += not answered
        await self.deliver(await self.simulated("close", conversation=conversation))
        await asyncio.sleep(FORGOTTEN)
        await self.simulated("forget", conversation=conversation)

    async def simulated(self, action: str, **query: Any) -> Any:
        given = "&".join(f"{name}={str(value).replace('+1', '%2B1')}" for name, value in query.items())
        status, content = await request(self.port, "GET", f"/benchmark/{action}?{given}", {})
        if status != 200:
            raise RuntimeError(f"the simulated Twilio answers {status} to {action}")
        return json.loads(content)

    async def deliver(self, body: Mapping[str, Any]) -> None:
        content = json.dumps(body)
        path = f"/webhooks/conversations?bodySHA256={hashlib.sha256(content.encode()).hexdigest()}"
        headers = {"X-Twilio-Signature": sign(f"{PUBLIC_URL}{path}"), "Content-Type": "application/json", **FORWARDED}
        headers["i-twilio-idempotency-token"] = uuid4().hex
        status, _ = await request(self.port, "POST", path, headers, content)
        if status != 200:
            self.tally.refused += 1
