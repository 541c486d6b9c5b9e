"""Tools of the user on the runtime in use: types of arguments, results, and tools that exit."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from weakref import ref

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from typing_extensions import TypedDict

from app import Session
from app.capability import Capability, Timeouts
from app.registry import RUNTIME
from app.runtimes import run_tool_safely, tool_of
from app.runtimes.tools import TurnTool
from app.turn import Turn
from kit.conventions import build_model
from kit.scripted_model import last_exchange, tool_calls
from kit.testing import Begin


class Guest(BaseModel):
    name: str
    age: int = Field(36, ge=18, description="in years")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    day: date


@dataclass
class Slot:
    day: date
    minutes: int = 30


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Point(NamedTuple):
    x: int
    y: int


class Colour(Enum):
    RED = "red"


class Channel(StrEnum):
    VOICE = "voice"


class Floor(IntEnum):
    FIRST = 1


class Address(TypedDict):
    street: str


ID = UUID("12345678-1234-5678-1234-567812345678")
DAY = date(2026, 12, 1)

ARGUMENTS: dict[str, tuple[Any, Any, Any]] = {  # annotation, what the model sends, what the tool gets
    "text": (str, "0123", "0123"),
    "number within bounds": (Annotated[int, Field(ge=15, le=60, description="minutes")], 30, 30),
    "number sent as text": (int, "30", 30),
    "truth value": (bool, True, True),
    "fraction": (float, 1, 1.0),
    "decimal": (Decimal, "9.50", Decimal("9.50")),
    "optional, given": (int | None, 5, 5),
    "optional, null": (int | None, None, None),
    "union": (int | list[int], [1, 2], [1, 2]),
    "list": (list[str], ["a", "b"], ["a", "b"]),
    "set": (set[int], [1, 2, 2], {1, 2}),
    "tuple": (tuple[int, str], [1, "a"], (1, "a")),
    "mapping": (dict[str, int], {"a": 1}, {"a": 1}),
    "date": (date, "2026-12-01", DAY),
    "moment": (datetime, "2026-12-01T09:30:00", datetime(2026, 12, 1, 9, 30)),
    "time": (time, "09:30", time(9, 30)),
    "duration": (timedelta, "PT1H30M", timedelta(minutes=90)),
    "uuid": (UUID, str(ID), ID),
    "choice": (Literal["small", "large"], "large", "large"),
    "choice of numbers": (Literal[1, 2], 2, 2),
    "enum": (Colour, "red", Colour.RED),
    "enum of numbers": (Floor, 1, Floor.FIRST),
    "enums": (list[Colour], ["red"], [Colour.RED]),
    "model": (Guest, {"name": "Ada"}, Guest(name="Ada")),
    "model or nothing": (Guest | None, {"name": "Ada", "age": 40}, Guest(name="Ada", age=40)),
    "models": (list[Guest], [{"name": "Ada"}], [Guest(name="Ada")]),
    "model as text": (Guest, '{"name": "Ada"}', Guest(name="Ada")),
    "strict model": (Strict, {"day": "2026-12-01"}, Strict(day=DAY)),
    "one of two models": (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog"}, Dog(kind="dog")),
    "dataclass": (Slot, {"day": "2026-12-01"}, Slot(DAY)),
    "typed dict": (Address, {"street": "Main"}, {"street": "Main"}),
    "named tuple": (Point, [1, 2], Point(1, 2)),
    "path": (Path, "a/b", Path("a/b")),
}


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize(("annotation", "sent", "expected"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
async def test_an_argument_arrives_as_its_annotation_says(
    begin: Begin, annotation: Any, sent: Any, expected: Any, blocking: bool
) -> None:
    got: list[Any] = []

    def book(order: str, value: Any, note: str = "none") -> str:
        """Book something."""
        got.extend([value, order, note])
        return "booked"

    async def book_later(order: str, value: Any, note: str = "none") -> str:
        """Book something."""
        return book(order, value, note)

    tool: Callable[..., Any] = book if blocking else book_later
    tool.__annotations__["value"] = annotation
    talk = await begin({"calls": {tool.__name__: {"order": "4711", "value": sent}}}, tools=[tool])
    assert (await talk.says("Book it")).text == "booked"
    assert got == [expected, "4711", "none"]
    assert type(got[0]) is type(expected)


def greet(guest: Guest) -> str:
    """Greet a guest."""
    return f"{guest.name}, {guest.age}"


def total(first: int, /, *others: int, unit: str = "cups", **prices: Decimal) -> str:
    """Add."""
    return f"{first + sum(others)} {unit} {sum(prices.values())}"


SIGNATURES: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "a model alone": (greet, {"name": "Ada", "age": 40}, "Ada, 40"),
    "positional and variable": (total, {"first": 1, "others": [2, 3], "tea": "1.50"}, "6 cups 1.50"),
}


@pytest.mark.parametrize(("tool", "sent", "said"), SIGNATURES.values(), ids=SIGNATURES.keys())
async def test_a_tool_is_called_as_its_signature_says(
    begin: Begin, tool: Callable[..., Any], sent: dict[str, Any], said: str
) -> None:
    talk = await begin({"calls": {tool.__name__: sent}}, tools=[tool])
    assert (await talk.says("Go on")).text == said


def calls_until(limit: int, name: str, arguments: Any) -> Any:
    """A model that calls a tool with these arguments `limit` times, then says what the last call returned."""

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        text, results = last_exchange(messages)
        if text == "Hello":
            yield "Yes."
        elif len(results) < limit:
            yield tool_calls({name: arguments})
        else:
            yield results[-1]

    return build_model(FunctionModel(stream_function=stream))


async def book(
    minutes: Annotated[int, Field(ge=15)], colour: Colour = Colour.RED, guests: list[Guest] | None = None
) -> str:
    """Book something."""
    return "booked"


WRONG = {
    "missing": ({}, "minutes"),
    "too small": ({"minutes": 5}, "minutes"),
    "no number": ({"minutes": "soon"}, "minutes"),
    "no choice": ({"minutes": 30, "colour": "blue"}, "colour"),
    "within a list": ({"minutes": 30, "guests": [{"name": "Ada", "age": 3}]}, "guests.0.age"),
    "unknown": ({"minutes": 30, "hours": 1}, "hours"),
}


@pytest.mark.parametrize(("arguments", "named"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_argument_is_named_to_the_model_each_time(
    begin: Begin, arguments: dict[str, Any], named: str
) -> None:
    talk = await begin(models=[calls_until(3, "book", arguments)], tools=[book])
    reply = await talk.says("Book it")
    assert reply.text.startswith(f"Wrong arguments. {named}: ")
    assert reply.tools == ["book"] * 3
    assert (await talk.says("Hello")).text == "Yes."


@dataclass
class Order:
    id: UUID
    guest: Guest
    colours: set[Colour]
    price: Decimal


RESULTS: dict[str, tuple[Any, str]] = {
    "text": ("It is there.", "It is there."),
    "text with signs": ('Zoë "&" 茶', 'Zoë "&" 茶'),
    "number": (7, "7"),
    "truth value": (True, "true"),
    "mapping": ({"day": DAY, "free": True}, '{"day": "2026-12-01", "free": true}'),
    "model": (Guest(name="Ada"), '{"name": "Ada", "age": 36}'),
    "models": ([Guest(name="Ada")], '[{"name": "Ada", "age": 36}]'),
    "dataclass": (
        Order(ID, Guest(name="Ada"), {Colour.RED}, Decimal("9.50")),
        f'{{"id": "{ID}", "guest": {{"name": "Ada", "age": 36}}, "colours": ["red"], "price": "9.50"}}',
    ),
    "enum": (Colour.RED, "red"),
    "enum that is text": (Channel.VOICE, "voice"),
    "enum as key": ({Colour.RED: 1}, '{"red": 1}'),
    "set": ({1}, "[1]"),
    "tuple": ((1, "a"), '[1, "a"]'),
    "named tuple": (Point(1, 2), "[1, 2]"),
    "date": (DAY, "2026-12-01"),
    "moment": (datetime(2026, 12, 1, 9, 30), "2026-12-01T09:30:00"),
    "duration": (timedelta(minutes=90), "PT1H30M"),
    "bytes": (b"\xff\x00", "_wA="),
    "decimal": (Decimal("9.50"), "9.50"),
    "uuid": (ID, str(ID)),
    "path": (Path("a/b"), "a/b"),
    "no number": ([float("nan")], "[null]"),
    "generator": ((number for number in (1, 2)), "[1, 2]"),
}


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("name", RESULTS)
async def test_a_result_reaches_the_model_and_the_history_as_json(begin: Begin, name: str, blocking: bool) -> None:
    result, text = RESULTS[name]
    if name == "generator":
        result = (number for number in (1, 2))

    def look() -> Any:
        """Look something up."""
        return result

    async def look_later() -> Any:
        """Look something up."""
        return result

    tool: Callable[..., Any] = look if blocking else look_later
    rules: list[dict[str, Any]] = [{"hears": "look", "calls": {tool.__name__: {}}}, {"says": "Yes."}]
    talk = await begin(*rules, tools=[tool])
    assert (await talk.says("look")).text == text
    assert (await talk.says("Hello")).text == "Yes."
    history = await talk.history_text()
    assert not [python for python in ("datetime", "decimal(", "<colour", "guest(") if python in history]


class Circle:
    """JSON cannot hold it."""


circle: list[Any] = []
circle.append(circle)


@pytest.mark.parametrize("result", [Circle(), {"a": Circle()}, circle, max], ids=["object", "within", "circle", "code"])
async def test_a_result_that_json_cannot_hold_is_a_failed_tool(begin: Begin, result: Any) -> None:
    def look() -> Any:
        """Look something up."""
        return result

    talk = await begin({"hears": "look", "calls": {"look": {}}}, {"says": "Yes."}, tools=[look])
    assert (await talk.says("look")).text.startswith("The tool failed (")
    assert (await talk.says("Hello")).text == "Yes."


async def test_a_function_that_returns_a_coroutine_is_awaited(begin: Begin) -> None:
    async def later() -> str:
        return "found"

    def look() -> Any:
        """Look something up."""
        return later()

    talk = await begin({"calls": {"look": {}}}, tools=[look])
    assert (await talk.says("look")).text == "found"


def find(function: str, limit: int) -> str:
    """Look something up. Its arguments have names that a function of the app may have too."""
    return f"{limit} of {function}"


async def find_later(function: str, limit: int) -> str:
    """Look something up."""
    return find(function, limit)


@pytest.mark.parametrize("tool", [find, find_later])
async def test_a_tool_gets_its_arguments_under_any_names(begin: Begin, tool: Callable[..., Any]) -> None:
    talk = await begin({"calls": {tool.__name__: {"function": "brakes", "limit": 2}}, "then": "{result}"}, tools=[tool])
    assert (await talk.says("Find brakes")).text == "2 of brakes"


def breaks() -> str:
    """Look something up."""
    raise RuntimeError("the password is swordfish")


async def breaks_later() -> str:
    """Look something up."""
    await asyncio.sleep(0)
    raise RuntimeError("the password is swordfish")


@pytest.mark.parametrize("tool", [breaks, breaks_later])
async def test_a_tool_that_raises_reaches_the_model_as_a_sentence_without_the_error_text(
    begin: Begin, logged: Callable[[], str], tool: Callable[..., Any]
) -> None:
    talk = await begin({"calls": {tool.__name__: {}}, "then": "It said: {result}"}, tools=[tool])
    reply = await talk.says("Look it up")
    assert reply.text.startswith("It said: The tool failed (RuntimeError).")
    log = logged()
    assert "tool.failed" in log and tool.__name__ in log
    assert "swordfish" not in reply.text + log


# --- tools that exit ---------------------------------------------------------------------------------------------


class Aborted(BaseException):
    """An exception that no `except Exception` sees."""


def leave(value: int) -> int:
    sys.exit(value)


EXITS: dict[str, Callable[[], Any]] = {
    "SystemExit": sys.exit,
    "KeyboardInterrupt": lambda: exec("raise KeyboardInterrupt"),
    "Aborted": lambda: exec("raise Aborted", globals()),
    "CancelledError": lambda: exec("import asyncio; raise asyncio.CancelledError"),
}


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("name", EXITS)
async def test_a_tool_that_exits_costs_one_answer(begin: Begin, name: str, blocking: bool) -> None:
    def look() -> None:
        """Look something up."""
        EXITS[name]()

    async def look_later() -> None:
        """Look something up."""
        await asyncio.sleep(0)
        EXITS[name]()

    tool: Callable[..., Any] = look if blocking else look_later
    talk = await begin({"hears": "look", "calls": {tool.__name__: {}}}, {"says": "Yes."}, tools=[tool])
    assert (await talk.says("look")).text.startswith(f"The tool failed ({name}).")
    assert (await talk.says("Hello")).text == "Yes."


@pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("error", [StopIteration, GeneratorExit])
async def test_a_tool_that_raises_what_ends_generators_costs_one_answer(
    begin: Begin, error: type[BaseException], blocking: bool
) -> None:
    def look() -> None:
        """Look something up."""
        raise error

    async def look_later() -> None:
        """Look something up."""
        raise error

    tool: Callable[..., Any] = look if blocking else look_later
    talk = await begin({"hears": "look", "calls": {tool.__name__: {}}}, {"says": "Yes."}, tools=[tool])
    assert (await talk.says("look")).text.startswith("The tool failed (")
    assert (await talk.says("Hello")).text == "Yes."


async def test_a_check_of_an_argument_that_exits_costs_one_answer(begin: Begin) -> None:
    def look(value: Annotated[int, AfterValidator(leave)]) -> int:
        """Look something up."""
        return value

    talk = await begin({"hears": "look", "calls": {"look": {"value": 1}}}, {"says": "Yes."}, tools=[look])
    assert (await talk.says("look")).text.startswith("The tool failed (SystemExit).")
    assert (await talk.says("Hello")).text == "Yes."


async def test_a_tool_whose_task_is_cancelled_is_cancelled() -> None:
    task = asyncio.create_task(run_tool_safely("look", asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def exits() -> None:
    await asyncio.sleep(0)
    sys.exit(1)


async def waits_for_it() -> str:
    """Look something up."""
    await asyncio.gather(exits(), asyncio.sleep(0))
    return "found"


async def waits_for_it_in_a_group() -> str:
    """Look something up."""
    async with asyncio.TaskGroup() as group:
        group.create_task(exits())
    return "found"


async def leaves_it_behind() -> str:
    """Look something up."""
    task = asyncio.create_task(exits())
    while not task.done():
        await asyncio.sleep(0)
    task.exception()
    return "found"


async def read_place(
    seats: Annotated[int, Field(ge=1, description="how many")], colour: Colour, guests: list[Guest] | None = None
) -> str:
    """Find a place.

    Args:
        colour: of the chairs.
    """
    return "found"


async def test_the_model_gets_names_bounds_choices_and_descriptions(begin: Begin) -> None:
    seen: list[Any] = []

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.extend(info.function_tools)
        yield "Yes."

    talk = await begin(models=[build_model(FunctionModel(stream_function=stream))], tools=[read_place], capabilities=[])
    await talk.says("Hello")
    (offered,) = seen
    schema = offered.parameters_json_schema
    assert (offered.name, list(schema["properties"])) == ("read_place", ["seats", "colour", "guests"])
    assert schema["required"] == ["seats", "colour"]
    if RUNTIME.__name__ == "BedrockAgents":  # its agent has the rest from the action group
        schema = tool_of(read_place).tool_def.parameters_json_schema
    assert schema["properties"]["seats"] | {"minimum": 1, "description": "how many"} == schema["properties"]["seats"]
    assert schema["properties"]["colour"]["enum"] == ["red"]
    assert schema["properties"]["colour"]["description"] == "of the chairs."
    assert schema["properties"]["guests"]["anyOf"][0]["items"]["properties"]["age"]["minimum"] == 18
    assert "$ref" not in str(schema)


@pytest.mark.parametrize("tool", [waits_for_it, waits_for_it_in_a_group, leaves_it_behind])
async def test_a_task_of_a_tool_that_exits_costs_one_answer(begin: Begin, tool: Callable[..., Any]) -> None:
    talk = await begin({"hears": "look", "calls": {tool.__name__: {}}}, {"says": "Yes."}, tools=[tool])
    assert (await talk.says("look")).text.startswith(("The tool failed (", "found"))
    assert (await talk.says("Hello")).text == "Yes."


class Exiting(Capability):
    """Hooks that exit."""

    async def on_start(self, session: Session) -> None:
        sys.exit(1)

    async def context(self, session: Session, text: str) -> str | None:
        raise KeyboardInterrupt

    async def on_end(self, session: Session) -> None:
        sys.exit(1)


async def test_a_conversation_goes_on_when_a_hook_exits(begin: Begin, logged: Callable[[], str]) -> None:
    talk = await begin({"says": "Yes."}, capabilities=[Exiting])
    assert (await talk.says("Hello")).text == "Yes."
    assert (await talk.says("Hello")).text == "Yes."
    await talk.ends()
    assert logged().count("capability.failed") == 4


# --- tools that block --------------------------------------------------------------------------------------------


class Blocked:
    """A log that lets a tool go on when it is named; it records the fields of each event."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.named = threading.Event()
        self.fields: dict[str, Any] = {}

    def error(self, event: str, **fields: Any) -> None:
        if event == "event_loop.blocked" and fields["tool"] == self.name and not self.named.is_set():
            self.fields = fields
            self.named.set()

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **fields: None

    def wait(self) -> str:
        return "named" if self.named.wait(30) else "not named"


