"""Hooks of a capability, and the services that it is built from. `main.py`, the brain and the channels call them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

import httpx2
import structlog
from fastapi import APIRouter, FastAPI
from pydantic import create_model

from app.connection import Connection, NotSupported
from app.event_loop import Deadline, Load
from app.limits import OwnerLimits
from app.runtimes import Runtime
from app.session import Action, Session, SessionStore
from app.settings import Settings
from app.store import Store

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True)
class Timeouts:
    """In seconds. Tests pass shorter ones."""

    startup: float = 30.0  # a capability's `open`
    hook: float = 2.0  # every other hook: the other party waits for it
    shutdown: float = 10.0  # `on_end` and `close`
    setup: float = 10.0  # a WebSocket without its setup
    reconnect: float = 30.0  # a call that has disconnected may come back
    blocked: float = 1.0  # the event loop, until the log says what blocks it


class ConnectionSource(Protocol):
    """A channel that can open a connection between two turns."""

    async def connection_to(self, session: Session) -> Connection | None:
        """A connection that can send outside a turn, or None when this channel has none."""


@dataclass
class Services:
    """What a capability is built from. `transport` carries requests to Twilio; None is the network.

    `parts` are the registered classes that are neither capability, channel, runtime nor store. `capabilities`,
    `channels` and `runtime` are set before the server starts.
    """

    settings: Any
    store: Store
    now: Callable[[], datetime]
    transport: httpx2.AsyncBaseTransport | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    parts: Sequence[type[Any]] = ()
    capabilities: Sequence[Capability] = ()
    channels: Sequence[ConnectionSource] = ()
    runtime: Runtime | None = None

    def __post_init__(self) -> None:
        self.sessions = SessionStore(self.store, self.now)
        self.limits = OwnerLimits(self)
        self.load = Load()

    def local_now(self) -> datetime:
        """The time in the zone of the settings."""
        return self.now().astimezone(self.settings.time_zone)

    @cached_property
    def filters(self) -> list[FiltersText]:
        return [capability for capability in self.capabilities if isinstance(capability, FiltersText)]

    def filtered(self, value: Any) -> Any:
        """What the capabilities leave of a text or JSON data."""
        for each in self.filters:
            value = each.filter_data(value)
        return value

    @cached_property
    def observers(self) -> list[Observes]:
        return [capability for capability in self.capabilities if isinstance(capability, Observes)]

    def observed(self, hop: str, session: Session, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        for each in self.observers:
            work = each.observe_work(hop, session, work)
        return work

    def observed_tokens(self, hop: str, session: Session, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        for each in self.observers:
            tokens = each.observe_tokens(hop, session, tokens)
        return tokens

    def count(self, event: str, **facts: str) -> None:
        for each in self.observers:
            each.count(event, **facts)

    def parts_of(self, kind: type[Any]) -> list[Any]:
        """The registered parts that are subclasses of `kind`, in order."""
        return [part for part in self.parts if issubclass(part, kind)]


class Limit(NamedTuple):
    """All that the model has in a turn: `prompt` stands for the project's and all contexts. A reply passes `filter`."""

    prompt: str
    tools: Collection[str]  # names
    filter: Callable[[AsyncGenerator[str]], AsyncGenerator[str]]


class Capability:
    """Every hook is optional. One that raises or exceeds its limit is logged, and the conversation goes on."""

    settings: type[Settings] = Settings
    spoken_only = False  # True: not called for text conversations

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls()

    def routes(self) -> APIRouter:
        """Webhooks of its own."""
        return APIRouter()

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        """Tools for the model in this conversation. Called once a session, and again when the session moves."""
        return ()

    def actions(self, session: Session) -> Mapping[str, Action]:
        """Functions for `agent/` and for other capabilities, by name. Each returns False when it could not act."""
        return {}

    async def is_with_human(self, session: Session) -> bool:
        """True while a human has the conversation: the agent does not answer then."""
        return False

    async def open(self) -> None:
        """Called when the server starts. Limit: `Timeouts.startup`."""

    async def close(self) -> None:
        """Called when the server stops, after the last conversation or `AGENT_DRAIN`. Limit: `Timeouts.shutdown`."""

    async def on_start(self, session: Session) -> None:
        """Called when a conversation has begun, before the first answer. Limit: `Timeouts.hook`."""

    async def on_resume(self, session: Session) -> None:
        """Called when a call is back, and for each later text message; on any worker. Limit: `Timeouts.hook`."""

    async def context(self, session: Session, text: str) -> str | None:
        """Text for the model's instructions before it answers `text`. Limit: `Timeouts.hook`."""
        return None

    def limit(self, session: Session) -> Limit | None:
        """All that the model has in this turn, or None. An error ends the turn in the apology."""
        return None

    async def greet_call(self, form: Mapping[str, str]) -> str | None:
        """The greeting of a call when it is connected, or None. `form` is Twilio's. Limit: `Timeouts.hook`."""
        return None

    async def on_end(self, session: Session) -> None:
        """Called when a conversation is over and cannot come back. Limit: `Timeouts.shutdown`."""


@runtime_checkable
class RelayAttributes(Protocol):
    """A capability that sets attributes of `<ConversationRelay>`."""

    def relay_attributes(self) -> Mapping[str, str]:
        """Attributes in snake_case."""


@runtime_checkable
class AnswersCall(Protocol):
    """A capability that speaks to the caller of a new call before the agent does."""

    async def answer_call(self, form: Mapping[str, str]) -> str | None:
        """TwiML that leads to `Voice.connect_twiml`, or None. `form` is Twilio's. Limit: `Timeouts.hook`."""


