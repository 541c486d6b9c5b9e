"""Scripted conversations: read a YAML file, play the caller, and say what was not as expected."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from xml.etree import ElementTree

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_ai import messages as m

from agent import words
from app.main import create_app
from sim import world
from sim.call import Call, CallProblem, Turn, caller_on
from sim.features import Cloud, given_memory
from sim.guard import offline
from sim.model import Pattern, Rule, scripted
from sim.server import serve


def listed(value: Any) -> Any:
    """One text is a list of one, and 4711 is a text too."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, bool) for item in values):
        raise ValueError("YAML takes yes, no, on and off for true and false: put the text in quotes")
    return [str(item) if type(item) is int else item for item in values]


Texts = Annotated[list[str], BeforeValidator(listed)]


NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Expect(Strict):
    """What must be true of a reply. Texts ignore case."""

    contains: Texts = Field([], description="the reply has each of these")
    absent: Texts = Field([], description="the reply has none of these")
    regex: Pattern | None = Field(None, description="the reply matches")
    words: Literal["GREETING", "HOLD", "APOLOGY", "RECONNECTED", "GOODBYE", "UNAVAILABLE"] | None = Field(
        None, description="the reply has this sentence of agent/words.py"
    )
    tools: list[str] | None = Field(None, description="exactly these tools were called, in this order")
    no_tools: list[str] = Field([], description="none of these tools was called")
    within_ms: float | None = Field(None, gt=0, description="the first word came in time")
    remembers: Texts = Field([], description="the model's history has each of these")
    forgets: Texts = Field([], description="the model's history has none of these: the caller never heard them")
    told: Texts = Field([], description="the model was told each of these before it answered")
    not_told: Texts = Field([], description="the model was told none of these")


ACTIONS = ("answer", "caller", "dtmf", "silence", "drop", "hangup", "twilio")


class Step(Strict):
    """One thing that the caller does, and what must come of it."""

    answer: Literal[True] | None = Field(None, description="listen to the greeting")
    caller: str | None = Field(None, min_length=1, description="say this")
    dtmf: str | None = Field(None, pattern="^[0-9*#]+$", description="press these keys")
    silence: float | None = Field(None, gt=0, le=60, description="say nothing for so many seconds")
    drop: Literal[True] | None = Field(None, description="lose the WebSocket")
    hangup: Literal[True] | None = Field(None, description="put the phone down")
    twilio: dict[str, Any] | None = Field(None, description="something happens at Twilio")
    interrupt_after: str | None = Field(None, description="speak over the reply after these words of it")
    hangup_after: str | None = Field(None, description="put the phone down after these words of the reply")
    expect: Expect = Field(default_factory=lambda: Expect.model_validate({}))

    @model_validator(mode="after")
    def does_one_thing(self) -> Step:
        actions = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(actions) != 1:
            raise ValueError(f"a step does one of {', '.join(ACTIONS)}; this one has {actions or 'none'}")
        return self


class Given(Strict):
    caller: str = Field(world.CALLER, pattern=r"^\+[1-9]\d{6,14}$")
    called: str = Field(world.CALLED, pattern=r"^\+[1-9]\d{6,14}$")
    now: datetime = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    deadline: float = Field(5.0, gt=0, le=30, description="AGENT_DEADLINE")
    twilio: dict[str, Any] = Field({}, description="what the simulated account knows, and where it is slow or fails")
    memory: dict[str, Any] = Field({}, description="what earlier calls left, and whether it is slow or fails")


class Ending(Strict):
    """How the call must end."""

    ended_by: Literal["caller", "agent", "human"] | None = None
    handoff: dict[str, Any] | None = Field(None, description="the handoff data has at least these")
    task: dict[str, Any] | None = Field(None, description="the task for a human has at least these attributes")
    hears: Texts = Field([], description="Twilio itself says each of these, or the agent between its turns")


