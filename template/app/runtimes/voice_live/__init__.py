"""A model of Azure Voice Live answers, with text for text: Twilio listens and speaks. This server runs the tools.

A call keeps one WebSocket, which opens while the greeting is spoken. Over there it holds the conversation; before each
answer it is brought in line with our history, the only true one. So an interruption, a new socket and a call that comes
back on another worker are the same case. Protocol:
https://learn.microsoft.com/azure/ai-services/speech-service/voice-live-api-reference-2025-10-01
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal, Self
from urllib.parse import urlencode
from uuid import uuid4

import structlog
from pydantic import Field, SecretStr
from pydantic_ai import messages as m
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State

from app.runtime import Runtime, as_text, reason, start_record
from app.runtimes.azure import AzureSettings, Identity, missing_key
from app.runtimes.remote_tool import Offered
from app.session import Session
from app.turn import Turn

log = structlog.get_logger()

VERSION = "2025-10-01"  # of the API
SCOPE = "https://ai.azure.com/.default"  # of a token; the role is Cognitive Services User
MODEL = "gpt-5.6-luna"
WIND_DOWN = 1.0  # seconds that an answer may take to stop when nobody wants it any more
CANCEL = "cancel"  # our name for the event that stops it

ENDPOINT = "Write the endpoint of your Foundry resource without a path, as in https://<resource>.services.ai.azure.com."
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
A_MODEL = "Write a model that Voice Live has, as in gpt-5.6-luna"

Item = dict[str, Any]
Key = str | Callable[[], Awaitable[str]]  # a key, or what fetches the token of an identity


class VoiceLiveSettings(AzureSettings):
    # Not required here: whoever talks to a script needs no endpoint.
    voice_live_endpoint: str | None = Field(
        None,
        alias="AZURE_VOICE_LIVE_ENDPOINT",
        pattern=r"^(https://)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+/?$",
        description=ENDPOINT,
    )
    voice_live_key: SecretStr | None = Field(
        None, alias="AZURE_VOICE_LIVE_API_KEY", description="Copy a key of that resource, or leave it out."
    )
    model: str = Field(MODEL, alias="AGENT_MODEL", pattern=NAME, description=f"{A_MODEL}.")
    fallback_model: str | None = Field(
        None, alias="AGENT_FALLBACK_MODEL", pattern=NAME, description=f"{A_MODEL}, or leave it out."
    )


class VoiceLiveFailed(Exception):
    """What Voice Live says of a failure: a code, and nothing that it may have quoted."""


class ModelsDown(Exception):
    """No model has answered, or the one that began has broken off."""


class Straight(connect):
    """Follows no redirect: websockets 17.4 would take the key along to whatever host it names."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Hosted:
    """A model of Voice Live. `deadline` is how long, in seconds, it may be silent."""

    proxy: Literal[True] | None = True  # that of the environment

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

    async def open(self) -> Wire:
        """A WebSocket that has been welcomed. Raises when it is refused."""
        query = urlencode({"api-version": VERSION, "model": self.name})
        socket = await Straight(
            f"{await self.address()}/voice-live/realtime?{query}",
            additional_headers=await self.header(),
            open_timeout=4 * self.deadline,
            close_timeout=1,
            proxy=self.proxy,
        )
        wire = Wire(socket)
        try:
            async with asyncio.timeout(4 * self.deadline):
                await wire.next()  # a model that is not there is only now refused
        except BaseException:
            await socket.close()
            raise
        return wire

    async def close(self) -> None:
        """Nothing is kept but the wires, which the calls have."""


