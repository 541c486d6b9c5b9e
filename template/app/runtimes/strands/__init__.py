"""Models on Amazon Bedrock, run by a Strands agent in this process. The next one is asked when one is silent or fails.

Each turn has an agent of its own: what it knows is the conversation as the caller heard it, out of the session store.
So the roles alternate after an interruption, and a call goes on elsewhere, without a session manager of Strands.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import wraps
from typing import Any, Self

import structlog
from pydantic import Field
from strands import Agent, tool
from strands.models import BedrockModel
from strands.models.model import Model
from strands.types.streaming import StreamEvent
from strands.types.tools import AgentTool, ToolGenerator, ToolSpec, ToolUse

from app import config
from app.runtime import Runtime, as_text, reason, run_shielded, run_tool_safely, start_record, with_timeout
from app.runtimes.aws import AwsSettings, missing_credentials, patience
from app.runtimes.aws.messages import as_record, as_told
from app.session import Session
from app.turn import Turn

log = structlog.get_logger()


class StrandsSettings(AwsSettings):
    model: str = Field(config.MODEL, alias="AGENT_MODEL", description="Write a model id of Amazon Bedrock.")
    fallback_model: str | None = Field(
        None, alias="AGENT_FALLBACK_MODEL", description="Write a model id of Amazon Bedrock, or leave it out."
    )


class Strands(Runtime):
    """`deadline` is how long, in seconds, a model may be silent; a tool may take twice as long."""

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

    async def answer(
        self,
        session: Session,
        turn: Turn,
        instructions: str,
        tools: Sequence[Callable[..., Any]],
        tell: Callable[[str], None],
    ) -> None:
        chain = Chain(self.models, self.deadline)
        record = start_record(turn, instructions)
        agent = Agent(
            chain,
            messages=as_told(session.history),
            system_prompt=instructions,
            tools=[Finishing(each, turn, 2 * self.deadline) for each in tools],
            callback_handler=None,  # Strands prints every word otherwise, into the logs of a container
        )
        stream: Any = agent.stream_async(turn.user_text)  # a generator, though not by its type
        async with aclosing(stream) as events:
            async for event in events:
                if word := event.get("data"):
                    tell(word)
                elif message := event.get("message"):
                    record.append(as_record(message, turn.run_id, chain.asked))


def bedrock(model_id: str, settings: AwsSettings) -> BedrockModel:
    return BedrockModel(model_id=model_id, region_name=settings.region, boto_client_config=patience(settings.deadline))


class ModelsDown(Exception):
    """No model has answered. Not an error of Strands, which would try again after 4 to 240 seconds."""


class Chain(Model):
    """Several models as one. `asked` is the name of the one that answered last."""

    def __init__(self, models: Sequence[Model], deadline: float) -> None:
        self.models = models
        self.deadline = deadline
        self.asked = ""

    def update_config(self, **model_config: Any) -> None:
        raise NotImplementedError

    def get_config(self) -> Any:
        return self.models[0].get_config()

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent]:
        """The events of the first model that begins in time. One that breaks off later is not replaced."""
        failures = []
        for model in self.models:
            self.asked = str(model.get_config().get("model_id", ""))
            stream: Any = model.stream(*args, **kwargs)  # a generator, though not by its type
            async with aclosing(stream) as events:
                try:
                    async with asyncio.timeout(self.deadline):
                        begun = [
                            await anext(events),
                            await anext(events),
                        ]  # the first only says that there will be more
                except Exception as error:
                    log.warning("model.failed", model=self.asked, error=reason(error))
                    failures.append(type(error).__name__)
                    continue
                for event in begun:
                    yield event
                try:
                    async for event in events:
                        yield event
                except Exception as error:
                    raise ModelsDown(reason(error)) from error
                return
        raise ModelsDown(", ".join(failures))


class Finishing(AgentTool):
    """A function as a tool of Strands: it finishes what it began, and its failure reaches the model as a sentence."""

    def __init__(self, function: Callable[..., Any], turn: Turn, limit: float) -> None:
        super().__init__()
        self.turn = turn

        @wraps(function)
        async def attempted(*args: Any, **kwargs: Any) -> Any:
            # As text: Strands takes a dict with `status` and `content` for a result of its own making.
            return as_text(await run_tool_safely(function.__name__, with_timeout(limit, function, *args, **kwargs)))

        self.tool: AgentTool = tool(attempted)

    @property
    def tool_name(self) -> str:
        return self.tool.tool_name

    @property
    def tool_spec(self) -> ToolSpec:
        return self.tool.tool_spec

    @property
    def tool_type(self) -> str:
        return self.tool.tool_type

    async def stream(self, tool_use: ToolUse, invocation_state: dict[str, Any], **kwargs: Any) -> ToolGenerator:
        events: list[Any] = []

        async def result() -> str:
            events.extend([event async for event in self.tool.stream(tool_use, invocation_state, **kwargs)])
            return "".join(block.get("text", "") for block in events[-1].tool_result["content"])

        await run_shielded(self.turn, tool_use["toolUseId"], result())
        yield events[-1]
