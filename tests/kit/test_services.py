"""What the core has for capabilities, also in a project whose own capabilities do not use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from pydantic_ai import messages as m

from app import Session
from app.capability import Background, Capability, Limit, Observes, Services, attach, merge_settings, run_hooks
from app.connection import Connection, NotSupported
from app.history import as_heard
from app.log import without_cards
from app.runtimes.tools import run_tool
from app.settings import Settings
from app.store import SWEEP_THRESHOLD, InProcess
from app.turn import Turn
from kit import defaults
from kit.agent_app import build_app
from kit.testing import Begin


def services_of(app: FastAPI) -> Services:
    services: Services = app.state.brain.services
    return services


class Watch(Capability):
    """Writes down what it is shown."""

    apps: ClassVar[list[FastAPI]] = []
    hops: ClassVar[list[tuple[str, str, Any]]] = []
    events: ClassVar[list[tuple[str, Mapping[str, str]]]] = []

    def observe_app(self, app: FastAPI) -> None:
        self.apps.append(app)

    async def observe_tokens(self, hop: str, session: Session, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        heard = ""
        async with aclosing(tokens):
            async for token in tokens:
                heard += token
                yield token
        self.hops.append((hop, session.id, heard.strip()))

    async def observe_work(self, hop: str, session: Session, work: Coroutine[Any, Any, Any]) -> Any:
        result = await work
        self.hops.append((hop, session.id, type(result)))
        return result

    def count(self, event: str, **facts: str) -> None:
        self.events.append((event, facts))


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    for seen in (Watch.apps, Watch.hops, Watch.events):
        seen.clear()


async def test_an_observer_sees_the_app_a_turn_its_parts_and_what_is_counted(begin: Begin) -> None:
    assert isinstance(Watch(), Observes)
    talk = await begin({"hears": "", "says": "Yes."}, capabilities=[Watch, Watch])
    await talk.says("Hello")
    id = (await talk.session()).id
    assert Watch.apps == [talk.app] * 2
    assert Watch.hops == [("context", id, str)] * 2 + [("model", id, "Yes.")] * 2 + [("turn", id, "Yes.")] * 2
    Watch.events.clear()
    services_of(talk.app).count("limit", reason="caller_calls")
    assert Watch.events == [("limit", {"reason": "caller_calls"})] * 2


# --- hooks -----------------------------------------------------------------------------------------------------


class OptedOut(Capability):
    async def on_start(self, session: Session) -> None:
        raise NotSupported("say")


class Spoken(Capability):
    spoken_only = True

    async def on_start(self, session: Session) -> str:
        return "spoken"


class Always(Capability):
    async def on_start(self, session: Session) -> str:
        return "always"

    def actions(self, session: Session) -> Mapping[str, Any]:
        return {"escalate": self.on_start}


@pytest.mark.parametrize(("spoken", "results"), [(True, ["spoken", "always"]), (False, ["always"])])
async def test_a_hook_for_calls_is_not_called_for_texts_and_one_that_cannot_is_left_out(
    logged: Callable[[], str], spoken: bool, results: list[str]
) -> None:
    session = new_session()
    session.connection.spoken = spoken
    assert await run_hooks([OptedOut(), Spoken(), Always()], Capability.on_start, session) == results
    assert "capability.not_supported" in logged() and "capability.failed" not in logged()


def new_session() -> Session:
    app = build_app({"says": "Yes."})
    return Session("CA1", defaults.CALLER, defaults.CALLED, "en-US", services_of(app).now)


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_session_without_a_connection_gets_the_first_that_a_channel_has(is_open: bool) -> None:
    session, (first, second) = new_session(), (Connection(), Connection())
    own = session.connection
    own.open = is_open
    services = services_of(build_app({"says": "Yes."}, capabilities=[Always]))

    async def connection(which: Connection | None) -> Connection | None:
        return which

    services.channels = [
        SimpleNamespace(connection_to=lambda session, each=each: connection(each)) for each in (None, first, second)
    ]
    await attach(session, services)
    assert session.connection is (own if is_open else first)
    assert list(session.actions) == ["escalate"] and session.now == services.local_now


OPERATIONS: list[tuple[str, tuple[Any, ...]]] = [
    ("say", ("Hi",)),
    ("update_state", ({}, None)),
    ("end", ()),
    ("play", ("https://a/b.mp3",)),
    ("send_digits", ("1",)),
    ("switch_language", ("es-MX",)),
]


@pytest.mark.parametrize(("name", "arguments"), OPERATIONS)
async def test_what_a_connection_cannot_do_is_named(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(NotSupported, match=f"^{name}$"):
        await getattr(Connection(), name)(*arguments)


async def test_words_for_the_end_of_a_turn_are_said(session: Session) -> None:
    await session.connection.append_to_turn("Goodbye.")
    assert session.connection.said == ["Goodbye."]  # type: ignore[attr-defined]


# --- a limit of what the model has -----------------------------------------------------------------------------


class Only(Capability):
    """Puts the model into a room with one tool."""

    def limit(self, session: Session) -> Limit | None:
        return Limit("Take the card number.", ["first_tool"], self.shout)

    async def context(self, session: Session, text: str) -> str | None:
        return "They like tea."

    async def shout(self, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        async with aclosing(tokens):
            async for token in tokens:
                yield token.upper()


def first_tool() -> str:
    """Do the first thing."""
    return "one"


def other_tool() -> str:
    """Do another thing."""
    return "two"


async def test_a_limit_leaves_the_model_its_prompt_and_its_tools(begin: Begin) -> None:
    rules = [
        {"hears": "first", "calls": {"first_tool": {}}, "then": "got {result}"},
        {"hears": "other", "calls": {"other_tool": {}}, "then": "got {result}"},
        {"hears": "", "says": "Yes."},
    ]
    talk = await begin(*rules, tools=[first_tool, other_tool], capabilities=[Only])
    assert (await talk.says("Hello")).text == "YES."
    instructions = await talk.instructions()
    assert instructions.startswith("Take the card number.") and "tea" not in instructions
    request = [part for message in (await talk.session()).history for part in message.parts]
    assert [part.tool_name for part in request if isinstance(part, m.ToolCallPart)] == []


# --- background work, settings, tools ----------------------------------------------------------------------------


async def test_work_in_the_background_is_waited_for_and_then_cancelled() -> None:
    background, done = Background(), asyncio.Event()
    assert await background.finish(0) == 0

    async def quick() -> None:
        done.set()

    background.start(quick())
    background.start(asyncio.sleep(3600))
    tasks = list(background)
    assert await background.finish(0.02) == 1
    assert done.is_set()
    await asyncio.wait(tasks)
    assert sorted(task.cancelled() for task in tasks) == [False, True] and not background


class More(Settings):
    more: str = ""


class Most(More):
    most: str = ""


class Other(Settings):
    other: str = ""


def test_the_settings_of_all_parts_are_one_class() -> None:
    merged = merge_settings(Settings, More, Most, Other, More, Settings)
    assert merged.__bases__ == (Most, Other)
    assert merge_settings().__bases__ == (Settings,) == merge_settings(Settings).__bases__


async def test_a_tool_that_is_not_there_is_named() -> None:
    async def result(arguments: Any, id: str) -> str:
        return f"{arguments!r} {id}"

    tools: Any = {"look_up": SimpleNamespace(result=result)}
    calls = [
        m.ToolCallPart("look_up", '{"a": 1}', "1"),
        m.ToolCallPart("look_up", None, "2"),
        m.ToolCallPart("no", "", "3"),
    ]
    returned = [await run_tool(tools, call) for call in calls]
    assert [(part.tool_name, part.content, part.tool_call_id) for part in returned] == [
        ("look_up", "'{\"a\": 1}' 1", "1"),
        ("look_up", "'' 2", "2"),
        ("no", "There is no tool no here.", "3"),
    ]


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        ("Once upon", "Once upon"),
        ("Once upon ", "Once upon "),
        ("", "  Once upon a time"),
        ("Twice", "  Once upon a time"),
    ],
)
def test_the_last_text_is_cut_to_what_was_heard_if_it_begins_so(heard: str, text: str) -> None:
    asked = m.ModelRequest.user_text_prompt("A story")
    first, last = m.ModelResponse([m.TextPart("Once upon")]), m.ModelResponse([m.TextPart("  Once upon a time")])
    history = as_heard([asked, first, asked, last], heard)
    assert history[:3] == [asked, first, asked] and history[3].text == text  # type: ignore[union-attr]
    assert as_heard([last, asked], "Once upon") == [last, asked]


async def test_an_interruption_is_of_the_reply_before_while_the_turn_has_not_spoken() -> None:
    """Keys begin a turn before Twilio reports that they have interrupted the last reply."""
    session, brain = new_session(), build_app({"says": "Yes."}).state.brain
    asked, last = m.ModelRequest.user_text_prompt("A story"), m.ModelResponse([m.TextPart("Once upon a time")])
    session.history, session.turn = [asked, last], Turn("(The caller pressed 4 on the keypad.)")
    brain.interrupted(session, "Once upon")
    assert [session.history[0], session.history[1].text] == [asked, "Once upon"]  # type: ignore[union-attr]
    assert session.turn.heard_text is None and not session.turn.stopped


# --- the store of one process ------------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_queue_gives_the_oldest_value_that_has_not_expired() -> None:
    store = InProcess()
    await store.push("a", "short", 5)
    await store.push("a", "first", 60)
    await store.push("a", "second", 60)
    await store.push("b", "other", 60)
    await asyncio.sleep(5)
    assert [await store.pop("a", 1) for _ in range(3)] == ["first", "second", None]
    assert await store.pop("b", 1) == "other" and not store.queues


@pytest.mark.virtual_time
async def test_a_queue_waits_for_a_value_and_no_longer_than_it_may() -> None:
    store, now = InProcess(), asyncio.get_running_loop().time
    began = now()
    waiting = [asyncio.create_task(store.pop("a", 10)) for _ in range(2)]
    await asyncio.sleep(3)
    await store.push("a", "late", 60)
    assert await asyncio.gather(*waiting) == ["late", None] and now() - began == pytest.approx(10)


@pytest.mark.virtual_time
async def test_what_has_expired_is_removed_once_there_is_much() -> None:
    store = InProcess()
    await store.push("queue", "gone", 1)
    await store.push("kept", "gone", 1)
    await store.push("kept", "here", 60)
    for number in range(SWEEP_THRESHOLD - 3):
        await store.put(str(number), "", 1)
    await store.put("here", "x", 60)
    await asyncio.sleep(1)
    assert len(store.values) + len(store.queues) == SWEEP_THRESHOLD
    await store.put("one more", "x", 60)
    assert set(store.values) == {"here", "one more"} and set(store.queues) == {"kept"}
    for number in range(SWEEP_THRESHOLD):
        await store.put(str(number), "", 60)
    assert store._sweep_at == 2 * (SWEEP_THRESHOLD + 1)  # as many as there were, or it would sweep at every write


# --- cards -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("My card is 4242 4242 4242 4242, thanks", "My card is [card number], thanks"),
        ("4242424242424242 and 5555-5555-5555-4444", "[card number] and [card number]"),
        ("Call +15005550006 or +4242424242424242", "Call +15005550006 or [card number]"),
        ("4242 4242 4242 4243 has a wrong digit", "4242 4242 4242 4243 has a wrong digit"),
        ("order 12345", "order 12345"),
    ],
)
def test_a_number_that_may_be_of_a_card_is_not_logged(text: str, shown: str) -> None:
    assert without_cards(text) == shown


async def test_a_limit_that_ends_a_conversation_is_counted_by_its_name(begin: Begin) -> None:
    talk = await begin({"says": "word " * 400}, capabilities=[Watch], call_tokens=100)
    for text in ("Tell me everything", "And more?"):
        await talk.says(text)
    assert [each for each in Watch.events if each[0] == "limit"] == [("limit", {"reason": "call_tokens"})]
