"""Run the reactions of `agent/reactions.py`, and keep the signals whose reaction failed for `agent replay`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from app.agent_module import AgentModule
from app.session import PERSISTED_FIELDS, Session, load_session
from app.signals import SIGNALS, AnySignal

log = structlog.get_logger()

REACTION_TIMEOUT = 60.0  # seconds: a transfer waits for the end of a turn
RETENTION = timedelta(days=7)  # of failed signals, which are personal data
own_reactions = AgentModule("reactions", {})
CANNOT_WRITE = "AGENT_FAILED_SIGNALS must name a file that the server can write"


def record_of(session: Session) -> dict[str, Any]:
    """The fields of a session as JSON, without its history."""
    fields = {name: getattr(session, name) for name in PERSISTED_FIELDS} | {"parameters": dict(session.parameters)}
    record: dict[str, Any] = json.loads(json.dumps({"id": session.id, **fields}, default=str))
    return record


def session_of(record: Mapping[str, Any], now: Callable[[], datetime]) -> Session:
    """A session of a record that may hold no more than `id`. Its connection is closed."""
    return load_session(record["id"], {"caller": "", "called": "", "language": "", **record, "history": []}, now)


def line_of(text: str) -> dict[str, Any] | None:
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return line


class FailedSignals:
    """A file of JSON lines with mode 0600, since it holds phone numbers and results about callers.

    Each line has `at`, `reason`, `signal` and `session` (as in `record_of`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.replaying = path.with_name(f"{path.name}.replaying")

    def add(self, line: dict[str, Any]) -> None:
        """Raises OSError when the file cannot be written."""
        self._append(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def check_writable(self) -> None:
        """Raises OSError when the file cannot be written."""
        self._append(b"")

    def take_all(self, now: datetime) -> Iterator[dict[str, Any]]:
        """Every line within the retention. `delete_taken` deletes them; a crash before that loses none."""
        if self.replaying.is_file():  # a replay did not finish
            self._append(self.replaying.read_bytes())
            self.replaying.unlink()
        if self.path.is_file():
            self.path.rename(self.replaying)  # the server continues in a new file
            for text in self.replaying.read_text(encoding="utf-8").splitlines():
                if (line := line_of(text)) is None:
                    log.error("failed_signal.unreadable", file=str(self.path))
                elif now - datetime.fromisoformat(line["at"]) < RETENTION:
                    yield line

    def delete_taken(self) -> None:
        self.replaying.unlink(missing_ok=True)

    def lines(self) -> list[dict[str, Any]]:
        """Every readable line, those of a replay that did not finish too."""
        texts = [path.read_text(encoding="utf-8") for path in (self.replaying, self.path) if path.is_file()]
        return [line for text in "".join(texts).splitlines() if (line := line_of(text))]

    def remove(self, line: dict[str, Any]) -> None:
        """Delete a line. A crash before the end loses none: they are in the file of the replay."""
        kept = [each for each in self.take_all(datetime.min.replace(tzinfo=UTC)) if each != line]
        for each in kept:
            self.add(each)
        self.delete_taken()

    def _append(self, text: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, text)  # in one write, since several workers append
        finally:
            os.close(file)


class Reactions:
    """Runs `on_<kind>` of a module. A signal whose reaction raises, or exceeds `timeout` seconds, is kept."""

    def __init__(self, module: Any, failed: FailedSignals, timeout: float = REACTION_TIMEOUT) -> None:
        self.module = module
        self.failed = failed
        self.timeout = timeout

    def of(self, kind: str) -> Callable[..., Awaitable[None]] | None:
        return getattr(self.module, f"on_{kind}", None)

    async def react(self, signal: AnySignal, session: Session) -> str | None:
        """The type of the error when the reaction failed, or None."""
        reaction = self.of(signal.kind)
        if reaction is None:
            log.info("signal.without_reaction", session=session.id, kind=signal.kind)
            return None
        before = record_of(session)
        try:
            async with asyncio.timeout(self.timeout):
                await reaction(signal, session)
        except asyncio.CancelledError:
            self._keep(signal, before, session.now(), "the server stopped")
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            log.exception("reaction.failed", session=session.id, kind=signal.kind)
            self._keep(signal, before, session.now(), f"{type(error).__name__}: {error}")
            return type(error).__name__
        log.info("signal.handled", session=session.id, kind=signal.kind)
        return None

    def _keep(self, signal: AnySignal, before: dict[str, Any], at: datetime, reason: str) -> None:
        found = json.loads(SIGNALS.dump_json(signal))
        try:
            self.failed.add({"at": at.isoformat(), "reason": reason, "signal": found, "session": before})
        except OSError as error:
            log.error(
                "signal.lost", session=before["id"], kind=signal.kind, error=type(error).__name__, hint=CANNOT_WRITE
            )