class Wire:
    """A WebSocket, and what Voice Live holds of the conversation there.

    `held` has its items by their ids, in order; None for one that is not known in full. `response` is the id of the
    answer that is being given, `busy` whether one is, or has been asked for.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.session: Mapping[str, Any] = {}
        self.held: dict[str, Item | None] = {}
        self.response: str | None = None
        self.busy = False
        self.failed = False

    async def answer(
        self, session: Mapping[str, Any], items: Sequence[Item]
    ) -> AsyncGenerator[str | m.TextPart | m.ToolCallPart]:
        """The words as they come, and each thing that was said or called, whole. Raises when it fails."""
        try:
            await self._ask(session, items)
            while self.busy:
                match await self.next():
                    case {"type": "response.text.delta", "delta": str(word)}:
                        yield word
                    case {"type": "response.output_item.done", "item": item} if part := as_part(item):
                        yield part
                    case {"type": "response.done", "response": ended} if ended.get("status") != "completed":
                        raise VoiceLiveFailed(code_of(ended.get("status_details") or {}))
        except Exception:
            self.failed = True
            raise

    async def _ask(self, session: Mapping[str, Any], items: Sequence[Item]) -> None:
        """Have it hold these items and no others, and answer."""
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
        """The next event, unless it belongs to an answer that is over. Raises VoiceLiveFailed for an error."""
        while True:
            event = json.loads(await self.socket.recv())
            match event:
                case {"type": "error", "error": error}:
                    if error.get("event_id") == CANCEL or error.get("code") == "response_cancel_not_active":
                        continue  # it was over by itself
                    raise VoiceLiveFailed(code_of(error))
                case {"type": "conversation.item.created", "item": {"id": str(id)}}:
                    self.held.setdefault(id, None)
                case {"type": "response.output_item.done", "item": {"id": str(id)} as item}:
                    self.held[id] = as_item(as_part(item))
                case {"type": "response.created", "response": {"id": str(id)}}:
                    self.response = id
                case {"type": "response.done"}:
                    self.response, self.busy = None, False
            if event.get("response_id", self.response) == self.response:
                return dict(event)

    async def cancel(self) -> None:
        """Stop the answer that is being given. Raises when it does not stop."""
        async with asyncio.timeout(WIND_DOWN):
            if self.response:
                await self._send("response.cancel", event_id=CANCEL)
            while self.busy:
                event = await self.next()
                if event["type"] == "response.created":  # before that there was nothing to cancel
                    await self._send("response.cancel", event_id=CANCEL)

    async def _send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))


class VoiceLive(Runtime):
    """`deadline` is how long, in seconds, a model may be silent; a tool may take twice as long."""

    settings = VoiceLiveSettings

    def __init__(self, models: Sequence[Hosted], deadline: float, identity: Identity | None = None) -> None:
        self.models = models
        self.deadline = deadline
        self.identity = identity
        self.warmed = False
        self.calls: set[str] = set()  # that keep their wires
        self.wires: dict[tuple[str, Hosted], asyncio.Future[Wire]] = {}  # that nobody is using, or will be
        self.closing: set[asyncio.Task[None]] = set()

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        named = models or [name for name in (settings.model, settings.fallback_model) if name]
        identity = None if settings.voice_live_key else Identity(SCOPE)
        key = identity.token if identity else settings.voice_live_key.get_secret_value()
        endpoint = settings.voice_live_endpoint or ""
        hosted = [Hosted(each, endpoint, key, settings.deadline) if isinstance(each, str) else each for each in named]
        return cls(hosted, settings.deadline, identity if any(isinstance(each, str) for each in named) else None)

    @staticmethod
    def model_names() -> list[str]:
        return [os.environ.get("AGENT_MODEL") or MODEL, *filter(None, [os.environ.get("AGENT_FALLBACK_MODEL")])]

    @staticmethod
    def missing_env() -> dict[str, str]:
        name = "AZURE_VOICE_LIVE_ENDPOINT"
        return {**({} if os.environ.get(name) else {name: ENDPOINT}), **missing_key("AZURE_VOICE_LIVE_API_KEY")}

    async def warm_up(self) -> None:
        self.warmed = True
        if self.identity:
            await self.identity.warm()

    def begin(self, session: Session) -> None:
        if not self.warmed:
            return  # no server is running that would close what is opened here
        self.calls.add(session.id)
        if (session.id, self.models[0]) not in self.wires:
            self._open(session.id, self.models[0])

    def end(self, session_id: str) -> None:
        self.calls.discard(session_id)
        for model in self.models:
            if opening := self.wires.pop((session_id, model), None):
                self._drop(opening)

    async def close(self) -> None:
        for opening in self.wires.values():
            self._drop(opening)
        self.wires.clear()
        await asyncio.gather(*self.closing)
        for model in self.models:
            await model.close()
        if self.identity:
            await self.identity.close()

    async def answer(
        self,
        session: Session,
        turn: Turn,
        instructions: str,
        tools: Sequence[Callable[..., Any]],
        tell: Callable[[str], None],
    ) -> None:
        record = start_record(turn, instructions)
        offered = {tool.__name__: Offered(tool, turn, 2 * self.deadline) for tool in tools}
        settings = {
            "modalities": ["text"],
            "turn_detection": None,
            "instructions": instructions,
            "tools": [as_tool(tool) for tool in offered.values()],
        }
        history = list(session.history)
        while True:
            response = m.ModelResponse([])
            async with aclosing(self._said(session.id, settings, as_items([*history, *record]))) as parts:
                async for part in parts:
                    if isinstance(part, str):
                        tell(part)
                    else:
                        response = replace(part, run_id=turn.run_id)
            record.append(response)
            if not response.tool_calls:
                return
            results = await asyncio.gather(*(result(offered, call) for call in response.tool_calls))
            record.append(m.ModelRequest(results, run_id=turn.run_id))

    async def _said(
        self, session_id: str, settings: Mapping[str, Any], items: Sequence[Item]
    ) -> AsyncGenerator[str | m.ModelResponse]:
        """The words of the first model that begins in time, then the whole. One that breaks off is not replaced."""
        failures = []
        for model in self.models:
            whole: list[m.TextPart | m.ToolCallPart] = []
            async with aclosing(self._parts(session_id, model, settings, items)) as parts:
                try:
                    async with asyncio.timeout(self.deadline):
                        part = await anext(parts, None)
                except Exception as error:
                    log.warning("model.failed", model=model.name, error=spoken(error))
                    failures.append(spoken(error))
                    continue
                try:
                    while part is not None:
                        if isinstance(part, str):
                            yield part
                        else:
                            whole.append(part)
                        part = await anext(parts, None)
                except Exception as error:
                    log.warning("model.failed", model=model.name, error=spoken(error))
                    raise ModelsDown(spoken(error)) from error
            yield m.ModelResponse(whole, model_name=model.name)
            return
        raise ModelsDown(", ".join(failures))

    async def _parts(
        self, session_id: str, model: Hosted, settings: Mapping[str, Any], items: Sequence[Item]
    ) -> AsyncGenerator[str | m.TextPart | m.ToolCallPart]:
        """What a model answers. When it fails before the first word, it is asked again, on a new wire."""
        for last in (False, True):
            begun = False
            wire = await self._take(session_id, model)
            try:
                async with aclosing(wire.answer(settings, items)) as parts:
                    async for part in parts:
                        begun = True
                        yield part
                return
            except Exception as error:
                if begun or last:
                    raise
                log.warning("websocket.failed", model=model.name, error=spoken(error))
            finally:
                self._give_back(session_id, model, wire)

    # --- wires -------------------------------------------------------------------------------------------------------

    def _open(self, session_id: str, model: Hosted) -> asyncio.Future[Wire]:
        return self._keep(session_id, model, asyncio.create_task(opened(model)))

    def _keep(self, session_id: str, model: Hosted, opening: asyncio.Future[Wire]) -> asyncio.Future[Wire]:
        self.wires[session_id, model] = opening
        opening.add_done_callback(lambda done: done.cancelled() or done.exception())  # it was logged
        return opening

    async def _take(self, session_id: str, model: Hosted) -> Wire:
        """A wire that nobody else uses. Who gives up waiting leaves it to the next turn."""
        opening = self.wires.get((session_id, model))
        if opening is None or is_dead(opening):
            opening = self._open(session_id, model)
        wire = await asyncio.shield(opening)
        self.wires.pop((session_id, model), None)
        return wire

    def _give_back(self, session_id: str, model: Hosted, wire: Wire) -> None:
        """Keep a wire. One that has failed is replaced; an answer that nobody waits for any more is stopped."""
        if session_id not in self.calls or (session_id, model) in self.wires:
            self._close(wire)
        elif wire.failed:
            self._close(wire)
            self._open(session_id, model)
        else:
            self._keep(session_id, model, asyncio.create_task(self._stopped(model, wire)))

    async def _stopped(self, model: Hosted, wire: Wire) -> Wire:
        """The wire when it is free, or a new one if it does not become so."""
        free = False
        try:
            await wire.cancel()
            free = True
        except Exception as error:
            log.warning("websocket.failed", model=model.name, error=spoken(error))
        finally:
            if not free:
                self._close(wire)
        return wire if free else await opened(model)

    def _drop(self, opening: asyncio.Future[Wire]) -> None:
        async def drop() -> None:
            opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled() and not opening.exception():
                await opening.result().socket.close()

        self._later(drop())

    def _close(self, wire: Wire) -> None:
        self._later(wire.socket.close())

    def _later(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)


async def opened(model: Hosted) -> Wire:
    """A new wire. Why there is none is logged here: whoever takes it may have given up waiting before."""
    try:
        return await model.open()
    except Exception as error:
        log.warning("websocket.refused", model=model.name, error=spoken(error))
        raise


def is_dead(opening: asyncio.Future[Wire]) -> bool:
    """Whether a wire was refused, or has been closed since."""
    if not opening.done():
        return False
    return opening.cancelled() or bool(opening.exception()) or opening.result().socket.state is not State.OPEN


def as_items(messages: Iterable[m.ModelMessage]) -> list[Item]:
    """The items of a conversation, as Voice Live takes them. Blank texts are left out."""
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
    """What an item says or calls, for the record."""
    match item:
        case {"type": "message", "content": list(content)}:
            text = "".join(str(each.get("text") or "") for each in content)
            return m.TextPart(text) if text else None
        case {"type": "function_call", "name": str(name), "arguments": str(arguments), "call_id": str(id)}:
            return m.ToolCallPart(name, arguments, id)
    return None


def as_tool(tool: Offered) -> dict[str, Any]:
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.schema}


async def result(offered: Mapping[str, Offered], call: m.ToolCallPart) -> m.ToolReturnPart:
    tool = offered.get(call.tool_name)
    known = tool.result(call.args_as_dict(), call.tool_call_id) if tool else None
    text = await known if known else f"There is no tool {call.tool_name} here."
    return m.ToolReturnPart(call.tool_name, text, call.tool_call_id)


def code_of(failure: Mapping[str, Any]) -> str:
    """The most telling name in a failure. Its message may quote the conversation."""
    error = failure.get("error") or failure
    names = (error.get("code"), error.get("reason"), error.get("type"))
    return next((name for name in names if isinstance(name, str) and name.isidentifier()), "unknown")


def spoken(error: Exception) -> str:
    if isinstance(error, InvalidStatus):
        return f"InvalidStatus {error.response.status_code}"
    if isinstance(error, ConnectionClosed) and error.rcvd:
        return f"{type(error).__name__} {error.rcvd.code}"
    return str(error) if isinstance(error, VoiceLiveFailed) else reason(error)
