"""Recordings of calls. A caller hears of the recording, or is asked, before it begins; then the agent speaks.

`<Start><Recording>` records from where it stands in the TwiML, so that it stands after the words and before `<Connect>`
(https://www.twilio.com/docs/voice/twiml/recording, read on 2026-11-28). It goes on when the call reconnects, and when a
human takes it over. Some laws want every party to know of a recording, others want consent: not legal advice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field
from twilio.twiml.voice_response import VoiceResponse

from app.account_client import account_client
from app.capability import Capability, Services
from app.channel import signed_body
from app.compliance.recording.wording import sentence
from app.session import Action, Session
from app.settings import Settings
from app.voice import Voice
from app.voice.calls import MAX_CALL_DURATION
from app.voice.connect_action import SAY_LANGUAGE, respond
from app.voice.joined_twiml import joined

log = structlog.get_logger()

ANSWER, STATUS = "/recording/answer", "/recording/status"
LIVE = ("in-progress", "paused")
REQUEST_TIMEOUT = 5.0  # seconds


class RecordingSettings(Settings):
    recording_channels: str = Field(
        "dual",
        alias="AGENT_RECORDING_CHANNELS",
        pattern="^(mono|dual)$",
        description="Write dual for a channel for each party, or mono for one channel with both.",
    )


class Consent(ABC):
    """A way to ask callers whether their call may be recorded. Without one, they only hear that it is."""

    @abstractmethod
    def question(self, action: str) -> VoiceResponse:
        """Verbs that ask, and send the answer to `action`. The verb after them follows when there is no answer."""

    @abstractmethod
    def agrees(self, form: Mapping[str, str]) -> bool:
        """Whether the form of `action` says yes."""

    @abstractmethod
    def reply(self, agreed: bool) -> str:
        """What is said to the answer, before the recording or without one."""


class Recording(Capability):
    """`pause_recording` and `resume_recording` are for capabilities that take what must not be recorded."""

    settings = RecordingSettings
    spoken_only = True

    def __init__(self, services: Services) -> None:
        self.services = services
        self.options = services.settings
        self.form = signed_body(services.settings)
        self.consent: Consent | None = next((part() for part in services.parts_of(Consent)), None)
        self.client = account_client(services, REQUEST_TIMEOUT)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    async def close(self) -> None:
        await self.client.http_client.close()

    # --- before the agent speaks ------------------------------------------------------------------------------------

    async def answer_call(self, form: Mapping[str, str]) -> str:
        log.info("recording.asked" if self.consent else "recording.announced", call=form.get("CallSid"))
        if self.consent is None:
            words = f"{sentence('introduction')} {sentence('notice')}"
            return await self.connect(form, words, recorded=True)
        question = self.consent.question(f"{self.options.public_url}{ANSWER}")
        return joined(question, await self.connect(form, self.consent.reply(False), recorded=False))

    async def answer(self, request: Request) -> Response:
        """Twilio requests this when the caller has answered the question."""
        form = await self.form(request)
        assert self.consent
        agreed = self.consent.agrees(form)
        log.info("recording.agreed" if agreed else "recording.refused", call=form.get("CallSid"))
        twiml = await self.connect(form, self.consent.reply(agreed), recorded=agreed)
        return respond(twiml)

    async def connect(self, form: Mapping[str, str], words: str, recorded: bool) -> str:
        """TwiML that says `words`, begins the recording if the call is `recorded`, and connects the agent."""
        call_sid = form.get("CallSid", "")
        first = VoiceResponse()
        first.say(words, language=SAY_LANGUAGE)
        if recorded:
            first.start().recording(
                channels=self.options.recording_channels,
                recording_status_callback=f"{self.options.public_url}{STATUS}",
                recording_status_callback_event="in-progress completed absent",
            )
        await self.services.store.put(key(call_sid), "yes" if recorded else "no", MAX_CALL_DURATION)
        (voice,) = [channel for channel in self.services.channels if isinstance(channel, Voice)]
        return joined(first, await voice.connect_twiml(form))

    # --- during the call --------------------------------------------------------------------------------------------

    async def on_start(self, session: Session) -> None:
        session.state["recorded"] = await self.services.store.get(key(session.id)) == "yes"

    async def context(self, session: Session, text: str) -> str:
        if session.state.get("recorded"):
            return "This call is recorded, and the caller knows it. Call stop_recording if the caller objects."
        return "This call is not recorded."

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        async def stop_recording() -> str:
            """Stop the recording of this call for good. Use it when the caller does not want to be recorded."""
            stopped = await self.stop(session)
            return "The recording has stopped." if stopped else "The recording could not be stopped. Offer to hang up."

        return [stop_recording]

    def actions(self, session: Session) -> Mapping[str, Action]:
        async def stop_recording() -> bool:
            return await self.stop(session)

        return {"stop_recording": stop_recording}

    async def stop(self, session: Session) -> bool:
        """Stop the recordings of the call. False when Twilio refuses."""
        try:
            await self._change(session.id, LIVE, "stopped")
        except Exception as error:
            log.error("recording.not_stopped", call=session.id, error=type(error).__name__)
            return False
        session.state["recorded"] = False
        log.info("recording.stopped", call=session.id)
        return True

    async def pause_recording(self, call_sid: str) -> None:
        """Nothing of the call is recorded when this returns. Raises when Twilio refuses."""
        await self._change(call_sid, ("in-progress",), "paused")

    async def resume_recording(self, call_sid: str) -> None:
        """The recordings that were paused go on. Raises when Twilio refuses."""
        await self._change(call_sid, ("paused",), "in-progress")

    async def _change(self, call_sid: str, present: Sequence[str], status: Any) -> None:
        call = self.client.calls(call_sid)
        for recording in await call.recordings.page_async():
            if recording.status in present:
                await call.recordings(recording.sid).update_async(status=status)

    # --- webhooks ---------------------------------------------------------------------------------------------------

    def routes(self) -> APIRouter:
        router = APIRouter()
        if self.consent:
            router.add_api_route(ANSWER, self.answer, methods=["POST"])
        router.add_api_route(STATUS, self.status, methods=["POST"])
        return router

    async def status(self, request: Request) -> Response:
        """Twilio reports that a recording has begun, is complete, or is absent: nothing was said."""
        form = await self.form(request)
        log.info(
            "recording.status",
            call=form.get("CallSid"),
            recording=form.get("RecordingSid"),
            status=form.get("RecordingStatus"),
            seconds=form.get("RecordingDuration"),
        )
        return Response(status_code=204)


def key(call_sid: str) -> str:
    """The key of the store that says whether a call is recorded."""
    return f"recorded:{call_sid}"
