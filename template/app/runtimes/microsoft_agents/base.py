"""What the runtimes on Azure share: each turn runs a new agent of Microsoft's Agent Framework.

The agent receives the history from the session store, as the caller heard it, and Agent Framework keeps no session of
its own. So the history is right after an interruption, and a call can move to another worker.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any

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

from app import config
from app.history import arguments_of
from app.runtimes import MAX_ROUNDS, ModelFailed, Runtime, rehearse, safe_error_text, start_record
from app.runtimes.microsoft_agents.messages import chat_messages, record_of, valid_messages
from app.runtimes.streams import as_text, first_stream_to_begin
from app.runtimes.tools import TurnTool
from app.session import Session
from app.turn import Turn


class AgentFrameworkRuntime(Runtime):
    """`deadline` is the longest silence of a model in seconds; a tool may take twice as long."""

    def __init__(self, clients: Sequence[BaseChatClient[Any]], deadline: float) -> None:
        self.clients = clients
        self.deadline = deadline
        self.client_type: type[FallbackClient] = FallbackClient

    async def warm_up(self) -> None:
        await rehearse(type(self)([NoModel()], self.deadline))

    async def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        record = start_record(turn, instructions)
        tool_names: dict[str, str] = {}  # by the id of the tool call

        def on_response(response: ChatResponse[Any], model: str) -> None:
            message = record_of(response, model, turn.run_id)
            tool_names.update({call.tool_call_id: call.tool_name for call in message.tool_calls})
            record.append(message)

        agent = Agent(
            self.client_type(turn, self.clients, self.deadline, on_response),
            instructions,
            name=config.PROJECT,
            tools=[AgentTool(TurnTool(tool, turn, 2 * self.deadline)) for tool in tools],
            default_options={"store": False},  # Azure stores nothing of a conversation
        )
        tokens = Tokens()
        messages = [*chat_messages(turn.earlier), Message("user", [turn.user_text])]
        async with agent.run(messages, stream=True) as updates:
            async for update in updates:
                returned = []
                for content in update.contents:
                    if content.type == "text" and (token := tokens.new_in(content)):
                        yield token
                    elif content.type == "function_result" and (name := tool_names.get(str(content.call_id))):
                        returned.append(m.ToolReturnPart(name, content.result, str(content.call_id)))
                if returned:
                    record.append(m.ModelRequest(returned, run_id=turn.run_id))


class NoModel(BaseChatClient[Any]):
    """Answers at once, for the warm-up."""

    def _inner_get_response(self, *, messages: Sequence[Message], stream: bool, options: Any, **kwargs: Any) -> Any:
        return self._build_response_stream(self._updates())

    async def _updates(self) -> AsyncGenerator[ChatResponseUpdate]:
        yield ChatResponseUpdate(role="assistant", contents=[Content.from_text("Yes.", merge_mode="append")])


class Tokens:
    """The text of a reply, each token once."""

    def __init__(self) -> None:
        self.part = ""

    def new_in(self, content: Content) -> str:
        """The new text: when a part is complete, the Responses API sends the whole of it again."""
        text = content.text or ""
        if content.merge_mode != "replace":
            self.part += text
            return text
        new, self.part = text[len(self.part) :], ""
        return new


class FallbackClient(FunctionInvocationLayer[Any], BaseChatClient[Any]):
    """Several clients as one, for one turn. Calls `on_response` with each complete response and its model."""

    def __init__(
        self,
        turn: Turn,
        clients: Sequence[BaseChatClient[Any]],
        deadline: float,
        on_response: Callable[[ChatResponse[Any], str], None],
    ) -> None:
        # Agent Framework would say an English sentence of its own after 40 rounds, or three unknown tools in a row.
        limits: Any = dict.fromkeys(("max_iterations", "max_consecutive_errors_per_request"), MAX_ROUNDS + 1)
        super().__init__(function_invocation_configuration=limits)
        self.turn = turn
        self.clients = clients
        self.deadline = deadline
        self.on_response = on_response

    def _inner_get_response(self, *, messages: Sequence[Message], stream: bool, options: Any, **kwargs: Any) -> Any:
        streams = [(model_name(client), partial(self._updates, client, messages, options)) for client in self.clients]
        return self._build_response_stream(
            first_stream_to_begin(
                self.turn, streams, self.deadline, has_begun, is_final=has_word, explain=failure_reason
            )
        )

    async def _updates(
        self, client: BaseChatClient[Any], messages: Sequence[Message], options: Any
    ) -> AsyncGenerator[ChatResponseUpdate]:
        last = ""  # type of the last event; a script has none
        async with client.get_response(valid_messages(messages), stream=True, options=options) as updates:
            async for update in updates:
                last = getattr(update.raw_representation, "type", "")
                if failure := failure_of(update.raw_representation):  # Agent Framework lets it pass
                    raise ModelFailed(failure)
                yield update
            if last not in ("", "response.completed", "response.incomplete"):
                raise ModelFailed("the stream broke off")
            self.on_response(await updates.get_final_response(), model_name(client))


def failure_of(event: Any) -> str:
    """The failure that an event of the Responses API reports, or an empty string."""
    kind = str(getattr(event, "type", ""))
    details = getattr(getattr(event, "response", None), "incomplete_details", None)
    filtered = getattr(details, "reason", None) == "content_filter"
    return "content_filter" if filtered else kind if kind in ("response.failed", "error") else ""


def has_begun(update: ChatResponseUpdate) -> bool:
    """True for a word or a tool call. Notices and thoughts come before them."""
    return has_word(update) or any(content.type == "function_call" for content in update.contents)


def has_word(update: ChatResponseUpdate) -> bool:
    return any(content.type == "text" and (content.text or "").strip() for content in update.contents)


def model_name(client: Any) -> str:
    """The name of a deployment or of an agent."""
    return str(getattr(client, "agent_name", "") or getattr(client, "model", ""))


def failure_reason(error: BaseException) -> str:
    """Why a model failed. Agent Framework wraps what the client of OpenAI raises."""
    return safe_error_text(error.__cause__ or error)


class AgentTool(FunctionTool):
    """A function as a tool of Agent Framework: it runs to its end, and its failure reaches the model as a sentence."""

    def __init__(self, tool: TurnTool) -> None:
        # Agent Framework does not call a tool that has no `func`.
        super().__init__(name=tool.name, description=tool.description, input_model=tool.schema, func=tool.function)
        self.tool = tool

    async def invoke(
        self, *, arguments: Any = None, context: Any = None, tool_call_id: str | None = None, **kwargs: Any
    ) -> Any:
        return [Content.from_text(as_text(await self.tool.result(arguments_of(arguments), str(tool_call_id))))]
