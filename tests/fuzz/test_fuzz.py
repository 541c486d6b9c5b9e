"""Random frames and webhooks against a served project, beside a call that is always answered.

Runs in an installed project, as tests/test_fuzz.py starts it: SEED and EXAMPLES come from the environment.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from starlette.datastructures import MultiDict
from websockets.exceptions import ConnectionClosed

from app.log import configure_logging
from app.registry import CHANNELS
from kit import defaults
from kit.agent_app import build_app
from kit.local_server import serve
from kit.plugin import silence_logs
from kit.webhook import sign
from tests.kit.routes import CONTACT, FORM_TYPE, OPENING, TOKEN, routes_of

# The server uses it while Hypothesis draws: they are two threads.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the .random. module")
EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
SEED = int(hashlib.sha256(os.environ.get("SEED", "").encode()).hexdigest()[:8], 16)
ROUTES, WEBSOCKETS = routes_of(build_app())
BY_TOKEN = {"/outbound/calls"}  # routes for other systems; Twilio signs requests to all others
HAS_VOICE = any(channel.__name__ == "TacVoice" or "voice" in channel.__module__ for channel in CHANNELS)
LIVE, OTHER = "CA" + "1" * 32, "CA" + "2" * 32

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
    print_blob=True,
)


class Server:
    """The project, served by an event loop in a thread, and a conversation that goes on."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.log = io.StringIO()
        self.stack = AsyncExitStack()
        own = {**OPENING, **({"dial_rate": 10**9} if OPENING else {})}
        self.app = build_app({"says": "Yes."}, deadline=30.0, **own)  # a busy machine would have it say HOLD
        self.examples = self.turns = 0
        self.run(self.start())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def start(self) -> None:
        self.address = await self.stack.enter_async_context(serve(self.app))
        self.http = await self.stack.enter_async_context(
            httpx2.AsyncClient(base_url=f"http://{self.address}", verify=False, timeout=30)
        )

    async def is_healthy(self) -> None:
        """Every fifth time, the conversation beside it gets its next answer. Nothing has crashed."""
        self.examples += 1
        if self.examples % 5 == 0:
            await self.answers()
        text = self.log.getvalue()
        self.log.seek(0)
        self.log.truncate()
        assert "Traceback" not in text and '"exception"' not in text, text[-4000:]

    async def answers(self) -> None:
        if self.turns % 50 == 0:
            self.healthy = await self._new_call() if HAS_VOICE else await self._new_customer()
        self.turns += 1
        answered = await (self.healthy.says("Hello") if HAS_VOICE else self.healthy.texts("Hello"))
        assert (answered.text if HAS_VOICE else answered) == "Yes."

    async def _new_call(self) -> Any:
        from kit.caller import caller_on

        return await self.stack.enter_async_context(caller_on(self.app, self.address, account=self.app.state.account))

    async def _new_customer(self) -> Any:
        from kit.texter import texter_on

        return await self.stack.enter_async_context(texter_on(self.app, self.address, account=self.app.state.account))

    def close(self) -> None:
        self.run(self.stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    log = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", log)
        configure_logging("info")
    server = Server()
    server.log = log
    yield server
    server.close()
    logging.getLogger().handlers.clear()
    silence_logs()


# --- what is sent -------------------------------------------------------------------------------------------------

texts = st.one_of(
    st.text(st.characters(), max_size=30),
    st.sampled_from(
        ["", " ", "\u200b", "\x00", "STOP", "null", "-1", "9" * 400, "é" * 3000, "\ud83d", "💥", "[" * 30_000]
    ),
)
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -1, 0, 1e308]))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)

