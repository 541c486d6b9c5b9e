"""A Strands agent in Amazon Bedrock AgentCore. The server that carries the call sends it requests.

It keeps no state between requests: each one holds the conversation as the caller heard it.

    {"type": "ask", "version": 1, "system": str, "messages": [...], "tools": [...], "trace": {...}}

`messages` and `tools` have the shape of Amazon Bedrock's Converse API. `trace` may be left out: headers of W3C Trace
Context and Baggage, which become the parent and the attributes of the spans of Strands. The answer is
any number of these frames

    {"type": "text", "token": str}                       a token of the model
    {"type": "message", "message": ..., "model": str}    a complete message, also of a tool of this runtime

and one of these as the last:

    {"type": "done"}
    {"type": "error", "reason": str}                     the class of the error, never its text

The tools of a request run in the server: the answer ends when the model calls one, and the server sends another request
with the result. Each frame is a message of the WebSocket; over HTTP, the request is the body, and the frames are the
events of the stream.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal

from bedrock_agentcore import BedrockAgentCoreApp
from botocore.config import Config
from opentelemetry import baggage
from opentelemetry.context import attach
from opentelemetry.propagate import extract
from pydantic import BaseModel
from starlette.websockets import WebSocket
from strands import Agent
from strands.models import BedrockModel
from strands.models.model import Model
from strands.types.exceptions import EventLoopException
from strands.types.streaming import StreamEvent
from strands.types.tools import AgentTool, ToolGenerator, ToolResultContent, ToolSpec, ToolUse

log = logging.getLogger("agent_runtime")

PLACEHOLDER: list[ToolResultContent] = [{"text": "(runs in the server)"}]
MAX_ROUNDS = 10  # requests to the model in one answer
# Strands writes no content into its spans, in case that this runtime is measured.
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental,gen_ai_unredacted_attributes="
TOOLS: list[Any] = []  # tools that run here: functions with the decorator strands.tool, clients of MCP


class Ask(BaseModel):
    type: Literal["ask"]
    version: Literal[1]
    system: str
    messages: list[Any]
    tools: list[Any]
    trace: dict[str, str] = {}


def create_app(model: Model) -> BedrockAgentCoreApp:
    model.stream = without_error_texts(model.stream)  # type: ignore[method-assign]
    app = BedrockAgentCoreApp()

    @app.entrypoint
    async def invocation(payload: Any) -> AsyncGenerator[dict[str, Any]]:
        async with aclosing(answer(payload, model)) as frames:
            async for frame in frames:
                yield frame

    @app.websocket
    async def conversation(websocket: WebSocket, context: Any) -> None:
        """One answer at a time. A new request or a disconnect cancels it."""
        answering: asyncio.Task[None] | None = None
        await websocket.accept()
        try:
            async for text in websocket.iter_text():
                if answering:
                    answering.cancel()
                answering = asyncio.create_task(send_answer(websocket, text, model))
        finally:
            if answering:
                answering.cancel()

    return app


def without_error_texts(stream: Callable[..., Any]) -> Callable[..., AsyncGenerator[StreamEvent]]:
    """The stream of a model, whose errors have no text: Strands writes it into spans, and it may quote the caller."""

    async def quiet(*args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent]:
        try:
            async with aclosing(stream(*args, **kwargs)) as events:
                async for event in events:
                    yield event
        except Exception as error:
            error.args = ()
            raise

    return quiet


async def send_answer(websocket: WebSocket, text: str, model: Model) -> None:
    try:
        async with aclosing(answer(text, model)) as frames:
            async for frame in frames:
                await websocket.send_text(json.dumps(frame))
    except Exception as error:  # the server has disconnected
        log.info("an answer was not sent: %s", type(error).__name__)


async def answer(payload: Any, model: Model) -> AsyncGenerator[dict[str, Any]]:
    """The frames that answer a request, as JSON or parsed. Never raises."""
    try:
        ask = Ask.model_validate_json(payload) if isinstance(payload, str) else Ask.model_validate(payload)
        attach(extract(ask.trace))  # for the rest of this task: each answer has one
        async with aclosing(run_agent(ask, model)) as frames:
            async for frame in frames:
                yield frame
        last: dict[str, Any] = {"type": "done"}
    except Exception as error:
        cause = error.original_exception if isinstance(error, EventLoopException) else error
        log.error("an answer failed: %s", type(cause).__name__)  # its text may quote the caller
        last = {"type": "error", "reason": type(cause).__name__}
    yield last


async def run_agent(ask: Ask, model: Model) -> AsyncGenerator[dict[str, Any]]:
    agent = Agent(
        model,
        messages=ask.messages,
        system_prompt=ask.system,
        tools=[*TOOLS, *(ServerTool(spec) for spec in ask.tools)],
        callback_handler=None,  # Strands prints every token otherwise, into the logs of the runtime
        trace_attributes={name: str(value) for name, value in baggage.get_all().items()},
        retry_strategy=None,  # it would wait 4 to 240 seconds
    )
    model_id = str(model.get_config().get("model_id", ""))
    stream: Any = agent.stream_async(limits={"turns": MAX_ROUNDS})  # a generator, though not by its type
    async with aclosing(stream) as events:
        async for event in events:
            if token := event.get("data"):
                yield {"type": "text", "token": token}
            message = event.get("message", {"content": []})
            if blocks := [block for block in message["content"] if is_reported(block)]:
                reported = {"role": message["role"], "content": blocks}
                yield {"type": "message", "message": reported, "model": model_id}


def is_reported(block: Mapping[str, Any]) -> bool:
    """False for reasoning and for placeholders of results."""
    result = "toolResult" in block and block["toolResult"]["content"] != PLACEHOLDER
    return bool("toolUse" in block or result or block.get("text"))


class ServerTool(AgentTool):
    """A tool that the server runs. When the model calls it, Strands stops after the other tools."""

    def __init__(self, spec: ToolSpec) -> None:
        super().__init__()
        self.spec = spec

    @property
    def tool_name(self) -> str:
        return self.spec["name"]

    @property
    def tool_spec(self) -> ToolSpec:
        return self.spec

    @property
    def tool_type(self) -> str:
        return "server"

    async def stream(self, tool_use: ToolUse, invocation_state: dict[str, Any], **kwargs: Any) -> ToolGenerator:
        invocation_state["agent"].cancel(after_current_tools=True)
        yield {"toolUseId": tool_use["toolUseId"], "status": "success", "content": PLACEHOLDER}


def bedrock() -> BedrockModel:
    """The model that AGENT_MODEL names; a model id of Amazon Bedrock or an inference profile."""
    config = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1})
    return BedrockModel(model_id=os.environ["AGENT_MODEL"], boto_client_config=config)


if __name__ == "__main__":
    create_app(bedrock()).run()
