"""An agent of Amazon Bedrock Agents: model, prompt and knowledge bases are in AWS. This server runs the tools.

A session of the service keeps its whole answers, heard or not. So every turn has a new session, which begins with the
conversation as the caller heard it.
Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/agents-session-state.html and agents-returncontrol.html.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self
from uuid import uuid4

import boto3
import structlog
from botocore.config import Config
from pydantic import Field
from pydantic_ai import messages as m

from app.runtimes import Runtime, rehearse, start_record
from app.runtimes.aws import AwsSettings, missing_credentials
from app.runtimes.aws.messages import bedrock_messages
from app.runtimes.streams import AnswerFailed, as_text, first_stream_to_begin
from app.runtimes.tools import TurnTool
from app.session import Session
from app.turn import Turn

log = structlog.get_logger()

ID = r"[0-9a-zA-Z]{10}"
BEFORE_SEND = "before-send.bedrock-agent-runtime.InvokeAgent"
FIND_ID = "Copy the agent's ID, ten letters and digits, from the Amazon Bedrock console, Agents."
NO_SUCH_TOOL = "There is no {} here. Go on without it, and tell the caller plainly what you cannot do."
UNCONFIRMED = "Nothing was done. Ask the caller in your own words first."


class BedrockAgentsSettings(AwsSettings):
    agent_id: str = Field(alias="BEDROCK_AGENT_ID", pattern=f"^{ID}$", examples=["PLAYEDAGNT"], description=FIND_ID)
    agent_alias_id: str = Field(
        "TSTALIASID", alias="BEDROCK_AGENT_ALIAS_ID", pattern=f"^{ID}$", description="Copy the ID of the agent's alias."
    )
    fallback_agent: str | None = Field(
        None,
        alias="BEDROCK_FALLBACK_AGENT",
        pattern=f"^{ID}/{ID}$",
        description="Write agent and alias, as in ABCDEFGHIJ/TSTALIASID, or leave it out.",
    )


@dataclass
class Agent:
    """One agent of the service. `client` is boto3's `bedrock-agent-runtime`."""

    client: Any
    id: str
    alias: str

    @property
    def name(self) -> str:
        return f"{self.id}/{self.alias}"

    async def events(self, request: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
        """The events of an answer as they arrive. boto3 blocks, so each request has a thread."""
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Any]()
        abandoned = threading.Event()
        streams: list[Any] = []

        def put(event: Any) -> None:
            with suppress(RuntimeError):  # the event loop is closed
                loop.call_soon_threadsafe(events.put_nowait, event)

        def read() -> None:
            try:
                answer = self.client.invoke_agent(agentId=self.id, agentAliasId=self.alias, **request)
                with closing(answer["completion"]) as stream:
                    streams.append(stream)
                    for event in () if abandoned.is_set() else stream:
                        put(event)
                put(None)
            except Exception as error:
                put(error)

        threading.Thread(target=read, name="bedrock-agent", daemon=True).start()
        try:
            while event := await events.get():
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            abandoned.set()
            for stream in streams:
                stop_reading(stream)


class NotSent(Exception):
    """A request that was made, and signed, but not sent."""


