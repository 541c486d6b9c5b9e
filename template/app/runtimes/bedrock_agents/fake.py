"""A script as an agent of Amazon Bedrock: boto3's real client with its checks, signatures and parser.
Only the network is replaced: each request is answered here with the bytes that the service would send.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import struct
from binascii import crc32
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from pydantic_ai import messages as m
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from app.runtimes.aws.messages import record_of
from app.runtimes.bedrock_agents import BEFORE_SEND, Agent
from kit.scripted_model import deltas

ADDRESS = re.compile(
    r"/agents/([0-9a-zA-Z]{10})/agentAliases/([0-9a-zA-Z]{10})/sessions/([0-9a-zA-Z._:-]{2,100})/text$"
)
ACTION_GROUP = "tools"


class Rejected(Exception):
    """A request that the service answers with a ValidationException."""


class Service:
    """The agent and its sessions. As in the real service, a session keeps whole answers, heard or not."""

    def __init__(self, script: FunctionModel) -> None:
        self.script = script
        self.loop: asyncio.AbstractEventLoop | None = None
        self.requests: list[dict[str, Any]] = []
        self.sessions: dict[str, list[m.ModelMessage]] = {}
        self.pending: dict[str, tuple[str, list[m.ToolCallPart]]] = {}

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """Answers a request instead of the network."""
        with suppress(RuntimeError):
            assert not asyncio.get_running_loop(), "boto3 would block the event loop"
        body = json.loads(request.body)
        self.requests.append({"url": request.url, **body})
        try:
            address = ADDRESS.search(request.url)
            if not address:
                raise Rejected("the address has no agent, alias or session")
            session = address.group(3)
            self.receive(session, body)
        except Rejected as refusal:
            error = {"x-amzn-ErrorType": "ValidationException", "Content-Type": "application/json"}
            return AWSResponse(request.url, 400, error, Body(json.dumps({"message": str(refusal)}).encode()))
        kind = {"Content-Type": "application/vnd.amazon.eventstream"}
        return AWSResponse(request.url, 200, kind, Body(self.respond(session, body), self.loop))

    def receive(self, session: str, body: Mapping[str, Any]) -> None:
        """Add the messages of a request to its session."""
        state = body.get("sessionState", {})
        memory = self.sessions.setdefault(session, [])
        memory += history_messages(state.get("conversationHistory", {}).get("messages", []))
        waiting = self.pending.pop(session, None)
        if results := state.get("returnControlInvocationResults"):
            memory.append(tool_results(waiting, state.get("invocationId"), results))
            return
        if not body.get("inputText", "").strip():
            raise Rejected("there is no input")
        memory.append(m.ModelRequest.user_text_prompt(body["inputText"]))
        results = json.loads(attributes(body).get("results_of_functions_for_this_question", "[]"))
        for number, each in enumerate(results):
            memory.append(m.ModelResponse([m.ToolCallPart(each["function"], each["arguments"], str(number))]))
            memory.append(m.ModelRequest([m.ToolReturnPart(each["function"], each["result"], str(number))]))

    async def respond(self, session: str, body: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """The events of an answer: its text, in tokens if the request says so; then the requested functions."""
        streams = body.get("streamingConfigurations", {}).get("streamFinalResponse")
        functions = re.findall(r"(\w+)\(([^)]*)\)", attributes(body).get("functions_available_now", ""))
        tools = {name: schema(signature) for name, signature in functions}
        text_so_far, calls = "", list[m.ToolCallPart]()
        instructions = attributes(body).get("instructions")
        try:
            async for delta in deltas(self.script, self.sessions[session], tools, instructions):
                if isinstance(delta, DeltaToolCall):
                    calls.append(m.ToolCallPart(str(delta.name), delta.json_args, str(delta.tool_call_id)))
                    continue
                delta = delta.encode(errors="replace").decode()  # the service sends UTF-8
                text_so_far += delta
                if streams:
                    yield event("chunk", {"bytes": base64.b64encode(delta.encode()).decode()})
            if text_so_far and not streams:
                yield event("chunk", {"bytes": base64.b64encode(text_so_far.encode()).decode()})
            if calls:
                invocation = uuid4().hex
                self.pending[session] = invocation, calls
                yield event(
                    "returnControl",
                    {"invocationId": invocation, "invocationInputs": list(map(invocation_input, calls))},
                )
        finally:
            text = [m.TextPart(text_so_far)] if text_so_far else []
            self.sessions[session].append(m.ModelResponse([*text, *calls]))


def attributes(body: Mapping[str, Any]) -> dict[str, str]:
    return dict(body.get("sessionState", {}).get("promptSessionAttributes", {}))


def history_messages(messages: list[dict[str, Any]]) -> list[m.ModelMessage]:
    """The history of a request. The service rejects one whose roles do not alternate."""
    roles = [message["role"] for message in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise Rejected(f"a history must begin with the user, alternate, and end with the assistant: {roles}")
    if any(not block.get("text", "").strip() for message in messages for block in message["content"]):
        raise Rejected("a text of the history is blank")
    return [record_of(message, "") for message in messages]


def tool_results(
    waiting: tuple[str, list[m.ToolCallPart]] | None, invocation: str | None, results: list[dict[str, Any]]
) -> m.ModelRequest:
    if waiting is None or waiting[0] != invocation:
        raise Rejected("nothing in this session waits for these results")
    inner = [result.get("functionResult", {}) for result in results]
    if [result.get("function") for result in inner] != [call.tool_name for call in waiting[1]]:
        raise Rejected("every function that was asked for needs its result")
    if any(result["actionGroup"] != ACTION_GROUP for result in inner):
        raise Rejected("this agent has no such action group")
    texts = [result["responseBody"]["TEXT"]["body"] for result in inner]
    parts = [
        m.ToolReturnPart(call.tool_name, text, call.tool_call_id) for call, text in zip(waiting[1], texts, strict=True)
    ]
    return m.ModelRequest(parts)


def invocation_input(call: m.ToolCallPart) -> dict[str, Any]:
    """A member of `invocationInputs`. Every value is text."""
    kinds = {bool: "boolean", int: "integer", float: "number", list: "array"}
    parameters = [
        {
            "name": name,
            "type": kinds.get(type(value), "string"),
            "value": value if isinstance(value, str) else json.dumps(value),
        }
        for name, value in call.args_as_dict().items()
    ]
    given = {"actionGroup": ACTION_GROUP, "function": call.tool_name, "parameters": parameters}
    return {"functionInvocationInput": {**given, "actionInvocationType": "RESULT"}}


def schema(signature: str) -> dict[str, Any]:
    """The arguments of a function as the request describes them: `order_number, language?`."""
    names = [name.strip() for name in signature.split(",") if name.strip()]
    properties = {name.strip("?"): {"type": "string"} for name in names}
    return {"type": "object", "properties": properties, "required": [name for name in names if name[-1] != "?"]}


def event(kind: str, payload: Mapping[str, Any], message: str = "event") -> bytes:
    """A message of an event stream in its binary frame, application/vnd.amazon.eventstream; `exception` is another."""
    headers = b""
    for name, value in {
        f":{message}-type": kind,
        ":content-type": "application/json",
        ":message-type": message,
    }.items():
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
    content = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(content), len(headers))
    frame = prelude + struct.pack("!I", crc32(prelude)) + headers + content
    return frame + struct.pack("!I", crc32(frame))


class Body:
    """The body of a response. Reading it blocks a thread, as a socket does, until `shutdown`.

    The script runs in `loop`, the event loop of the test.
    """

    def __init__(self, source: bytes | AsyncGenerator[bytes], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.source = source
        self.loop = loop
        self.reading: Future[bytes] | None = None
        self.down = False

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
            return
        with suppress(CancelledError):
            while not self.down:
                self.reading = self.run(self.next())
                if self.down:  # since the line before
                    self.reading.cancel()
                if not (data := self.reading.result()):
                    return
                yield data
        with suppress(RuntimeError):  # the event loop is closed
            self.run(self.end())

    def run(self, work: Coroutine[Any, Any, bytes]) -> Future[bytes]:
        assert self.loop
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise

    async def next(self) -> bytes:
        assert not isinstance(self.source, bytes)
        return await anext(self.source, b"")

    async def end(self) -> bytes:
        """Stop the script. `shutdown` cancels a read in progress, but there may be none."""
        assert not isinstance(self.source, bytes)
        with suppress(RuntimeError):  # it runs, and is being cancelled
            await self.source.aclose()
        return b""

    def shutdown(self) -> None:
        self.down = True
        if self.reading:
            self.reading.cancel()

    def close(self) -> None: ...


@cache
def boto_session() -> boto3.Session:
    """A session with test keys. One for all tests, since reading the service's description is slow."""
    return boto3.Session("a-test-key", "a-test-secret", region_name="us-east-1")


@dataclass
class ScriptedAgent(Agent):
    service: Service

    async def events(self, request: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
        self.service.loop = asyncio.get_running_loop()
        async with aclosing(super().events(request)) as events:
            async for each in events:
                yield each


def build_model(script: FunctionModel) -> ScriptedAgent:
    """A script as an agent of this runtime."""
    service = Service(script)
    client = boto_session().client("bedrock-agent-runtime", config=Config(retries={"total_max_attempts": 1}))
    client.meta.events.register(BEFORE_SEND, service.answer)
    return ScriptedAgent(client, "PLAYEDAGNT", "TSTALIASID", service)
