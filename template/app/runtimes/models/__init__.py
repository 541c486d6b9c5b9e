"""Models of any provider, run by pydantic-ai. The next one is asked when one is silent or fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any, Self

import structlog
from pydantic import Field
from pydantic_ai import ModelSettings, RunContext
from pydantic_ai import messages as m
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, infer_model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers import infer_provider_class

from app import config
from app.event_loop import Deadline
from app.history import tidy_message
from app.runtimes import ModelFailed, Runtime, rehearse, safe_error_text, start_record, start_round
from app.runtimes.tools import TurnTool, run_tool
from app.session import Session
from app.settings import Settings
from app.turn import Turn

log = structlog.get_logger()

WRITE_MODEL = "Write provider:model, as in openai:gpt-6-luna."
REASONED = ("openai", "azure", "anthropic", "google", "bedrock")  # providers that say why an answer ends


class ModelsSettings(Settings):
    model: str = Field(config.MODEL, alias="AGENT_MODEL", description=WRITE_MODEL)
    fallback_model: str | None = Field(
        config.FALLBACK_MODEL, alias="AGENT_FALLBACK_MODEL", description="Write provider:model, or leave it out."
    )


class Models(Runtime):
    """`deadline` is how long, in seconds, a model may be silent; a tool may take twice as long.

    The brain has the same deadline: it says HOLD about when the next model answers or the turn fails.
    """

    settings = ModelsSettings

    def __init__(self, models: Sequence[Model | str], deadline: float) -> None:
        retries = {} if len(models) == 1 else {"max_retries": 0}  # the next model answers sooner
        self.models = [UntilSpoken(client_of(model, deadline), deadline, retries) for model in models]
        first, *others = self.models
        self.model = FallbackModel(first, *others, fallback_on=log_failure) if others else first
        self.deadline = deadline

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        first, *others = models or [model for model in (settings.model, settings.fallback_model) if model]
        problems = [missing_key(model) for model in others]
        for problem in filter(None, problems):
            log.warning("model.left_out", problem=problem)
        return cls([first, *(each for each, why in zip(others, problems, strict=True) if not why)], settings.deadline)

    @staticmethod
    def model_names() -> list[str]:
        chosen = (
            os.environ.get("AGENT_MODEL") or config.MODEL,
            os.environ.get("AGENT_FALLBACK_MODEL") or config.FALLBACK_MODEL,
        )
        return [model for model in chosen if model]

    @staticmethod
    def missing_env() -> dict[str, str]:
        providers = {model.partition(":")[0] for model in Models.model_names()[:1]}
        return {
            name: f"The {provider} models need it; see {address}."
            for provider, (names, address) in config.MODEL_KEYS.items()
            if provider in providers
            for name in names
            if not os.environ.get(name)
        }

    @staticmethod
    def left_out() -> list[str]:
        return [*filter(None, map(missing_key, Models.model_names()[1:]))]

    @staticmethod
    def invalid_models(settings: Any) -> list[str]:
        problems = []
        for name, model in (("AGENT_MODEL", settings.model), ("AGENT_FALLBACK_MODEL", settings.fallback_model)):
            try:
                if model and name == "AGENT_FALLBACK_MODEL" and missing_key(model):
                    continue
                if model and not infer_model(model).model_name:
                    raise UserError("Unknown model")
            except (UserError, ValueError, ImportError) as error:
                reason = str(error).splitlines()[0]
                problems.append(f"{name} is {model!r}. {WRITE_MODEL if 'Unknown model' in reason else reason}")
        return problems

    async def warm_up(self) -> None:
        async def one_word(messages: Sequence[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
            yield "Yes."  # read as the streams of providers are, which loads more than a TestModel does

        await rehearse(Models([FunctionModel(stream_function=one_word)], self.deadline))
        for model in self.models:
            model.prepare_messages([], ModelRequestParameters())  # looks up what this model can do

    async def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        known = {tool.__name__: TurnTool(tool, turn, 2 * self.deadline) for tool in tools}
        offered = ModelRequestParameters(
            function_tools=[tool.definition for tool in known.values()],
            instruction_parts=[m.InstructionPart(instructions)],
        )
        record = start_record(turn, instructions)
        while True:
            start_round(turn)
            messages = m.repair_messages([*turn.earlier, *record])
            if self.model is self.models[0]:  # a FallbackModel does so for each of its models
                messages = self.model.prepare_messages(messages, offered)
            async with model_request_stream(self.model, messages, model_request_parameters=offered) as events:
                try:
                    async for event in events:
                        if token := text_of(event):
                            yield token
                finally:
                    response = replace(events.get(), run_id=turn.run_id)
                    record.append(response)
            if not response.tool_calls:
                break
            results = await asyncio.gather(*(run_tool(known, call) for call in response.tool_calls))
            record.append(m.ModelRequest(results, run_id=turn.run_id))
        if not turn.spoken_text.strip() and not (response.text or "").strip():
            raise ModelFailed("an empty answer")


def log_failure(error: Exception) -> bool:
    """True: the next model is asked after any failure."""
    log.warning("model.failed", model=getattr(error, "model_name", None), error=safe_error_text(error))
    return True


def missing_key(model: Any) -> str | None:
    """One line when this model cannot be asked, since a variable with its key is not set."""
    if not isinstance(model, str):
        return None
    names, address = config.MODEL_KEYS.get(model.partition(":")[0], ([], ""))
    if missing := [name for name in names if not os.environ.get(name)]:
        return f"{model} is left out: {', '.join(missing)} is missing; see {address}."
    try:
        infer_model(model)
    except UserError as error:
        reason = str(error).splitlines()[0]
        return None if "Unknown model" in reason else f"{model} is left out: {reason}"
    except (ValueError, ImportError):
        pass  # `invalid_models` has the reason
    return None


def client_of(model: Model | str, deadline: float) -> Model:
    """The model with the client of its provider. For Amazon Bedrock it has limits: botocore waits for a minute, reads
    for five, and retries four times, of which a request can change nothing.
    """

    def limited(provider: str) -> Any:
        limits = {"connect_timeout": deadline, "read_timeout": 4 * deadline, "retries": {"total_max_attempts": 1}}
        configuration = import_module("botocore.config").Config(**limits)
        client = import_module("boto3").client("bedrock-runtime", config=configuration)
        return infer_provider_class(provider)(bedrock_client=client)  # type: ignore[call-arg]

    is_bedrock = isinstance(model, str) and model.startswith("bedrock:")
    return infer_model(model, limited) if is_bedrock else infer_model(model)


class UntilSpoken(WrapperModel):
    """A model whose stream is handed over with its first word, or whole if it has none: one that fails before can be
    replaced by the next model. It may be silent for `deadline` seconds, and think for four times as long. `settings`
    are added to those of each request, if the model has them.
    """

    def __init__(self, model: Model, deadline: float, settings: Mapping[str, Any]) -> None:
        super().__init__(model)
        self.deadline = deadline
        self.added = {name: settings[name] for name in settings if name not in model.unsupported_settings}

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[m.ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        settings: Any = {**(model_settings or {}), **self.added}
        run_id = messages[-1].run_id  # the messages of earlier turns are tidy
        messages = [tidy_message(message) if message.run_id == run_id else message for message in messages]
        held: list[m.ModelResponseStreamEvent] = []
        async with AsyncExitStack() as stack:
            async with Deadline(self.deadline) as silence:
                response = await stack.enter_async_context(
                    super().request_stream(messages, settings, model_request_parameters, run_context)
                )
                events = await stack.enter_async_context(aclosing(whole_answer(response, messages)))
                async for event in events:
                    held.append(event)
                    if text_of(event).strip():
                        break
                    if not isinstance(getattr(event, "part", None), m.TextPart):  # a thought or a tool call
                        silence.extend(4 * self.deadline)

            async def from_the_start() -> AsyncGenerator[m.ModelResponseStreamEvent]:
                for event in held:
                    yield event
                async for event in events:
                    yield event

            response._event_iterator = from_the_start()  # as pydantic-ai's FallbackModel does with the first event
            yield response


async def whole_answer(
    response: StreamedResponse, messages: Sequence[m.ModelMessage]
) -> AsyncGenerator[m.ModelResponseStreamEvent]:
    """The events of an answer. Raises ModelFailed when it ends too early; of a closed stream no client notices that."""
    async for event in response:
        yield event
    answer = response.get()
    if answer.finish_reason == "content_filter":
        raise ModelFailed("content filter")
    if answer.provider_name in REASONED and not (answer.provider_details or {}).get("finish_reason"):
        raise ModelFailed("the stream broke off")
    asked = any(isinstance(part, m.UserPromptPart) for part in messages[-1].parts)  # after a tool, silence may be meant
    if asked and not answer.tool_calls and not (answer.text or "").strip():
        raise ModelFailed("an empty answer")


def text_of(event: m.ModelResponseStreamEvent) -> str:
    """The text that an event adds to the reply."""
    match event:
        case (
            m.PartStartEvent(part=m.TextPart(content=token))
            | m.PartDeltaEvent(delta=m.TextPartDelta(content_delta=token))
        ):
            return token
    return ""
