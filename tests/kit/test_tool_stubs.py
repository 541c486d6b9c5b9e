"""Tools without their backends: results, sequences, errors and delays, on every runtime and in each channel."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app import Session, this_session
from app.capability import Capability
from app.runtimes import tool_of
from kit.conventions import build_model, drivers
from kit.driver import Reply
from kit.scenario_file import ScenarioError, load
from kit.scripted_model import scripted
from kit.testing import Begin, GivenTools, play
from kit.tool_calls import ToolCall
from kit.tool_stubs import ToolStubs
from tests.kit.test_scenarios import mistakes, path, write

__all__ = ["path"]  # a fixture


class Backend(Exception):
    """The backend of a tool is not there."""


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Guest(BaseModel):
    name: str
    age: int = 0


async def free_times(day: str) -> str:
    """Say which times are free.

    Args:
        day: the day, as in Monday.
    """
    raise Backend


def book(time: str, day: str = "", count: int = 1, note: str = "", guest: dict[str, Any] | None = None) -> str:
    """Book a time."""
    raise Backend


def reserve(
    time: Annotated[str, Field(description="as in 9:30")],
    guest: Guest | None = None,
    size: Size = Size.SMALL,
    notes: list[str] | None = None,
    count: Annotated[int, Field(ge=1)] = 1,
) -> dict[str, Any]:
    """Reserve a time."""
    raise Backend


def who() -> str:
    """Say who calls."""
    return this_session().caller


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools of the project."""
    monkeypatch.setattr("app.registry.load_tools", lambda: [book, free_times, who])
    monkeypatch.setattr("kit.testing.load_tools", lambda: [book, free_times, who])


FREE = "  - {hears: free, calls: {free_times: {day: Monday}}}\n"
BOOK = "  - {hears: book, calls: {book: {time: '9:30'}}}\n"
WHO = "  - {hears: who, calls: {who: {}}}\n"


def scenario(given: str, *turns: str, ending: str = "", channel: str = "") -> str:
    """A scenario with `given.tools`, whose caller says each of `turns`."""
    steps = "".join(f"  - {{caller: {turn}}}\n" for turn in turns)
    where = f"  channel: {channel}\n" if channel else ""
    return f"given:\n{where}  tools:\n    {given}\nmodel:\n{FREE}{BOOK}{WHO}turns:\n{steps}{ending}"


@pytest.fixture(params=list(drivers()))
def channel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def failures(path: Path, text: str) -> list[str]:
    write(path, text)
    return (await play(path)).failures


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("free_times: nine thirty", "nine thirty"),
        ("free_times: 9", "9"),
        ("free_times: 9:30", "9:30"),
        ("free_times: [2026-03-02]", "2026-03-02"),
        ("free_times: {returns: {at: 1.5}}", "1.5"),
        ("free_times: false", "false"),
        ("free_times: {returns: {monday: [nine, ten]}}", "ten"),
        ("free_times: {returns: [nine, ten]}", "ten"),
        ("free_times: {returns: nine, delay: 0.05}", "nine"),
    ],
)
async def test_a_tool_returns_what_is_given(path: Path, channel: str, given: str, said: str) -> None:
    turn = f"'What is free?', expect: {{contains: '{said}', tools: [free_times]}}"
    assert await failures(path, scenario(given, turn, channel=channel)) == []


async def test_a_list_is_one_outcome_for_each_call_and_the_last_one_stays(path: Path, channel: str) -> None:
    given = "free_times: [nine, {fails: the calendar is down}, {returns: [ten, eleven]}]"
    said = ["nine", "ToolDown", "eleven", "eleven"]
    turns = [f"'What is free?', expect: {{contains: {each}}}" for each in said]
    assert await failures(path, scenario(given, *turns, channel=channel)) == []