class Rehearsed(Agent):
    """For the warm-up: boto3 makes the request, but does not send it. Then the agent says yes."""

    async def events(self, request: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
        self.client.meta.events.register_first(BEFORE_SEND, do_not_send)
        try:
            async for event in super().events(request):
                yield event
        except NotSent:
            yield {"chunk": {"bytes": b"Yes."}}
        finally:
            self.client.meta.events.unregister(BEFORE_SEND, do_not_send)


def do_not_send(**_: Any) -> None:
    raise NotSent


async def events_of(agent: Agent, request: Mapping[str, Any]) -> AsyncGenerator[tuple[Agent, Mapping[str, Any]]]:
    """The events of one request, each with the agent that sent it."""
    async with aclosing(agent.events(request)) as events:
        async for event in events:
            yield agent, event


def stop_reading(stream: Any) -> None:
    """Wake the thread that reads `stream`, which then closes it. `close` would block until the next event.

    botocore 1.44 has urllib3's response in `_raw_stream` only.
    """
    with suppress(ValueError, RuntimeError, OSError):  # it has ended
        stream._raw_stream.shutdown()


class BedrockAgents(Runtime):
    """`deadline` is the longest silence of an agent in seconds, except the last one; a tool may take twice as long."""

    settings = BedrockAgentsSettings

    def __init__(self, agents: Sequence[Agent], deadline: float) -> None:
        self.agents = agents
        self.deadline = deadline

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        first = f"{settings.agent_id}/{settings.agent_alias_id}"
        named = models or [name for name in (first, settings.fallback_agent) if name]
        client = runtime_client(settings) if any(isinstance(agent, str) for agent in named) else None
        agents = [Agent(client, *agent.split("/")) if isinstance(agent, str) else agent for agent in named]
        return cls(agents, settings.deadline)

    @staticmethod
    def model_names() -> list[str]:
        agent, alias = os.environ.get("BEDROCK_AGENT_ID"), os.environ.get("BEDROCK_AGENT_ALIAS_ID") or "TSTALIASID"
        fallback = os.environ.get("BEDROCK_FALLBACK_AGENT")
        return [f"{agent}/{alias}" if agent else "your agent in Amazon Bedrock", *filter(None, [fallback])]

    @staticmethod
    def missing_env() -> dict[str, str]:
        agent = {} if os.environ.get("BEDROCK_AGENT_ID") else {"BEDROCK_AGENT_ID": FIND_ID}
        return {**agent, **missing_credentials()}

    async def warm_up(self) -> None:
        first = self.agents[0]
        await rehearse(BedrockAgents([Rehearsed(first.client, first.id, first.alias)], self.deadline))

    async def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        record = start_record(turn, instructions)
        known = [TurnTool(tool, turn, 2 * self.deadline) for tool in tools]
        waiting = list(self.agents)  # the agent that answers, then those not tried yet
        request = new_request(session, turn, instructions, known)
        while True:
            reply, begun = Reply(), False
            first, others = waiting[0], waiting[1:]
            fresh = new_request(session, turn, instructions, known)
            streams = [(first.name, partial(events_of, first, request))]
            streams += [(agent.name, partial(events_of, agent, fresh)) for agent in others]
            # The last agent has no deadline here, since knowledge bases are slow; the brain limits the turn.
            found = first_stream_to_begin(
                turn, streams, self.deadline, lambda item: True, explain=failure_reason, last_may_wait=True
            )
            try:
                async with aclosing(found) as events:
                    async for agent, event in events:
                        if not begun:
                            begun, waiting = True, waiting[waiting.index(agent) :]
                            request = request if agent is first else fresh
                        if token := reply.add(event):
                            yield token
                if not (reply.text.strip() or reply.tool_requests or turn.spoken_text.strip()):
                    raise AnswerFailed("an empty answer")
            except AnswerFailed:
                if reply.text.strip() or not begun or len(waiting) == 1:
                    raise
                waiting.pop(0)
                request = new_request(session, turn, instructions, known)
                continue
            record.append(m.ModelResponse(reply.parts(), model_name=waiting[0].name, run_id=turn.run_id))
            if not reply.tool_requests:
                return
            results = await run_tools(reply.tool_requests, known)
            returned = [
                m.ToolReturnPart(call.name, result_text(result), call.id)
                for call, result in zip(reply.tool_requests, results, strict=True)
            ]
            record.append(m.ModelRequest(returned, run_id=turn.run_id))
            request = continued_request(request, reply.invocation_id, results)

    async def close(self) -> None:
        for agent in self.agents:
            agent.client.close()


async def run_tools(tool_requests: Sequence[ToolRequest], tools: Sequence[TurnTool]) -> list[dict[str, Any]]:
    """Run tools; the results in the same order, in the shape of `returnControlInvocationResults`."""
    named = {tool.name: tool for tool in tools}

    async def use(call: ToolRequest) -> dict[str, Any]:
        tool = named.get(call.name)
        if call.unconfirmed:
            return call.result(UNCONFIRMED, confirmationState="DENY")
        if tool is None:
            log.warning("tool.unknown", name=call.name)  # which the model may have invented
            return call.result(NO_SUCH_TOOL.format(call.name), responseState="REPROMPT")
        return call.result(as_text(await tool.result(call.arguments, call.id)))

    return list(await asyncio.gather(*map(use, tool_requests)))


def runtime_client(settings: Any) -> Any:
    """boto3's client without retries: a second request could repeat the agent's own actions."""
    timeouts = Config(
        connect_timeout=settings.deadline,
        read_timeout=4 * settings.deadline,
        retries={"total_max_attempts": 1},
        max_pool_connections=100,
    )
    return boto3.client("bedrock-agent-runtime", region_name=settings.region, config=timeouts)


def failure_reason(error: BaseException) -> str:
    """The class and code of an error. Its message may quote the conversation."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return " ".join([type(error).__name__, *([code] if code else [])])


# --- requests -------------------------------------------------------------------------------------------------------


def new_request(session: Session, turn: Turn, instructions: str, tools: Sequence[TurnTool]) -> dict[str, Any]:
    """An InvokeAgent request that opens a session with caller, history and user text.

    A history may hold text only, so results of tools are prompt attributes, as the instructions are.
    """
    attributes = {
        "instructions": instructions,
        "functions_available_now": ", ".join(map(signature_of, tools)),
        "results_of_earlier_functions": tool_results(turn.earlier),
        "results_of_functions_for_this_question": tool_results(turn.record),
    }
    caller = {"call": session.id, "caller": session.caller, "called": session.called, "language": session.language}
    return {
        "sessionId": f"{session.id}-{uuid4().hex}",
        "inputText": turn.user_text,
        "streamingConfigurations": {"streamFinalResponse": True},
        "sessionState": {
            "sessionAttributes": {name: value for name, value in caller.items() if value},
            "promptSessionAttributes": {name: value for name, value in attributes.items() if value},
            "conversationHistory": {"messages": bedrock_messages(spoken_messages(turn.earlier))},
        },
    }


def continued_request(
    request: Mapping[str, Any], invocation_id: str, results: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The next request in the session of `request`, with the results of tools. The session has the rest."""
    state = {
        "promptSessionAttributes": request["sessionState"]["promptSessionAttributes"],  # valid for one request
        "invocationId": invocation_id,
        "returnControlInvocationResults": list(results),
    }
    return {name: request[name] for name in ("sessionId", "streamingConfigurations")} | {"sessionState": state}


def spoken_messages(history: Iterable[m.ModelMessage]) -> list[m.ModelMessage]:
    spoken = m.UserPromptPart | m.TextPart
    return [replace(each, parts=[part for part in each.parts if isinstance(part, spoken)]) for each in history]  # type: ignore[arg-type]


def tool_results(messages: Iterable[m.ModelMessage]) -> str:
    """Tools with arguments and results, as JSON; empty without results."""
    parts = [part for message in messages for part in message.parts]
    calls = {part.tool_call_id: part for part in parts if isinstance(part, m.ToolCallPart)}
    results = [
        {"function": call.tool_name, "arguments": call.args_as_dict(), "result": as_text(part.content)}
        for part in parts
        if isinstance(part, m.ToolReturnPart) and (call := calls.get(part.tool_call_id))
    ]
    return json.dumps(results, ensure_ascii=False, default=str) if results else ""


def signature_of(tool: TurnTool) -> str:
    """For example `order_status(order_number, language?)`."""
    required = tool.schema.get("required", [])
    return f"{tool.name}({', '.join(name + '?' * (name not in required) for name in tool.schema['properties'])})"


# --- answers --------------------------------------------------------------------------------------------------------


class Reply:
    """One answer of the agent as it arrives: tokens, then perhaps requests for tools."""

    def __init__(self) -> None:
        self.text = ""
        self.invocation_id = ""
        self.tool_requests: list[ToolRequest] = []
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode  # a chunk may end within a character

    def add(self, event: Mapping[str, Any]) -> str:
        """Returns the text of the event."""
        token = self.decode(event.get("chunk", {}).get("bytes", b""))
        self.text += token
        if control := event.get("returnControl"):
            self.invocation_id = control.get("invocationId", "")
            inputs = enumerate(control.get("invocationInputs", []))
            self.tool_requests = [ToolRequest.read(each, f"{self.invocation_id}:{number}") for number, each in inputs]
        return token

    def parts(self) -> list[m.ModelResponsePart]:
        calls = [m.ToolCallPart(call.name, call.arguments, call.id) for call in self.tool_requests]
        return [*([m.TextPart(self.text)] if self.text else []), *calls]


@dataclass
class ToolRequest:
    """A tool that the agent requests. `kind` and `identity` are sent back with the result."""

    id: str
    name: str
    arguments: dict[str, Any]
    kind: str
    identity: dict[str, Any]
    unconfirmed: bool

    @classmethod
    def read(cls, invocation: Mapping[str, Any], id: str) -> Self:
        """A member of `invocationInputs`: a function, or an operation of an API schema, whose path is the name."""
        if "functionInvocationInput" in invocation:
            kind, given = "functionResult", invocation["functionInvocationInput"]
            name, values = given.get("function", ""), given.get("parameters", [])
        else:
            kind, given = "apiResult", invocation["apiInvocationInput"]
            name = given.get("apiPath", "").strip("/").replace("/", "_").replace("-", "_")
            bodies = given.get("requestBody", {}).get("content", {}).values()
            values = [*given.get("parameters", []), *(each for body in bodies for each in body.get("properties", []))]
        kept = ("actionGroup", "agentId", "function", "apiPath", "httpMethod")
        identity = {key: given[key] for key in kept if key in given}
        unconfirmed = "CONFIRMATION" in given.get("actionInvocationType", "")
        return cls(id, name, {value["name"]: as_argument(value) for value in values}, kind, identity, unconfirmed)

    def result(self, text: str, **state: Any) -> dict[str, Any]:
        if self.kind == "apiResult":
            state["httpStatusCode"] = 404 if state else 200
        return {self.kind: {**self.identity, "responseBody": {"TEXT": {"body": text}}, **state}}


def as_argument(parameter: Mapping[str, str]) -> Any:
    """The value of a parameter, which the service sends as text; arrays are not always JSON."""
    value, kind = parameter.get("value", ""), parameter.get("type", "string")
    if kind == "string":
        return value
    with suppress(ValueError):
        return json.loads(value)
    return [each.strip() for each in value.strip("[]").split(",")] if kind == "array" else value


def result_text(result: Mapping[str, Any]) -> str:
    """The text of a result in the shape of the service."""
    (inner,) = result.values()
    return str(inner["responseBody"]["TEXT"]["body"])
