"""A conversation in progress, and how a store keeps it.

It is stored between two messages, or until a call comes back, perhaps to another worker.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import uuid4

import structlog
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse, TextPart
from pydantic_core import PydanticSerializationError

from app.connection import Connection
from app.history import clean, tidy, unchanged
from app.store import Store
from app.turn import Turn

log = structlog.get_logger()

Action = Callable[..., Awaitable[bool]]

MAX_DEPTH = 50  # of values in a session's state
PERSISTED_FIELDS = (
    "caller",
    "called",
    "language",
    "greeting",
    "parameters",
    "conversation_id",
    "profile_id",
    "state",
    "guidance",
    "generation",
    "refusals",
    "usage",
)


class State(dict[str, Any]):
    """A dict that JSON can hold. Raises TypeError, which names key and type, for a value that it cannot."""

    update, setdefault = MutableMapping.update, MutableMapping.setdefault  # by __setitem__

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.update(values)

    def __setitem__(self, key: str, value: Any) -> None:
        if problem := not_json({key: value}, "session.state"):
            raise TypeError(f"{problem}, which JSON cannot hold: keep text, numbers, lists or dicts of them.")
        super().__setitem__(key, value)

    def __ior__(self, values: Mapping[str, Any]) -> State:  # type: ignore[override, misc]
        self.update(values)
        return self


def not_json(value: Any, place: str) -> str | None:
    """What JSON cannot hold in a value, as in "state['at'] is a datetime", or None."""
    match value:
        case None | bool() | int() | float() | str():
            return None
        case dict() if all(isinstance(key, str) for key in value):
            parts = [(f"{place}[{key!r}]", each) for key, each in value.items()]
        case dict():
            return f"{place} has a key that is no text"
        case list() | tuple():
            parts = [(f"{place}[{number}]", each) for number, each in enumerate(value)]
        case _:
            return f"{place} is a {type(value).__name__}"
    if place.count("[") > MAX_DEPTH:
        return f"{place[:99]}... is nested too deeply"
    return next(filter(None, (not_json(each, inner) for inner, each in parts)), None)


@dataclass
class Session:
    """One conversation. `caller` is the customer, also of a call that the agent makes: E.164, an address such as
    `sip:ada@example.com`, an identity in chat, or "" for a withheld number. `called` is the agent's own number. `id` is
    the CallSid, or in writing the id of Conversation Orchestrator; `now` is the time in AGENT_TIME_ZONE.

    `state` is a State, and yours: capabilities keep theirs there under their own names. `guidance` is added to the
    model's instructions from the next turn on, `hearing` is a partial prompt, if the project has them. PERSISTED_FIELDS
    and `history` move with the call to another worker.
    """

    id: str
    caller: str
    called: str
    language: str
    now: Callable[[], datetime]
    connection: Connection = field(default_factory=Connection)
    parameters: Mapping[str, str] = field(default_factory=dict)
    greeting: str = ""
    history: list[ModelMessage] = field(default_factory=list)
    conversation_id: str | None = None
    profile_id: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    guidance: list[str] = field(default_factory=list)
    generation: int = 0  # how often the call was resumed
    refusals: int = 0  # turns in a row in which the model refused the whole history
    usage: list[list[Any]] = field(default_factory=list)  # of each response of a model, as Turn.usage has it
    hearing: str = ""
    turn: Turn | None = None
    ending: bool = False
    actions: dict[str, Action] = field(default_factory=dict)
    tools: Sequence[Callable[..., Any]] | None = None  # of the capabilities; None until the first turn
    filtered: Callable[[Any], Any] = unchanged  # takes out of a text or data what may not be kept

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, State(value) if name == "state" and not isinstance(value, State) else value)

    async def say(self, text: str, interruptible: bool = True) -> None:
        """Say `text` at once, and keep it in the history."""
        text = self.filtered(clean(text))
        await self.connection.say(text, interruptible)
        said = ModelResponse([TextPart(text)])
        if self.turn and not self.turn.complete:
            self.turn.interjections.append(said)
            return
        if self.turn:  # from now on an interruption cuts this text, not the reply before it
            self.history, self.turn = [*self.history, *self.turn.history()], None
        self.history.append(said)

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """End the call after the words of this turn. `handoff` reaches the `<Connect action>` route."""
        await self.connection.end(handoff)

    async def escalate(self, reason_code: str, summary: str = "") -> bool:
        """Transfer to a human. False when the conversation is over, or the project has no hand-off."""
        action = self.actions.get("escalate") if self.connection.open else None
        return await action(reason_code, summary) if action else False


_this_session: ContextVar[Session] = ContextVar("this_session")
set_session = _this_session.set


def this_session() -> Session:
    """The session that the running tool belongs to. Raises LookupError outside of a turn."""
    return _this_session.get()


class Ended(Enum):
    """The state of a session that cannot be resumed."""

    ENDED = "over"  # the value in the store


ENDED = Ended.ENDED


class SessionStore:
    """Loads, saves and ends sessions. Each save names the worker that wrote it.

    Even and odd generations use different keys, so that a late save of the old worker overwrites neither the resumed
    session nor its end.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self.store = store
        self.now = now
        self.worker = uuid4().hex

    async def load(self, id: str) -> Session | Ended | None:
        """The session as it was saved last, with a closed connection; ENDED, or None when it is unknown."""
        saved = await self._read(id)
        return saved if saved is None or saved is ENDED else load_session(id, saved, self.now)

    async def owner(self, id: str) -> str | Ended | None:
        """The worker that saved the session last; ENDED, or None when it is unknown."""
        saved = await self._read(id)
        return saved if saved is None or saved is ENDED else str(saved.get("worker", ""))

    async def save(self, session: Session, seconds: float) -> None:
        """Keep the session for that many seconds. One that cannot be saved is logged: the others go on."""
        try:
            saved = {**dump_session(session), "worker": self.worker}
            await self.store.put(key(session.id, session.generation), json.dumps(saved), seconds)
        except Exception as error:  # its text may quote the conversation
            log.error("session.not_saved", session=session.id, error=type(error).__name__)

    async def end(self, id: str, seconds: float) -> None:
        """Make `load` return ENDED for this session, for that many seconds."""
        for generation in (0, 1):
            await self.store.put(key(id, generation), json.dumps(ENDED.value), seconds)

    async def _read(self, id: str) -> Mapping[str, Any] | Ended | None:
        texts = await asyncio.gather(*(self.store.get(key(id, generation)) for generation in (0, 1)))
        saved = [json.loads(text) for text in texts if text]
        if ENDED.value in saved:
            return ENDED
        return max(saved, key=lambda each: int(each.get("generation", 0)), default=None)


