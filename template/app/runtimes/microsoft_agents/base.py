"""An agent of Microsoft's Agent Framework for each turn: what the runtimes on Azure have in common.

What it knows is the conversation as the caller heard it, out of the session store. So it stays in step after an
interruption, and a call goes on elsewhere, without a session of Agent Framework.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import structlog
from agent_framework import (
    Agent,
    BaseChatClient,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    FunctionTool,
    Message,
)
from pydantic_ai import messages as m

from app.runtime import Runtime, reason, start_record
from app.runtimes.microsoft_agents.messages import as_arguments, as_record, as_told
from app.runtimes.remote_tool import Offered
from app.session import Session
from app.turn import Turn

log = structlog.get_logger()


class Agents(Runtime):
    """`deadline` is how long, in seconds, a model may be silent; a tool may take twice as long."""

    def __init__(self, clients: Sequence[BaseChatClient[Any]], deadline: float) -> None:
        self.clients = clients
        self.deadline = deadline

    async def answer(
        self,
        session: Session,
        turn: Turn,
        instructions: str,
        tools: Sequence[Callable[..., Any]],
        tell: Callable[[str], None],
    ) -> None:
        record = start_record(turn, instructions)
        called: dict[str, str] = {}  # the names of tools, by the ids of their calls

        def heard(response: ChatResponse[Any], model: str) -> None:
            answer = as_record(response, model, turn.run_id)
            called.update({call.tool_call_id: call.tool_name for call in answer.tool_calls})
            record.append(answer)

        agent = Agent(
            Chain(self.clients, self.deadline, heard),
            instructions,
            tools=[Finishing(Offered(tool, turn, 2 * self.deadline)) for tool in tools],
            default_options={"store": False},  # Azure keeps nothing of a conversation
        )
        words = Words()
        async with agent.run([*as_told(session.history), Message("user", [turn.user_text])], stream=True) as updates:
            async for update in updates:
                returned = []
                for content in update.contents:
                    if content.type == "text" and (word := words.new_in(content)):
                        tell(word)
                    elif content.type == "function_result" and (name := called.get(str(content.call_id))):
                        returned.append(m.ToolReturnPart(name, content.result, str(content.call_id)))
                if returned:
                    record.append(m.ModelRequest(returned, run_id=turn.run_id))


class Words:
    """The text of an answer, told once."""

    def __init__(self) -> None:
        self.part = ""

    def new_in(self, content: Content) -> str:
        """Words that were not told yet: when a part is complete, the Responses API sends the whole of it again."""
        text = content.text or ""
        if content.merge_mode != "replace":
            self.part += text
            return text
        new, self.part = text[len(self.part) :], ""
        return new


class ModelsDown(Exception):
    """No model has answered, or the one that began has broken off."""


class ModelFailed(Exception):
    """A model said that it failed, or nothing at all."""


class Chain(FunctionInvocationLayer[Any], BaseChatClient[Any]):
    """Several clients as one, for one turn. `heard` is told of every whole answer, and who gave it."""

    def __init__(
        self,
        clients: Sequence[BaseChatClient[Any]],
        deadline: float,
        heard: Callable[[ChatResponse[Any], str], None],
    ) -> None:
        super().__init__()
        self.clients = clients
        self.deadline = deadline
        self.heard = heard

    def _inner_get_response(self, *, messages: Sequence[Message], stream: bool, options: Any, **kwargs: Any) -> Any:
        return self._build_response_stream(self._updates(messages, options))

    async def _updates(self, messages: Sequence[Message], options: Any) -> AsyncGenerator[ChatResponseUpdate]:
        """What the first model says that begins in time. One that breaks off later is not replaced."""
        failures = []
        for client in self.clients:
            async with client.get_response(messages, stream=True, options=options) as updates:
                begun: list[ChatResponseUpdate] = []
                try:
                    async with asyncio.timeout(self.deadline):
                        while not (begun and has_begun(begun[-1])):
                            begun.append(sound(await anext(updates, None)))
                except Exception as error:
                    log.warning("model.failed", model=name_of(client), error=cause(error))
                    failures.append(cause(error))
                    continue
                for update in begun:
                    yield update
                try:
                    async for update in updates:
                        yield sound(update)
                    self.heard(await updates.get_final_response(), name_of(client))
                except Exception as error:
                    log.warning("model.failed", model=name_of(client), error=cause(error))
                    raise ModelsDown(cause(error)) from error
                return
        raise ModelsDown(", ".join(failures))


def has_begun(update: ChatResponseUpdate) -> bool:
    """Whether it has a word, or a call of a tool. Before them come notices, and thoughts."""
    return any(content.type == "function_call" or content.text for content in update.contents if is_answer(content))


def is_answer(content: Content) -> bool:
    return content.type in ("text", "function_call")


def sound(update: ChatResponseUpdate | None) -> ChatResponseUpdate:
    """The update. Raises ModelFailed for the end of a stream, and for a failure: Agent Framework lets it pass."""
    if update is None:
        raise ModelFailed("the stream has ended")
    if getattr(update.raw_representation, "type", "") == "response.failed":
        raise ModelFailed("response.failed")
    return update


def name_of(client: Any) -> str:
    """Of the deployment, or of the agent."""
    return str(getattr(client, "agent_name", "") or getattr(client, "model", ""))


def cause(error: BaseException) -> str:
    """Why a model failed, in words that quote nobody. Agent Framework wraps what the client of OpenAI raises."""
    return str(error) if isinstance(error, ModelFailed) else reason(error.__cause__ or error)


class Finishing(FunctionTool):
    """A function as a tool of Agent Framework: it finishes what it began, and its failure reaches the model."""

    def __init__(self, offered: Offered) -> None:
        # Of a tool without a function Agent Framework only speaks.
        super().__init__(
            name=offered.name, description=offered.description, input_model=offered.schema, func=offered.function
        )
        self.offered = offered

    async def invoke(
        self, *, arguments: Any = None, context: Any = None, tool_call_id: str | None = None, **kwargs: Any
    ) -> Any:
        return [Content.from_text(await self.offered.result(as_arguments(arguments), str(tool_call_id)))]