class Scenario(Strict):
    """A conversation from ringing to hanging up."""

    description: str = ""
    given: Given = Field(default_factory=lambda: Given.model_validate({}))
    model: list[Rule] = Field([], description="what the scripted model answers; a real model ignores it")
    fallback: list[Rule] | None = Field(None, description="what the scripted fallback model answers")
    turns: list[Step] = Field(min_length=1)
    expect: Ending = Field(default_factory=lambda: Ending.model_validate({}))


class ScenarioError(Exception):
    """A scenario file that cannot be played. Each line names file, line and field."""


def load(path: Path) -> Scenario:
    """Raises ScenarioError with every mistake of the file."""
    text = path.read_text(encoding="utf-8")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        return Scenario.model_validate(yaml.safe_load(text) or {})
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{path}:{line}: {error.problem}") from None
    except ValidationError as errors:
        raise ScenarioError("\n".join(_mistake(path, tree, error) for error in errors.errors())) from None


def _mistake(path: Path, node: yaml.Node | None, error: Any) -> str:
    line, names = 1, [str(part) for part in error["loc"]]
    for part in error["loc"]:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), None)
        if node is None:
            break
        line = node.start_mark.line + 1
    reason = error["msg"]
    if error["type"] == "extra_forbidden":
        known = {name for kind in (Scenario, Given, Ending, Step, Expect, Rule) for name in kind.model_fields}
        close = get_close_matches(names[-1], known, 1)
        reason = f"there is no such field{f'; did you mean {close[0]}?' if close else ''}"
    return f"{path}:{line}: {'.'.join(names)}: {reason}"


@dataclass
class Result:
    """What became of one run. It passed when `failures` is empty."""

    name: str
    failures: list[str] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.failures


Watch = Callable[[Call, Turn | None, str], Awaitable[None]]


async def play(
    path: Path, models: Sequence[Any] | None = None, *, pace: float = 1000.0, watch: Watch | None = None
) -> Result:
    """Play a scenario: with its own script and no network, or with real `models`."""
    scenario, result, started = load(path), Result(path.stem), time.monotonic()
    script = [scripted(*scenario.model), *([scripted(*scenario.fallback)] if scenario.fallback is not None else [])]
    given, cloud = scenario.given, Cloud(pace)
    try:
        cloud.given(dict(given.twilio))
    except ValueError as error:
        raise ScenarioError(f"{path}: given.twilio: {error}") from None
    app = create_app(
        world.settings(deadline=given.deadline), models or script, now=lambda: given.now, transport=cloud.transport
    )

    async def converse() -> None:
        async with serve(app) as address:
            try:
                await given_memory(app, cloud, dict(given.memory))
            except ValueError as error:
                raise ScenarioError(f"{path}: given.memory: {error}") from None
            dialled = caller_on(app, address, pace=pace, caller=given.caller, called=given.called, cloud=cloud)
            async with dialled as line:
                for number, step in enumerate(scenario.turns, start=1):
                    turn = await _do(line, step, watch)
                    if turn and turn.first is not None:
                        result.first_ms.append(turn.first)
                    result.failures += [f"turn {number}: {failure}" for failure in check(step.expect, line, turn)]
        result.failures += check_ending(scenario.expect, line)

    try:
        if models:
            await converse()
        else:
            with offline() as refused:
                await converse()
            result.failures += [f"something tried to reach {host}" for host in refused]
    except CallProblem as problem:
        result.failures.append(str(problem))
    result.seconds = time.monotonic() - started
    return result


async def _do(line: Call, step: Step, watch: Watch | None) -> Turn | None:
    """Let the caller take one step. Returns the reply, if the step asks for one."""
    turn: Turn | None = None
    if step.caller is not None:
        turn = await line.begins(step.caller)
    elif step.dtmf is not None:
        turn = await line.types(step.dtmf)
    elif step.silence is not None:
        await line.stays_silent(step.silence)
    elif step.drop:
        await line.drops()
    elif step.hangup:
        await line.hangs_up()
    elif step.twilio:
        await line.cloud.happens(line, step.twilio)
    if watch:
        await watch(line, turn, step.interrupt_after or step.hangup_after or "")
    if step.hangup_after is not None:
        await line.hears(step.hangup_after)
        await line.hangs_up()
    elif step.interrupt_after is not None:
        await line.interrupts(after=step.interrupt_after)
    elif turn:
        await line.hears_out(turn)
        if line.session.ending:
            await line.over()
    return turn


