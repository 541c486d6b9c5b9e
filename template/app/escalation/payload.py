"""What a human is told of a call: typed, versioned and bounded, without card or social security numbers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent import handoff
from app.session import Session

log = structlog.get_logger()

SUMMARY = 400  # characters: an attribute of a task, not a transcript
DIGITS = re.compile(r"\d(?:[ .-]?\d){12,}")
SSN = re.compile(r"\b(?!000|666|9)\d{3}[ .-]?(?!00)\d{2}[ .-]?(?!0000)\d{4}\b")


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit that cards carry."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def redact(text: str) -> str:
    """`text` without what looks like a card or a social security number. In doubt it goes: a human can ask."""

    def card(found: re.Match[str]) -> str:
        digits = re.sub(r"\D", "", found.group())
        parts = (digits[start : start + size] for size in range(13, 20) for start in range(len(digits) - size + 1))
        return "[card number]" if any(map(luhn, parts)) else found.group()

    return SSN.sub("[social security number]", DIGITS.sub(card, text))


def shortened(value: Any) -> str:
    text = " ".join(redact(str(value)).split())
    return text if len(text) <= SUMMARY else f"{text[: SUMMARY - 1]}…"


def code(value: Any) -> str:
    """A reason as TaskRouter can compare it: lower case and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", redact(str(value)).lower()).strip("_")[:64] or "unspecified"


Skill = Annotated[str, Field(min_length=1, max_length=64)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hints(Strict):
    """Who should take the call. A higher `priority` goes first."""

    skills: list[Skill] = Field([], max_length=8)
    language: str | None = Field(None, max_length=16)
    priority: int = Field(0, ge=0, le=1000)
    vip: bool = False


class Payload(Strict):
    """Version 1. It travels as handoff data, becomes the attributes of a task, and is kept with the state."""

    version: Literal[1] = 1
    channel: Literal["voice", "sms", "whatsapp", "rcs", "chat"] = "voice"
    conversation_id: str | None = Field(None, max_length=64)
    profile_id: str | None = Field(None, max_length=64)
    reason_code: Annotated[str, BeforeValidator(code)]
    routing_hints: Hints = Hints()
    summary: Annotated[str, BeforeValidator(shortened)] = ""

    @classmethod
    def of(cls, session: Session, reason_code: str, summary: str) -> Payload:
        """Never raises: what agent/handoff.py says of the routing is left out when it makes no sense."""
        reason_code = code(reason_code)
        hints = Hints()
        try:
            hints = Hints(**{"language": language(session), **handoff.routing(session, reason_code)})
        except (ValidationError, TypeError) as error:
            log.error("handoff.routing_ignored", call=session.id, error=type(error).__name__)
        except Exception:
            log.exception("handoff.routing_ignored", call=session.id)
        channel: Any = "voice" if session.connection.spoken else session.parameters["channel"].lower()
        return cls(
            channel=channel,
            conversation_id=session.conversation_id,
            profile_id=session.profile_id,
            reason_code=reason_code,
            routing_hints=hints,
            summary=summary,
        )

    def attributes(self) -> dict[str, Any]:
        """Flat, as expressions of TaskRouter read them. To a call it adds `call_sid`, `from` and `to` itself."""
        told = self.model_dump(exclude_none=True)
        hints = told.pop("routing_hints")
        return {**told, **hints}


def language(session: Session) -> str | None:
    return None if session.language == "multi" else session.language
