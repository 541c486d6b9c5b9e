"""Outbound: calls that the agent begins, through one gate, with a ledger that proves it. Not legal advice.

Twilio itself says who calls and how not to be called again, while key 9 counts: that needs no model, and nothing
interrupts it. Then the agent speaks. On an answering machine it leaves the message of agent/outbound.py.
Sources, 2026-11-29: https://www.twilio.com/docs/voice/answering-machine-detection, 47 CFR 64.1200(b).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self
from zoneinfo import ZoneInfo

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field
from twilio.twiml.voice_response import VoiceResponse

from app.capability import Background, Capability, Services, with_added_words
from app.channel import signed_body
from app.connection import has_number, parties
from app.outbound.dialer import STATUS, Dialer, OutboundSettings
from app.outbound.gate import Facts, Past, quiet_hours
from app.outbound.ledger import SCHEMA, unfit_database
from app.outbound.opt_out_words import is_opt_out
from app.outbound.phrases import phrases
from app.outbound.places import zones_of
from app.outbound.route import CallRoute
from app.outbound.terms import DAYTIME
from app.session import Session
from app.turn_end import cancel_model, speak_in_turn
from app.voice import Voice
from app.voice.calls import MAX_CALL_DURATION
from app.voice.connect_action import SAY_LANGUAGE, respond, say
from app.voice.joined_twiml import joined

log = structlog.get_logger()

KEY = "/outbound/key"
OPT_OUT_KEY = "9"  # as agent/outbound.py says it
KEY_PAUSE = 1  # seconds for the key, after the words
BEGUN, INTRODUCED = "begun", "introduced"  # of a call; the second is in its form too, once Twilio says who calls
PRESSED = f"(The caller pressed {OPT_OUT_KEY} on the keypad.)"
MACHINES = ("machine_end_beep", "machine_end_silence", "machine_end_other")  # that wait for a message
NO_PERSON = ("fax", "machine_start")  # the second still speaks: a message over it would arrive in part
RETRY_DELAYS = (0.5, 2.0, 5.0, 15.0)  # seconds before each further attempt to write into the ledger
WROTE = "This person does not want to be called again, and will not be. Say so in a few words."


class CallSettings(OutboundSettings):
    callback_number: str | None = Field(
        None,
        alias="AGENT_CALLBACK_NUMBER",
        pattern=r"^\+[1-9]\d{6,14}$",
        description="Write the number to call back, as in +15005550001. Without it, TWILIO_PHONE_NUMBER is said.",
    )


class Outbound(Capability):
    settings = CallSettings
    spoken_only = True
    schema = SCHEMA

    def __init__(self, services: Services) -> None:
        self.services = services
        self.options = services.settings
        self.form = signed_body(services.settings)
        self.dialer = Dialer.build(services)
        self.ledger = self.dialer.ledger
        self.saving = Background()

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    async def open(self) -> None:
        async with self.ledger.reading():
            pass  # its tables are there, and of this release

    @staticmethod
    def start_problems(settings: Any) -> list[str]:
        """What keeps the server from starting, a line each."""
        return unfit_database(settings)

    async def close(self) -> None:
        await self.saving.finish(self.services.timeouts.shutdown / 2)
        await self.dialer.close()

    # --- before the agent speaks ------------------------------------------------------------------------------------

    async def answer_call(self, form: Mapping[str, str]) -> str | None:
        """TwiML for a call that the agent began; other capabilities answer the rest, and follow the introduction."""
        if not is_outbound(form):
            return None
        call, answered_by = form.get("CallSid", ""), form.get("AnsweredBy", "")
        log.info("outbound.answered", call=call, by=answered_by or "unknown")
        if answered_by in NO_PERSON:
            return say()
        if answered_by in MACHINES:
            return self.voicemail()
        await self.mark(call, BEGUN)
        first = VoiceResponse()
        gather = first.gather(
            input="dtmf", num_digits=1, timeout=KEY_PAUSE, action=f"{self.options.public_url}{KEY}", method="POST"
        )
        for sentence in (phrases.INTRODUCTION, phrases.OPT_OUT):
            gather.say(sentence, language=SAY_LANGUAGE)
        then = await self.go_on(form)
        await self.mark(call, INTRODUCED)
        return joined(first, then)

    async def go_on(self, form: Mapping[str, str]) -> str:
        """TwiML after the introduction: what the next capability says first, or the agent."""
        (voice,) = [channel for channel in self.services.channels if isinstance(channel, Voice)]
        return await voice.answer_call({**form, INTRODUCED: "yes"}, but=self)

    async def greet_call(self, form: Mapping[str, str]) -> str | None:
        """The agent's first words, with the introduction unless Twilio has said it: a hook may have failed."""
        if not is_outbound(form):
            return None
        introduced = INTRODUCED in form or await self.marked(form.get("CallSid", "")) == INTRODUCED
        return phrases.MOMENT if introduced else f"{phrases.INTRODUCTION} {phrases.OPT_OUT} {phrases.MOMENT}"

    async def mark(self, call_sid: str, value: str) -> None:
        """Keep that the agent began a call. Without that, its introduction is said once more."""
        try:
            async with asyncio.timeout(self.services.timeouts.hook / 4):
                await self.services.store.put(key(call_sid), value, MAX_CALL_DURATION)
        except Exception as error:
            log.error("outbound.not_marked", call=call_sid, error=type(error).__name__)

    async def marked(self, call_sid: str) -> str | None:
        try:
            async with asyncio.timeout(self.services.timeouts.hook / 4):
                return await self.services.store.get(key(call_sid))
        except Exception as error:
            log.error("outbound.not_marked", call=call_sid, error=type(error).__name__)
            return None

    def voicemail(self) -> str:
        """TwiML that leaves a message, or hangs up without one."""
        number = self.options.callback_number or self.options.phone_number
        digits = " ".join(number.removeprefix("+"))
        for limited in filter(None, (regime.message(digits) for regime in self.dialer.regimes)):
            return say(limited)
        message = phrases.VOICEMAIL.format(number=digits)
        return say(phrases.INTRODUCTION, message) if message else say()

    async def key(self, request: Request) -> Response:
        """Twilio requests this when the person has pressed a key during the introduction."""
        form = await self.form(request)
        if form.get("Digits") != OPT_OUT_KEY:
            return respond(await self.go_on(form))
        await self.refuse(parties(form)[0], "key 9")
        return respond(say(phrases.OPTED_OUT))

    # --- during the call --------------------------------------------------------------------------------------------

    async def on_start(self, session: Session) -> None:
        session.state["outbound"] = await self.services.store.get(key(session.id)) is not None
        if session.state["outbound"]:
            moment = with_added_words(phrases.MOMENT, self.services.capabilities)
            session.greeting = f"{phrases.INTRODUCTION} {phrases.OPT_OUT} {moment}"

    async def context(self, session: Session, text: str) -> str | None:
        """Words and the key that ask for no more calls act at once, whatever the model makes of them."""
        began = session.state.get("outbound", False)
        if not (is_opt_out(text) or (began and PRESSED in text)):
            return self.local_time(session)
        await self.refuse(session.caller, "in a call")
        if not began or session.turn is None:
            return WROTE
        await speak_in_turn(session, session.turn, phrases.OPTED_OUT)
        await session.connection.end()
        cancel_model(session.turn)
        return None

    def local_time(self, session: Session) -> str | None:
        """The time of the other party, where their number has a single zone, and it is not that of the settings."""
        zones = zones_of(session.caller)
        if len(zones) != 1 or zones[0] == str(self.services.settings.time_zone):
            return None
        return f"By their number, it is {session.now().astimezone(ZoneInfo(zones[0])):%A, %H:%M} ({zones[0]}) for them."

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        async def do_not_call() -> str:
            """Never call this person again. Use it at once when they ask for that, in any words or language."""
            await self.refuse(session.caller, "in a call")
            return WROTE

        return [do_not_call]

    async def refuse(self, number: str, reason: str) -> None:
        """Put a number on the own do-not-call list, and out of messages, if the project has them."""
        for channel in self.services.channels if has_number(number) else ():
            if opt_outs := getattr(channel, "opt_outs", None):
                await opt_outs.mark(number)
        await self.keep(number, "refusal", lambda: self.ledger.suppress(number, reason))

    async def keep(self, number: str, what: str, write: Callable[[], Awaitable[Any]]) -> None:
        """Write into the ledger: at once, and in the background as long as the database does not answer."""
        if not has_number(number):
            return
        task = asyncio.create_task(self._keep(what, write))
        self.saving.add(task)
        task.add_done_callback(self.saving.discard)
        await asyncio.wait([task], timeout=self.services.timeouts.hook / 2)

    async def _keep(self, what: str, write: Callable[[], Awaitable[Any]]) -> None:
        for delay in (*RETRY_DELAYS, None):
            try:
                await write()
            except Exception as error:  # its text may quote the number
                log.error("outbound.not_kept", what=what, error=type(error).__name__, last=delay is None)
                await asyncio.sleep(delay or 0)
            else:
                log.info("outbound.kept", what=what)
                return

    # --- messages ---------------------------------------------------------------------------------------------------

    def refuses(self, text: str) -> bool:
        return is_opt_out(text)

    async def is_opted_out(self, number: str) -> bool:
        """False while the database does not answer: a customer who writes wants an answer."""
        try:
            async with asyncio.timeout(self.services.timeouts.hook / 2):
                return has_number(number) and await self.ledger.suppressed(number) is not None
        except Exception as error:
            log.warning("outbound.list_unknown", error=type(error).__name__)
            return False

    async def bars(self, number: str) -> str | None:
        """A message that the agent begins keeps to the do-not-call list, and to daytime where the number is."""
        try:
            async with asyncio.timeout(self.services.timeouts.hook / 2):
                refused = await self.ledger.suppressed(number)
        except Exception as error:
            log.warning("outbound.list_unknown", error=type(error).__name__)
            return "the do-not-call list does not answer"
        day = Facts(
            at=self.services.now(), purpose="information", past=Past(), zones=zones_of(number), hours=((DAYTIME,),)
        )
        return "on the own do-not-call list" if refused else quiet_hours(day)

    async def on_opt_out(self, number: str) -> None:
        await self.keep(number, "refusal", lambda: self.ledger.suppress(number, "in a message"))

    # --- webhooks ---------------------------------------------------------------------------------------------------

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(KEY, self.key, methods=["POST"])
        router.add_api_route(STATUS, self.status, methods=["POST"])
        CallRoute(self.dialer, self.options, self.services.load).add_to(router)
        return router

    async def status(self, request: Request) -> Response:
        """Twilio says how a call has ended, once."""
        form = await self.form(request)
        number, call_sid, outcome = parties(form)[0], form.get("CallSid", ""), outcome_of(form)

        async def write() -> None:
            known = await self.ledger.record_outcome(number, call_sid, outcome)
            log.info("outbound.ended", call=call_sid, outcome=outcome, known=known)

        await self.keep(number, "outcome", write)
        return Response(status_code=204)


def outcome_of(form: Mapping[str, str]) -> str:
    """One of answered, voicemail, hung up, fax, busy, no-answer, failed and canceled."""
    status, answered_by = form.get("CallStatus", ""), form.get("AnsweredBy", "")
    if status != "completed":
        return status if status in ("busy", "no-answer", "failed", "canceled") else "failed"
    known = {"fax": "fax", "machine_start": "hung up", **dict.fromkeys(MACHINES, "voicemail")}
    return known.get(answered_by, "answered")


def is_outbound(form: Mapping[str, str]) -> bool:
    """Whether the agent began the call: Twilio says `outbound-api`."""
    return form.get("Direction", "").startswith("outbound")


def key(call_sid: str) -> str:
    """The key of the store that marks a call as begun by the agent: BEGUN or INTRODUCED."""
    return f"outbound:{call_sid}"
