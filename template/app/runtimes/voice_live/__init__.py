"""A model of Azure Voice Live answers in text: Twilio transcribes and speaks. This server runs the tools.

A call keeps one WebSocket, which opens while the greeting is spoken. The service holds the items of the conversation
per WebSocket; before each response they are made equal to the session's history, which decides. So an interruption, a
new WebSocket and a call that moves to another worker are the same case. Protocol:
https://learn.microsoft.com/azure/ai-services/speech-service/voice-live-api-reference-2025-10-01
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Literal, Self
from urllib.parse import urlencode
from uuid import uuid4

import structlog
from pydantic import Field, SecretStr
from pydantic_ai import RequestUsage
from pydantic_ai import messages as m
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State

from app.event_loop import Deadline
from app.history import tidy_message
from app.runtimes import ModelFailed, Runtime, rehearse, start_record
from app.runtimes.azure import AzureSettings, Identity, missing_key
from app.runtimes.sockets import CallSockets, RehearsedSocket, failure_reason
from app.runtimes.streams import as_text, first_stream_to_begin
from app.runtimes.tools import TurnTool, run_tool
from app.session import Session
from app.turn import Turn

log = structlog.get_logger()

# Of the API: the newest that is no preview, and the default of azure-ai-voicelive 1.3.1 (2026-11-29).
# Source: https://github.com/Azure/azure-sdk-for-python/releases/tag/azure-ai-voicelive_1.3.0
VERSION = "2026-07-15"
SCOPE = "https://ai.azure.com/.default"  # of a token; the role is Cognitive Services User
MODEL = "gpt-5.6-luna"
PROVIDER = "azure_voice_live"
CANCEL_TIMEOUT = 1.0  # seconds that a response may take to stop
CANCEL_EVENT_ID = "cancel"

ENDPOINT = "Write the endpoint of your Foundry resource without a path, as in https://<resource>.services.ai.azure.com."
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
FIND_MODEL = "Write a model that Voice Live has, as in gpt-5.6-luna"

Item = dict[str, Any]
Key = str | Callable[[], Awaitable[str]]  # a key, or a function that fetches a token


class VoiceLiveSettings(AzureSettings):
    # Not required here: a script in place of the model needs no endpoint.
    voice_live_endpoint: str | None = Field(
        None,
        alias="AZURE_VOICE_LIVE_ENDPOINT",
        pattern=r"^(https://)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+/?$",
        description=ENDPOINT,
    )
    voice_live_key: SecretStr | None = Field(
        None, alias="AZURE_VOICE_LIVE_API_KEY", description="Copy a key of that resource, or leave it out."
    )
    model: str = Field(MODEL, alias="AGENT_MODEL", pattern=NAME, description=f"{FIND_MODEL}.")
    fallback_model: str | None = Field(
        None, alias="AGENT_FALLBACK_MODEL", pattern=NAME, description=f"{FIND_MODEL}, or leave it out."
    )


class DirectConnect(connect):
    """Follows no redirect: websockets 17.4 would send the key to the host that it names."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class VoiceLiveModel:
    """A model of Voice Live. `deadline` is its longest silence in seconds."""

    proxy: Literal[True] | None = True  # True: the proxy of the environment

    def __init__(self, name: str, endpoint: str, key: Key, deadline: float) -> None:
        self.name = name
        self.host = endpoint.removeprefix("https://").removesuffix("/")
        self.key = key
        self.deadline = deadline

    async def address(self) -> str:
        return f"wss://{self.host}"

    async def header(self) -> dict[str, str]:
        if isinstance(self.key, str):
            return {"api-key": self.key}
        return {"Authorization": f"Bearer {await self.key()}"}

    async def open(self) -> VoiceLiveSocket:
        """A WebSocket that the service has accepted. Raises when it is refused."""
        query = urlencode({"api-version": VERSION, "model": self.name})
        websocket = await DirectConnect(
            f"{await self.address()}/voice-live/realtime?{query}",
            additional_headers=await self.header(),
            open_timeout=4 * self.deadline,
            close_timeout=1,
            proxy=self.proxy,
        )
        socket = VoiceLiveSocket(websocket)
        try:
            async with Deadline(4 * self.deadline):
                await socket.next()  # an unknown model is refused only now
        except BaseException:
            await websocket.close()
            raise
        return socket

    async def close(self) -> None:
        """Nothing to close: the calls have the WebSockets."""


