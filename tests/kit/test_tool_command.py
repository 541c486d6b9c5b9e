"""`/tool` calls any tool of the agent through its runtime, and a failing tool is one line of the terminal."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from app import Session, this_session
from app.capability import Capability
from app.log import configure_logging
from app.registry import modules
from kit import tool_command, tool_failures
from kit.scripted_model import scripted
from kit.tool_stubs import ToolStubs
from tests.kit.test_cli import alone, run
from tests.kit.test_tool_stubs import Guest, Size

__all__ = ["alone"]  # a fixture
COMMANDS = [module.COMMAND for module in modules("fake") if hasattr(module, "COMMAND")]


seen: list[Any] = []


async def book(time: str, count: int = 1, price: float = 0, paid: bool = False, note: str | None = None) -> str:
    """Book a time."""
    seen.append([time, count, price, paid, note])
    return f"Booked {time} for {count}."


async def reserve(guest: Guest, days: list[int], size: Size = Size.SMALL) -> str:
    """Reserve some days."""
    seen.append([guest.name, guest.age, days, size.value])
    return "Reserved."


def cancel(reason: str) -> str:
    """Cancel."""
    raise LookupError(f"no booking\nof {this_session().caller}")


async def dawdle() -> None:
    """Take a long time."""
    await asyncio.sleep(60)


def doze() -> None:
    """Take a long time in a thread."""
    time.sleep(2)


async def lose() -> object:
    """Return what is no JSON."""
    return object()


async def leave() -> None:
    """Leave."""
    sys.exit(3)


async def ping() -> str:
    """Ping."""
    return ""


TOOLS = [book, cancel, dawdle, doze, leave, lose, ping, reserve]


class Weather(Capability):
    def tools(self, session: Session) -> list[Callable[..., Any]]:
        async def forecast(day: str) -> str:
            """Say how the weather will be."""
            return f"Rain on {day}."

        return [forecast]


@pytest.fixture(autouse=True)
def agent(monkeypatch: pytest.MonkeyPatch, alone: None) -> Iterator[None]:
    monkeypatch.setattr("app.registry.load_tools", lambda: TOOLS)
    monkeypatch.setattr("app.registry.CAPABILITIES", [Weather])
    seen.clear()
    yield


@pytest.fixture(params=[name for name, _ in COMMANDS])
def talk(request: pytest.FixtureRequest) -> Callable[..., str]:
    """The output of a conversation, in each channel, in which these lines were typed."""

    def output(*typed: str, code: int = 0) -> str:
        result = run(request.param, "--script", typed="".join(f"{line}\n" for line in typed))
        assert result.exit_code == code, result.output
        return result.output

    return output


CALLS: dict[str, tuple[str, list[Any]]] = {
    "a text": ("book time=9:30", ["9:30", 1, 0, False, None]),
    "numbers": ("book time=930 count=2 price=9.5", ["930", 2, 9.5, False, None]),
    "words": ("book time=half past nine count=2", ["half past nine", 2, 0, False, None]),
    "an equals sign": ("book note=a=b time=x y=z", ["x y=z", 1, 0, False, "a=b"]),
    "quotes": ('book time="9 30" note="7"', ["9 30", 1, 0, False, "7"]),
    "truth": ("book time=true paid=true", ["true", 1, 0, True, None]),
    "a number for a text that may be missing": ("book time=1 note=2", ["1", 1, 0, False, "2"]),
    "an object and a list": (
        'reserve guest={"name": "Ada", "age": 36} days=[1, 2] size=large',
        ["Ada", 36, [1, 2], "large"],
    ),
}


@pytest.mark.parametrize(("typed", "arguments"), CALLS.values(), ids=CALLS.keys())
def test_a_tool_is_called_with_typed_arguments(talk: Callable[..., str], typed: str, arguments: list[Any]) -> None:
    screen = talk(f"/tool {typed}")
    assert seen == [arguments]
    assert "Booked " in screen or "Reserved." in screen


def test_nothing_is_an_argument_too() -> None:  # Bedrock Agents cannot send it
    assert tool_command.arguments(book, "time=null note=null") == {"time": "null", "note": None}


def test_a_tool_of_a_capability_is_called(talk: Callable[..., str]) -> None:
    assert "Rain on Monday." in talk("Hello", "/tool forecast day=Monday", "Hello")


def test_a_tool_without_arguments_and_without_a_result_is_called(talk: Callable[..., str]) -> None:
    assert "The tool returned nothing." in talk("/tool ping")


def test_the_runtime_says_which_argument_is_wrong(talk: Callable[..., str]) -> None:
    screen = talk("/tool book time=9:30 count=many", "/tool book count=2")
    assert seen == []
    assert "count" in screen.partition("many")[2] and "time" in screen.partition('{"count": 2}')[2]


def test_the_tools_are_listed(talk: Callable[..., str]) -> None:
    screen = talk("/tool")
    assert "/tool book time=string [count=integer] [price=number] [paid=boolean] [note=string]" in screen
    assert "/tool reserve guest=object days=array [size=string]" in screen
    assert "/tool forecast day=string" in screen


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("/tool bok time=9:30", "Not called: there is no tool bok; did you mean book?."),
        ("/tool xylophone", "there are book, cancel, dawdle, doze, leave, lose, ping, reserve, forecast."),
        ("/tool cancel because=rain", "Not called: 'because=rain' is no argument; write /tool cancel reason=string"),
        ("/tool ping now", "Not called: 'now' is no argument; write /tool ping"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused_with_the_fix(talk: Callable[..., str], typed: str, hint: str) -> None:
    screen = talk(typed)
    assert hint.removesuffix("?.") in screen
    assert "agent" not in screen.partition(hint)[2].partition("\n")[0]


def test_the_terminal_says_how_the_script_calls_a_tool(talk: Callable[..., str]) -> None:
    line = next(line for line in talk("/help").splitlines() if "The script calls a tool" in line)
    assert '"book 4711" calls book, "cancel 4711" calls cancel. /tool lists' in line and "reserve" not in line


def test_an_example_of_the_terminal_works(talk: Callable[..., str]) -> None:
    assert "Booked 4711 for 1." in talk("book 4711")


def test_without_tools_only_the_command_is_named() -> None:
    assert tool_command.hint([]) == "/tool lists the tools, and calls any of them with any argument."


@pytest.mark.parametrize(("name", "conversation"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_real_model_answers_all_but_the_commands(
    name: str, conversation: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n/tool book time=9:30\nAnd now?\n"))
    model = scripted({"hears": "hello", "says": "Hi, I am real."}, {"hears": "now", "says": "All is done."})
    assert asyncio.run(conversation([model], "a model", local=False)) == 0
    screen = capsys.readouterr().out
    assert "Hi, I am real." in screen and "Booked 9:30 for 1." in screen and "All is done." in screen
    assert "The script calls a tool" not in screen


# --- a tool that fails ----------------------------------------------------------------------------------------------

HERE = "tests/kit/test_tool_command.py"


def raised_at(tool: Callable[..., Any], line: int) -> str:
    return f"{HERE}:{tool.__code__.co_firstlineno + line}"


def test_a_failing_tool_is_one_line(talk: Callable[..., str]) -> None:
    screen = talk("/tool cancel reason=rain")
    (line,) = [line for line in screen.splitlines() if "LookupError" in line and "The tool failed" not in line]
    assert line.split(maxsplit=1) == [
        "problem",
        f"cancel failed at {raised_at(cancel, 2)}: LookupError: no booking of +15005550006",
    ]
    assert "tool.failed" not in screen and "The tool failed (LookupError)" in screen


def test_a_tool_that_takes_too_long_is_one_line(talk: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_DEADLINE", "0.5")
    screen = talk("/tool dawdle")
    assert f"dawdle failed at {raised_at(dawdle, 2)}: TimeoutError" in screen


def test_a_tool_in_a_thread_that_takes_too_long_is_one_line(
    talk: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_DEADLINE", "0.5")
    assert f"doze failed at {raised_at(doze, 0)}: TimeoutError" in talk("/tool doze")


def test_a_result_that_json_cannot_hold_is_one_line(talk: Callable[..., str]) -> None:
    assert f"lose failed at {raised_at(lose, 0)}: PydanticSerializationError: " in talk("/tool lose")


def test_a_tool_that_exits_is_one_line(talk: Callable[..., str]) -> None:
    screen = talk("/tool leave", "/tool ping")
    assert f"leave failed at {raised_at(leave, 2)}: SystemExit: 3" in screen and "returned nothing" in screen


def test_the_log_has_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("error")
    try:
        cancel_for_nobody()
    except LookupError:
        import_module("app.runtimes").log.exception("tool.failed", tool="cancel")
    written = capsys.readouterr().out
    assert "tool.failed" in written and "LookupError" in written and "no booking" not in written


def cancel_for_nobody() -> None:
    raise LookupError("no booking of +15005550006")


def shown(error: Exception) -> list[str]:
    """The lines of the terminal for a tool that raises `error`."""
    configure_logging("error")
    lines: list[str] = []
    with tool_failures.shown(lines.append):
        try:
            raise error
        except Exception:
            import_module("app.runtimes").log.exception("tool.failed", tool="book")
    return lines


def test_a_long_message_is_cut() -> None:
    (line,) = shown(ValueError("x" * 10_000))
    assert len(line) < 700 and line.endswith("…")


def test_an_error_without_a_text_has_its_type() -> None:
    (line,) = shown(RuntimeError())
    assert line.endswith(": RuntimeError")


def test_the_line_of_a_library_is_named_if_there_is_no_other() -> None:
    try:
        ToolStubs.read({"book": {}})
    except ValueError as error:
        assert tool_failures.place(error).startswith(HERE)
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        assert tool_failures.place(error).startswith("kit/tool_stubs.py:")


def test_other_lines_are_logged_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("error")
    with tool_failures.shown(print):
        import_module("app.runtimes").log.error("model.failed", error="ModelDown")
    assert '"event": "model.failed"' in capsys.readouterr().out
