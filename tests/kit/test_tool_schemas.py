"""Tools that no model can be offered: refused before the first conversation, in one line with the fix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import RootModel
from pydantic_ai import RunContext
from typer.testing import CliRunner

from app import Session
from app import __main__ as main
from app.capability import Capability
from app.environment import ToolsError
from app.registry import RUNTIME
from kit import cli
from kit.agent_app import build_app
from kit.plugin import silence_logs
from kit.scripted_model import echo_model
from kit.testing import Begin

if TYPE_CHECKING:
    from decimal import Decimal

SUITABLE = (
    "Take str, int, float, bool, date, Literal, an Enum, a list or dict of these, a dataclass or a pydantic model."
)


class Calendar:
    """A type of the user without a schema."""


class Hours(RootModel[list[int]]):
    """JSON, but no object."""


def book(day: str, calendar: Calendar) -> str:
    """Book something."""
    return day


def call_back(when: Callable[[], str]) -> None:
    """Call back."""


def listed(day: str, *calendars: list[Calendar]) -> None:
    """List."""


def in_session(session: Session) -> None:
    """Do something."""


def pay(price: Decimal) -> None:
    """Pay."""


def open_at(hours: Hours) -> None:
    """Open."""


def with_context(context: RunContext[Any], day: str) -> None:
    """Do something."""


def prüfe() -> None:
    """Look."""


def measure(größe: int) -> None:
    """Measure."""


def each_day() -> Iterator[str]:
    """List the days."""
    yield "Monday"


async def each_day_later() -> AsyncIterator[str]:
    """List the days."""
    yield "Monday"


NO_SCHEMA = f"has a type without a JSON schema ({{}}). {SUITABLE}"
PROBLEMS: dict[Callable[..., Any], str] = {
    book: f"book: the parameter calendar {NO_SCHEMA.format('Calendar')}",
    call_back: f"call_back: the parameter when {NO_SCHEMA.format('Callable[[], str]')}",
    listed: f"listed: the parameter calendars {NO_SCHEMA.format('list[Calendar]')}",
    in_session: f"in_session: the parameter session {NO_SCHEMA.format('Session')}",
    pay: "pay: the parameter price has a type without a JSON schema (Decimal). Decimal is not known when the server "
    "runs: define it, or import it outside of TYPE_CHECKING.",
    open_at: "open_at: the parameter hours ",
    with_context: "with_context: its RunContext is of one runtime only. Take this_session() of app instead.",
    each_day: "each_day yields. Return a list instead: a model reads one result.",
    each_day_later: "each_day_later yields. Return a list instead: a model reads one result.",
    prüfe: "prüfe: models refuse the name 'prüfe'. Take 1 to 64 of A-Z, a-z, 0-9 and _.",
    measure: "measure: models refuse the name 'größe'. Take 1 to 64 of A-Z, a-z, 0-9 and _.",
}


def test_tools_that_need_an_open_capability_keep_no_server_from_its_start() -> None:
    class Closed(Capability):
        def tools(self, session: Session) -> list[Callable[..., Any]]:
            raise RuntimeError("not open yet")

    assert build_app(capabilities=[Closed])


def problems_of(**options: Any) -> list[str]:
    with pytest.raises(ToolsError) as error:
        build_app(**options)
    return error.value.problems


@pytest.mark.parametrize("tool", PROBLEMS, ids=lambda tool: tool.__name__)
def test_a_tool_without_a_schema_is_refused_with_its_parameter_and_the_fix(tool: Callable[..., Any]) -> None:
    (problem,) = problems_of(tools=[tool])
    assert problem.startswith(f"{__name__}.{PROBLEMS[tool]}")
    assert "\n" not in problem and len(problem) < 300


class Offering(Capability):
    """A capability with one tool."""

    offered: Sequence[Callable[..., Any]] = [book]

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        return self.offered


def test_the_tools_of_capabilities_are_built_too() -> None:
    (problem,) = problems_of(capabilities=[Offering])
    assert problem.startswith(f"{__name__}.book: the parameter calendar ")


def test_every_problem_is_reported_and_two_tools_of_one_name_are_one() -> None:
    problems = problems_of(tools=[book, call_back], capabilities=[Offering])
    assert [each.split(":")[0] for each in problems] == [f"{__name__}.book", f"{__name__}.call_back"]
    (problem,) = problems_of(tools=[with_same_name(), with_same_name()])
    assert problem == "Two tools are called look. Rename one, or begin the name of what is no tool with _."


def with_same_name() -> Callable[..., Any]:
    def look() -> str:
        """Look something up."""
        return "found"

    return look


class OfferingLater(Offering):
    """A capability that has its tools when it is open."""

    offered = ()

    async def open(self) -> None:
        self.offered = [book, with_same_name()]


async def test_a_tool_of_a_capability_that_is_wrong_only_later_is_left_out_and_logged(
    begin: Begin, logged: Callable[[], str]
) -> None:
    talk = await begin({"calls": {"look": {}}}, capabilities=[OfferingLater])
    assert (await talk.says("look")).text == "found"
    assert "tool.left_out" in logged() and "the parameter calendar" in logged()


def test_serve_refuses_to_start(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("app.registry.load_tools", lambda: [book])
    environment.setattr("app.registry.RUNTIME.missing_env", dict)
    environment.setattr("app.registry.RUNTIME.invalid_models", lambda settings: [])
    build = RUNTIME.build
    environment.setattr("app.registry.RUNTIME.build", lambda settings, models: build(settings, [echo_model()]))
    result = CliRunner().invoke(main.app, ["serve"])
    silence_logs()
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith(f"{__name__}.book: the parameter calendar ")
    assert second == "Nothing was started. Correct these functions; agent doctor checks them too."


NAMES = [each.name or getattr(each.callback, "__name__", "") for each in cli.app.registered_commands]


@pytest.mark.parametrize("command", sorted({"call", "text"}.intersection(NAMES)))
def test_a_conversation_on_this_machine_refuses_to_start(environment: pytest.MonkeyPatch, command: str) -> None:
    environment.setattr("app.registry.load_tools", lambda: [book])
    result = CliRunner().invoke(cli.app, [command, "--script"], input="Hello\n")
    silence_logs()
    assert result.exit_code == 2 and f"{__name__}.book: the parameter calendar " in result.output.replace("\n", " ")


def test_a_scenario_with_a_wrong_tool_is_not_played(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setattr("app.registry.load_tools", lambda: [book])
    (tmp_path / "one.yml").write_text("model: [{says: Yes.}]\nturns: [{caller: Hello}]\n", encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["scenario", str(tmp_path / "one.yml")])
    silence_logs()
    assert (result.exit_code, result.stderr[:40]) == (2, f"{__name__}.book: the parameter calendar "[:40])


COMMANDS = {"action_group": ["action-group"], "foundry_agent": ["foundry-agent", "gpt"]}


@pytest.mark.parametrize("command", [COMMANDS[name] for name in COMMANDS if name in NAMES])
def test_a_command_that_describes_tools_to_a_service_names_the_wrong_one(
    environment: pytest.MonkeyPatch, command: list[str]
) -> None:
    environment.setattr("app.runtimes.tool_schemas.load_tools", lambda: [book])
    result = CliRunner().invoke(cli.app, command)
    silence_logs()
    assert result.exit_code == 2 and result.stderr.startswith(f"{__name__}.book: the parameter calendar ")
    assert result.stdout == ""
