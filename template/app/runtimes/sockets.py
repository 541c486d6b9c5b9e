"""WebSockets to a service of models. A call keeps them from one turn to the next."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State

from app.capability import Background
from app.runtimes import safe_error_text


class Socket(Protocol):
    @property
    def state(self) -> State: ...

    async def close(self) -> None: ...


class RehearsedSocket:
    """Answers each message with the same frames, for the warm-up. It has what a runtime uses of a WebSocket."""

    state = State.OPEN

    def __init__(self, *answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.unread: deque[str] = deque()

    async def send(self, message: Any) -> None:
        self.unread.extend(map(json.dumps, self.answer))

    async def recv(self) -> str:
        return self.unread.popleft()

    async def close(self) -> None:
        """Nothing to close: it leads nowhere."""


Model = TypeVar("Model", bound=Hashable)
S = TypeVar("S", bound=Socket)


async def unchanged(model: Any, socket: S) -> S:
    return socket


class CallSockets(Generic[Model, S]):
    """One WebSocket for each call and model. A turn takes it, and releases it when it has ended.

    `open_socket` opens one for a session id and a model; it raises when the service refuses. `reset` makes a released
    socket ready for the next turn, or returns another one.
    """

    def __init__(
        self,
        open_socket: Callable[[str, Model], Coroutine[Any, Any, S]],
        reset: Callable[[Model, S], Coroutine[Any, Any, S]] = unchanged,
    ) -> None:
        self.open_socket = open_socket
        self.reset = reset
        self.serving = False  # True when a server runs, which calls `close`
        self.calls: set[str] = set()  # ids of the sessions that keep their sockets
        self.ready: dict[tuple[str, Model], asyncio.Future[S]] = {}  # no turn has taken them; some are still opening
        self.closing = Background()

    def on_connect(self, session_id: str, models: Sequence[Model]) -> None:
        """Open the sockets of a call, before its first turn."""
        if not self.serving:
            return
        self.calls.add(session_id)
        for model in models:
            if (session_id, model) not in self.ready:
                self._open(session_id, model)

    def on_end(self, session_id: str) -> None:
        self.calls.discard(session_id)
        for key in [key for key in self.ready if key[0] == session_id]:
            self.closing.start(drop(self.ready.pop(key)))

    async def close(self) -> None:
        for opening in self.ready.values():
            self.closing.start(drop(opening))
        self.ready.clear()
        await asyncio.gather(*self.closing)

    async def take(self, session_id: str, model: Model) -> S:
        """A socket for this turn alone. A turn that is cancelled while it opens leaves it to the next turn."""
        opening = self.ready.get((session_id, model))
        if opening is None or is_dead(opening):
            opening = self._open(session_id, model)
        socket = await asyncio.shield(opening)
        self.ready.pop((session_id, model), None)
        return socket

    def release(self, session_id: str, model: Model, socket: S, failed: bool) -> None:
        """Keep a socket for the next turn of its call. One that failed is closed, and another is opened."""
        needed = session_id in self.calls and (session_id, model) not in self.ready
        if needed and not failed:
            self._keep(session_id, model, self.reset(model, socket))
            return
        self.close_later(socket)
        if needed:
            self._open(session_id, model)

    def close_later(self, socket: S) -> None:
        self.closing.start(socket.close())

    def _open(self, session_id: str, model: Model) -> asyncio.Future[S]:
        return self._keep(session_id, model, self.open_socket(session_id, model))

    def _keep(self, session_id: str, model: Model, work: Coroutine[Any, Any, S]) -> asyncio.Future[S]:
        opening = self.ready[session_id, model] = asyncio.create_task(work)
        opening.add_done_callback(lambda done: done.cancelled() or done.exception())  # raised where it is taken
        return opening


async def drop(opening: asyncio.Future[Any]) -> None:
    """Close a socket that is open or still opening."""
    opening.cancel()
    await asyncio.wait([opening])
    if not opening.cancelled() and not opening.exception():
        await opening.result().close()


def is_dead(opening: asyncio.Future[Any]) -> bool:
    """True for a socket that was refused or has been closed."""
    if not opening.done():
        return False
    return opening.cancelled() or bool(opening.exception()) or opening.result().state is not State.OPEN


def failure_reason(error: BaseException) -> str:
    """The class of an error, with the status of HTTP or the code of the WebSocket."""
    if isinstance(error, InvalidStatus):
        return f"InvalidStatus {error.response.status_code}"
    if isinstance(error, ConnectionClosed) and error.rcvd:
        return f"{type(error).__name__} {error.rcvd.code}"
    return safe_error_text(error)
