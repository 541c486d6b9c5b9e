"""Azure Voice Live on this machine: its protocol over a real WebSocket, with a script in place of the model.

As strict as the service: one response at a time, known ids, no tool call without its output. Tokens of a cancelled
response still arrive, some of them after its end. Events:
https://learn.microsoft.com/azure/ai-services/speech-service/voice-live-api-reference-2026-06-01-preview
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from pydantic_ai import messages as m
from pydantic_ai.models.function import FunctionModel
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.http11 import Response as HTTPResponse

from app.runtimes.voice_live import VoiceLiveModel, VoiceLiveSocket
from kit.scripted_model import deltas

ENDPOINT = "https://example.services.ai.azure.com"
KEY = "a-test-key"


class ErrorEvent(Exception):
    """An `error` event."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Service:
    """Voice Live with one model. Tests set its failures."""

    def __init__(self, script: FunctionModel) -> None:
        self.script = script
        self.status: HTTPStatus | None = None  # answers each handshake instead of a WebSocket
        self.redirect: str | None = None  # where each handshake is redirected to
        self.welcome: Callable[[Conversation], Awaitable[None]] = Conversation.welcome
        self.handlers: dict[
            str, Callable[[Conversation], Awaitable[None]]
        ] = {}  # replace the usual ones, by event type
        self.paths: list[str] = []  # of each handshake, with its query
        self.conversations: list[Conversation] = []  # one for each WebSocket, in order

    async def process_request(self, connection: ServerConnection, request: Request) -> HTTPResponse | None:
        self.paths.append(request.path)
        address = urlsplit(request.path)
        query = parse_qs(address.query)
        if self.status:
            return connection.respond(self.status, "")
        if self.redirect:
            response = connection.respond(HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = self.redirect
            return response
        if address.path != "/voice-live/realtime" or set(query) != {"api-version", "model"}:
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get("api-key") != KEY:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        return None

    async def connected(self, socket: ServerConnection) -> None:
        conversation = Conversation(self, socket)
        self.conversations.append(conversation)
        await conversation.run()


class Conversation:
    """One WebSocket. `events` are those of the client, in order."""

    def __init__(self, service: Service, socket: ServerConnection) -> None:
        self.service = service
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.session: dict[str, Any] = {"modalities": ["text", "audio"], "instructions": "", "tools": []}
        self.items: dict[str, dict[str, Any]] = {}
        self.response: asyncio.Task[None] | None = None

    def sent(self, type: str) -> list[dict[str, Any]]:
        """The events of the client of one type."""
        return [event for event in self.events if event["type"] == type]

    async def welcome(self) -> None:
        await self.send("session.created", session=self.session)

    async def run(self) -> None:
        await self.handle(self.service.welcome(self))
        try:
            async for message in self.socket:
                event = json.loads(message)
                self.events.append(event)
                handler = self.service.handlers.get(event["type"])
                await self.handle(handler(self) if handler else self.take(event), event.get("event_id"))
        finally:
            if self.response:
                self.response.cancel()

    async def handle(self, work: Awaitable[None], event_id: str | None = None) -> None:
        try:
            await work
        except ErrorEvent as error:
            about = {"type": "invalid_request_error", "code": error.code, "message": str(error)}
            await self.send("error", error={**about, "event_id": event_id})

    async def take(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"type": "session.update", "session": session}:
                self.session.update(session)
                await self.send("session.updated", session=self.session)
            case {"type": "conversation.item.create", "item": item}:
                check_item(item, self.items)
                await self.hold({"id": new_id("item"), **item})
            case {"type": "conversation.item.delete", "item_id": id}:
                if self.items.pop(id, None) is None:
                    raise ErrorEvent("item_delete_invalid_item_id", f"there is no item {id}")
                await self.send("conversation.item.deleted", item_id=id)
            case {"type": "response.create"}:
                if self.response and not self.response.done():
                    raise ErrorEvent("conversation_already_has_active_response", "wait until it is finished")
                self.response = asyncio.create_task(self.respond())
            case {"type": "response.cancel"}:
                if self.response is None or self.response.done():
                    raise ErrorEvent("response_cancel_not_active", "Cancellation failed: no active response found")
                self.response.cancel()
            case _:
                raise ErrorEvent("invalid_value", f"{event.get('type')} is not an event of a client")

    async def respond(self) -> None:
        response = Response(self, new_id("resp"))
        with suppress(ConnectionClosed):
            try:
                await response.begin()
                await response.run_script()
                await response.end("completed")
            except asyncio.CancelledError:
                await response.say("[late] ")
                await response.end("cancelled")
                await response.send("response.text.delta", item_id="item_late", delta="[too late] ")
            except Exception as error:
                await response.end(
                    "failed", error={"type": "server_error", "code": type(error).__name__, "message": str(error)}
                )

    async def hold(self, item: dict[str, Any]) -> None:
        self.items[item["id"]] = item
        await self.send("conversation.item.created", item=item)

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"event_id": new_id("event"), "type": type, **fields}))