async def test_a_sequence_goes_on_in_a_tool_of_a_capability(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Weather(Capability):
        def tools(self, session: Session) -> list[Callable[..., Any]]:
            async def forecast() -> str:
                """Say how the weather will be."""
                raise Backend

            return [forecast]

    monkeypatch.setattr("app.registry.CAPABILITIES", [Weather])
    turns = "".join(f"  - {{caller: Weather, expect: {{contains: {each}}}}}\n" for each in ("rain", "sun", "sun"))
    text = f"given: {{tools: {{forecast: [rain, sun]}}}}\nmodel: [{{calls: {{forecast: {{}}}}}}]\nturns:\n{turns}"
    assert await failures(path, text) == []


async def test_a_tool_that_fails_costs_one_answer(path: Path, channel: str) -> None:
    turns = ["'What is free?', expect: {contains: The tool failed}", "'Who am I?', expect: {contains: '0006'}"]
    assert await failures(path, scenario("free_times: {fails: no connection}", *turns, channel=channel)) == []


async def test_a_delay_alone_delays_the_tool_itself(path: Path, channel: str) -> None:
    began = time.monotonic()
    turn = "'Who am I?', expect: {contains: '+15005550006'}"
    assert await failures(path, scenario("who: {delay: 0.3}", turn, channel=channel)) == []
    assert time.monotonic() - began > 0.3


async def test_a_tool_that_takes_too_long_is_given_up(path: Path) -> None:
    text = scenario("free_times: {returns: nine, delay: 60}", "'What is free?', expect: {absent: nine}")
    assert await failures(path, text.replace("given:\n", "given:\n  deadline: 0.2\n")) == []


async def test_other_tools_stay(path: Path) -> None:
    turn = "'Who am I?', expect: {contains: '+15005550006', tools: [who]}"
    assert await failures(path, scenario("free_times: nine", turn)) == []


async def test_a_real_model_gets_the_same_results(path: Path) -> None:
    write(path, scenario("free_times: nine", "'What is free?', expect: {contains: nine, calls: {free_times: 1}}"))
    model = scripted({"calls": {"free_times": {"day": "Monday"}}, "then": "At {result}."})
    assert (await play(path, [model])).failures == []


# --- what the model is told of the tools ----------------------------------------------------------------------------


async def definitions(begin: Begin, tools: list[Callable[..., Any]]) -> list[dict[str, Any]]:
    """What the model of this runtime gets to know of the tools."""
    seen: list[AgentInfo] = []

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.append(info)
        yield "Yes."

    talk = await begin(models=[build_model(FunctionModel(stream_function=stream))], tools=tools, capabilities=[])
    await talk.says("Hello")
    return [
        {"name": each.name, "description": each.description, "schema": each.parameters_json_schema}
        for each in seen[0].function_tools
    ]


async def test_the_model_sees_no_difference(begin: Begin, given_tools: GivenTools) -> None:
    tools = [book, free_times, reserve, who]
    given = given_tools(tools, book={"returns": {"id": 7}}, free_times="nine", reserve=True, who="Ada")
    assert not {*given} & {*tools}
    assert await definitions(begin, given) == await definitions(begin, tools)


@pytest.mark.parametrize("tool", [book, free_times, reserve, who])
def test_a_stub_has_the_definition_of_its_tool(tool: Callable[..., Any], given_tools: GivenTools) -> None:
    (stub,) = given_tools([tool], **{tool.__name__: "yes"})
    assert stub is not tool
    assert tool_of(stub).tool_def == tool_of(tool).tool_def


# --- mistakes -------------------------------------------------------------------------------------------------------

WRONG = {
    "a word": ("tools: smaple", ":2: given.tools: write own, sample, or a result for each tool"),
    "a list": ("tools: [book]", ":2: given.tools: write own"),
    "null": ("tools:", ":2: given.tools: write own"),
    "an object as the result": (
        "tools:\n    who: yes\n    book: {id: 7}",
        ":4: given.tools.book: an object or a list as the result stands under returns",
    ),
    "a misspelt field": ("tools: {book: {retruns: 7}}", ":2: given.tools.book: an object"),
    "an empty object": ("tools: {book: {}}", ":2: given.tools.book: an object"),
    "a list in a list": ("tools: {book: [[7]]}", ":2: given.tools.book.0: an object or a list"),
    "an empty list": ("tools: {book: []}", ":2: given.tools.book: List should have at least 1 item"),
    "two ends": ("tools: {book: {returns: 7, fails: down}}", ":2: given.tools.book: a tool returns or"),
    "an error without a text": ("tools: {book: {fails: true}}", ":2: given.tools.book.fails: Input should be a valid"),
    "a delay of a day": ("tools: {book: [a, {delay: 86400}]}", ":2: given.tools.book.1.delay: Input should be less"),
}


@pytest.mark.parametrize(("given", "mistake"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_outcome_names_line_field_and_fix(path: Path, given: str, mistake: str) -> None:
    found = mistakes(path, f"given:\n  {given}\nturns: [{{caller: Hello}}]\n")
    assert f"{path}{mistake}" in found and len(found.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "fix"),
    [("fre_times", "did you mean free_times?"), ("xylophone", "there are book, free_times, who")],
)
async def test_an_unknown_tool_is_refused_with_its_line(path: Path, name: str, fix: str) -> None:
    write(path, scenario(f"who: Ada\n    {name}: nine", "Hello"))
    with pytest.raises(ScenarioError) as error:
        await play(path)
    assert str(error.value).startswith(f"{path}:4: given.tools.{name}: there is no tool {name}; {fix}")
    assert len(str(error.value).splitlines()) == 1


# --- expectations of calls ------------------------------------------------------------------------------------------

CALL = "model: [{calls: {book: {time: 9:30, day: 2026-03-02, note: LATE, count: 2, guest: {name: Ada, age: 36}}}}]\n"


@pytest.mark.parametrize(
    "expected",
    [
        "{book: {}}",
        "{book: {time: 9:30, day: 2026-03-02, note: late}}",
        "{book: {count: 2, guest: {name: ada}}}",
        "{book: {count: '2'}}",
        "{book: 1}",
        "{book: [{count: 2}]}",
        "{book: 1, who: 0}",
        "{who: []}",
    ],
)
async def test_a_call_as_expected_is_not_reported(path: Path, channel: str, expected: str) -> None:
    given = f"given: {{channel: {channel}, tools: {{book: done}}}}\n"
    text = f"{given}{CALL}turns: [{{caller: Book, expect: {{calls: {expected}}}}}]\nexpect: {{calls: {expected}}}\n"
    assert await failures(path, text) == []


@pytest.mark.parametrize(
    ("expected", "reported"),
    [
        ("{book: {time: 10:00}}", "expected: a call with {'time': '10:00'}"),
        ("{book: {guest: {name: Bob}}}", "book was called 1 times ([{'time': '9:30', 'day': '2026-03-02', "),
        ("{book: {day: Monday}}", "a call with {'day': 'Monday'}"),
        ("{book: 0}", "expected: 0 times"),
        ("{book: 2}", "expected: 2 times"),
        ("{book: [{count: 2}, {count: 2}]}", "expected: these calls: [{'count': 2}, {'count': 2}]"),
        ("{book: []}", "expected: these calls: []"),
        ("{who: {}}", "who was called 0 times, expected: a call with {}"),
        ("{who: 1}", "who was called 0 times, expected: 1 times"),
    ],
)
async def test_a_call_that_is_not_as_expected_is_reported(path: Path, expected: str, reported: str) -> None:
    given = "given: {tools: {book: done}}\n"
    text = f"{given}{CALL}turns: [{{caller: Book, expect: {{calls: {expected}}}}}]\nexpect: {{calls: {expected}}}\n"
    turn, ending = await failures(path, text)
    assert turn == f"turn 1: {ending}" and reported in ending


async def test_calls_are_counted_over_the_whole_conversation(path: Path) -> None:
    turns = ["Book", "'What is free?'", "Book"]
    ending = "expect: {calls: {book: 2, free_times: [{day: Monday}]}}\n"
    assert await failures(path, scenario("{book: done, free_times: nine}", *turns, ending=ending)) == []
    ending = "expect: {calls: {book: 1}}\n"
    assert "2 times" in (await failures(path, scenario("{book: done, free_times: nine}", *turns, ending=ending)))[0]


@pytest.mark.parametrize("calls", ["[book]", "{book: true}", "{book: -1}", "{book: often}", "{book: [2]}", "{book: }"])
@pytest.mark.parametrize("place", ["turns: [{{caller: A, expect: {}}}]", "turns: [{{caller: A}}]\nexpect: {}"])
def test_an_expectation_of_calls_that_says_nothing_is_refused(path: Path, place: str, calls: str) -> None:
    found = mistakes(path, place.format(f"{{calls: {calls}}}"))
    assert "expect.calls" in found and len(found.splitlines()) == 1


@pytest.mark.parametrize("place", ["turns: [{{caller: Hello, expect: {}}}]", "turns: [{{caller: Hello}}]\nexpect: {}"])
async def test_a_name_that_is_no_tools_is_reported_though_it_was_not_called(path: Path, place: str) -> None:
    text = f"model: [{{says: Hi.}}]\n{place.format('{calls: {fre_times: 0, book: 0}}')}\n"
    assert await failures(path, text) == ["there is no tool fre_times; did you mean free_times?"]


async def test_a_tool_that_only_the_service_of_the_model_has_may_be_expected(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def called(self: Any, step: Any) -> Reply:
        return Reply("Hi.", 1.0, [ToolCall("search_the_web", {"for": "times"})])

    for driver in drivers().values():
        monkeypatch.setattr(driver, "takes", called)
    text = "turns: [{caller: Hello, expect: {calls: {search_the_web: {for: times}}}}]\n"
    assert await failures(path, text) == []


def test_a_tool_may_have_the_name_of_a_key_that_was_renamed(path: Path) -> None:
    write(path, "turns: [{caller: Hello, expect: {told: a, calls: {told: 0, not_told: {told: 1}}}}]\n")
    expect = load(path).turns[0].expect
    assert (expect.instructions_contain, expect.calls) == (["a"], {"told": 0, "not_told": {"told": 1}})


# --- the fixture ----------------------------------------------------------------------------------------------------


async def test_a_test_gives_results_to_the_tools_of_the_agent(begin: Begin, given_tools: GivenTools) -> None:
    rules = [{"calls": {"free_times": {"day": "Monday"}}}]
    talk = await begin(*rules, tools=given_tools(free_times=["nine", {"fails": "down"}]))
    reply = await talk.says("What is free?")
    assert reply.text == "nine" and reply.calls == [("free_times", {"day": "Monday"})]
    assert "ToolDown" in (await talk.says("And now?")).text


async def test_a_test_gives_results_to_tools_of_its_own(begin: Begin, given_tools: GivenTools) -> None:
    talk = await begin({"calls": {"who": {}}}, tools=given_tools([who], who={"returns": {"name": "Ada"}}))
    assert "Ada" in (await talk.says("Who am I?")).text


def test_the_other_tools_of_the_agent_stay(given_tools: GivenTools) -> None:
    assert [tool.__name__ for tool in given_tools(book=1)] == ["book", "free_times", "who"]
    assert given_tools(book=1)[1:] == [free_times, who] and given_tools() == [book, free_times, who]


def test_a_test_that_names_an_unknown_tool_fails_with_the_fix(given_tools: GivenTools) -> None:
    with pytest.raises(ValueError, match=r"^there is no tool fre_times; did you mean free_times\?$"):
        given_tools(fre_times="nine")


def test_a_test_that_gives_no_outcome_fails_with_the_fix(given_tools: GivenTools) -> None:
    with pytest.raises(ValueError, match=r"^book: an object or a list as the result stands under returns; [^\n]*$"):
        given_tools(book={"id": 7})


def test_without_outcomes_nothing_is_replaced() -> None:
    assert ToolStubs({}).replace([book, who]) == [book, who]
