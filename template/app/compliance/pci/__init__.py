"""PCI DSS: card numbers and security codes reach neither model nor log, memory, store or hand-off.

Twilio's speech recognition hears what a caller says all the same; take cards by keypad, with `<Pay>`. Not legal advice.
Source: https://www.twilio.com/docs/voice/pci-workflows (2026-11-28).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Self

import structlog
from pydantic_ai import messages as m

from app import config
from app.capability import Capability, Services
from app.compliance.pci.cards import (
    CARD,
    CODE,
    EARLIER,
    WITHHELD,
    Redacted,
    complete_until,
    redact_data,
    redact_user_text,
    without_digits,
)
from app.compliance.pci.spoken_numbers import SMALL, UNSPACED
from app.history import filtered_message
from app.session import Session

log = structlog.get_logger()

LONGEST_NUMBER = 400  # characters of a reply that are held back at most

INSTRUCTIONS = f"""\
Never ask for the number, the expiry date or the security code of a payment card, and never repeat one. {CARD}, {CODE}
and {WITHHELD} stand for what you were not given. If the caller reads out a card, stop them in one sentence: they shall
not say it here. If {WITHHELD} was something else, as a phone or an order number, ask for it once more, on its own."""


class CardFilter(Capability):
    """Filters the texts of every conversation. An error of its own costs the text, not the card."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        self.languages = languages

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(project_languages())

    async def context(self, session: Session, text: str) -> str | None:
        return INSTRUCTIONS

    def filter_user_text(self, session: Session, text: str) -> str:
        """Also takes the parts of a number that came before it out of the history."""
        try:
            earlier = [(number, part) for number, part in user_parts(session)][-EARLIER:]
            texts = [str(part.content) for _, part in earlier]
            redacted = redact_user_text(text, texts, agent_text(session), self.languages)
            if redacted.digits:
                self._take_back(session, [number for number, _ in earlier], texts, redacted)
            if redacted.text != text:
                log.warning("card.withheld", session=session.id)
            return redacted.text
        except Exception:
            log.exception("card.filter_failed", session=session.id)
            return WITHHELD

    def filter_data(self, value: Any) -> Any:
        try:
            return self._filtered(value)
        except Exception:
            log.exception("card.filter_failed")
            return WITHHELD

    async def filter_tokens(self, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        """Holds numbers back until they are complete, or the reply ends or breaks off."""
        held, error = "", None
        async with aclosing(tokens):
            try:
                async for token in tokens:
                    held += token
                    at = complete_until(held, self.languages)
                    if len(held) - at > LONGEST_NUMBER:
                        at = len(held)
                    if at:
                        yield self.filter_data(held[:at])
                        held = held[at:]
            except Exception as failure:
                error = failure
        if held:
            yield self.filter_data(held)
        if error:
            raise error

    def _filtered(self, value: Any) -> Any:
        match value:
            case str():
                return redact_data(value, self.languages)
            case bool():
                return value
            case int():
                text = redact_data(str(value), self.languages)
                return value if text == str(value) else text
            case dict():
                return {self._filtered(key): self._filtered(each) for key, each in value.items()}
            case list() | tuple():
                return [self._filtered(each) for each in value]
        return value

    def _take_back(self, session: Session, numbers: list[int], texts: list[str], redacted: Redacted) -> None:
        """Replace the user texts, and what the agent and its tools repeated of them."""
        changed = dict(zip(numbers, redacted.earlier, strict=True))
        first = next(number for number, text in zip(numbers, texts, strict=True) if changed[number] != text)

        def repeated(value: Any) -> Any:
            return in_texts(value, lambda text: without_digits(text, redacted.digits, self.languages))

        history = [*session.history[:first], *(filtered_message(each, repeated) for each in session.history[first:])]
        for number, text in changed.items():
            history[number] = with_user_text(history[number], text)
        session.history = history


def project_languages() -> tuple[str, ...]:
    """The first parts of the project's languages, and English, which is mixed in everywhere; all for "multi"."""
    codes = [code.partition("-")[0] for code in config.LANGUAGES]
    return tuple(dict.fromkeys([*codes, "en"] if "multi" not in codes else [*SMALL, *UNSPACED]))


def user_parts(session: Session) -> list[tuple[int, m.UserPromptPart]]:
    """The user texts of the history, each with the place of its message."""
    return [
        (number, part)
        for number, message in enumerate(session.history)
        for part in message.parts
        if isinstance(part, m.UserPromptPart) and isinstance(part.content, str)
    ]


def with_user_text(message: m.ModelMessage, text: str) -> m.ModelMessage:
    parts = [replace(part, content=text) if isinstance(part, m.UserPromptPart) else part for part in message.parts]
    return replace(message, parts=parts)  # type: ignore[arg-type]


def agent_text(session: Session) -> str:
    """The last words of the agent: since the last user text, or the greeting."""
    words: list[str] = []
    for message in reversed(session.history):
        words += [part.content for part in message.parts if isinstance(part, m.TextPart)]
        if any(isinstance(part, m.UserPromptPart) for part in message.parts):
            break
    return " ".join(words) or session.greeting


def in_texts(value: Any, change: Callable[[str], str]) -> Any:
    """JSON data with its texts changed."""
    match value:
        case str():
            return change(value)
        case dict():
            return {key: in_texts(each, change) for key, each in value.items()}
        case list() | tuple():
            return [in_texts(each, change) for each in value]
    return value
