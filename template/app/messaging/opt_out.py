"""Opt-out in writing: STOP and its kin end all answers to an address, START brings them back.

Twilio blocks SMS, MMS and RCS after a single English keyword, and confirms it (error 21610 on every later message). It
passes the message on all the same, knows no free words, and does nothing on WhatsApp and in chats. Not legal advice;
sources, read on 2026-11-28: https://help.twilio.com/articles/223134027 (keywords), 47 CFR 64.1200(a)(10) and (12) by
89 FR 15756 of 2024-03-05 (a request in any reasonable words counts).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Protocol, runtime_checkable

import regex
import structlog

from app.capability import Services
from app.connection import NotSupported
from app.messaging.inbox import EARLIEST, Message, bare
from app.messaging.opt_out_words import LANGUAGES, TWILIO_STARTS, TWILIO_STOPS

log = structlog.get_logger()

OPTED_OUT = 21610  # https://www.twilio.com/docs/api/errors/21610
WHATSAPP_WINDOW = 24 * 3600.0  # seconds; https://www.twilio.com/docs/whatsapp/key-concepts (2026-11-28)
KEPT = 5 * 365 * 24 * 3600.0  # seconds: as long as a do-not-call list of one's own, 47 CFR 64.1200(d)(6)
LONGEST = 1000  # characters that are examined
UNSPACED = {"ja", "ko", "zh"}


def plain(text: str) -> str:
    """Lower case, without accents and marks, with single spaces."""
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(char for char in text if not "\u0300" <= char <= "\u036f").replace("ł", "l").replace("ß", "ss")
    text = unicodedata.normalize("NFC", text)
    return " ".join("".join(char if is_word(char) else " " for char in text).split())


def is_word(char: str) -> bool:
    """Whether it belongs to a word. Vowels of Hindi are marks."""
    return char.isalnum() or unicodedata.category(char) in ("Mn", "Mc")


def _normal(pattern: str) -> str:
    """A pattern in the spelling of `plain`: letters of Hindi and Korean have several."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", pattern))


def _whole(pattern: str, fillers: str) -> regex.Pattern[str]:
    """A text of nothing but the pattern and fillers. Possessive: a long one must not be tried in every division.

    `re` of Python 3.11.2, that of Debian 12, loses matches of such patterns.
    """
    one, filler = f"(?:{_normal(pattern)})(?= |$)", f"(?:{_normal('|'.join(fillers.split())) or '(?!)'})(?= |$)"
    return regex.compile(f"(?:{filler} )*+{one}(?: (?:{one}|{filler}))*+")


def _part(pattern: str, spaced: bool) -> re.Pattern[str]:
    """A part of a clause: whole words, where a language has spaces between them."""
    return re.compile(f"(?:^| )(?:{_normal(pattern)})(?= |$)" if spaced else _normal(pattern))


STOPS = [_whole(f"stop|{words.stop}", words.fillers) for words in LANGUAGES.values()]
STARTS = [_whole(words.start, words.fillers) for words in LANGUAGES.values()]
FREE = [
    (_part(words.phrases, code not in UNSPACED), re.compile(_normal(words.unless))) for code, words in LANGUAGES.items()
]
CLAUSE = re.compile(r"[.!?;:,\n。！？；：，、।…]+")


def is_stop(text: str) -> bool:
    """Whether a message asks for no more messages: a keyword and nothing else, or free words in one of its clauses."""
    whole = plain(text[:LONGEST])
    if whole in TWILIO_STOPS or any(pattern.fullmatch(whole) for pattern in STOPS):
        return True
    clauses = [plain(clause) for clause in CLAUSE.split(text[:LONGEST])]
    return any(
        phrase.search(clause) and not unless.search(clause) for clause in clauses for phrase, unless in FREE if clause
    )


