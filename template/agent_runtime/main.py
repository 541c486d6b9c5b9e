"""The model, run by a Strands agent in Amazon Bedrock AgentCore. The server that carries the call asks it.

It keeps nothing from one ask to the next, so nothing can be stale: each brings the conversation as the caller heard it.

    {"type": "ask", "version": 1, "system": str, "messages": [...], "tools": [...]}

`messages` and `tools` have the shape of Amazon Bedrock's Converse API. The answer is any number of these

    {"type": "text", "token": str}                       words of the model, as they come
    {"type": "message", "message": ..., "model": str}    what they came to; or what a tool of this runtime has returned

and one of these at last:

    {"type": "done"}
    {"type": "error", "reason": str}                     the name of a class, never its text

A tool that came with the ask belongs to the call and runs in the server: the answer ends when it is called, and the
server asks again with the result. Each frame is a message of the WebSocket; over HTTP, the ask is the body of the
request, and the frames are the events of the stream.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Literal

from bedrock_agentcore import BedrockAgentCoreApp
from botocore.config import Config
from pydantic import BaseModel
from starlette.websockets import WebSocket
from strands import Agent
from strands.models import BedrockModel
from strands.models.model import Model
from strands.types.exceptions import EventLoopException
from strands.types.tools import AgentTool, ToolGenerator, ToolResultContent, ToolSpec, ToolUse

log = logging.getLogger("agent_runtime")

TO_COME: list[ToolResultContent] = [{"text": "(runs in the server)"}]
TOOLS: list[Any] = []  # what runs here: functions with the decorator strands.tool, clients of MCP


class Ask(BaseModel):
    type: Literal["ask"]
    version: Literal[1]
    system: str
    messages: list[Any]
    tools: list[Any]


def create_app(model: Model) -> BedrockAgentCoreApp:
    app = BedrockAgentCoreApp()

    @app.entrypoint
    async def invocation(payload: Any) -> AsyncGenerator[dict[str, Any]]:
        async with aclosing(answer(payload, model)) as frames:
            async for frame in frames:
                yield frame

    @app.websocket
    async def conversation(websocket: WebSocket, context: Any) -> None:
        """One answer at a time. Who asks again or goes away has no use for the last one."""
        answering: asyncio.Task[None] | None = None
        await websocket.accept()
        try:
            async for text in websocket.iter_text():
                if answering:
                    answering.cancel()
                answering = asyncio.create_task(reply(websocket, text, model))
        finally:
            if answering:
                answering.cancel()

    return app


async def reply(websocket: WebSocket, text: str, model: Model) -> None:
    try:
        async with aclosing(answer(text, model)) as frames:
            async for frame in frames:
                await websocket.send_text(json.dumps(frame))
    except Exception as error:  # whoever asked has gone away
        log.info("an answer was not sent: %s", type(error).__name__)


async def answer(payload: Any, model: Model) -> AsyncGenerator[dict[str, Any]]:
    """The frames that answer an ask, JSON or parsed. Never raises."""
    try:
        ask = Ask.model_validate_json(payload) if isinstance(payload, str) else Ask.model_validate(payload)
        async with aclosing(told(ask, model)) as frames:
            async for frame in frames:
                yield frame
        last: dict[str, Any] = {"type": "done"}
    except Exception as error:
        cause = error.original_exception if isinstance(error, EventLoopException) else error
        log.error("an answer failed: %s", type(cause).__name__)  # its text may quote the caller
        last = {"type": "error", "reason": type(cause).__name__}
    yield last


async def told(ask: Ask, model: Model) -> AsyncGenerator[dict[str, Any]]:
    agent = Agent(
        model,
        messages=ask.messages,
        system_prompt=ask.system,
        tools=[*TOOLS, *(OfServer(spec) for spec in ask.tools)],
        callback_handler=None,  # Strands prints every word otherwise, into the logs of the runtime
        retry_strategy=None,  # it would wait 4 to 240 seconds; the caller is on the phone
    )
    model_id = str(model.get_config().get("model_id", ""))
    stream: Any = agent.stream_async()  # a generator, though not by its type
    async with aclosing(stream) as events:
        async for event in events:
            if word := event.get("data"):
                yield {"type": "text", "token": word}
            message = event.get("message", {"content": []})
            if blocks := [block for block in message["content"] if is_told(block)]:
                said = {"role": message["role"], "content": blocks}
                yield {"type": "message", "message": said, "model": model_id}


def is_told(block: Mapping[str, Any]) -> bool:
    """Not the thoughts of a model, nor what stands for the result of the server."""
    result = "toolResult" in block and block["toolResult"]["content"] != TO_COME
    return bool("toolUse" in block or result or block.get("text"))


class OfServer(AgentTool):
    """A tool that the model may call and the server runs. Called, it has Strands stop after the tools of its own."""

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
        yield {"toolUseId": tool_use["toolUseId"], "status": "success", "content": TO_COME}


def bedrock() -> BedrockModel:
    """The model that AGENT_MODEL names; a model id of Amazon Bedrock or an inference profile."""
    patience = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1})
    return BedrockModel(model_id=os.environ["AGENT_MODEL"], boto_client_config=patience)


if __name__ == "__main__":
    create_app(bedrock()).run()
