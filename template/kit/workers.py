"""Workers of a project on one store, without servers: for tests of saved calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from app.capability import Capability, Timeouts
from app.connection import Connection
from app.session import Session
from app.store import InProcess, Store
from kit import defaults
from kit.agent_app import build_app
from kit.voice_fixtures import contents

ended: list[list[str]] = []


class EndRecorder(Capability):
    """Records the texts of the calls that ended."""

    async def on_end(self, session: Session) -> None:
        ended.append(contents(session))


@pytest.fixture(autouse=True)
def nothing_ended() -> None:
    ended.clear()


def options(store: Store, reconnect: float = 60.0) -> dict[str, Any]:
    """A worker on `store`. A call expires only when a test says so."""
    return {"store": store, "capabilities": [EndRecorder], "timeouts": Timeouts(reconnect=reconnect)}


def worker(store: Store) -> FastAPI:
    return build_app(**options(store))


async def begin(calls: Any, call_sid: str = "CA1") -> Session:
    session: Session = await calls.start(
        call_sid, caller=defaults.CALLER, called=defaults.CALLED, connection=Connection()
    )
    return session


async def turn(calls: Any, session: Session, text: str) -> None:
    async for _ in calls.reply(session, text):
        pass


async def saved(calls: Any) -> None:
    """Wait until the saves in the background are done."""
    await asyncio.gather(*calls._saving)


class Shared(InProcess):
    """One store for the workers of a test."""

    shared = True


def hold_next_save(store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Make the next write of a session wait. The first event is set when it starts; the test sets the second."""
    started, finish, put = asyncio.Event(), asyncio.Event(), store.put

    async def held(key: str, value: str, seconds: float) -> None:
        if key.startswith("session:") and not started.is_set():
            started.set()
            await finish.wait()
        await put(key, value, seconds)

    monkeypatch.setattr(store, "put", held)
    return started, finish