SETUP = {"type": "setup", "callSid": LIVE, "sessionId": "VX1", "accountSid": defaults.ACCOUNT_SID}
SETUP |= {"from": defaults.CALLER, "to": defaults.CALLED, "direction": "inbound", "callType": "PSTN"}
SETUP |= {"callStatus": "RINGING", "customParameters": {}, "forwardedFrom": "", "parentCallSid": "", "callerName": ""}
FRAMES: list[dict[str, Any]] = [
    SETUP,
    {"type": "prompt", "voicePrompt": "Hello", "lang": "en-US", "last": True},
    {"type": "prompt", "voicePrompt": "Hel", "lang": "en-US", "last": False},
    {"type": "interrupt", "utteranceUntilInterrupt": "One", "durationUntilInterruptMs": 460},
    {"type": "dtmf", "digit": "1"},
    {"type": "info", "name": "tokensPlayed", "value": "Yes."},
    {"type": "error", "description": "Invalid message received: {}"},
]


@st.composite
def frame(draw: Any) -> str | bytes:
    """A message of Twilio with other values, fields more or less; or no message at all."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return bytes(draw(st.binary(max_size=200)))
    if kind == 1:
        return str(draw(texts)).encode(errors="replace").decode()
    if kind == 2:
        return json.dumps(draw(values))
    message = dict(draw(st.sampled_from(FRAMES)))
    for name in draw(st.lists(st.sampled_from([*message, "extra"]), max_size=3)):
        if draw(st.booleans()):
            message.pop(name, None)
        else:
            message[name] = draw(values)
    return json.dumps(message)


FIELDS: dict[str, list[str]] = {
    "CallSid": [LIVE, OTHER, ""],
    "CallStatus": ["in-progress", "completed", "ringing", "busy", "no-answer", "failed"],
    "SessionStatus": ["ended", "failed", "completed"],
    "HandoffData": ["{}", '{"reasonCode": "x"}', '{"payment": "1"}', "[" * 3000],
    "ErrorCode": ["64105", "x"],
    "From": [defaults.CALLER, "anonymous", "sip:a@b"],
    "To": [defaults.CALLED, ""],
    "Direction": ["inbound", "outbound-api"],
    "AnsweredBy": ["human", "machine_end_beep", "fax", "unknown"],
    "Digits": ["1", "9", "#", ""],
    "AccountSid": [defaults.ACCOUNT_SID, "AC1"],
    "RecordingSid": ["RE" + "1" * 32],
    "RecordingStatus": ["completed", "failed"],
    "RecordingDuration": ["7", "-1", "x"],
    "RecordingUrl": ["https://api.twilio.com/x", "x"],
    "DialCallStatus": ["completed", "busy"],
    "QueueResult": ["bridged", "queue-full", "leave", "x"],
    "QueueTime": ["7", "x"],
    "EventType": ["reservation.accepted", "task.canceled", "task.completed", "x"],
    "TaskAttributes": ["{}", "[]", '{"call": 1}', '{"session": "CA1", "conversationId": "conv_1"}'],
    "TaskSid": ["WT" + "1" * 32],
    "WorkerSid": ["WK1"],
    "Result": ["success", "payment-connector-error", "x"],
    "PaymentConfirmationCode": ["1", ""],
    "Level": ["ERROR", "WARNING"],
    "Payload": ["{}", "[", '{"resource_sid": "CA1", "error_code": 1}'],
}
forms = st.lists(
    st.one_of(
        *(st.tuples(st.just(name), st.sampled_from(found) | texts) for name, found in FIELDS.items()),
        st.tuples(texts, texts),
    ),
    max_size=9,
)
KEYS = [
    *("eventType", "data", "id", "conversationId", "author", "address", "channel", "content", "text", "type", "status"),
    *("participants", "participantType", "operatorResults", "operator", "result", "configurationId", "createdAt"),
    *("specversion", "sid", "name", "payload", "level", "transcription", "recipients", "profileId", "channelSettings"),
]
words = st.sampled_from(["COMMUNICATION_CREATED", "CONVERSATION_UPDATED", "CLOSED", "SMS", "CHAT", "VOICE", "CUSTOMER"])
bodies = st.recursive(
    st.one_of(scalars, words, st.just("conv_conversation_" + "1" * 26), st.just(defaults.CALLER)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(KEYS), texts), inner, max_size=6)
    ),
    max_leaves=20,
)


# --- the tests ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_VOICE, reason="frames are of calls")
def test_frames(server: Server) -> None:
    from app.voice import call_token
    from kit.voice_fixtures import websocket

    count = iter(range(10**9))

    async def sends(frames: list[str | bytes], opens: bool) -> None:
        socket = await websocket(server.address)
        with suppress(ConnectionClosed):
            if opens:
                sid = f"CA{next(count):032x}"
                token = call_token.issue(defaults.settings(), sid, datetime.now(UTC))
                own = {"callSid": sid, "customParameters": {call_token.PARAMETER: token}}
                await socket.send(json.dumps(SETUP | own))
            for each in frames:
                await socket.send(each)
        await socket.close()
        await server.is_healthy()

    @seed(SEED)
    @fuzzed
    @given(st.lists(frame(), max_size=5), st.booleans())
    def play(frames: list[str | bytes], opens: bool) -> None:
        server.run(sends(frames, opens))

    play()


@st.composite
def contact(draw: Any) -> Any:
    """A request for a call with other values, fields more or less."""
    return {**CONTACT, **draw(st.dictionaries(st.sampled_from([*CONTACT, "dry_run", "zone", "debt"]) | texts, values))}


def test_all_routes_are_sent_to() -> None:
    """A new WebSocket, or a new route that Twilio does not sign, needs cases of its own."""
    assert ("GET", "/healthz") in ROUTES and (["/ws"] if HAS_VOICE else []) == WEBSOCKETS
    assert {path for _, path in ROUTES} >= (BY_TOKEN if OPENING else set())


@pytest.mark.parametrize("kind", ["form", "json"])
def test_webhooks(server: Server, kind: str) -> None:
    async def sends(method: str, path: str, given: Any, signed: bool) -> None:
        content = content_of(kind, given)
        target, fields = path, MultiDict[str, str]()
        if kind == "json":
            target = f"{path}?bodySHA256={hashlib.sha256(content).hexdigest()}"
        elif not isinstance(given, bytes):
            fields = MultiDict([(clean(name), clean(value)) for name, value in given])
        signature = sign(f"{defaults.PUBLIC_URL}{target}", fields) if signed else "x" * 28
        headers = {"X-Twilio-Signature": signature, "i-twilio-idempotency-token": hashlib.md5(content).hexdigest()}
        headers["Content-Type"] = "application/json" if kind == "json" else FORM_TYPE
        headers["Authorization"] = f"Bearer {TOKEN if signed else 'x' * len(TOKEN)}"
        answer = await server.http.request(method, target, content=content, headers=headers)
        assert answer.status_code < 500, (path, answer.status_code)
        refused = (401, 413) if path in BY_TOKEN else (403, 413)
        assert signed or method == "GET" or answer.status_code in refused, (path, answer.status_code)
        await server.is_healthy()

    @st.composite
    def request(draw: Any) -> tuple[str, str, Any]:
        method, path = draw(st.sampled_from(ROUTES))
        written = contact() | bodies if path in BY_TOKEN else bodies
        return method, path, draw(written if kind == "json" else forms | st.binary(max_size=300))

    @seed(SEED)
    @fuzzed
    @given(request(), st.booleans())
    def play(request: tuple[str, str, Any], signed: bool) -> None:
        server.run(sends(*request, signed))

    play()


def content_of(kind: str, given: Any) -> bytes:
    if kind == "json":
        return json.dumps(given).encode()
    return bytes(given) if isinstance(given, bytes) else urlencode(given, errors="replace").encode()


def clean(text: str) -> str:
    """The text as a form carries it."""
    return text.encode(errors="replace").decode()
