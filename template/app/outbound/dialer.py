"""Dial: judge a contact, reserve the call in the ledger, wait for its turn, and ask Twilio for it.

A crash leaves a reservation without an outcome: it counts as a call, and the person is not called again in this
campaign. So does an answer of Twilio's that leaves open whether the call was placed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import structlog
from pydantic import Field, SecretStr
from twilio.base.exceptions import TwilioRestException

from app.account_client import account_client
from app.capability import Services
from app.number_settings import NumberSettings
from app.outbound.contacts import Contact
from app.outbound.gate import Facts, Verdict, judge
from app.outbound.ledger import History, Ledger, LedgerSettings, Turn, digest
from app.outbound.terms import Regime, Terms, terms_of

log = structlog.get_logger()

STATUS = "/outbound/status"
LEDGER = "ledger"  # the gate of a call whose ledger does not answer
OFF = "AGENT_OFF is set: the agent calls nobody."
REQUEST_TIMEOUT = 15.0  # seconds
REGIME_TIMEOUT = 10.0  # seconds
LEDGER_TIMEOUT = 15.0  # seconds; dialers write in turns
REFUSED = range(400, 500)  # HTTP statuses with which Twilio has not placed a call


class OutboundSettings(LedgerSettings, NumberSettings):
    calls_per_second: float = Field(
        1.0,
        alias="AGENT_CALLS_PER_SECOND",
        gt=0,
        le=100,
        examples=[100.0],
        description="Write how many calls a second your account may begin; Twilio's default is 1.",
    )
    calls_per_day: int = Field(
        3,
        alias="AGENT_CALLS_PER_DAY",
        ge=1,
        le=100,
        description="Write how often one may be called in 24 hours, 1 to 100.",
    )
    ring: int = Field(30, alias="AGENT_RING", ge=5, le=600, description="Write how many seconds it rings, 5 to 600.")
    dial_token: SecretStr | None = Field(
        None,
        alias="AGENT_DIAL_TOKEN",
        min_length=32,
        description="Write 32 random bytes or more, as of: openssl rand -hex 32. Without it, the route is closed.",
    )
    dial_rate: int = Field(
        60, alias="AGENT_DIAL_RATE", ge=1, description="Write how many requests a minute the route takes."
    )


@dataclass
class Result:
    """What became of one contact. `result` is called, refused, failed (no call was placed) or unclear.

    `gate` is "ledger" when the ledger did not answer.
    """

    result: str
    gate: str = ""
    reason: str = ""
    call_sid: str = ""

    def row(self, number: int, contact: Contact) -> dict[str, Any]:
        """A line of the report. It names people by your own id only."""
        return {"row": number, "id": contact.id, **vars(self)}


class Dialer:
    def __init__(
        self, services: Services, ledger: Ledger, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.settings = services.settings
        self.ledger = ledger
        self.now = services.now
        self.sleep = sleep
        self.regimes: Sequence[Regime] = [regime.build(services) for regime in services.parts_of(Regime)]
        self.client = account_client(services, REQUEST_TIMEOUT)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services, Ledger.build(services.settings, services.now))

    async def close(self) -> None:
        await self.client.http_client.close()
        await self.ledger.close()

    async def would_call(self, contact: Contact, campaign: str) -> Verdict:
        """The verdict as of now. Nothing is written."""
        if self.settings.off:
            return Verdict(False, "off", OFF)
        try:
            terms = await self.terms(contact)
        except Exception as error:
            return Verdict(False, "terms", unknown_terms(error))
        try:
            async with asyncio.timeout(LEDGER_TIMEOUT), self.ledger.reading() as turn:
                person = await turn.person(contact.number, create=False)
                history = await turn.history(person) if person else History()
                debt, own = (person.hash(*each) if person else "" for each in ids(contact, campaign))
                take_consent(history, contact)
                refused = await turn.suppressed(contact.number)
        except Exception as error:
            return Verdict(False, LEDGER, no_ledger(error))
        return judge(facts_of(contact, terms, history, self.now(), debt, own, refused))

    async def call(self, contact: Contact, campaign: str) -> Result:
        """Judge, reserve, wait, and ask Twilio for the call. No call is placed without its entry in the ledger."""
        if self.settings.off:
            return Result("refused", "off", OFF)
        try:
            terms = await self.terms(contact)
        except Exception as error:
            return Result("refused", "terms", unknown_terms(error))
        try:
            async with asyncio.timeout(LEDGER_TIMEOUT), self.ledger.turn() as turn:
                verdict, number, at = await self._reserve(turn, contact, terms, campaign)
        except Exception as error:
            return Result("failed", LEDGER, no_ledger(error))
        if not verdict.allowed:
            return Result("refused", verdict.gate, verdict.reason)
        await self.sleep(max(0.0, at - self.now().timestamp()))
        return await self._place(contact, number)

    async def terms(self, contact: Contact) -> Terms:
        terms = terms_of(contact, self.settings)
        for regime in self.regimes:
            async with asyncio.timeout(REGIME_TIMEOUT):
                terms = await regime.tighten(contact, terms)
        return terms

    async def _reserve(self, turn: Turn, contact: Contact, terms: Terms, campaign: str) -> tuple[Verdict, int, float]:
        """The verdict, the number of its entry, and when Twilio may be asked, in seconds since 1970."""
        person = await turn.person(contact.number)
        history = await turn.history(person)
        if given := take_consent(history, contact):
            await turn.append("consent", person.pseudonym, **given)
        debt, own = (person.hash(*each) if each[1] else "" for each in ids(contact, campaign))
        at = max(self.now().timestamp(), turn.next_call)
        refused = await turn.suppressed(contact.number)
        facts = facts_of(contact, terms, history, datetime.fromtimestamp(at, UTC), debt, own, refused)
        verdict, number = await turn.judge(person, facts, debt, own)
        if verdict.allowed:
            turn.next_call = at + 1 / self.settings.calls_per_second
        return verdict, number, at

    async def _place(self, contact: Contact, number: int) -> Result:
        url = self.settings.public_url
        try:
            call = await self.client.calls.create_async(
                to=contact.number,
                from_=self.settings.phone_number,
                url=f"{url}/twiml",
                status_callback=f"{url}{STATUS}",
                status_callback_event=["completed"],
                machine_detection="DetectMessageEnd",
                timeout=self.settings.ring,
            )
        except Exception as error:  # its text may quote the number
            status, code = getattr(error, "status", None), getattr(error, "code", None)
            if isinstance(error, TwilioRestException) and status in REFUSED:
                await self._note(contact, "not placed", number)
                log.warning("outbound.failed", status=status, code=code)
                return Result("failed", reason=f"Twilio answered {status}, error {code}")
            log.error("outbound.unclear", error=type(error).__name__, status=status)
            return Result("unclear", reason=f"{type(error).__name__}: it counts as a call, and is not repeated")
        await self._note(contact, "placed", number, str(call.sid))
        log.info("outbound.called", call=call.sid)
        return Result("called", call_sid=str(call.sid))

    async def _note(self, contact: Contact, kind: str, number: int, call_sid: str = "") -> None:
        """Append what Twilio has answered. Without this entry, the call counts as one whose outcome is unclear."""
        try:
            async with asyncio.timeout(LEDGER_TIMEOUT), self.ledger.turn() as turn:
                person = await turn.person(contact.number)
                own = {"sid": person.hash("call", call_sid)} if call_sid else {}
                await turn.append(kind, person.pseudonym, call=number, **own)
        except Exception as error:
            log.error("outbound.not_kept", what=kind, error=type(error).__name__, last=True)


def unknown_terms(error: Exception) -> str:
    """What a call needs could not be found out, so there is none. The text of an error may quote the number."""
    log.error("outbound.terms_unknown", error=type(error).__name__)
    return f"what it needs could not be found out ({type(error).__name__})"


def no_ledger(error: Exception) -> str:
    """The text of an error of a database may quote the number."""
    log.error("outbound.ledger_down", error=type(error).__name__)
    return f"the ledger does not answer ({type(error).__name__})"


def ids(contact: Contact, campaign: str) -> list[tuple[str, str]]:
    return [("debt", contact.debt), ("campaign", campaign)]


def take_consent(history: History, contact: Contact) -> dict[str, Any] | None:
    """Add the consent of a contact to a history. Returns the data of its entry, unless the ledger has it."""
    if contact.consent == "none" or contact.consent_at is None:
        return None
    given = contact.consent_at.isoformat()
    own = digest(contact.consent, given, contact.consent_how, contact.consent_wording)
    data = {"tier": contact.consent, "given": given, "how": contact.consent_how, "digest": own}
    if own in history.consents:
        return None
    history.add(0, {"kind": "consent", "at": given, **data})
    return data


def facts_of(
    contact: Contact, terms: Terms, history: History, at: datetime, debt: str, campaign: str, refused: str | None
) -> Facts:
    return Facts(at=at, purpose=contact.purpose, past=history.past(at, debt, campaign), refused=refused, **vars(terms))
