"""Reactions that exit."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from app import Session
from app.intelligence.reactions import FailedSignals, Reactions
from app.signals import Sentiment


async def on_sentiment(signal: Sentiment, session: Session) -> None:
    sys.exit(1)


async def test_a_reaction_that_exits_is_kept_as_a_failed_one(tmp_path: Path) -> None:
    session = Session("CA1", "+15005550006", "+15005550001", "en-US", lambda: datetime.now(UTC))
    failed = FailedSignals(tmp_path / "failed.jsonl")
    reactions = Reactions(SimpleNamespace(on_sentiment=on_sentiment), failed)
    assert await reactions.react(Sentiment(id="1", label="negative"), session) == "SystemExit"
    assert '"reason": "SystemExit' in (tmp_path / "failed.jsonl").read_text()