class Response:
    """A response of the model and its items as they grow."""

    def __init__(self, conversation: Conversation, id: str) -> None:
        self.conversation = conversation
        self.id = id
        self.output: list[dict[str, Any]] = []
        self.message: dict[str, Any] | None = None  # in progress

    async def begin(self) -> None:
        await self.conversation.send("response.created", response={"id": self.id, "status": "in_progress"})

    async def run_script(self) -> None:
        session = self.conversation.session
        assert session["modalities"] == ["text"] and session["turn_detection"] is None
        tools = {tool["name"]: tool["parameters"] for tool in session["tools"]}
        history = history_of(self.conversation.items)
        async for delta in deltas(self.conversation.service.script, history, tools, session["instructions"]):
            if isinstance(delta, str):
                await self.say(delta)
                continue
            await self.close("completed")
            call = {"name": delta.name, "call_id": delta.tool_call_id, "arguments": ""}
            item = await self.add({"type": "function_call", **call})
            item["arguments"] = str(delta.json_args)
            await self.send("response.function_call_arguments.delta", item_id=item["id"], delta=item["arguments"])
            done = {"call_id": item["call_id"], "arguments": item["arguments"]}
            await self.send("response.function_call_arguments.done", item_id=item["id"], **done)
            await self.done(item, "completed")

    async def say(self, word: str) -> None:
        if self.message is None:
            self.message = await self.add({"type": "message", "role": "assistant", "content": []})
            self.message["content"] = [{"type": "text", "text": ""}]
            await self.send(
                "response.content_part.added", item_id=self.message["id"], part={"type": "text", "text": ""}
            )
        self.message["content"][0]["text"] += word
        await self.send("response.text.delta", item_id=self.message["id"], delta=word)

    async def close(self, status: str) -> None:
        if message := self.message:
            self.message = None
            await self.send("response.text.done", item_id=message["id"], text=message["content"][0]["text"])
            await self.send("response.content_part.done", item_id=message["id"], part=message["content"][0])
            await self.done(message, status)

    async def end(self, status: str, **details: Any) -> None:
        await self.close("completed" if status == "completed" else "incomplete")
        about = {"type": status, **details} if status != "completed" else None
        used = {"input_tokens": 70, "output_tokens": 30, "total_tokens": 100}
        response = {"id": self.id, "status": status, "status_details": about, "output": self.output, "usage": used}
        await self.conversation.send("response.done", response=response)

    async def add(self, item: dict[str, Any]) -> dict[str, Any]:
        item = {"id": new_id("item"), "status": "in_progress", **item}
        await self.send("response.output_item.added", item=item)
        await self.conversation.hold(item)
        self.output.append(item)
        return item

    async def done(self, item: dict[str, Any], status: str) -> None:
        item["status"] = status
        await self.send("response.output_item.done", item=item)

    async def send(self, type: str, **fields: Any) -> None:
        await self.conversation.send(type, response_id=self.id, **fields)


def new_id(kind: str) -> str:
    return f"{kind}_{uuid4().hex[:20]}"


def check_item(item: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ErrorEvent for an item that cannot be added to `held`."""
    if item.get("id") in held or len(item.get("id", "")) > 32:
        raise ErrorEvent("item_create_invalid_item_id", "an id is new and has 32 characters at most")
    match item:
        case {"type": "message", "role": "user", "content": [{"type": "input_text", "text": str(text)}]} if (
            text.strip()
        ):
            return
        case {"type": "message", "role": "assistant", "content": [{"type": "text", "text": str(text)}]} if text.strip():
            return
        case {"type": "function_call", "name": str(), "arguments": str(arguments), "call_id": str()}:
            json.loads(arguments)
            return
        case {"type": "function_call_output", "call_id": id, "output": str()}:
            if id in {each.get("call_id") for each in held.values() if each["type"] == "function_call"}:
                return
    raise ErrorEvent("invalid_value", f"not an item: {item.get('type')}")


def history_of(items: Mapping[str, Mapping[str, Any]]) -> list[m.ModelMessage]:
    """The items as messages for a script. Raises ValueError for a tool call without output."""
    called = {item["call_id"]: item["name"] for item in items.values() if item["type"] == "function_call"}
    answered = {item["call_id"] for item in items.values() if item["type"] == "function_call_output"}
    if set(called) != answered:
        raise ValueError("every function_call needs its function_call_output")
    history: list[m.ModelMessage] = []
    for item in items.values():
        match item:
            case {"type": "message", "role": "user", "content": [{"text": text}]}:
                history.append(m.ModelRequest([m.UserPromptPart(text)]))
            case {"type": "message", "content": content}:
                history.append(m.ModelResponse([m.TextPart("".join(part["text"] for part in content))]))
            case {"type": "function_call", "name": name, "arguments": arguments, "call_id": id}:
                history.append(m.ModelResponse([m.ToolCallPart(name, arguments, id)]))
            case {"type": "function_call_output", "call_id": id, "output": output}:
                history.append(m.ModelRequest([m.ToolReturnPart(called[id], output, id)]))
    return history


class ScriptedVoiceLive(VoiceLiveModel):
    """The model of a service on a port of this machine, which opens with the first connection."""

    proxy = None

    def __init__(self, script: FunctionModel, deadline: float = 5.0) -> None:
        super().__init__(script.model_name, ENDPOINT, KEY, deadline)
        self.service = Service(script)
        self.sockets: list[VoiceLiveSocket] = []  # all that were opened, in order
        self._serving = AsyncExitStack()
        self._starting: asyncio.Task[str] | None = None

    async def address(self) -> str:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> str:
        serving = serve(
            self.service.connected, "127.0.0.1", 0, process_request=self.service.process_request, close_timeout=1
        )
        server = await self._serving.enter_async_context(serving)
        return f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    async def open(self) -> VoiceLiveSocket:
        self.sockets.append(await super().open())
        return self.sockets[-1]

    async def close(self) -> None:
        if self._starting:
            await self._starting
        await self._serving.aclose()


def build_model(model: FunctionModel) -> ScriptedVoiceLive:
    """The script as a model for the runtime of this project."""
    return ScriptedVoiceLive(model)
