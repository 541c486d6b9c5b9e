"""What `this_session().state` takes: what JSON can hold. The rest is refused where it is set."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, SecretStr

from app import Session
from app.session import SessionStore, State, dump_session, load_session
from app.store import InProcess


class Plan(Enum):
    GOLD = 1


class Colour(StrEnum):
    RED = "red"


@dataclass
class Slot:
    at: str


class Order(BaseModel):
    number: str


Point = namedtuple("Point", "x y")
CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
DEEP: list[Any] = []
for _ in range(2000):
    DEEP = [DEEP]
NOW = datetime.now(UTC)

REFUSED: dict[str, tuple[Any, str]] = {
    "datetime": (NOW, "datetime"),
    "date": (date.today(), "date"),
    "timedelta": (timedelta(1), "timedelta"),
    "Decimal": (Decimal("1.5"), "Decimal"),
    "set": ({1, 2}, "set"),
    "bytes": (b"abc", "bytes"),
    "uuid": (uuid4(), "UUID"),
    "enum": (Plan.GOLD, "Plan"),
    "dataclass": (Slot("9:30"), "Slot"),
    "model": (Order(number="7"), "Order"),
    "secret": (SecretStr("x"), "SecretStr"),
    "path": (Path("/tmp"), "Path"),
    "function": (print, "function"),
    "exception": (ValueError("x"), "ValueError"),
    "in a list": ([1, [NOW]], "[1][0] is a datetime"),
    "in a tuple": ((1, NOW), "datetime"),
    "in a dict": ({"a": {"b": NOW}}, "['a']['b'] is a datetime"),
    "a key that is a number": ({1: "a"}, "key"),
    "a key inside": ({"a": {(1, 2): "a"}}, "['a'] has a key"),
    "a circle": (CIRCLE, "deep"),
    "deep": (DEEP, "deep"),
}
TAKEN: dict[str, Any] = {
    "text": "é 👋",
    "number": 1.5,
    "big": 10**30,
    "flag": True,
    "nothing": None,
    "nested": {"a": [1, {"b": [None, "c"]}]},
    "tuple": (1, 2),
    "named tuple": Point(1, 2),
    "text enum": Colour.RED,
    "ordered": OrderedDict(a=1),
    "default dict": defaultdict(list, a=[1]),
    "empty": {},
}
WAYS: dict[str, Callable[[State, Any], object]] = {
    "item": lambda state, value: state.__setitem__("kept", value),
    "update": lambda state, value: state.update({"kept": value}),
    "update by name": lambda state, value: state.update(kept=value),
    "update with pairs": lambda state, value: state.update([("kept", value)]),
    "setdefault": lambda state, value: state.setdefault("kept", value),
    "or": lambda state, value: state.__ior__({"kept": value}),
}


def a_session() -> Session:
    return Session("CA1", "+1", "+2", "en-US", lambda: NOW)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize(("value", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_what_json_cannot_hold_is_refused(way: Callable[[State, Any], object], value: Any, named: str) -> None:
    state = a_session().state
    assert isinstance(state, State)
    with pytest.raises(TypeError) as refused:
        way(state, value)
    message = str(refused.value)
    assert "session.state['kept']" in message and named.replace("['kept']", "") in message and "\n" not in message
    assert state == {}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("value", TAKEN.values(), ids=TAKEN.keys())
def test_what_json_can_hold_is_taken(way: Callable[[State, Any], object], value: Any) -> None:
    session = a_session()
    assert isinstance(session.state, State)
    way(session.state, value)
    assert session.state["kept"] == value
    saved = json.loads(json.dumps(dump_session(session)))
    assert load_session("CA1", saved, lambda: NOW).state == json.loads(json.dumps({"kept": value}))


def test_a_state_that_is_replaced_is_checked_too() -> None:
    session = a_session()
    with pytest.raises(TypeError, match=r"session.state\['at'\] is a datetime"):
        session.state = {"at": NOW}
    session.state = {"at": "now"}
    held = session.state
    session.state |= {"more": 1}
    assert session.state is held and held == {"at": "now", "more": 1}
    with pytest.raises(TypeError, match="key that is no text"):
        session.state[1] = "a"  # type: ignore[index]
    with pytest.raises(TypeError):
        session.state |= {"b": {1}}


def test_a_state_is_a_dict_for_everything_else() -> None:
    state = a_session().state
    state["a"] = [1]
    assert state.setdefault("a", [2]) == [1] and state.setdefault("n", None) is None
    assert json.loads(json.dumps(state)) == {"a": [1], "n": None} and isinstance(state, dict)
    copied = copy.deepcopy(state)
    copied["a"].append(2)
    assert state.pop("a") == [1] and copied == {"a": [1, 2], "n": None}
    del state["n"]
    assert not state and {**copied} == copied


async def test_a_value_that_was_changed_inside_costs_only_itself(logged: Callable[[], str]) -> None:
    sessions, session = SessionStore(InProcess(), lambda: NOW), a_session()
    session.state |= {"times": [], "name": "pineapple"}
    session.state["times"].append(NOW)
    await sessions.save(session, 60)
    saved = await sessions.load("CA1")
    assert isinstance(saved, Session) and saved.state == {"name": "pineapple"}
    assert session.state["times"] == [NOW]
    line = json.loads(logged())
    assert (line["event"], line["session"], line["key"]) == ("state.not_saved", "CA1", "times")
    assert "pineapple" not in str(line)


async def test_a_session_that_cannot_be_saved_is_logged(logged: Callable[[], str]) -> None:
    sessions, session = SessionStore(InProcess(), lambda: NOW), a_session()
    session.guidance = [{"pineapple"}]  # type: ignore[list-item]
    await sessions.save(session, 60)
    assert "session.not_saved" in logged() and "CA1" in logged() and "pineapple" not in logged()