class VoiceLiveSocket:
    """A WebSocket, and the items that Voice Live holds for it.

    `held` has the items by id, in order; None for one that is incomplete. `response` is the id of the response in
    progress, `busy` is True while one is in progress or requested.
    """

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.session: Mapping[str, Any] = {}
        self.usage: Mapping[str, Any] = {}  # tokens of the latest response
        self.held: dict[str, Item | None] = {}
        self.response: str | None = None
        self.busy = False
        self.failed = False

    async def respond(
        self, session: Mapping[str, Any], items: Sequence[Item]
    ) -> AsyncGenerator[str | m.TextPart | m.ToolCallPart]:
        """The tokens of a response, and each complete text and tool call. Raises when it fails."""
        try:
            await self._request(session, items)
            while self.busy:
                match await self.next():
                    case {"type": "response.text.delta", "delta": str(token)}:
                        yield token
                    case {"type": "response.output_item.done", "item": item} if part := as_part(item):
                        yield part
                    case {"type": "response.done", "response": ended} if ended.get("status") != "completed":
                        raise ModelFailed(code_of(ended.get("status_details") or {}))
        except Exception:
            self.failed = True
            raise

    async def _request(self, session: Mapping[str, Any], items: Sequence[Item]) -> None:
        """Make the service hold exactly these items, and request a response."""
        if session != self.session:
            await self._send("session.update", session=session)
            self.session = session
        same = 0
        for held, item in zip(self.held.values(), items, strict=False):
            if held != item:
                break
            same += 1
        for id in list(self.held)[same:]:
            await self._send("conversation.item.delete", item_id=id)
            del self.held[id]
        for item in items[same:]:
            id = uuid4().hex  # 32 characters, the most that an id may have
            self.held[id] = item
            await self._send("conversation.item.create", item={"id": id, **item})
        self.busy = True
        await self._send("response.create")

    async def next(self) -> Mapping[str, Any]:
        """The next event that does not belong to an earlier response. Raises ModelFailed for an error."""
        while True:
            event = json.loads(await self.websocket.recv())
            match event:
                case {"type": "error", "error": error}:
                    if error.get("event_id") == CANCEL_EVENT_ID or error.get("code") == "response_cancel_not_active":
                        continue  # the response had ended before
                    raise ModelFailed(code_of(error))
                case {"type": "conversation.item.created", "item": {"id": str(id)}}:
                    self.held.setdefault(id, None)
                case {"type": "response.output_item.done", "item": {"id": str(id)} as item}:
                    self.held[id] = as_item(as_part(item))
                case {"type": "response.created", "response": {"id": str(id)}}:
                    self.response = id
                case {"type": "response.done"}:
                    self.response, self.busy = None, False
                    self.usage = (event.get("response") or {}).get("usage") or {}
            if event.get("response_id", self.response) == self.response:
                return dict(event)

    async def cancel(self) -> None:
        """Cancel the response in progress. Raises when it does not stop."""
        async with asyncio.timeout(CANCEL_TIMEOUT):
            if self.response:
                await self._send("response.cancel", event_id=CANCEL_EVENT_ID)
            while self.busy:
                event = await self.next()
                if event["type"] == "response.created":  # earlier there was nothing to cancel
                    await self._send("response.cancel", event_id=CANCEL_EVENT_ID)

    @property
    def state(self) -> State:
        return self.websocket.state

    async def close(self) -> None:
        await self.websocket.close()

    async def _send(self, type: str, **fields: Any) -> None:
        await self.websocket.send(json.dumps({"type": type, **fields}))


