"""The user's reactions, and the signals whose reaction has failed: kept in a file until `agent replay`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from app.session import Session
from app.signals import SIGNALS, AnySignal

log = structlog.get_logger()

PATIENCE = 60.0  # seconds that a reaction may take: to hand over waits for the end of a turn
KEPT = timedelta(days=7)  # a failed signal holds what was found out about a person: it does not stay for ever
RECORDED = ("caller", "called", "language", "parameters", "conversation_id", "profile_id", "state", "guidance")
CANNOT_WRITE = "AGENT_FAILED_SIGNALS must name a file that the server can write"


def record_of(session: Session) -> dict[str, Any]:
    """What is kept of a conversation that is over, as JSON."""
    kept = {name: getattr(session, name) for name in RECORDED}
    record: dict[str, Any] = json.loads(json.dumps({"id": session.id, **kept}, default=str))
    return record


def session_of(record: Mapping[str, Any], now: Callable[[], datetime]) -> Session:
    """A conversation that is over, as far as it is known."""
    empty: dict[str, Any] = {"caller": "", "called": "", "language": "", "state": {}}
    known = {name: record[name] for name in RECORDED if record.get(name) is not None}
    session = Session(record["id"], now=now, **{**empty, **known})
    session.connection.open = False
    return session


class FailedSignals:
    """A file of JSON lines that only its owner can read: it holds numbers and what was found out about people."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.in_work = path.with_name(f"{path.name}.replaying")

    def keep(self, line: dict[str, Any]) -> None:
        """Raises OSError when the file cannot be written."""
        self._append(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def check(self) -> None:
        """Raises OSError when the file cannot be written."""
        self._append(b"")

    def take(self, now: datetime) -> Iterator[dict[str, Any]]:
        """Every signal that was kept and is not too old. `done` forgets them; until then a crash costs none."""
        if self.in_work.is_file():  # by a replay that did not finish
            self._append(self.in_work.read_bytes())
            self.in_work.unlink()
        if self.path.is_file():
            self.path.rename(self.in_work)  # the server goes on in a new file
            for text in self.in_work.read_text(encoding="utf-8").splitlines():
                try:
                    line = json.loads(text)
                except ValueError:
                    log.error("failed_signal.unreadable", file=str(self.path))
                    continue
                if now - datetime.fromisoformat(line["at"]) < KEPT:
                    yield line

    def done(self) -> None:
        self.in_work.unlink(missing_ok=True)

    def _append(self, text: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, text)  # in one piece: several workers write here
        finally:
            os.close(file)


class Reactions:
    """Runs `on_<kind>` of `agent/reactions.py`. A signal whose reaction raises or hangs is kept."""

    def __init__(self, actions: Any, failed: FailedSignals) -> None:
        self.actions = actions
        self.failed = failed

    async def react(self, signal: AnySignal, session: Session) -> str | None:
        """Why the reaction failed, or None."""
        reaction = getattr(self.actions, f"on_{signal.kind}", None)
        if reaction is None:
            log.info("signal.without_reaction", session=session.id, kind=signal.kind)
            return None
        before = record_of(session)
        try:
            async with asyncio.timeout(PATIENCE):
                await reaction(signal, session)
        except asyncio.CancelledError:
            self._keep(signal, before, session.now(), "the server stopped")
            raise
        except Exception as error:
            log.exception("reaction.failed", session=session.id, kind=signal.kind)
            self._keep(signal, before, session.now(), f"{type(error).__name__}: {error}")
            return type(error).__name__
        log.info("signal.handled", session=session.id, kind=signal.kind)
        return None

    def _keep(self, signal: AnySignal, before: dict[str, Any], at: datetime, reason: str) -> None:
        found = json.loads(SIGNALS.dump_json(signal))
        try:
            self.failed.keep({"at": at.isoformat(), "reason": reason, "signal": found, "session": before})
        except OSError as error:
            log.error(
                "signal.lost", session=before["id"], kind=signal.kind, error=type(error).__name__, hint=CANNOT_WRITE
            )
