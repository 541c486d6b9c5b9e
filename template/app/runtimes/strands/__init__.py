"""Models on Amazon Bedrock, run by a Strands agent in this process. The next model is tried when one fails.

Each turn has a new agent, with the history from the session store, as the caller heard it. So user and assistant
messages alternate after an interruption, and a call can move to another worker without a session manager of Strands.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import Any, Self

from pydantic import Field
from strands import Agent
from strands.models import BedrockModel
from strands.models.model import Model
from strands.types.content import Messages
from strands.types.streaming import StreamEvent
from strands.types.tools import AgentTool, ToolGenerator, ToolSpec, ToolUse

from app import config
from app.runtimes import ModelFailed, Runtime, rehearse, start_record
from app.runtimes.aws import AwsSettings, client_config, missing_credentials
from app.runtimes.aws.messages import bedrock_messages, record_of, tool_spec, valid_messages
from app.runtimes.streams import as_text, first_stream_to_begin
from app.runtimes.tools import TurnTool
from app.session import Session
from app.turn import Turn

THREADS = 200  # requests to models at a time
FILTERED = ("content_filtered", "guardrail_intervened", "refusal")  # stop reasons of an answer that is to be discarded


class StrandsSettings(AwsSettings):
    model: str = Field(config.MODEL, alias="AGENT_MODEL", description="Write a model id of Amazon Bedrock.")
    fallback_model: str | None = Field(
        None, alias="AGENT_FALLBACK_MODEL", description="Write a model id of Amazon Bedrock, or leave it out."
    )


class Strands(Runtime):
    """`deadline` is the longest silence of a model in seconds; a tool may take twice as long."""

    settings = StrandsSettings

    def __init__(self, models: Sequence[Model], deadline: float) -> None:
        self.models = models
        self.deadline = deadline

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        named = models or [model for model in (settings.model, settings.fallback_model) if model]
        return cls(
            [bedrock(model, settings) if isinstance(model, str) else model for model in named], settings.deadline
        )

    @staticmethod
    def model_names() -> list[str]:
        return [os.environ.get("AGENT_MODEL") or config.MODEL, *filter(None, [os.environ.get("AGENT_FALLBACK_MODEL")])]

    @staticmethod
    def missing_env() -> dict[str, str]:
        return missing_credentials()

    async def warm_up(self) -> None:
        # Strands reads in these threads. A model that hangs holds one for four deadlines, and the usual few are not
        # enough for the other calls, nor for their next model.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        stand_in: Any = NoModel()
        await rehearse(Strands([stand_in], self.deadline))

    async def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        models = FallbackModel(turn, self.models, self.deadline)
        record = start_record(turn, instructions)
        agent = Agent(
            models,
            messages=bedrock_messages(turn.earlier),
            system_prompt=instructions,
            tools=[StrandsTool(TurnTool(each, turn, 2 * self.deadline)) for each in tools],
            name=config.PROJECT,
            callback_handler=None,  # the default prints every token, into the logs of a container
        )
        stream: Any = agent.stream_async(turn.user_text)  # a generator, though not by its type
        async with aclosing(stream) as events:
            async for event in events:
                if token := event.get("data"):
                    yield token
                elif message := event.get("message"):
                    record.append(record_of(message, turn.run_id, models.answering))


def bedrock(model_id: str, settings: StrandsSettings) -> BedrockModel:
    retries = 0 if settings.fallback_model else 1
    return BedrockModel(
        model_id=model_id, region_name=settings.region, boto_client_config=client_config(settings.deadline, retries)
    )


class NoModel:
    """Answers at once, for the warm-up. It has what FallbackModel uses of a model."""

    def get_config(self) -> Any:
        return {}

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent]:
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {}}}
        yield {"contentBlockDelta": {"delta": {"text": "Yes."}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}


class FallbackModel(Model):
    """Several models as one, for one turn. `answering` is the id of the last one that was called."""

    def __init__(self, turn: Turn, models: Sequence[Model], deadline: float) -> None:
        self.turn = turn
        self.models = models
        self.deadline = deadline
        self.answering = ""

    def update_config(self, **model_config: Any) -> None:
        raise NotImplementedError

    def get_config(self) -> Any:
        return self.models[0].get_config()

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream(self, messages: Messages, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent]:
        """Raises AnswerFailed, which Strands does not retry; it would retry its own errors after 4 to 240 seconds."""

        async def open_stream(model: Model) -> AsyncGenerator[StreamEvent]:
            self.answering, reason = model_id(model), None
            stream: Any = model.stream(valid_messages(messages), *args, **kwargs)  # a generator, though not by its type
            async with aclosing(stream) as events:
                async for event in events:
                    reason = event.get("messageStop", {}).get("stopReason", reason)
                    yield event
            if reason is None or reason in FILTERED:  # Strands lets both pass
                raise ModelFailed(reason or "the stream broke off")

        streams = [(model_id(model), partial(open_stream, model)) for model in self.models]
        return first_stream_to_begin(self.turn, streams, self.deadline, has_begun, is_final=is_word)


def has_begun(event: StreamEvent) -> bool:
    """True for a word, a thought or a tool call."""
    delta = event.get("contentBlockDelta", {}).get("delta", {})
    return (
        is_word(event)
        or "toolUse" in event.get("contentBlockStart", {}).get("start", {})
        or (bool(delta) and "text" not in delta)
    )


def is_word(event: StreamEvent) -> bool:
    return bool(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "").strip())


def model_id(model: Model) -> str:
    return str(model.get_config().get("model_id", ""))


class StrandsTool(AgentTool):
    """A function as a tool of Strands."""

    def __init__(self, tool: TurnTool) -> None:
        super().__init__()
        self.tool = tool

    @property
    def tool_name(self) -> str:
        return self.tool.name

    @property
    def tool_spec(self) -> ToolSpec:
        spec: ToolSpec = tool_spec(self.tool)
        return spec

    @property
    def tool_type(self) -> str:
        return "function"

    async def stream(self, tool_use: ToolUse, invocation_state: dict[str, Any], **kwargs: Any) -> ToolGenerator:
        text = as_text(await self.tool.result(tool_use["input"], tool_use["toolUseId"]))
        yield {"toolUseId": tool_use["toolUseId"], "status": "success", "content": [{"text": text}]}
