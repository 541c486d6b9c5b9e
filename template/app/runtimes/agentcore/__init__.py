"""An agent in Amazon Bedrock AgentCore (`agent_runtime/`) answers; this server carries the call and runs the tools.

The words come over a WebSocket that a call keeps: it opens while the greeting is spoken, since a runtime takes seconds
to start. Where the WebSocket is refused, HTTP serves. Each ask brings the whole conversation as the caller heard it.
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

from app.runtime import Runtime
from app.runtimes.aws import missing_credentials, patience
from app.runtimes.aws.messages import bedrock_messages, content_block, record_of
from app.runtimes.remote_tool import RemoteTool, run_tool
from app.runtimes.sockets import CallSockets, failure_reason
from app.runtimes.streams import first_stream_to_begin, start_record
from app.session import Session
from app.settings import Settings
from app.turn import Turn

log = structlog.get_logger()

VERSION = 1  # of the protocol, which agent_runtime/main.py describes
FRAME = 30_000  # characters; AgentCore takes 32 KB (its quotas: "WebSocket frame size")
SESSION_ID = 33  # characters at least: InvokeAgentRuntime, runtimeSessionId
OWN_HEADERS = {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"}  # of the handshake

ARN = r"^arn:aws[a-z-]*:bedrock-agentcore:[a-z]{2}(-[a-z]+)+-\d:\d{12}:runtime/[A-Za-z0-9_-]+$"
DEPLOY = "Deploy agent_runtime/ as its README says, and copy the ARN."


class AgentCoreSettings(Settings):
    agent_arn: str = Field(
        alias="BEDROCK_AGENTCORE_AGENT_ARN",
        pattern=ARN,
        examples=["arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/nobody-0000000000"],
        description=DEPLOY,
    )
    fallback_arn: str | None = Field(
        None,
        alias="BEDROCK_AGENTCORE_FALLBACK_ARN",
        pattern=ARN,
        description="Write the ARN of a second runtime, perhaps in another region, or leave it out.",
    )


class RuntimeFailed(Exception):
    """What a runtime says of its failure: the name of a class."""


class Deployed:
    """A runtime of AgentCore. `deadline` is how long, in seconds, it may be silent."""

    def __init__(self, arn: str, deadline: float) -> None:
        self.arn = arn
        self.deadline = deadline

    @property
    def client(self) -> AgentCoreRuntimeClient:
        return signer(self.arn.split(":")[3])

    def warm_up(self) -> None:
        self.client.session.get_credentials()

    async def open(self, session_id: str) -> ClientConnection:
        """A WebSocket. In a thread, since credentials may have to be fetched. Raises when it is refused."""
        url, headers = await asyncio.to_thread(self.client.generate_ws_connection, self.arn, long_enough(session_id))
        return await self.connect(url, {name: headers[name] for name in headers if name.lower() not in OWN_HEADERS})

    async def connect(self, url: str, headers: Mapping[str, str]) -> ClientConnection:
        return await connect(url, additional_headers=headers, open_timeout=4 * self.deadline, close_timeout=1)

    async def invoke(self, session_id: str, ask: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The frames of an answer over HTTP, read in a thread. It notices with the next line that nobody listens."""
        loop = asyncio.get_running_loop()
        frames: asyncio.Queue[Any] = asyncio.Queue()
        deaf = Event()

        def read() -> None:
            try:
                response = self.http().invoke_agent_runtime(
                    agentRuntimeArn=self.arn,
                    runtimeSessionId=long_enough(session_id),
                    contentType="application/json",
                    accept="text/event-stream",
                    payload=json.dumps(ask).encode(),
                )
                with closing(response["response"]) as body:
                    for line in body.iter_lines(chunk_size=1):  # it waits until a chunk is full
                        if deaf.is_set():
                            return
                        if line.startswith(b"data: "):
                            loop.call_soon_threadsafe(frames.put_nowait, json.loads(line.removeprefix(b"data: ")))
                end: Exception = EOFError("the stream has ended")
            except Exception as error:
                end = error
            if not deaf.is_set():
                loop.call_soon_threadsafe(frames.put_nowait, end)

        loop.run_in_executor(None, read)
        try:
            while not isinstance(frame := await frames.get(), Exception):
                yield frame
            raise frame
        finally:
            deaf.set()

    def http(self) -> Any:
        return self.client.session.client(
            "bedrock-agentcore", region_name=self.client.region, config=patience(self.deadline)
        )

    async def close(self) -> None:
        """Nothing is kept but the sockets, which the calls have."""


