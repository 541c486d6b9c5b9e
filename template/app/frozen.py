"""A conversation as a store keeps it: between two messages, or until it comes back, perhaps to another worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic_ai.messages import ModelMessagesTypeAdapter

from app.session import Session

OVER = "over"  # what the store says of a conversation that must not be opened again
KEPT = (
    "caller",
    "called",
    "language",
    "greeting",
    "parameters",
    "conversation_id",
    "profile_id",
    "state",
    "guidance",
)


def freeze(session: Session) -> dict[str, Any]:
    """What a store keeps of a conversation, as JSON."""
    kept = {name: getattr(session, name) for name in KEPT} | {"parameters": dict(session.parameters)}
    history = [*session.history, *(session.turn.history() if session.turn else [])]
    return {**kept, "history": json.loads(ModelMessagesTypeAdapter.dump_json(history))}


def thaw(id: str, stored: Mapping[str, Any], now: Callable[[], datetime]) -> Session:
    """A conversation as it was kept. Its line is closed until somebody gives it one."""
    session = Session(id, now=now, **{name: stored[name] for name in KEPT if name in stored})
    session.history = ModelMessagesTypeAdapter.validate_python(stored["history"])
    session.line.open = False
    return session
