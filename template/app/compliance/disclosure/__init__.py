"""Disclosure: people hear and read that an AI answers, at the start, when it was cut off, and in long conversations.

Not legal advice. EU AI Act, Art. 50(1), applies since 2026-08-02; the Commission's guidelines C(2026) 5054 ask for it
at the start of a call, again after an interruption of it and after a change of role, and for a reminder (legal guide of
RobStrayer/voice-agent-skills, 2026-09-30). California AB 3030, since 2025-01-01, asks clinics for it at the start and
the end of a call, with the way to a human (ailawsusa.com, 2026-06-16). When a conversation is long, neither says.

Each connection of a call begins with it, also the one after a lost WebSocket or a payment. ConversationRelay cannot
play words once more, so what was cut off is said at the next turn. The log has what the caller has heard
(`disclosure.heard`): Twilio has said so (`tokens-played`), or the caller has not interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Self

import structlog
from pydantic import Field

from app import config
from app.capability import Capability, Services
from app.compliance.disclosure.wording import wording
from app.session import Session
from app.settings import Settings

log = structlog.get_logger()

TEXT_REMINDER = timedelta(days=1)  # in writing, the first sentence stays on the screen
IS_HIPAA = "hipaa" in config.REGULATIONS
# In session.state: said (ISO time), language, turn (its run id, None for a greeting), pending (until it was heard),
# cut_off, heard (ISO time or None).
STATE_KEY = "disclosure"


class DisclosureSettings(Settings):
    ai_reminder: float = Field(
        15,
        alias="AGENT_AI_REMINDER",
        gt=0,
        le=120,
        description="Write after how many minutes of a call people are reminded that an AI speaks, up to 120.",
    )


class Disclosure(Capability):
    settings = DisclosureSettings

    def __init__(self, reminder: timedelta) -> None:
        self.reminder = reminder

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(timedelta(minutes=services.settings.ai_reminder))

    def relay_attributes(self) -> Mapping[str, str]:
        """`tokens-played` reports each text frame that was played; whether the greeting too, Twilio does not say."""
        return {"welcome_greeting_interruptible": "none", "events": "tokens-played"}

    def add_words(self, text: str, last: bool) -> str:
        if last and not IS_HIPAA:
            return text
        disclosure, person = (wording.sentence(config.FIRST_LANGUAGE, name) for name in ("disclosure", "person"))
        text = text if disclosure in text else f"{disclosure} {text}"
        return text if last or person in text else f"{text} {person}"

    async def on_start(self, session: Session) -> None:
        if session.connection.spoken:
            say(session, "start", config.FIRST_LANGUAGE)

    async def on_resume(self, session: Session) -> None:
        """A call is back, and its second greeting says it; a text conversation has one more message."""
        if session.connection.spoken:
            say(session, "resumed", config.FIRST_LANGUAGE)

    async def context(self, session: Session, text: str) -> str | None:
        """Say what is due before the reply to `text`. In writing, a session without a greeting is introduced anew."""
        state = session.state.get(STATE_KEY)
        now = session.now()
        if not session.connection.spoken:
            if state and session.greeting and now - datetime.fromisoformat(state["said"]) >= TEXT_REMINDER:
                session.greeting = ""
            if not session.greeting:
                say(session, "in writing", config.FIRST_LANGUAGE)
            return None
        if state is None or state["cut_off"]:
            await declare(session, "disclosure")
        elif now - datetime.fromisoformat(state["said"]) >= self.reminder:
            await declare(session, "reminder")
        elif state["pending"]:
            heard(session, "not interrupted")
        return None

    async def on_heard(self, session: Session, text: str, interrupted: bool) -> None:
        state = session.state.get(STATE_KEY)
        if not state or not state["pending"] or (interrupted and state["turn"] != turn_of(session)):
            return  # the interruption was of other words
        if says_it(text, state["language"]):
            heard(session, "cut off after it" if interrupted else "tokens-played")
        elif interrupted:
            session.state[STATE_KEY] = {**state, "cut_off": True}
            log.warning("disclosure.cut_off", call=session.id)


async def declare(session: Session, name: str) -> None:
    """Say the sentence before the reply of this turn, so that the caller cannot interrupt it."""
    say(session, name, session.language)
    await session.say(f"{wording.sentence(session.language, name)} ", interruptible=False)


def say(session: Session, reason: str, language: str) -> None:
    """Keep that it is said now. `wording` in the log is a part of its SHA-256, since sentences are not logged."""
    session.state[STATE_KEY] = {
        "said": session.now().isoformat(),
        "language": language,
        "turn": turn_of(session),
        "pending": True,
        "cut_off": False,
        "heard": None,
    }
    digest = sha256(wording.sentence(language, "disclosure").encode()).hexdigest()[:12]
    log.info("disclosure.said", call=session.id, reason=reason, language=language, wording=digest)


def heard(session: Session, proof: str) -> None:
    now = session.now().isoformat()
    session.state[STATE_KEY] = {**session.state[STATE_KEY], "pending": False, "cut_off": False, "heard": now}
    log.info("disclosure.heard", call=session.id, proof=proof)


def turn_of(session: Session) -> str | None:
    return session.turn.run_id if session.turn else None


def says_it(text: str, language: str) -> bool:
    """Whether the text has the disclosure or the reminder whole."""
    sentences: list[Any] = [wording.sentence(language, name) for name in ("disclosure", "reminder")]
    return any(" ".join(sentence.split()) in " ".join(text.split()) for sentence in sentences)