@cache
def signer(region: str) -> AgentCoreRuntimeClient:
    """What signs. One for all, since it takes half a second to build."""
    return AgentCoreRuntimeClient(region)


def long_enough(session_id: str) -> str:
    return session_id.ljust(SESSION_ID, "-")


class AgentCore(Runtime):
    """`deadline` is how long, in seconds, a runtime may be silent; a tool may take twice as long."""

    settings = AgentCoreSettings

    def __init__(self, runtimes: Sequence[Deployed], deadline: float) -> None:
        self.runtimes = runtimes
        self.deadline = deadline
        self.sockets = CallSockets[Deployed, ClientConnection](lambda session_id, runtime: runtime.open(session_id))

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        named = models or [arn for arn in (settings.agent_arn, settings.fallback_arn) if arn]
        return cls(
            [Deployed(each, settings.deadline) if isinstance(each, str) else each for each in named], settings.deadline
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
        offered = {tool.__name__: RemoteTool(tool, turn, 2 * self.deadline) for tool in tools}
        messages = [*bedrock_messages(session.history), {"role": "user", "content": [{"text": turn.user_text}]}]
        specs = [tool_spec(tool) for tool in offered.values()]
        while True:
            request = {"type": "ask", "version": VERSION, "system": instructions, "messages": messages, "tools": specs}
            streams = [(each.arn, partial(self._frames, session.id, each, request)) for each in self.runtimes]
            reply = first_stream_to_begin(streams, self.deadline, lambda frame: True, explain=error_name)
            async with aclosing(reply) as frames:
                async for frame in frames:
                    match frame:
                        case {"type": "text", "token": str(token)}:
                            yield token
                        case {"type": "message", "message": message, "model": str(model)}:
                            messages.append(message)
                            record.append(record_of(message, turn.run_id, model))
            calls = unanswered(record)
            if not calls:
                return
            results = await asyncio.gather(*(run_tool(offered, call) for call in calls))
            record.append(m.ModelRequest(results, run_id=turn.run_id))
            if messages[-1]["role"] == "assistant":
                messages.append({"role": "user", "content": []})  # after a tool of the runtime, there is one
            messages[-1]["content"] += [content_block(part) for part in results]

    async def _frames(
        self, session_id: str, runtime: Deployed, ask: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        """Every frame before `done`. Raises when the runtime fails or goes away."""
        try:
            socket = await self.sockets.take(session_id, runtime)
        except Exception as error:
            log.warning("websocket.refused", runtime=runtime.arn, error=error_name(error))
            async with aclosing(runtime.invoke(session_id, ask)) as events:
                async for frame in events:
                    if ends(frame):
                        return
                    yield frame
        done = False
        try:
            await socket.send(fragments(json.dumps(ask)))
            while not done:
                frame = json.loads(await socket.recv())
                done = ends(frame)
                if not done:
                    yield frame
        finally:
            # The rest of an incomplete answer would be taken for the next answer.
            self.sockets.release(session_id, runtime, socket, failed=not done)


def ends(frame: Any) -> bool:
    """Whether an answer is complete. Raises RuntimeFailed for a failure, and for what nobody has agreed on."""
    match frame:
        case {"type": "done"}:
            return True
        case {"type": "text" | "message"}:
            return False
        case {"type": "error", "reason": str(name)} if name.isidentifier():
            raise RuntimeFailed(name)
    raise RuntimeFailed("UnknownFrame")


def error_name(error: BaseException) -> str:
    return str(error) if isinstance(error, RuntimeFailed) else failure_reason(error)


def fragments(text: str) -> list[str]:
    """A message in frames that AgentCore lets through. It is ASCII, as JSON is by default."""
    return [text[start : start + FRAME] for start in range(0, len(text), FRAME)]


def tool_spec(tool: RemoteTool) -> dict[str, Any]:
    """A tool specification of Converse."""
    return {"name": tool.name, "description": tool.description, "inputSchema": {"json": tool.schema}}


def unanswered(record: Iterable[m.ModelMessage]) -> list[m.ToolCallPart]:
    """The calls of tools to which nothing has been returned."""
    parts = [part for message in record for part in message.parts]
    answered = {part.tool_call_id for part in parts if isinstance(part, m.ToolReturnPart)}
    return [part for part in parts if isinstance(part, m.ToolCallPart) and part.tool_call_id not in answered]
