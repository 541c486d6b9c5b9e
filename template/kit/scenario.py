"""Scripted conversations: read a YAML file, play whoever talks to the agent, and say what was not as expected."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal
from xml.etree import ElementTree

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_ai import messages as m

from app.main import create_app
from app.session import Session
from kit import defaults
from kit.conventions import drivers, givens
from kit.driver import Driver, Reply
from kit.local_server import serve
from kit.network_guard import offline
from kit.scripted_model import Pattern, Rule, scripted
from kit.simulated_twilio.account import SimulatedAccount

DRIVERS = drivers()
GIVENS = givens()


def listed(value: Any) -> Any:
    """One text is a list of one, and 4711 is a text too."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, bool) for item in values):
        raise ValueError("YAML takes yes, no, on and off for true and false: put the text in quotes")
    return [str(item) if type(item) is int else item for item in values]


def playable(channel: str) -> str:
    if channel not in DRIVERS:
        raise ValueError(f"this project can be reached by {', '.join(DRIVERS)}")
    return channel


Texts = Annotated[list[str], BeforeValidator(listed)]


NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Expect(Strict):
    """What must be true of a reply. Texts ignore case."""

    contains: Texts = Field([], description="the reply has each of these")
    absent: Texts = Field([], description="the reply has none of these")
    regex: Pattern | None = Field(None, description="the reply matches")
    phrase: str | None = Field(
        None, description="the reply has this sentence of agent/phrases.py, or in writing of agent/texts.py"
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
    """One thing that somebody does, and what must come of it."""

    answer: Literal[True] | None = Field(None, description="listen to the greeting")
    caller: str | None = Field(None, min_length=1, description="say or write this")
    dtmf: str | None = Field(None, pattern="^[0-9*#]+$", description="press these keys")
    silence: float | None = Field(None, gt=0, le=60, description="say or write nothing for so many seconds")
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


class Given(BaseModel):
    model_config = ConfigDict(extra="allow")

    channel: Annotated[str, AfterValidator(playable)] = Field(next(iter(DRIVERS)), description="voice, or sms")
    caller: str = Field(defaults.CALLER, pattern=r"^\+[1-9]\d{6,14}$")
    called: str = Field(defaults.CALLED, pattern=r"^\+[1-9]\d{6,14}$")
    now: datetime = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    deadline: float = Field(5.0, gt=0, le=30, description="AGENT_DEADLINE")
    twilio: dict[str, Any] = Field({}, description="what the simulated account knows, and where it is slow or fails")

    @model_validator(mode="after")
    def names_only_what_there_is(self) -> Given:
        """Further fields are those that the folders of this project bring."""
        for name in self.model_extra or {}:
            if name not in GIVENS:
                known = sorted([*type(self).model_fields, *GIVENS])
                raise ValueError(f"there is no {name}; there are {', '.join(known)}")
        return self


class Ending(Strict):
    """How the conversation must end."""

    ended_by: Literal["caller", "agent", "human"] | None = None
    handoff: dict[str, Any] | None = Field(None, description="the handoff data has at least these")
    task: dict[str, Any] | None = Field(None, description="the task for a human has at least these attributes")
    hears: Texts = Field([], description="Twilio itself says each of these, or the agent between its turns")


class Scenario(Strict):
    """A conversation from its beginning to its end."""

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
        scenario = Scenario.model_validate(yaml.safe_load(text) or {})
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{path}:{line}: {error.problem}") from None
    except ValidationError as errors:
        raise ScenarioError("\n".join(_mistake(path, tree, error) for error in errors.errors())) from None
    if impossible := [_mistake(path, tree, error) for error in _impossible(scenario)]:
        raise ScenarioError("\n".join(impossible))
    return scenario


def _impossible(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """What nobody can do in the channel of a scenario."""
    channel = scenario.given.channel
    places = [(("turns", number), step) for number, step in enumerate(scenario.turns)]
    for place, said in [*places, (("expect",), scenario.expect)]:
        for name in said.model_fields_set & DRIVERS[channel].cannot:
            yield {"loc": (*place, name), "type": "impossible", "msg": f"that cannot be by {channel}"}
    known = [name for name in vars(DRIVERS[channel].phrases) if name.isupper()]
    for place, step in places:
        if step.expect.phrase is not None and step.expect.phrase not in known:
            yield {"loc": (*place, "expect", "phrase"), "type": "impossible", "msg": f"there are {', '.join(known)}"}


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


async def play(path: Path, models: Sequence[Any] | None = None, *, pace: float = 1000.0, watch: bool = False) -> Result:
    """Play a scenario: with its own script and no network, or with real `models`. `watch` shows it."""
    scenario, result, started = load(path), Result(path.stem), time.monotonic()
    script = [scripted(*scenario.model), *([scripted(*scenario.fallback)] if scenario.fallback is not None else [])]
    given, account, kind = scenario.given, SimulatedAccount(pace), DRIVERS[scenario.given.channel]
    try:
        account.given(dict(given.twilio))
    except ValueError as error:
        raise ScenarioError(f"{path}: given.twilio: {error}") from None
    app = create_app(
        defaults.settings(**kind.settings(given)), models or script, now=lambda: given.now, transport=account.transport
    )

    async def converse() -> None:
        async with serve(app) as address:
            for name, facts in (given.model_extra or {}).items():
                try:
                    await GIVENS[name](app, account, dict(facts))
                except ValueError as error:
                    raise ScenarioError(f"{path}: given.{name}: {error}") from None
            async with kind.begins(app, address, given, account, pace, watch) as player:
                for number, step in enumerate(scenario.turns, start=1):
                    reply = await player.takes(step)
                    if reply.first is not None:
                        result.first_ms.append(reply.first)
                    failures = check(step.expect, reply, await player.session(), kind.phrases)
                    result.failures += [f"turn {number}: {failure}" for failure in failures]
        result.failures += check_ending(scenario.expect, player)

    try:
        if models:
            await converse()
        else:
            with offline() as refused:
                await converse()
            result.failures += [f"something tried to reach {host}" for host in refused]
    except defaults.Problem as problem:
        result.failures.append(str(problem))
    result.seconds = time.monotonic() - started
    return result


def check(expect: Expect, reply: Reply, session: Session, phrases: ModuleType) -> list[str]:
    """What of `expect` is not so."""
    text, memory = reply.text, remembered(session)
    failures = [f"{each!r} is missing in {text!r}" for each in expect.contains if each.lower() not in text.lower()]
    failures += [f"{each!r} must not be in {text!r}" for each in expect.absent if each.lower() in text.lower()]
    failures += [f"the history lacks {each!r}" for each in expect.remembers if each.lower() not in memory]
    failures += [f"the history has {each!r}, which nobody heard" for each in expect.forgets if each.lower() in memory]
    told = instructions(session).lower() if expect.told or expect.not_told else ""
    failures += [f"the model was not told {each!r}" for each in expect.told if each.lower() not in told]
    failures += [f"the model was told {each!r}" for each in expect.not_told if each.lower() in told]
    if expect.regex and not re.search(expect.regex, text, re.IGNORECASE):
        failures.append(f"/{expect.regex}/ does not match {text!r}")
    if expect.phrase and getattr(phrases, expect.phrase) not in text:
        failures.append(f"{expect.phrase} is missing in {text!r}")
    if expect.tools is not None and expect.tools != reply.tools:
        failures.append(f"tools called: {reply.tools}, expected: {expect.tools}")
    failures += [f"{tool} must not be called" for tool in expect.no_tools if tool in reply.tools]
    if expect.within_ms and (reply.first is None or reply.first > expect.within_ms):
        first = None if reply.first is None else round(reply.first)
        failures.append(f"the first word took {first} ms, allowed: {expect.within_ms:.0f} ms")
    return failures


def check_ending(expect: Ending, player: Driver) -> list[str]:
    failures = []
    if expect.ended_by and player.ended_by != expect.ended_by:
        failures.append(f"the call was ended by {player.ended_by}, expected: {expect.ended_by}")
    if expect.handoff is not None and not expect.handoff.items() <= (player.handoff or {}).items():
        failures.append(f"handoff data: {player.handoff}, expected at least: {expect.handoff}")
    if expect.task is not None and not expect.task.items() <= (player.task or {}).items():
        failures.append(f"task for a human: {player.task}, expected at least: {expect.task}")
    heard = player.remarks
    failures += [f"{text!r} is missing in {heard!r}" for text in expect.hears if text.lower() not in heard.lower()]
    return failures


def remembered(session: Session) -> str:
    """Everything that the model would be told of the conversation so far, in lower case."""
    history = [*session.history, *(session.turn.history() if session.turn else [])]
    parts = [part for message in history for part in message.parts]
    return " ".join(str(part.content) for part in parts if isinstance(part, m.TextPart | m.UserPromptPart)).lower()


def instructions(session: Session) -> str:
    """What the model was told before its last answer, beside the conversation itself."""
    history = [*session.history, *(session.turn.messages if session.turn else [])]
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