@pytest.mark.parametrize("decorated", [False, True], ids=["plain", "decorated"])
async def test_a_tool_that_blocks_the_event_loop_is_named_while_it_blocks(
    begin: Begin, environment: pytest.MonkeyPatch, decorated: bool
) -> None:
    blocked = Blocked("look")
    environment.setattr("app.main.log", blocked)

    async def look() -> str:
        """Look something up."""
        await asyncio.sleep(0)
        return blocked.wait()

    @wraps(look)
    async def timed() -> str:
        return await look()

    talk = await begin({"calls": {"look": {}}}, tools=[timed if decorated else look], timeouts=Timeouts(blocked=0.02))
    assert (await talk.says("look")).text == "named"
    assert any(line.endswith("in look") and __file__ in line for line in blocked.fields["stack"])


async def test_what_else_blocks_the_event_loop_is_in_the_log_with_its_place(
    begin: Begin, environment: pytest.MonkeyPatch
) -> None:
    blocked = Blocked(None)
    environment.setattr("app.main.log", blocked)

    class Slow(Capability):
        async def context(self, session: Session, text: str) -> str | None:
            return blocked.wait()

    talk = await begin({"says": "Yes."}, capabilities=[Slow], timeouts=Timeouts(blocked=0.02, hook=60))
    assert (await talk.says("Hello")).text == "Yes."
    assert blocked.named.is_set()


