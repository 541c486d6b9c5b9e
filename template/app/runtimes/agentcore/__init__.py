"""An agent in Amazon Bedrock AgentCore (`agent_runtime/`) runs the model. This server runs the tools.

A call keeps one WebSocket, which opens during the greeting, since a runtime takes seconds to start. Where the WebSocket
is refused, HTTP is used. Each request holds the whole conversation as the caller heard it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, closing
from functools import cache, partial
from threading import Event
from typing import Any, Self

import structlog
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from pydantic import Field
from pydantic_ai import messages as m
from websockets.asyncio.client import ClientConnection, connect

from app.runtimes import Runtime, rehearse, start_record, start_round
from app.runtimes.aws import client_config, missing_credentials
from app.runtimes.aws.messages import bedrock_messages, content_block, record_of, tool_spec, valid_messages
from app.runtimes.sockets import CallSockets, RehearsedSocket, failure_reason
from app.runtimes.streams import first_stream_to_begin
from app.runtimes.tools import TurnTool, run_tool
from app.session import Session
from app.settings import Settings
from app.turn import Turn

log = structlog.get_logger()

VERSION = 1  # of the protocol in agent_runtime/main.py
MAX_FRAME = 30_000  # characters; AgentCore takes 32 KB (its quotas: "WebSocket frame size")
MIN_SESSION_ID = 33  # characters at least: InvokeAgentRuntime, runtimeSessionId
HANDSHAKE_HEADERS = {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"}  # set by websockets

ARN = r"^arn:aws[a-z-]*:bedrock-agentcore:[a-z]{2}(-[a-z]+)+-\d:\d{12}:runtime/[A-Za-z0-9_-]+$"
DEPLOY = "Deploy agent_runtime/ as its README says, and copy the ARN."


class AgentCoreSettings(Settings):
    agent_arn: str = Field(
        alias="BEDROCK_AGENTCORE_AGENT_ARN",
        pattern=ARN,
        examples=["arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/agent-0000000000"],
        description=DEPLOY,
    )
    fallback_arn: str | None = Field(
        None,
        alias="BEDROCK_AGENTCORE_FALLBACK_ARN",
        pattern=ARN,
        description="Write the ARN of a second runtime, perhaps in another region, or leave it out.",
    )


class RuntimeFailed(Exception):
    """The failure that a runtime reports: the name of an exception class."""


class DeployedRuntime:
    """A runtime of AgentCore. `deadline` is its longest silence in seconds."""

    def __init__(self, arn: str, deadline: float) -> None:
        self.arn = arn
        self.deadline = deadline

    @property
    def client(self) -> AgentCoreRuntimeClient:
        return signer(self.arn.split(":")[3])

    def warm_up(self) -> None:
        self.client.session.get_credentials()

    async def open(self, session_id: str) -> ClientConnection:
        """A WebSocket. Signing may fetch credentials, so it runs in a thread. Raises when it is refused."""
        url, headers = await asyncio.to_thread(self.client.generate_ws_connection, self.arn, pad_session_id(session_id))
        return await self.connect(
            url, {name: headers[name] for name in headers if name.lower() not in HANDSHAKE_HEADERS}
        )

    async def connect(self, url: str, headers: Mapping[str, str]) -> ClientConnection:
        return await connect(url, additional_headers=headers, open_timeout=4 * self.deadline, close_timeout=1)

    async def invoke(self, session_id: str, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The frames of an answer over HTTP, read in a thread, which stops at the next line after this is closed."""
        loop = asyncio.get_running_loop()
        frames: asyncio.Queue[Any] = asyncio.Queue()
        abandoned = Event()

        def read() -> None:
            try:
                response = self.http().invoke_agent_runtime(
                    agentRuntimeArn=self.arn,
                    runtimeSessionId=pad_session_id(session_id),
                    contentType="application/json",
                    accept="text/event-stream",
                    payload=json.dumps(request).encode(),
                )
                with closing(response["response"]) as body:
                    for line in body.iter_lines(chunk_size=1):  # returns only when a chunk is full
                        if abandoned.is_set():
                            return
                        if line.startswith(b"data: "):
                            loop.call_soon_threadsafe(frames.put_nowait, json.loads(line.removeprefix(b"data: ")))
                end: Exception = EOFError("the stream has ended")
            except Exception as error:
                end = error
            if not abandoned.is_set():
                loop.call_soon_threadsafe(frames.put_nowait, end)

        loop.run_in_executor(None, read)
        try:
            while not isinstance(frame := await frames.get(), Exception):
                yield frame
            raise frame
        finally:
            abandoned.set()

    def http(self) -> Any:
        return self.client.session.client(
            "bedrock-agentcore", region_name=self.client.region, config=client_config(self.deadline)
        )

    async def close(self) -> None:
        """Nothing to close: the calls have the WebSockets."""


class NoRuntime(DeployedRuntime):
    """Answers at once, for the warm-up."""

    async def open(self, session_id: str) -> Any:
        message = {"role": "assistant", "content": [{"text": "Yes."}]}
        return RehearsedSocket(
            {"type": "text", "token": "Yes."}, {"type": "message", "message": message, "model": ""}, {"type": "done"}
        )


@cache
def signer(region: str) -> AgentCoreRuntimeClient:
    """Signs requests. It takes half a second to build, so there is one for each region."""
    return AgentCoreRuntimeClient(region)


def pad_session_id(session_id: str) -> str:
    return session_id.ljust(MIN_SESSION_ID, "-")