def key(id: str, generation: int) -> str:
    return f"session:{id}:2" if generation % 2 else f"session:{id}"


def dump_session(session: Session) -> dict[str, Any]:
    """The fields of a session that a store keeps, as JSON."""
    kept = {name: getattr(session, name) for name in PERSISTED_FIELDS} | {"parameters": dict(session.parameters)}
    kept |= {"state": session.filtered(dict(session.state)), "guidance": session.filtered(session.guidance)}
    for name in [name for name, value in session.state.items() if not_json(value, name)]:  # changed inside since
        log.error("state.not_saved", session=session.id, key=name, hint="JSON cannot hold its value")
        del kept["state"][name]
    history = [*session.history, *(session.turn.history() if session.turn else [])]
    try:
        dumped = ModelMessagesTypeAdapter.dump_python(history, mode="json")
    except PydanticSerializationError:  # a message that was added to `session.history` directly
        dumped = ModelMessagesTypeAdapter.dump_python(tidy(history), mode="json")
    return {**kept, "history": dumped}


def load_session(id: str, saved: Mapping[str, Any], now: Callable[[], datetime]) -> Session:
    """A session of what `dump_session` gave, also in an older version. Its connection is closed until one is attached.

    A history that cannot be read is left out: the conversation goes on without it.
    """
    session = Session(id, now=now, **{name: saved[name] for name in PERSISTED_FIELDS if name in saved})
    try:
        session.history = tidy(ModelMessagesTypeAdapter.validate_python(saved["history"]))
    except (KeyError, ValueError):
        log.error("session.history_unreadable", session=id)
    session.connection.open = False
    return session