def check(expect: Expect, line: Call, turn: Turn | None) -> list[str]:
    """What of `expect` is not so."""
    reply = turn.text if turn else line.greeting
    memory = remembered(line)
    failures = [f"{text!r} is missing in {reply!r}" for text in expect.contains if text.lower() not in reply.lower()]
    failures += [f"{text!r} must not be in {reply!r}" for text in expect.absent if text.lower() in reply.lower()]
    failures += [f"the history lacks {text!r}" for text in expect.remembers if text.lower() not in memory]
    failures += [f"the history has {text!r}, which nobody heard" for text in expect.forgets if text.lower() in memory]
    told = instructions(line).lower() if expect.told or expect.not_told else ""
    failures += [f"the model was not told {text!r}" for text in expect.told if text.lower() not in told]
    failures += [f"the model was told {text!r}" for text in expect.not_told if text.lower() in told]
    if expect.regex and not re.search(expect.regex, reply, re.I):
        failures.append(f"/{expect.regex}/ does not match {reply!r}")
    if expect.words and getattr(words, expect.words) not in reply:
        failures.append(f"{expect.words} is missing in {reply!r}")
    tools = turn.tools if turn else []
    if expect.tools is not None and expect.tools != tools:
        failures.append(f"tools called: {tools}, expected: {expect.tools}")
    failures += [f"{tool} must not be called" for tool in expect.no_tools if tool in tools]
    if expect.within_ms and (turn is None or turn.first is None or turn.first > expect.within_ms):
        first = None if turn is None or turn.first is None else round(turn.first)
        failures.append(f"the first word took {first} ms, allowed: {expect.within_ms:.0f} ms")
    return failures


def check_ending(expect: Ending, line: Call) -> list[str]:
    failures = []
    if expect.ended_by and line.ended_by != expect.ended_by:
        failures.append(f"the call was ended by {line.ended_by}, expected: {expect.ended_by}")
    if expect.handoff is not None and not expect.handoff.items() <= (line.handoff or {}).items():
        failures.append(f"handoff data: {line.handoff}, expected at least: {expect.handoff}")
    if expect.task is not None and not expect.task.items() <= (line.task or {}).items():
        failures.append(f"task for a human: {line.task}, expected at least: {expect.task}")
    heard = " ".join([*line.remarks, line.farewell])
    failures += [f"{text!r} is missing in {heard!r}" for text in expect.hears if text.lower() not in heard.lower()]
    return failures


def remembered(line: Call) -> str:
    """Everything that the model would be told of the call so far, in lower case."""
    session = line.session
    history = [*session.history, *(session.turn.history() if session.turn else [])]
    parts = [part for message in history for part in message.parts]
    return " ".join(str(part.content) for part in parts if isinstance(part, m.TextPart | m.UserPromptPart)).lower()


def instructions(line: Call) -> str:
    """What the model was told before its last answer, beside the conversation itself."""
    session = line.session
    history = [*session.history, *(session.turn.exchanged if session.turn else [])]
    told = [message.instructions for message in history if isinstance(message, m.ModelRequest) and message.instructions]
    return told[-1] if told else ""


def junit(results: Sequence[Result]) -> str:
    """The results as JUnit XML."""
    suite = ElementTree.Element(
        "testsuite",
        name="scenarios",
        tests=str(len(results)),
        failures=str(sum(not result.passed for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname="scenarios", name=result.name, time=f"{result.seconds:.3f}"
        )
        if result.failures:
            failures = [NOT_XML.sub("\ufffd", failure) for failure in result.failures]
            ElementTree.SubElement(case, "failure", message=failures[0]).text = "\n".join(failures)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