class AgentCore(Runtime):
    """`deadline` is the longest silence of a runtime in seconds; a tool may take twice as long."""

    settings = AgentCoreSettings

    def __init__(self, runtimes: Sequence[DeployedRuntime], deadline: float) -> None:
        self.runtimes = runtimes
        self.deadline = deadline
        self.trace: Callable[[], dict[str, str]] = dict  # headers for the current request
        self.sockets = CallSockets[DeployedRuntime, ClientConnection](
            lambda session_id, runtime: runtime.open(session_id)
        )

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        named = models or [arn for arn in (settings.agent_arn, settings.fallback_arn) if arn]
        return cls(
            [DeployedRuntime(each, settings.deadline) if isinstance(each, str) else each for each in named],
            settings.deadline,
        )

    @staticmethod
    def model_names() -> list[str]:
        named = [os.environ.get(name) for name in ("BEDROCK_AGENTCORE_AGENT_ARN", "BEDROCK_AGENTCORE_FALLBACK_ARN")]
        return list(filter(None, named)) or ["your runtime in AgentCore"]

    @staticmethod
    def missing_env() -> dict[str, str]:
        arn = {} if os.environ.get("BEDROCK_AGENTCORE_AGENT_ARN") else {"BEDROCK_AGENTCORE_AGENT_ARN": DEPLOY}
        return {**missing_credentials(), **arn}

    async def warm_up(self) -> None:
        self.sockets.serving = True
        for runtime in self.runtimes:
            await asyncio.to_thread(runtime.warm_up)
        await rehearse(AgentCore([NoRuntime("", self.deadline)], self.deadline))

    def on_connect(self, session: Session) -> None:
        self.sockets.on_connect(session.id, self.runtimes)

    def on_end(self, session_id: str) -> None:
        self.sockets.on_end(session_id)

    async def close(self) -> None:
        await self.sockets.close()
        for runtime in self.runtimes:
            await runtime.close()

    async def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        record = start_record(turn, instructions)
        remote_tools = {tool.__name__: TurnTool(tool, turn, 2 * self.deadline) for tool in tools}
        messages = [*bedrock_messages(turn.earlier), {"role": "user", "content": [{"text": turn.user_text}]}]
        specs = [tool_spec(tool) for tool in remote_tools.values()]
        while True:
            request = {"type": "ask", "version": VERSION, "system": instructions, "messages": messages, "tools": specs}
            request |= {"trace": trace} if (trace := self.trace()) else {}
            streams = [(each.arn, partial(self._frames, session.id, each, request)) for each in self.runtimes]
            reply = first_stream_to_begin(turn, streams, self.deadline, has_begun, explain=error_reason)
            async with aclosing(reply) as frames:
                async for frame in frames:
                    match frame:
                        case {"type": "text", "token": str(token)}:
                            yield token
                        case {"type": "message", "message": message, "model": str(model)}:
                            messages += valid_messages([message])
                            record.append(record_of(message, turn.run_id, model))
                            if message["role"] == "user":  # a tool of the runtime: its model is called again
                                start_round(turn)
            calls = unanswered(record)
            if not calls:
                return
            results = await asyncio.gather(*(run_tool(remote_tools, call) for call in calls))
            record.append(m.ModelRequest(results, run_id=turn.run_id))
            if messages[-1]["role"] == "assistant":
                messages.append({"role": "user", "content": []})  # unless a tool of the runtime has made one
            messages[-1]["content"] += [content_block(part) for part in results]

    async def _frames(
        self, session_id: str, runtime: DeployedRuntime, request: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        """The frames before `done`. Raises when the runtime fails or disconnects."""
        try:
            socket = await self.sockets.take(session_id, runtime)
        except Exception as error:
            log.warning("websocket.refused", runtime=runtime.arn, error=error_reason(error))
            async with aclosing(runtime.invoke(session_id, request)) as events:
                async for frame in events:
                    if is_last(frame):
                        return
                    yield frame
        done = False
        try:
            await socket.send(fragments(json.dumps(request)))
            while not done:
                frame = json.loads(await socket.recv())
                done = is_last(frame)
                if not done:
                    yield frame
        finally:
            # The rest of an incomplete answer would be taken for the next answer.
            self.sockets.release(session_id, runtime, socket, failed=not done)


def has_begun(frame: Mapping[str, Any]) -> bool:
    """False for blank text. A message may have been that of a tool, so it is final."""
    match frame:
        case {"token": str(text)} | {"message": {"content": [{"text": str(text)}]}}:
            return bool(text.strip())
    return True


def is_last(frame: Any) -> bool:
    """True for the frame that ends an answer. Raises RuntimeFailed for an error and for an unknown frame."""
    match frame:
        case {"type": "done"}:
            return True
        case {"type": "text" | "message"}:
            return False
        case {"type": "error", "reason": str(name)} if name.isidentifier():
            raise RuntimeFailed(name)
    raise RuntimeFailed("UnknownFrame")


def error_reason(error: BaseException) -> str:
    return str(error) if isinstance(error, RuntimeFailed) else failure_reason(error)


def fragments(text: str) -> list[str]:
    """A message in frames that AgentCore accepts. It is ASCII, as JSON is by default."""
    return [text[start : start + MAX_FRAME] for start in range(0, len(text), MAX_FRAME)]


def unanswered(record: Iterable[m.ModelMessage]) -> list[m.ToolCallPart]:
    """The tool calls without a result."""
    parts = [part for message in record for part in message.parts]
    answered = {part.tool_call_id for part in parts if isinstance(part, m.ToolReturnPart)}
    return [part for part in parts if isinstance(part, m.ToolCallPart) and part.tool_call_id not in answered]
