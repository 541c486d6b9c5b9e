"""Play a scenario: the simulated caller takes its steps, and each reply is compared with its expectations."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_ai import messages as m

from app import registry
from app.agent_module import AgentModule
from app.config import FIRST_LANGUAGE
from app.main import create_app
from app.session import Session
from kit import defaults
from kit.conventions import drivers, given_fields, scenario_commands
from kit.driver import Driver, Reply
from kit.local_server import serve
from kit.network_guard import offline
from kit.sample_tools import SAMPLE_TOOLS
from kit.scenario_file import Ending, Expect, Given, Scenario, ScenarioError, load, refuse_tools
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.tool_calls import ToolCall, unmet
from kit.tool_stubs import ToolStubs, no_such_tool, tools_of


@dataclass
class Result:
    """One run of a scenario. `first_ms` has the latency of the first word of each reply, in milliseconds."""

    name: str
    failures: list[str] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.failures


async def play(path: Path, models: Sequence[Any] | None = None, *, pace: float = 1000.0, watch: bool = False) -> Result:
    """Play a scenario: with its own script and without a network, or with real `models`.

    `pace` divides every wait; 1 is the speed of people. `watch` prints the conversation. Raises ScenarioError for a
    file that cannot be played.
    """
    scenario, result, started = load(path), Result(path.stem), time.monotonic()
    calls: list[ToolCall] = []
    scripts = [scripted(*scenario.model), *([scripted(*scenario.fallback)] if scenario.fallback is not None else [])]
    given, account, driver = scenario.given, SimulatedAccount(pace), drivers()[scenario.given.channel]
    try:
        account.set_state(dict(given.twilio))
    except ValueError as error:
        raise ScenarioError(f"{path}: given.twilio: {error}") from None
    stubs = ToolStubs(given.tools or {})
    app = create_app(
        defaults.settings(**driver.settings(given)),
        models or scripts,
        SAMPLE_TOOLS if given.has_sample_tools else stubs.replace(registry.load_tools()),
        now=lambda: given.now,
        transport=account.transport,
    )

    async def converse() -> None:
        async with serve(app) as address:
            tools = await tools_of(app, session_of(given))
            refuse_tools(path, stubs.unknown(tools))
            stubs.replace_in(app)
            for name, facts in (given.model_extra or {}).items():
                try:
                    await given_fields()[name](app, account, dict(facts))
                except ValueError as error:
                    raise ScenarioError(f"{path}: given.{name}: {error}") from None
            async with driver.begins(app, address, given, account, pace, watch) as conversation:
                for number, step in enumerate(scenario.turns, start=1):
                    try:
                        if step.command is not None:
                            reply = Reply(await scenario_commands()[step.command](app, given.caller))
                        else:
                            reply = await conversation.takes(step)
                    except ValueError as error:
                        if step.twilio is None:
                            raise
                        raise ScenarioError(f"{path}: turn {number}: twilio: {error}") from None
                    if reply.first is not None:
                        result.first_ms.append(reply.first)
                    calls.extend(reply.calls)
                    failures = check_reply(step.expect, reply, await conversation.session(), driver.phrases)
                    result.failures += [f"turn {number}: {failure}" for failure in failures]
        result.failures += check_ending(scenario.expect, conversation, calls)
        result.failures += check_names(scenario, tools, calls)

    try:
        if models:
            await converse()
        else:
            with offline() as refused:
                await converse()
            result.failures += [f"the app tried to reach {host}" for host in refused]
    except defaults.Problem as problem:
        result.failures.append(str(problem))
    result.seconds = time.monotonic() - started
    return result


def check_reply(expect: Expect, reply: Reply, session: Session, phrases: AgentModule) -> list[str]:
    """One sentence for each expectation that the reply does not meet."""
    text, history = f"{reply.introduction}\n{reply.text}".strip(), history_text(session)
    failures = [f"{each!r} is missing in {text!r}" for each in expect.contains if each.lower() not in text.lower()]
    failures += [f"{each!r} must not be in {text!r}" for each in expect.absent if each.lower() in text.lower()]
    failures += [f"the history lacks {each!r}" for each in expect.remembers if each.lower() not in history]
    failures += [
        f"the history has {each!r}, which the caller never heard" for each in expect.forgets if each.lower() in history
    ]
    instructions, required, excluded = last_instructions(session), expect.instructions_contain, expect.instructions_lack
    failures += [f"the instructions lack {each!r}" for each in required if each.lower() not in instructions.lower()]
    failures += [f"the instructions contain {each!r}" for each in excluded if each.lower() in instructions.lower()]
    if expect.regex and not re.search(expect.regex, text, re.IGNORECASE):
        failures.append(f"/{expect.regex}/ does not match {text!r}")
    if expect.phrase and getattr(phrases, expect.phrase) not in text:
        failures.append(f"{expect.phrase} is missing in {text!r}")
    if expect.tools is not None and expect.tools != reply.tools:
        failures.append(f"tools called: {reply.tools}, expected: {expect.tools}")
    failures += [f"{tool} must not be called" for tool in expect.no_tools if tool in reply.tools]
    failures += unmet(expect.calls, reply.calls)
    if expect.within_ms and (reply.first is None or reply.first > expect.within_ms):
        first = None if reply.first is None else round(reply.first)
        failures.append(f"the first word took {first} ms, allowed: {expect.within_ms:.0f} ms")
    return failures


def check_ending(expect: Ending, conversation: Driver, calls: Sequence[ToolCall]) -> list[str]:
    """One sentence for each expectation that the conversation does not meet. `calls` are those of all its turns."""
    failures = list(unmet(expect.calls, calls))
    if expect.ended_by and conversation.ended_by != expect.ended_by:
        place = conversation.hung_up_in.replace("agent", "")
        by = f"{conversation.ended_by}{f' in a {place}' if place else ''}"
        failures.append(f"the call was ended by {by}, expected: {expect.ended_by}")
    if expect.handoff is not None and not expect.handoff.items() <= (conversation.handoff or {}).items():
        failures.append(f"handoff data: {conversation.handoff}, expected at least: {expect.handoff}")
    if expect.task is not None and not expect.task.items() <= (conversation.task or {}).items():
        failures.append(f"task for a human: {conversation.task}, expected at least: {expect.task}")
    heard = conversation.remarks
    failures += [f"{text!r} is missing in {heard!r}" for text in expect.hears if text.lower() not in heard.lower()]
    return failures


def session_of(given: Given) -> Session:
    """A session for which the capabilities can say what tools they have."""
    return Session("CA" + "0" * 32, given.caller, given.called, FIRST_LANGUAGE, now=lambda: given.now)


def check_names(scenario: Scenario, tools: Sequence[Callable[..., Any]], calls: Sequence[ToolCall]) -> list[str]:
    """One sentence for each name in an expectation of calls that is neither that of a tool nor was called.

    A service that runs the model may have tools of its own.
    """
    known = [tool.__name__ for tool in tools]
    expected = [*(name for step in scenario.turns for name in step.expect.calls), *scenario.expect.calls]
    strange = dict.fromkeys(name for name in expected if name not in {*known, *(call.name for call in calls)})
    return [no_such_tool(name, known) for name in strange]


def history_text(session: Session) -> str:
    """The text of both sides in the history that the model gets with the next turn, in lower case."""
    history = [*session.history, *(session.turn.history() if session.turn else [])]
    parts = [part for message in history for part in message.parts]
    return " ".join(str(part.content) for part in parts if isinstance(part, m.TextPart | m.UserPromptPart)).lower()


def last_instructions(session: Session) -> str:
    """The instructions of the model's last request; empty before the first one."""
    history = [*session.history, *(session.turn.messages if session.turn else [])]
    requests = [message for message in history if isinstance(message, m.ModelRequest) and message.instructions]
    return str(requests[-1].instructions) if requests else ""
