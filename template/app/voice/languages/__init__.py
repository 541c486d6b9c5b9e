"""Several languages: a number of yours may have its own, and the model may change it where the connection can."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from xml.etree import ElementTree

from twilio.twiml.voice_response import VoiceResponse

from app import config
from app.capability import AddsWords, Capability, Services, with_added_words
from app.connection import Connection
from app.session import Session
from app.voice import Voice
from app.voice.calls import MAX_CALL_DURATION
from app.voice.connect_action import SAY_LANGUAGE
from app.voice.languages.translations import own, translated


class Languages(Capability):
    spoken_only = True

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    async def answer_call(self, form: Mapping[str, str]) -> str | None:
        """Begin in the language of the number that was called. Where words of law come first, in theirs: the first."""
        code, voice = own.NUMBERS.get(form.get("To", "")), self._voice
        first = code == config.FIRST_LANGUAGE or any(isinstance(each, AddsWords) for each in self.services.capabilities)
        if first or code not in config.LANGUAGES:
            return None
        await self.services.store.put(f"language:{form.get('CallSid')}", code, MAX_CALL_DURATION)
        document = ElementTree.fromstring(await voice.connect_twiml(form, translated(code, "GREETING")))
        for relay in document.iter("ConversationRelay"):
            relay.set("language", code)
            relay.attrib.pop("voice", None)
            if chosen := config.LANGUAGES[code]:
                relay.set("voice", chosen)
        return ElementTree.tostring(document, encoding="unicode")

    @property
    def _voice(self) -> Voice:
        return next(channel for channel in self.services.channels if isinstance(channel, Voice))

    async def on_start(self, session: Session) -> None:
        session.language = await self.services.store.get(f"language:{session.id}") or session.language
        use_phrases(session)

    async def on_resume(self, session: Session) -> None:
        """The TwiML of a call that comes back is in the first language; a connection that can switches by itself."""
        if not can_switch(session):
            session.language = config.FIRST_LANGUAGE
        use_phrases(session)

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        if not can_switch(session):
            return ()

        async def switch_language(language: str) -> str:
            await session.connection.switch_language(language)
            use_phrases(session)
            if session.state.get("outbound"):  # the agent began this call, and the greeting is for callers
                return f"The caller hears and speaks {language} from now on. Go on in it."
            await session.say(f"{translated(language, 'GREETING')} ")
            return f"The caller hears and speaks {language} from now on, and has heard your greeting in it."

        switch_language.__doc__ = (
            "Change the language of the call. Use it when the caller speaks or asks for another one: "
            f"{', '.join(config.LANGUAGES)}. Say nothing before it."
        )
        return (switch_language,)

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """The goodbye in the language of the call. Words of law are in the first language."""
        if session.language == config.FIRST_LANGUAGE:
            return None
        response = VoiceResponse()
        response.say(translated(session.language, "GOODBYE"), language=session.language)
        if added := with_added_words("", self.services.capabilities, last=True).strip():
            response.say(added, language=SAY_LANGUAGE)
        response.hangup()
        return str(response)


def can_switch(session: Session) -> bool:
    """Not where TAC carries the call."""
    return type(session.connection).switch_language is not Connection.switch_language


def use_phrases(session: Session) -> None:
    """Hold, apologise and ask in the language of the call."""
    session.connection.hold = translated(session.language, "HOLD")
    session.connection.apology = translated(session.language, "APOLOGY")
    session.connection.busy = translated(session.language, "BUSY")
    session.connection.still_there = translated(session.language, "STILL_THERE")
