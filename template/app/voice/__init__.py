"""Voice: phone calls over Twilio ConversationRelay. `tac/` or `relay/` carries them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar

import structlog
from fastapi import FastAPI, Request, Response
from twilio.twiml.voice_response import VoiceResponse

from app import config
from app.brain import Brain
from app.capability import (
    AnswersCall,
    Capability,
    HandlesHandoff,
    RelayAttributes,
    RescuesCall,
    Services,
    first_answer,
    with_added_words,
)
from app.channel import Channel, signed_body
from app.connection import Connection, parties
from app.event_loop import Deadline
from app.session import Session
from app.settings import Settings
from app.voice import call_token
from app.voice.calls import CallRefused, Calls
from app.voice.connect_action import on_session_ended, on_unhandled_error, respond, say
from app.voice.phrases import phrases
from app.voice.silence import Silence, VoiceSettings

SPEECH = {
    "transcription_provider": config.TRANSCRIPTION_PROVIDER,
    "tts_provider": config.TTS_PROVIDER,
    "speech_model": config.SPEECH_MODEL,
}
LANGUAGES: list[dict[str, Any]] = [{"code": code, "voice": voice, **SPEECH} for code, voice in config.LANGUAGES.items()]

log = structlog.get_logger()
T = TypeVar("T")


class PhoneConnection(Connection):
    """The WebSocket of one call."""

    hold = phrases.HOLD
    apology = phrases.APOLOGY
    still_there = phrases.STILL_THERE
    busy = phrases.BUSY
    session: Session | None = None  # set by the setup

    def __init__(self, services: Services) -> None:
        self.setup_deadline = Deadline(services.timeouts.setup)
        self.silence = Silence(services)

    async def before_deadline(self, frame: Awaitable[T]) -> T:
        """Wait for a frame. Raises CallRefused when the setup has not come in time, also when other frames have."""
        try:
            async with Deadline(None) if self.session else self.setup_deadline:
                return await frame
        except TimeoutError:
            raise CallRefused("setup did not come in time") from None


class Voice(Channel):
    """Phone calls over ConversationRelay."""

    name = "voice"
    settings = VoiceSettings
    signed_path = "/connect-action"
    own_attributes: ClassVar[Mapping[str, Any]] = {}  # of <ConversationRelay>

    def __init__(self, services: Services, brain: Brain) -> None:
        self.services = services
        self.calls = Calls(brain, services)

    @classmethod
    def build(cls, services: Services, brain: Brain) -> Self:
        return cls(services, brain)

    def connect(self, app: FastAPI) -> None:
        app.add_exception_handler(Exception, on_unhandled_error)
        signed_form = signed_body(self.services.settings)

        @app.post("/twiml")
        async def twiml(request: Request) -> Response:
            return respond(await self.answer_call(await signed_form(request)))

        @app.post("/connect-action")
        async def connect_action(request: Request) -> Response:
            form = await signed_form(request)
            twiml = await on_session_ended(form, self.calls, lambda: self.connect_twiml(form, phrases.RECONNECTED))
            return respond(twiml)

        self.add_websocket(app)

    @abstractmethod
    def add_websocket(self, app: FastAPI) -> None:
        """Add the WebSocket `/ws`."""

    async def connect_twiml(self, form: Mapping[str, str], greeting: str | None = None) -> str:
        """TwiML that connects the call of `form` to ConversationRelay. None is the greeting of such a call."""
        settings, capabilities = self.services.settings, self.services.capabilities
        greeting = greeting or await first_answer(self.services, Capability.greet_call, form) or phrases.GREETING
        response = VoiceResponse()
        connect = response.connect(action=f"{settings.public_url}/connect-action", method="POST")
        attributes = {**self.own_attributes, **relay_attributes(greeting, capabilities)}
        events = [attributes.get("events"), "speaker-events" if settings.silence else None]
        attributes["events"] = " ".join(filter(None, events)) or None
        relay = connect.conversation_relay(url=websocket_url(settings), **attributes)
        for language in LANGUAGES:
            relay.language(**language)
        if config.SPEECH_FAILOVER:
            relay.add_child("Failover")  # Twilio's own backup for each language: it is once a call
        relay.parameter(name=call_token.PARAMETER, value=self.calls.token(form.get("CallSid", "")))
        return str(response)

    async def answer_call(self, form: Mapping[str, str], but: Capability | None = None) -> str:
        """TwiML of the first capability, `but` aside, that speaks before the agent, or else the agent's."""
        caller = "" if but or form.get("Direction", "").startswith("outbound") else parties(form)[0]
        limit = "overload" if self.services.load.is_too_high else ""
        if limit := limit or await self.services.limits.reached(0, caller, self.active + len(self.calls.expected)):
            return await self.turn_away(form, limit)
        answer: str | None = await first_answer(self.services, AnswersCall.answer_call, form, but=but)
        return answer or await self.connect_twiml(form)

    async def turn_away(self, form: Mapping[str, str], limit: str) -> str:
        """TwiML that leads to a human or the keypad menu, or says BUSY, which is also for one who calls too often."""
        services, call_sid = self.services, form.get("CallSid", "")
        log.warning("call.turned_away", call=call_sid, limit=limit)
        services.count("limit", reason=limit)
        session = Session(call_sid, *parties(form), config.FIRST_LANGUAGE, services.local_now)
        for hook, *args in ((HandlesHandoff.on_handoff, session, {"reason_code": limit}), (RescuesCall.on_lost, form)):
            if limit != "caller_calls" and (twiml := await first_answer(services, hook, *args)):
                return str(twiml)
        return say(phrases.BUSY)

    @property
    def active(self) -> int:
        return self.calls.active

    async def close(self) -> None:
        await self.calls.end_all()


def relay_attributes(greeting: str, capabilities: Sequence[Capability]) -> dict[str, Any]:
    """Attributes of every call, in snake_case, as Twilio's helper library takes them. None leaves one out."""
    providers = [capability for capability in capabilities if isinstance(capability, RelayAttributes)]
    extra = {name: value for capability in providers for name, value in capability.relay_attributes().items()}
    return {
        **SPEECH,
        "language": config.FIRST_LANGUAGE,
        "voice": config.LANGUAGES[config.FIRST_LANGUAGE],
        "welcome_greeting": with_added_words(greeting, capabilities),
        "welcome_greeting_interruptible": "any" if config.GREETING_INTERRUPTIBLE else "none",
        "interruptible": "any",
        # Since May 2025 the default is "none": words that interrupt the agent would not reach it.
        "report_input_during_agent_speech": "any",
        "hints": ", ".join(phrases.HINTS) or None,
        **config.TURN_TAKING,
        **extra,
    }


def websocket_url(settings: Settings) -> str:
    """The WebSocket address for ConversationRelay. It has no query string: Twilio would sign it differently."""
    return f"wss{settings.public_url.removeprefix('https')}/ws"