class NoModel(VoiceLiveModel):
    """Answers at once, for the warm-up."""

    async def open(self) -> VoiceLiveSocket:
        message = {"type": "message", "content": [{"type": "text", "text": "Yes."}], "id": "1"}
        socket: Any = RehearsedSocket(
            {"type": "response.created", "response": {"id": "1"}},
            {"type": "response.text.delta", "delta": "Yes."},
            {"type": "response.output_item.done", "item": message},
            {"type": "response.done", "response": {"status": "completed"}},
        )
        return VoiceLiveSocket(socket)


class VoiceLive(Runtime):
    """`deadline` is the longest silence of a model in seconds; a tool may take twice as long."""

    settings = VoiceLiveSettings

    def __init__(self, models: Sequence[VoiceLiveModel], deadline: float, identity: Identity | None = None) -> None:
        self.models = models
        self.deadline = deadline
        self.identity = identity
        self.sockets = CallSockets[VoiceLiveModel, VoiceLiveSocket](open_socket, self._cancelled)

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        named = models or [name for name in (settings.model, settings.fallback_model) if name]
        identity = None if settings.voice_live_key else Identity(SCOPE)
        key = identity.token if identity else settings.voice_live_key.get_secret_value()
        endpoint = settings.voice_live_endpoint or ""
        found = [
            VoiceLiveModel(each, endpoint, key, settings.deadline) if isinstance(each, str) else each for each in named
        ]
        return cls(found, settings.deadline, identity if any(isinstance(each, str) for each in named) else None)

    @staticmethod
    def model_names() -> list[str]:
        return [os.environ.get("AGENT_MODEL") or MODEL, *filter(None, [os.environ.get("AGENT_FALLBACK_MODEL")])]

    @staticmethod
    def missing_env() -> dict[str, str]:
        name = "AZURE_VOICE_LIVE_ENDPOINT"
        return {**({} if os.environ.get(name) else {name: ENDPOINT}), **missing_key("AZURE_VOICE_LIVE_API_KEY")}

    async def warm_up(self) -> None:
        self.sockets.serving = True
        if self.identity:
            await self.identity.warm_up()
        await rehearse(VoiceLive([NoModel("", "", "", self.deadline)], self.deadline))

    def on_connect(self, session: Session) -> None:
        self.sockets.on_connect(session.id, self.models[:1])

    def on_end(self, session_id: str) -> None:
        self.sockets.on_end(session_id)

    async def close(self) -> None:
        await self.sockets.close()
        for model in self.models:
            await model.close()
        if self.identity:
            await self.identity.close()

    async def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        record = start_record(turn, instructions)
        known = {tool.__name__: TurnTool(tool, turn, 2 * self.deadline) for tool in tools}
        settings = {
            "modalities": ["text"],
            "turn_detection": None,
            "instructions": instructions,
            "tools": [as_tool(tool) for tool in known.values()],
        }
        history = list(turn.earlier)
        while True:
            items = as_items([*history, *record])
            streams = [(model.name, partial(self._parts, session.id, model, settings, items)) for model in self.models]
            response = m.ModelResponse([], run_id=turn.run_id)
            begun = first_stream_to_begin(
                turn, streams, self.deadline, has_begun, is_final=is_word, explain=failure_reason
            )
            async with aclosing(begun) as parts:
                async for part in parts:
                    match part:
                        case str():
                            yield part
                        case m.ModelResponse(model_name=model_name, usage=usage):
                            # No provider of genai-prices: Voice Live has prices of its own.
                            response.model_name, response.usage, response.provider_name = model_name, usage, PROVIDER
                        case _:
                            response.parts = [*response.parts, part]
            response = tidy_message(response)
            record.append(response)
            if not response.tool_calls:
                return
            results = await asyncio.gather(*(run_tool(known, call) for call in response.tool_calls))
            record.append(m.ModelRequest(results, run_id=turn.run_id))

    async def _parts(
        self, session_id: str, model: VoiceLiveModel, settings: Mapping[str, Any], items: Sequence[Item]
    ) -> AsyncGenerator[str | m.TextPart | m.ToolCallPart | m.ModelResponse]:
        """The tokens and parts of a response, then a ModelResponse without parts, with the name of the model.

        A request that fails before the first of them is sent again, on a new socket.
        """
        for last in (False, True):
            begun = False
            socket = await self.sockets.take(session_id, model)
            try:
                async with aclosing(socket.respond(settings, items)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
                asked, answered = (int(socket.usage.get(name) or 0) for name in ("input_tokens", "output_tokens"))
                used = RequestUsage(input_tokens=asked, output_tokens=answered)
                yield m.ModelResponse([], usage=used, model_name=model.name)
                return
            except Exception as error:
                if begun or last:
                    raise
                log.warning("websocket.failed", model=model.name, error=failure_reason(error))
            finally:
                self.sockets.release(session_id, model, socket, socket.failed)

    async def _cancelled(self, model: VoiceLiveModel, socket: VoiceLiveSocket) -> VoiceLiveSocket:
        """The socket without a response in progress, or a new socket when it does not stop."""
        free = False
        try:
            await socket.cancel()
            free = True
        except Exception as error:
            log.warning("websocket.failed", model=model.name, error=failure_reason(error))
        finally:
            if not free:
                self.sockets.close_later(socket)
        return socket if free else await open_socket("", model)


def has_begun(part: Any) -> bool:
    return is_word(part) or isinstance(part, m.ToolCallPart)


def is_word(part: Any) -> bool:
    return isinstance(part, str) and bool(part.strip())


async def open_socket(session_id: str, model: VoiceLiveModel) -> VoiceLiveSocket:
    """A new socket. A failure is logged here, since the turn that waited for it may be over."""
    try:
        return await model.open()
    except Exception as error:
        log.warning("websocket.refused", model=model.name, error=failure_reason(error))
        raise


def as_items(messages: Iterable[m.ModelMessage]) -> list[Item]:
    """The items of a conversation in the shape of Voice Live. Blank texts are left out."""
    return [item for message in messages for part in message.parts if (item := as_item(part))]


def as_item(part: Any) -> Item | None:
    match part:
        case m.UserPromptPart() if text := str(part.content).strip():
            return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        case m.TextPart() if text := part.content.strip():
            return {"type": "message", "role": "assistant", "content": [{"type": "text", "text": text}]}
        case m.ToolCallPart():
            call = {"name": part.tool_name, "arguments": part.args_as_json_str(), "call_id": part.tool_call_id}
            return {"type": "function_call", **call}
        case m.ToolReturnPart():
            return {"type": "function_call_output", "call_id": part.tool_call_id, "output": as_text(part.content)}
    return None


def as_part(item: Mapping[str, Any]) -> m.TextPart | m.ToolCallPart | None:
    """The text or the tool call of an item."""
    match item:
        case {"type": "message", "content": list(content)}:
            text = "".join(str(each.get("text") or "") for each in content)
            return m.TextPart(text) if text else None
        case {"type": "function_call", "name": str(name), "arguments": str(arguments), "call_id": str(id)}:
            return m.ToolCallPart(name, arguments, id)
    return None


def as_tool(tool: TurnTool) -> dict[str, Any]:
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.schema}


def code_of(failure: Mapping[str, Any]) -> str:
    """The code, reason or type of a failure. Its message may quote the conversation."""
    error = failure.get("error") or failure
    names = (error.get("code"), error.get("reason"), error.get("type"))
    return next((name for name in names if isinstance(name, str) and name.isidentifier()), "unknown")
