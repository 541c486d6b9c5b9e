"""Two automatic senders that answer each other: this one falls silent first.

An out-of-office note, a ticket system or another agent answers every message, and would for ever. A person who is
taken for one is answered again when they write something else, or more slowly.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from difflib import SequenceMatcher

import structlog

from app.capability import Services
from app.messaging.inbox import Message
from app.messaging.opt_out import plain
from app.session import Session
from app.signals import alert, has_flag, set_flag

log = structlog.get_logger()

WINDOW = timedelta(minutes=10)
SHORT = 20  # characters: people write "yes" more often in a row than an automatic sender needs
ALIKE = 0.9  # of 1: how much of two texts is the same
COMPARED = 300  # characters
STATE_KEY = FLAG = "automatic_sender"  # in session.state: the last text, how many were like it, when messages came


class AutomaticSenders:
    """`repeats` texts in a row that are alike are answered, and `limit` messages within WINDOW. 0 is no limit."""

    def __init__(self, services: Services) -> None:
        self.count = services.count
        self.repeats, self.limit = services.settings.text_repeats, services.settings.text_limit

    async def is_one(self, session: Session, messages: list[Message]) -> bool:
        """Whether the customer seems to be one. To be asked once for each message that would be answered."""
        reason = [self._reason(session, message.text) for message in messages][-1]
        if reason is None:
            return False
        log.warning("text.automatic_sender", conversation=session.id, reason=reason)
        self.count("automatic_sender", reason=reason)
        if not has_flag(session, FLAG):
            set_flag(session, FLAG)
            try:
                await alert(session, f"not answered: an automatic sender, {reason}")
            except Exception as error:
                log.warning("alert.failed", error=type(error).__name__)
        return True

    def _reason(self, session: Session, text: str) -> str | None:
        now, text = session.now(), re.sub(r"\d+", "0", plain(text))[:COMPARED]
        before = session.state.get(STATE_KEY) or {"text": None, "alike": 0, "at": []}
        alike = before["alike"] + 1 if are_alike(text, before["text"]) else 1
        at = [each for each in before["at"] if datetime.fromisoformat(each) > now - WINDOW][-self.limit :]
        session.state[STATE_KEY] = {"text": text, "alike": alike, "at": [*at, now.isoformat()]}
        if self.repeats and alike > self.repeats * (2 if len(text) <= SHORT else 1):
            return "alike"
        return "many" if self.limit and len(at) >= self.limit else None


def are_alike(text: str, other: str | None) -> bool:
    """Whether two texts are the same but for numbers, signs, case, or a few words."""
    if text == other or not other or min(len(text), len(other)) <= SHORT:
        return text == other
    matcher = SequenceMatcher(None, text, other, autojunk=False)
    return matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