@runtime_checkable
class AddsWords(Protocol):
    """A capability that adds to the first words of the agent, or to the last."""

    def add_words(self, text: str, last: bool) -> str:
        """`text` with the additions. After the `last` words Twilio hangs up."""


@runtime_checkable
class FollowsSpeech(Protocol):
    """A capability that learns what a caller has heard of the agent's words."""

    async def on_heard(self, session: Session, text: str, interrupted: bool) -> None:
        """`text` was heard, and if `interrupted`, not the words after it. Limit: `Timeouts.hook`."""


@runtime_checkable
class HandlesHandoff(Protocol):
    """A capability that continues the call after the agent has ended its part."""

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """TwiML for the caller after the agent ended with `handoff`, or None. Limit: `Timeouts.hook`."""


@runtime_checkable
class Detours(Protocol):
    """A capability that sends the call elsewhere for a while. `Voice.connect_twiml` brings it back to its session."""

    async def on_detour(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """As `HandlesHandoff.on_handoff`, but the conversation goes on afterwards."""


@runtime_checkable
class RescuesCall(Protocol):
    """A capability that takes a call whose session has failed and does not come back."""

    async def on_lost(self, form: Mapping[str, str]) -> str | None:
        """TwiML for the caller, or None. `form` is Twilio's. Limit: `Timeouts.hook`."""


@runtime_checkable
class FiltersText(Protocol):
    """A capability that takes out of a conversation what nothing may read or keep. Its methods may not raise."""

    def filter_user_text(self, session: Session, text: str) -> str:
        """The user text of a new turn. `session.history` has the turns before, which may be changed too."""

    def filter_data(self, value: Any) -> Any:
        """Texts or JSON data of models, tools and capabilities: replies, arguments, results, state, handoff data."""

    def filter_tokens(self, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        """A reply, token by token."""


@runtime_checkable
class Observes(Protocol):
    """A capability that measures what happens. Its methods may not raise, and change nothing."""

    def observe_app(self, app: FastAPI) -> None:
        """Called once, before the server starts."""

    def observe_tokens(self, hop: str, session: Session, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        """Tokens of the current turn. `hop` is `turn`: of the other party, or `model`: of an attempt of the runtime."""

    def observe_work(self, hop: str, session: Session, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """A part of the current turn. `hop` is `context`, or `tool` and its name."""

    def count(self, event: str, **facts: str) -> None:
        """Something has happened, such as an apology. No fact is personal."""


def with_added_words(text: str, capabilities: Sequence[Any], last: bool = False) -> str:
    for capability in capabilities:
        text = capability.add_words(text, last) if isinstance(capability, AddsWords) else text
    return text


async def run_hooks(
    capabilities: Sequence[Any], hook: Callable[..., Any], *args: Any, timeout: float | None = None
) -> list[Any]:
    """Call `hook` (as in `Capability.on_start`) of every capability, and return the results in order.

    A hook that raises, or takes longer than `timeout` seconds, is logged and left out.
    """
    written = any(isinstance(arg, Session) and not arg.connection.spoken for arg in args)
    results = []
    for capability in capabilities:
        if capability.spoken_only and written:
            continue
        try:
            async with Deadline(Timeouts.hook if timeout is None else timeout):
                result = getattr(capability, hook.__name__)(*args)
                results.append(await result if isinstance(result, Awaitable) else result)
        except NotSupported as error:  # the customer has opted out, or has hung up
            log.warning("capability.not_supported", capability=type(capability).__name__, reason=str(error))
        except (Exception, SystemExit, KeyboardInterrupt):  # the last two would end the server
            log.exception("capability.failed", capability=type(capability).__name__, hook=hook.__name__)
    return results


async def first_answer(services: Services, hook: Callable[..., Any], *args: Any, but: object = None) -> Any:
    """What the first capability with this hook, `but` aside, returns, unless it is empty; None if none does.

    Those after it are not called.
    """
    for each in services.capabilities:
        if each is not but and hasattr(each, hook.__name__):
            for answer in filter(None, await run_hooks([each], hook, *args, timeout=services.timeouts.hook)):
                return answer
    return None


async def attach(session: Session, services: Services) -> None:
    """Give a session clock, filter and actions, and a connection when it has none and a channel can."""
    session.now, session.filtered = services.local_now, services.filtered
    if not session.connection.open:
        for channel in services.channels:
            if connection := await channel.connection_to(session):
                session.connection = connection
                break
    hook_timeout = services.timeouts.hook
    for actions in await run_hooks(services.capabilities, Capability.actions, session, timeout=hook_timeout):
        session.actions |= actions


def merge_settings(*parts: type[Settings]) -> type[Settings]:
    """One settings class of several, so that every problem of an environment is reported at once."""
    own = [
        part for part in dict.fromkeys(parts) if not any(part is not more and issubclass(more, part) for more in parts)
    ]
    return create_model("ProjectSettings", __base__=tuple(own) or (Settings,))


class Background(set[asyncio.Task[None]]):
    """Tasks that run in the background. The event loop keeps only weak references, so this must hold one."""

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.add(task)
        task.add_done_callback(self.discard)

    async def finish(self, limit: float) -> int:
        """Wait up to `limit` seconds, then cancel. Returns how many tasks were cancelled."""
        if not self:
            return 0
        _, late = await asyncio.wait(self, timeout=limit)
        for task in late:
            task.cancel()
        return len(late)
