"""Phone calls through TAC's ConversationRelay server: no Orchestrator, so nothing is fetched when the server starts."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from tac import TAC, TACConfig
from tac.channels.voice import VoiceChannel
from tac.channels.websocket_protocol import WebSocketDisconnectError, WebSocketProtocol
from tac.models.handoff import PendingHandoffData
from tac.models.session import ConversationSession
from tac.server import TACFastAPIServer, TACServerConfig

from app.connection import parties
from app.history import clean, has_words
from app.voice import PhoneConnection, Voice
from app.voice.calls import CallRefused, Calls

log = structlog.get_logger()


class TacVoice(Voice):
    """TAC's `/ws` on the app. TwiML and routes are our own: TAC's have no <Failover>, and an empty action response."""

    def add_websocket(self, app: FastAPI) -> None:
        if os.environ.get("TAC_ANALYTICS_DISABLED", "").lower() not in ("false", "0", "no", "off"):
            os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # TAC reports to Segment unless it is exactly this
        settings = self.services.settings
        tac = TAC(
            TACConfig(
                account_sid=settings.account_sid,
                auth_token=settings.auth_token.get_secret_value(),
                api_key="",  # for TAC's REST calls, of which there are none
                api_secret="",
                phone_number="",
                voice_public_domain=settings.public_url,
                log_level="CRITICAL",  # TAC 2.5 says in plain text that memory and messages are off: not those of app/
            )
        )
        tac_log = logging.getLogger("tac")
        tac_log.handlers.clear()  # TAC's own handler bypasses the redaction
        tac_log.propagate, tac_log.level = True, logging.NOTSET
        self.channel = TacChannel(tac, self.calls)
        tac.on_message_ready(self.channel.answer)
        before = list(app.routes)
        TACFastAPIServer(tac, self.channel, config=TACServerConfig(), app=app)
        added: list[Any] = [route for route in app.routes if route not in before]
        for route in added:
            if route.path != "/ws":
                app.router.routes.remove(route)  # our own have these addresses, or no request of this project uses it
        app.add_middleware(ForwardedHeaders, public_url=settings.public_url)
        app.add_exception_handler(WebSocketDisconnect, ignore_rejected_handshake)


class TacChannel(VoiceChannel):
    """TAC's voice channel, with a TacConnection between TAC and each WebSocket. TACFastAPIServer adds `/ws`.

    setup      TacConnection starts the session, then passes the frame on to TAC
    prompt     TAC cancels the turn before and calls `answer`: `send_response` sends the tokens, then `last: true`
    cancel     TAC sends `last: true` for an interruption, but not for a new prompt: there `close_turn` does
    close      TAC cancels `answer`; `handle_websocket` reports the disconnect to Calls
    """

    def __init__(self, tac: TAC, calls: Calls) -> None:
        super().__init__(tac, {"memory_mode": "never"})
        self.calls = calls
        self.connections: dict[str, TacConnection] = {}

    async def handle_websocket(self, websocket: WebSocketProtocol) -> None:
        connection = TacConnection(self, websocket)
        try:
            await super().handle_websocket(connection)
        finally:
            connection.closed.set()
            connection.silence.stop()
            if connection.session and connection.session.connection is connection:
                self.connections.pop(connection.session.id)
                self.calls.on_disconnect(connection.session)

    async def answer(self, text: str, conversation: ConversationSession, memory: object) -> None:
        """One turn. TAC cancels it when the caller interrupts, says something else or hangs up."""
        connection = self.connections[str(conversation.call_sid)]
        conversation.pending_handoff_data = None  # left by a goodbye that the caller interrupted
        assert connection.session
        reply = self.calls.reply(connection.session, text)
        try:
            await self.send_response(conversation.conversation_id, reply)
        except asyncio.CancelledError:
            await reply.aclose()
            await connection.close_turn()
            raise


class TacConnection(PhoneConnection):
    """The WebSocket as TAC sees it, with four behaviours that TAC 2.5 lacks: the session starts at `setup`, not at the
    first prompt; an interruption of the greeting counts; an unreadable frame is skipped; every turn is closed.

    Drop when twilio-agent-connect > 2.5 passes the template's tests of TAC without it.
    """

    def __init__(self, channel: TacChannel, websocket: WebSocketProtocol) -> None:
        super().__init__(channel.calls.services)
        self.channel = channel
        self.websocket = websocket
        self.turn_is_open = False
        self.closed = asyncio.Event()

    async def accept(self) -> None:
        await self.websocket.accept()

    async def close(self) -> None:
        await self.websocket.close()

    async def receive_json(self) -> Any:
        try:
            return await self.next_frame()
        except CallRefused as refusal:
            log.warning("connection.closed", reason=str(refusal))
            await self.websocket.close()
            raise WebSocketDisconnectError(str(refusal)) from None

    async def next_frame(self) -> Any:
        """The next frame that TAC must see. Raises CallRefused for a setup that is refused, or does not come."""
        while True:
            try:
                frame = clean(await self.before_deadline(self.websocket.receive_json()))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                log.warning("frame.ignored", reason=type(error).__name__)
                continue
            if isinstance(frame, dict):
                self.silence.on_frame(*map(frame.get, ("type", "name", "value", "voicePrompt")))
            match frame:
                case {"type": "setup", "callSid": str(call_sid)} if self.session is None:
                    await self.begin(call_sid, frame)
                    return {"type": "setup", "callSid": call_sid}
                case {"type": "info", "name": "tokensPlayed", "value": str(text)} if self.session:
                    await self.channel.calls.on_heard(self.session, text, False)
                case {"type": "setup"} | {"type": "prompt", "last": False} | {"type": "dtmf"} | {"type": "info"}:
                    continue
                case {"type": "prompt", "voicePrompt": str(text)} if self.session:
                    if has_words(text):
                        self.turn_is_open = True
                        return {"type": "prompt", "voicePrompt": text}
                case {"type": "interrupt"} if self.session:
                    heard = text if isinstance(text := frame.get("utteranceUntilInterrupt"), str) else ""
                    await self.channel.calls.on_heard(self.session, heard, True)
                    return {"type": "interrupt"}
                case {"type": "error", "description": str(text)}:
                    log.error("twilio.error", description=text.partition("{")[0])  # the rest quotes the agent
                case _:
                    log.warning("frame.ignored", reason="malformed")

    async def begin(self, call_sid: str, frame: Mapping[str, Any]) -> None:
        if frame.get("accountSid") != self.channel.tac.config.account_sid:
            raise CallRefused("setup names another account")
        parameters = await self.channel.calls.admit(call_sid, frame.get("customParameters"))
        caller, called = parties(frame)
        self.session = await self.channel.calls.start(
            call_sid,
            caller=caller,
            called=called,
            connection=self,
            parameters=parameters,
        )
        self.silence.agent_says(self.session.greeting)
        self.silence.begin(self.session)
        if old := self.channel.connections.get(call_sid):  # close it first: TAC keys conversations by CallSid
            with suppress(RuntimeError, WebSocketDisconnect):
                await old.close()
            await old.closed.wait()
        self.channel.connections[call_sid] = self

    async def send_text(self, data: str) -> None:
        frame = json.loads(data)
        if not (self.turn_is_open or frame.get("token") or frame["type"] == "end"):
            return  # TAC closes a turn on every interruption, even a closed one
        self.turn_is_open = frame.get("last") is False
        await self.websocket.send_text(data)

    async def close_turn(self) -> None:
        """Send `last: true` for the open turn: TAC does so on an interruption, but not on a new prompt."""
        try:
            await self.send_text('{"type": "text", "token": "", "last": true}')
        except (WebSocketDisconnectError, RuntimeError):
            self.open = False

    async def say(self, text: str, interruptible: bool = True) -> None:
        limits = {} if interruptible else {"interruptible": False}
        frame = {"type": "text", "token": text, "last": not self.turn_is_open, **limits}
        await self.websocket.send_text(json.dumps(frame))
        self.silence.agent_says(text)

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        assert self.session
        self.session.ending = True
        end = PendingHandoffData.model_validate({"handoffData": json.dumps(dict(handoff or {}))})
        conversation = self.channel.get_conversation_session_by_call_sid(self.session.id)
        if conversation and self.turn_is_open:
            conversation.pending_handoff_data = end  # TAC sends it after the last token
        else:
            await self.websocket.send_text(end.model_dump_json(by_alias=True))


class ForwardedHeaders:
    """Overwrites X-Forwarded-*, since TAC validates signatures against them: they must name PUBLIC_URL."""

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app = app
        self.forwarded = [
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-host", public_url.removeprefix("https://").encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            kept = [header for header in scope["headers"] if not header[0].startswith(b"x-forwarded-")]
            scope = {**scope, "headers": [*kept, *self.forwarded]}
        await self.app(scope, receive, send)


async def ignore_rejected_handshake(websocket: WebSocket, error: Exception) -> None:
    """TAC raises after it has refused a handshake: the response is sent already."""
