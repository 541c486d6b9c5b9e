"""Models of any provider, run by pydantic-ai. The next one is asked when one is silent or fails."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Self

from pydantic import Field
from pydantic_ai import Agent, ModelSettings, RunContext, capture_run_messages
from pydantic_ai import messages as m
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool

from app import config
from app.runtimes import MAX_ROUNDS, Runtime, start_round
from app.runtimes.tools import TurnTool
from app.session import Session
from app.settings import Settings
from app.turn import Turn


class ModelsSettings(Settings):
    model: str = Field(config.MODEL, alias="AGENT_MODEL", description="Write provider:model, as in openai:gpt-6-luna.")
    fallback_model: str | None = Field(
        config.FALLBACK_MODEL, alias="AGENT_FALLBACK_MODEL", description="Write provider:model, or leave it out."
    )


class Models(Runtime):
    """`deadline` is how long, in seconds, a model may be silent; a tool may take twice as long.

    The brain has the same deadline: it says HOLD about when `first_event_timeout` makes the next model answer or the
    turn fail.
    """

    settings = ModelsSettings

    def __init__(self, models: Sequence[Model | str], deadline: float) -> None:
        first, *others = [infer_model(model) for model in models]
        self.model = FallbackModel(first, *others, fallback_on=(Exception,)) if others else first
        self.deadline = deadline
        self.agent = Agent(
            deps_type=Session,
            retries={"tools": MAX_ROUNDS},  # unknown tools are told to the model; `start_round` has the limit
            model_settings=ModelSettings(first_event_timeout=deadline, request_timeout=4 * deadline),
        )

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        return cls(models or [model for model in (settings.model, settings.fallback_model) if model], settings.deadline)

    @staticmethod
    def model_names() -> list[str]:
        chosen = (
            os.environ.get("AGENT_MODEL") or config.MODEL,
            os.environ.get("AGENT_FALLBACK_MODEL") or config.FALLBACK_MODEL,
        )
        return [model for model in chosen if model]

    @staticmethod
    def missing_env() -> dict[str, str]:
        providers = {model.partition(":")[0] for model in Models.model_names()}
        return {
            name: f"The {provider} models need it; see {address}."
            for provider, (names, address) in config.MODEL_KEYS.items()
            if provider in providers
            for name in names
            if not os.environ.get(name)
        }

    @staticmethod
    def invalid_models(settings: Any) -> list[str]:
        problems = []
        for name, model in (("AGENT_MODEL", settings.model), ("AGENT_FALLBACK_MODEL", settings.fallback_model)):
            try:
                if model:
                    infer_model(model)
            except (UserError, ValueError, ImportError) as error:
                problems.append(f"{name} is {model!r}. {str(error).splitlines()[0]}")
        return problems

    async def warm_up(self) -> None:
        await self.agent.run("", model=TestModel(call_tools=[]))

    async def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        with capture_run_messages() as turn.record:
            async with self.agent.iter(
                turn.user_text,
                model=self.model,
                message_history=session.history,
                instructions=instructions,
                deps=session,
                toolsets=[Tools([TurnTool(tool, turn, 2 * self.deadline) for tool in tools])],
                run_id=turn.run_id,
            ) as run:
                async for node in run:
                    if Agent.is_model_request_node(node):
                        start_round(turn)
                        async with node.stream(run.ctx) as events:
                            async for event in events:
                                if token := text_of(event):
                                    yield token


def text_of(event: m.AgentStreamEvent) -> str:
    """The text that an event adds to the reply."""
    match event:
        case (
            m.PartStartEvent(part=m.TextPart(content=token))
            | m.PartDeltaEvent(delta=m.TextPartDelta(content_delta=token))
        ):
            return token
    return ""


class Tools(AbstractToolset[Session]):
    """The tools of one turn. They check their arguments, since pydantic-ai gives up after the second wrong call."""

    id = None

    def __init__(self, tools: Sequence[TurnTool]) -> None:
        self.tools = {tool.name: tool for tool in tools}

    async def get_tools(self, ctx: RunContext[Session]) -> dict[str, ToolsetTool[Session]]:
        return {
            name: ToolsetTool(toolset=self, tool_def=tool.definition, max_retries=0, args_validator=Unchecked())
            for name, tool in self.tools.items()
        }

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Session], tool: ToolsetTool[Session]
    ) -> Any:
        return await self.tools[name].result(tool_args["arguments"], ctx.tool_call_id)


class Unchecked:
    """Passes arguments on as they are, JSON or parsed."""

    def validate_json(self, input: Any, **_: Any) -> dict[str, Any]:
        return {"arguments": input}

    validate_python = validate_json