def is_start(text: str) -> bool:
    """Whether a message of a customer who has opted out asks for messages again: a keyword and nothing else."""
    whole = plain(text[:LONGEST])
    return whole in TWILIO_STARTS or any(pattern.fullmatch(whole) for pattern in STARTS)


class OptedOut(NotSupported):
    """The customer has opted out: nothing may be sent."""


class OutsideWindow(NotSupported):
    """WhatsApp takes free text within 24 hours of the customer's last message, and templates after them."""


class Barred(NotSupported):
    """No message may begin now: the person refuses calls, or it is night there."""


@runtime_checkable
class SharesOptOuts(Protocol):
    """A capability that keeps refusals of calls: they count for messages too, and those of messages for calls."""

    def refuses(self, text: str) -> bool:
        """Whether a message asks for no more calls."""

    async def is_opted_out(self, number: str) -> bool: ...

    async def bars(self, number: str) -> str | None:
        """Why no message may begin now, or None. What is not known bars it."""

    async def on_opt_out(self, number: str) -> None:
        """The customer has opted out of messages."""


class OptOuts:
    """Addresses that get no message. A phone number has one entry for SMS, WhatsApp and RCS.

    A chat has one for each conversation: a customer who opens it anew wants an answer, and may be another person.
    """

    def __init__(self, services: Services) -> None:
        self.store = services.store
        self.sharing = [each for each in services.capabilities if isinstance(each, SharesOptOuts)]

    async def admits(self, message: Message) -> bool:
        """Whether a message may be answered. Records STOP at once, also while an answer is being written."""
        place = message.author.channel, message.author.address, message.conversation_id
        if message.author.channel == "WHATSAPP":
            await self.store.put(window_key(message.author.address), "", WHATSAPP_WINDOW)
        if is_stop(message.text) or any(each.refuses(message.text) for each in self.sharing):
            await self.record(*place, message.written)
            log.info("text.opted_out", conversation=message.conversation_id)
            return False
        since = await self.since(*place)
        if since is None:
            return True
        overtaken = EARLIEST < message.written < since  # STOP was written later
        if is_start(message.text) and not overtaken:
            await self.store.put(opt_out_key(*place), "", KEPT)
            log.info("text.opted_in", conversation=message.conversation_id)
            return True
        log.info("text.not_answered", conversation=message.conversation_id, reason="the customer has opted out")
        return False

    async def record(self, channel: str, address: str, conversation_id: str, at: datetime = EARLIEST) -> None:
        await self.store.put(opt_out_key(channel, address, conversation_id), at.isoformat(), KEPT)
        for each in self.sharing if channel != "CHAT" else ():
            await each.on_opt_out(bare(address))

    async def mark(self, number: str) -> None:
        """A number is opted out of calls: it gets no message either, until it writes START."""
        await self.store.put(opt_out_key("SMS", number, ""), EARLIEST.isoformat(), KEPT)

    async def in_window(self, channel: str, address: str) -> bool:
        """Whether free text may be sent now."""
        return channel != "WHATSAPP" or await self.store.get(window_key(address)) is not None

    async def bars(self, address: str) -> str | None:
        """Why the agent may not begin with a message now, or None."""
        for each in self.sharing:
            if reason := await each.bars(bare(address)):
                return reason
        return None

    async def since(self, channel: str, address: str, conversation_id: str) -> datetime | None:
        """When the opt-out was written, EARLIEST if that is unknown; None without one."""
        at = await self.store.get(opt_out_key(channel, address, conversation_id))
        if at is None and channel != "CHAT":  # "" is START, which came after it
            for each in self.sharing:
                if await each.is_opted_out(bare(address)):
                    return EARLIEST
        return datetime.fromisoformat(at) if at else None


def window_key(address: str) -> str:
    return f"whatsapp-window:{bare(address)}"


def opt_out_key(channel: str, address: str, conversation_id: str) -> str:
    return f"opted-out:{conversation_id if channel == 'CHAT' else ''}:{bare(address)}"