def test_a_tool_of_a_session_is_freed_with_it() -> None:
    def made() -> Callable[..., Any]:
        def look() -> None:
            """Look something up."""

        return look

    tool = made()
    assert tool_of(tool) is tool_of(tool)
    alive = ref(tool)
    del tool
    gc.collect()
    assert alive() is None


async def test_functions_of_one_shape_share_a_schema_and_each_is_called() -> None:
    def look_in(place: str) -> Callable[..., Any]:
        def look() -> str:
            """Look something up."""
            return place

        return look

    def look() -> int:
        """Look something up."""
        return 1

    @wraps(look)
    def timed() -> int:
        return look() + 1

    functions = [look_in("here"), look_in("there"), look, timed]
    here, there, *_ = found = [TurnTool(each, Turn(""), 1) for each in functions]
    assert here.schema is there.schema
    assert [await each.result("{}", None) for each in found] == ["here", "there", 1, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"word": str}, {"word": int}),
        ({"word": Literal["a"]}, {"word": Literal["b"]}),
        ({"word": create_model("Word", a=(str, ...))}, {"word": create_model("Word", b=(str, ...))}),
    ],
    ids=["types", "values", "models of one name"],
)
def test_functions_with_other_types_have_other_schemas(one: dict[str, Any], other: dict[str, Any]) -> None:
    def look(word: Any) -> None:
        """Look something up."""

    def schema(annotations: dict[str, Any]) -> Any:
        function = FunctionType(look.__code__, globals(), "look")
        function.__annotations__ = annotations
        return tool_of(function).tool_def.parameters_json_schema

    assert schema(one) != schema(other) and schema(one) is schema(one)
