"""The schema of a scenario file, and its loader, which names file, line and field of every mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from kit import defaults
from kit.conventions import drivers, given_fields, scenario_commands
from kit.migrations import RENAMED_KEYS
from kit.scripted_model import Pattern, Rule
from kit.simulated_twilio.call_log import ANSWERED_BY
from kit.tool_calls import ExpectedCalls
from kit.tool_stubs import Outcomes


def as_list(value: Any) -> Any:
    """A list of texts: a single value becomes a list, and an integer a text."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, bool) for item in values):
        raise ValueError("YAML takes yes, no, on and off for true and false: put the text in quotes")
    return [str(item) if type(item) is int else item for item in values]


def known_channel(channel: str) -> str:
    if channel not in drivers():
        raise ValueError(f"this project can be reached by {', '.join(drivers())}")
    return channel


def known_answer(answered_by: str) -> str:
    if answered_by not in ("", *ANSWERED_BY):
        raise ValueError(f"a call can be answered by {', '.join(ANSWERED_BY)}")
    return answered_by


def known_command(command: str) -> str:
    if command not in scenario_commands():
        known = ", ".join(scenario_commands())
        raise ValueError(f"there is no {command}; {f'there is {known}' if known else 'this project has no such step'}")
    return command


def own_or_sample(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Outcomes by tool: none for the tools as they are. None is the sample tools."""
    if value in ("own", "sample"):
        return {} if value == "own" else None
    if not isinstance(value, dict):
        raise ValueError("write own, sample, or a result for each tool by its name")
    return validate(value)


def known_address(address: str) -> str:
    """Twilio's `From` of a call or a message; empty for a call without one."""
    if address and not re.fullmatch(r"\+[1-9]\d{6,14}|[A-Za-z]+|(sips?|client|whatsapp):\S+", address):
        raise ValueError(f"{address!r} is no caller: write +15005550006, anonymous, sip:name@host or client:name")
    return address


Texts = Annotated[list[str], BeforeValidator(as_list)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Expect(Strict):
    """Expectations of a reply. Texts ignore case. Keys that were renamed work under their old names too."""

    contains: Texts = Field([], description="the reply has each of these")
    absent: Texts = Field([], description="the reply has none of these")
    regex: Pattern | None = Field(None, description="the reply matches")
    phrase: str | None = Field(
        None, description="the reply has this sentence of agent/phrases.py, or in a text conversation of agent/texts.py"
    )
    tools: list[str] | None = Field(None, description="exactly these tools were called, in this order")
    no_tools: list[str] = Field([], description="none of these tools was called")
    calls: dict[str, ExpectedCalls] = Field(
        {}, description="by tool: arguments of a call, a list of them for all calls in order, or how many calls"
    )
    within_ms: float | None = Field(None, gt=0, description="the first word came in time")
    remembers: Texts = Field([], description="the model's history has each of these")
    forgets: Texts = Field([], description="the model's history has none of these: the caller never heard them")
    instructions_contain: Texts = Field([], description="the model's last instructions have each of these")
    instructions_lack: Texts = Field([], description="the model's last instructions have none of these")

    @model_validator(mode="before")
    @classmethod
    def with_current_keys(cls, fields: Any) -> Any:
        known = fields if isinstance(fields, dict) else {}
        renamed = {old: new for old, new in RENAMED_KEYS.items() if new not in known}
        return {renamed.get(name, name): value for name, value in known.items()} if known else fields


ACTIONS = ("answer", "caller", "dtmf", "silence", "drop", "hangup", "twilio", "command")


class Step(Strict):
    """One action of the caller, of Twilio or of the owner, and the expectations of the reply."""

    answer: Literal[True] | None = Field(None, description="listen to the greeting")
    caller: str | None = Field(None, min_length=1, description="say or write this")
    dtmf: str | None = Field(None, pattern="^[0-9*#]+$", description="press these keys")
    silence: float | None = Field(None, gt=0, le=60, description="say or write nothing for so many seconds")
    drop: Literal[True] | None = Field(None, description="lose the WebSocket")
    hangup: Literal[True] | None = Field(None, description="put the phone down")
    twilio: dict[str, Any] | None = Field(None, description="an event at Twilio, by product")
    command: Annotated[str, AfterValidator(known_command)] | None = Field(
        None, description="run this command of the project for the caller"
    )
    interrupt_after: str | None = Field(None, description="speak over the reply after these words of it")
    hangup_after: str | None = Field(None, description="put the phone down after these words of the reply")
    expect: Expect = Field(default_factory=lambda: Expect.model_validate({}))

    @model_validator(mode="after")
    def has_one_action(self) -> Step:
        actions = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(actions) != 1:
            raise ValueError(f"a step does one of {', '.join(ACTIONS)}; this one has {actions or 'none'}")
        return self


class Given(BaseModel):
    """The state before the first step. Further fields are those of `GIVEN` in the folders of this project."""

    model_config = ConfigDict(extra="allow")

    channel: Annotated[str, AfterValidator(known_channel)] = Field(
        default_factory=lambda: next(iter(drivers())), description="voice or messaging"
    )
    caller: Annotated[str, AfterValidator(known_address)] = Field(
        defaults.CALLER, description="the customer: a number, sip:name@host, client:name, or anonymous and the like"
    )
    called: str = Field(defaults.CALLED, pattern=r"^\+[1-9]\d{6,14}$", description="the agent's number")
    direction: Literal["inbound", "outbound"] = Field("inbound", description="outbound: the agent began")
    answered_by: Annotated[str, AfterValidator(known_answer)] = Field(
        "", description="of an outbound call: what answering-machine detection says, as in machine_end_beep"
    )
    now: datetime = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    deadline: float = Field(5.0, gt=0, le=30, description="AGENT_DEADLINE")
    tools: Annotated[dict[str, Outcomes] | None, WrapValidator(own_or_sample)] = Field(
        {},
        description="own (those of agent/tools.py), sample (kit/sample_tools.py), or by tool what its calls come to; "
        "None is sample",
    )
    twilio: dict[str, Any] = Field({}, description="what the simulated account has, and where it is slow or fails")

    @property
    def has_sample_tools(self) -> bool:
        return self.tools is None

    @model_validator(mode="after")
    def has_known_fields(self) -> Given:
        for name in self.model_extra or {}:
            if name not in given_fields():
                known = sorted([*type(self).model_fields, *given_fields()])
                raise ValueError(f"there is no {name}; there are {', '.join(known)}")
        return self


class Ending(Strict):
    """Expectations of the end of the conversation."""

    ended_by: Literal["caller", "agent", "human"] | None = None
    handoff: dict[str, Any] | None = Field(None, description="the handoff data has at least these")
    task: dict[str, Any] | None = Field(None, description="the task for a human has at least these attributes")
    calls: dict[str, ExpectedCalls] = Field({}, description="the same as of a reply, for the whole conversation")
    hears: Texts = Field([], description="Twilio itself says each of these, or the agent between its turns")


class Scenario(Strict):
    """A conversation from its beginning to its end."""

    description: str = ""
    given: Given = Field(default_factory=lambda: Given.model_validate({}))
    model: list[Rule] = Field([], description="what the scripted model answers; a real model ignores it")
    fallback: list[Rule] | None = Field(None, description="what the scripted fallback model answers")
    turns: list[Step] = Field(min_length=1)
    expect: Ending = Field(default_factory=lambda: Ending.model_validate({}))


class Loader(yaml.SafeLoader):
    """Times and dates are texts. YAML 1.1 takes 9:30 for a number with the base 60."""


def number_or_time(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    if ":" in node.value:
        return node.value
    return loader.construct_yaml_int(node) if node.tag.endswith(":int") else loader.construct_yaml_float(node)


for tag, construct in (("int", number_or_time), ("float", number_or_time), ("timestamp", Loader.construct_yaml_str)):
    Loader.add_constructor(f"tag:yaml.org,2002:{tag}", construct)


class ScenarioError(Exception):
    """A scenario file that cannot be played. Each line names file, line and field."""


def load(path: Path) -> Scenario:
    """Raises ScenarioError with every mistake of the file."""
    text = path.read_text(encoding="utf-8")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        scenario = Scenario.model_validate(yaml.load(text, Loader) or {})
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{path}:{line}: {error.problem}") from None
    except ValidationError as errors:
        raise ScenarioError("\n".join(_message(path, tree, error) for error in errors.errors())) from None
    if unsupported := [_message(path, tree, error) for error in _unsupported(scenario)]:
        raise ScenarioError("\n".join(unsupported))
    return scenario


def _unsupported(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Steps, expectations and phrases that the channel of the scenario does not have."""
    channel = scenario.given.channel
    driver = drivers()[channel]
    places = [(("turns", number), step) for number, step in enumerate(scenario.turns)]
    for place, part in [*places, (("expect",), scenario.expect)]:
        for name in part.model_fields_set & driver.unsupported:
            yield {"loc": (*place, name), "type": "unsupported", "msg": f"that cannot be by {channel}"}
    known = [name for name in dir(driver.phrases) if name.isupper() and isinstance(getattr(driver.phrases, name), str)]
    for place, step in places:
        if step.expect.phrase is not None and step.expect.phrase not in known:
            yield {"loc": (*place, "expect", "phrase"), "type": "unsupported", "msg": f"there are {', '.join(known)}"}


def refuse_tools(path: Path, reasons: Mapping[str, str]) -> None:
    """Raises ScenarioError with these reasons, each by a name in `given.tools`."""
    if reasons:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        errors = [{"loc": ("given", "tools", name), "type": "", "msg": reason} for name, reason in reasons.items()]
        raise ScenarioError("\n".join(_message(path, tree, error) for error in errors))


def _message(path: Path, node: yaml.Node | None, error: Any) -> str:
    """One line for a validation error of pydantic, with the line of the file."""
    line, names = 1, list[str]()
    for part in error["loc"]:
        if isinstance(part, int) and isinstance(node, yaml.MappingNode | yaml.ScalarNode):
            continue  # a single value where there may be a list
        names.append(str(part))
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), None)
        line = node.start_mark.line + 1 if node else line
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = {name for kind in (Scenario, Given, Ending, Step, Expect, Rule) for name in kind.model_fields}
        close = get_close_matches(names[-1], known, 1)
        reason = f"there is no such field{f'; did you mean {close[0]}?' if close else ''}"
    return f"{path}:{line}: {'.'.join(names)}: {reason}"
