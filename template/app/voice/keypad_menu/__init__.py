"""Keypad menu: when speech or the agent is gone, keys lead callers to a person, a voicemail or a goodbye.

Twilio itself speaks here (<Say>), so that the menu needs no provider of speech, no model and no WebSocket. Callers come
here when a session has failed and did not come back (app/voice/connect_action.py), or when FAILURES turns in a row
failed. With a hand-off, agent/handoff.py decides what follows failed turns, and key 1 leads to its queue.
Sources, 2026-11-29: https://www.twilio.com/docs/voice/twiml/gather, /dial and /record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.background import BackgroundTask
from twilio.twiml.voice_response import VoiceResponse

from app import config
from app.capability import Capability, HandlesHandoff, Services, run_hooks
from app.channel import signed_body
from app.connection import has_number, parties
from app.session import Session
from app.settings import Settings
from app.turn_end import cancel_model, failures, speak_in_turn
from app.voice.connect_action import SAY_LANGUAGE, respond, say
from app.voice.keypad_menu.phrases import menu
from app.voice.phrases import phrases
from app.voice.voicemail import record_twiml

log = structlog.get_logger()

KEY, DIALED, VOICEMAIL = "/keypad-menu/key", "/keypad-menu/dialed", "/keypad-menu/voicemail"
PERSON, MESSAGE = "1", "2"  # the keys, as agent/keypad_menu.py says them
REASON = "keypad_menu"  # of the handoff that leads here, and of the one to a human
WAIT = 6  # seconds for a key, after the words
RING = 20  # seconds that the number of a person rings


class KeypadMenuSettings(Settings):
    fallback_number: str | None = Field(
        None,
        alias="AGENT_FALLBACK_NUMBER",
        pattern=r"^\+[1-9]\d{6,14}$",
        examples=["+15005550010"],
        description="Write the number of people who help when the agent cannot, as in +15005550010, or leave it out.",
    )


class KeypadMenu(Capability):
    settings = KeypadMenuSettings
    spoken_only = True

    def __init__(self, services: Services) -> None:
        self.services = services
        self.options = services.settings
        self.form = signed_body(services.settings)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    @cached_property
    def handoffs(self) -> Sequence[Capability]:
        """The capabilities that bring in a human."""
        known = [each for each in self.services.capabilities if isinstance(each, HandlesHandoff)]
        return [each for each in known if type(each).is_with_human is not Capability.is_with_human]

    # --- the ways to the menu ---------------------------------------------------------------------------------------

    async def on_lost(self, form: Mapping[str, str]) -> str | None:
        """The session has failed, and the call does not come back."""
        log.warning("keypad_menu.offered", call=form.get("CallSid"), error=form.get("ErrorCode"))
        return self.offer(menu.SORRY)

    async def context(self, session: Session, text: str) -> str | None:
        """Leave the agent when the last turns failed. A hand-off has its own answer to that."""
        if not menu.FAILURES or self.handoffs or session.ending or not self.offer():
            return None
        if failures(session.history, session.connection.apology) >= menu.FAILURES and session.turn:
            log.warning("keypad_menu.offered", call=session.id, error="failed turns")
            await speak_in_turn(session, session.turn, menu.SORRY)
            await session.connection.end({"reasonCode": REASON})
            cancel_model(session.turn)
        return None

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        return self.offer() if handoff.get("reasonCode") == REASON else None

    # --- what the keys do -------------------------------------------------------------------------------------------

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(KEY, self.key, methods=["POST"])
        router.add_api_route(DIALED, self.dialed, methods=["POST"])
        router.add_api_route(VOICEMAIL, self.voicemail, methods=["POST"])
        return router

    async def key(self, request: Request) -> Response:
        """Twilio requests this when the caller has pressed a key. Another than those offered asks once more."""
        form = await self.form(request)
        digit = form.get("Digits")
        log.info("keypad_menu.pressed", call=form.get("CallSid"), key=digit)
        if digit == PERSON and (twiml := await self.person(form)):
            return respond(twiml)
        if digit == MESSAGE and config.VOICEMAIL:
            return respond(record_twiml(self.url(VOICEMAIL), menu.MESSAGE))
        return respond(self.offer() or say(menu.CALL_AGAIN))

    async def person(self, form: Mapping[str, str]) -> str | None:
        """TwiML that leads to a human: the number of the settings, else the queue of the hand-off."""
        customer, agent = parties(form)
        if number := self.options.fallback_number:
            response = VoiceResponse()
            response.say(menu.CONNECTING, language=SAY_LANGUAGE)
            # Twilio shows the person the number of an inbound caller, and needs another one where there is none.
            shown = None if has_number(customer) and form.get("Direction") == "inbound" else agent or None
            dial = response.dial(action=self.url(DIALED), method="POST", timeout=RING, caller_id=shown)
            dial.number(number)
            return str(response)
        session = Session(form.get("CallSid", ""), customer, agent, config.FIRST_LANGUAGE, self.services.now)
        found = await run_hooks(self.handoffs, HandlesHandoff.on_handoff, session, {"reason_code": REASON})
        return next(filter(None, found), None)

    async def dialed(self, request: Request) -> Response:
        """Twilio requests this when the person has hung up, or was not reached."""
        form = await self.form(request)
        result = form.get("DialCallStatus")
        log.info("keypad_menu.dialed", call=form.get("CallSid"), result=result)
        if form.get("CallStatus", "in-progress") != "in-progress":
            return respond(str(VoiceResponse()))  # the caller has hung up
        if result in ("completed", "answered"):
            return respond(say(phrases.GOODBYE))
        if config.VOICEMAIL:
            return respond(record_twiml(self.url(VOICEMAIL), menu.NO_PERSON, menu.MESSAGE))
        return respond(say(menu.NO_PERSON, menu.CALL_AGAIN))

    async def voicemail(self, request: Request) -> Response:
        """Twilio requests this after a message."""
        form = await self.form(request)
        customer, _ = parties(form)
        caller = customer if has_number(customer) else ""
        recording = str(form.get("RecordingUrl", ""))
        log.info("keypad_menu.voicemail", call=form.get("CallSid"), seconds=form.get("RecordingDuration"))
        promise = [menu.CALL_BACK] if caller else []
        return respond(say(*promise, phrases.GOODBYE), BackgroundTask(on_voicemail, caller, recording))

    # --- TwiML: every document speaks, connects or ends the call ----------------------------------------------------

    def url(self, path: str) -> str:
        return f"{self.options.public_url}{path}"

    def offer(self, *first: str) -> str | None:
        """The menu, twice, behind these sentences. None when it leads nowhere."""
        person = menu.PERSON if self.options.fallback_number or self.handoffs else ""
        keys = list(filter(None, [person, menu.VOICEMAIL if config.VOICEMAIL else ""]))
        if not keys:
            return None
        response = VoiceResponse()
        for sentences in ([*first, *keys], keys):
            asks = response.gather(input="dtmf", num_digits=1, timeout=WAIT, action=self.url(KEY), method="POST")
            for sentence in sentences:
                asks.say(sentence, language=SAY_LANGUAGE)
        response.say(phrases.GOODBYE, language=SAY_LANGUAGE)
        response.hangup()
        return str(response)


async def on_voicemail(caller: str, recording: str) -> None:
    """Call `on_voicemail` of agent/keypad_menu.py after the response."""
    try:
        await menu.on_voicemail(caller, recording)
    except Exception:
        log.exception("keypad_menu.voicemail_failed")
