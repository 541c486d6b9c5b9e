"""The `<Connect action>` route: TwiML for the caller when a ConversationRelay session has ended.

Every branch returns valid TwiML; an empty body would drop the caller in silence.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from fastapi import Request, Response
from starlette.background import BackgroundTask
from twilio.twiml.voice_response import VoiceResponse

from app.capability import Detours, HandlesHandoff, RescuesCall, first_answer, with_added_words
from app.config import FIRST_LANGUAGE
from app.connection import parties
from app.session import Session
from app.voice.calls import MAX_CALL_DURATION, Calls
from app.voice.phrases import phrases

log = structlog.get_logger()

SAY_LANGUAGE = "en-US" if FIRST_LANGUAGE == "multi" else FIRST_LANGUAGE  # `<Say>` does not support "multi"


def say(*sentences: str) -> str:
    """TwiML that says sentences in the project's first language and hangs up."""
    response = VoiceResponse()
    for sentence in sentences:
        response.say(sentence, language=SAY_LANGUAGE)
    response.hangup()
    return str(response)


def respond(twiml: str, background: BackgroundTask | None = None) -> Response:
    return Response(twiml, media_type="application/xml", background=background)


async def on_session_ended(form: Mapping[str, str], calls: Calls, reconnect: Callable[[], Awaitable[str]]) -> str:
    """TwiML for each way in which a session ends. `reconnect` returns the TwiML that opens a new one."""
    call_sid = form.get("CallSid", "")
    session = await calls.find(call_sid)
    failed = form.get("SessionStatus") == "failed"
    if form.get("CallStatus", "in-progress") != "in-progress":
        twiml = str(VoiceResponse())  # the caller hung up
    elif failed and session and await calls.store.claim(f"reconnect:{call_sid}", MAX_CALL_DURATION):
        calls.services.count("call", outcome="reconnecting")
        await calls.mark_dropped(session)
        log.warning("call.reconnecting", call=call_sid, error=form.get("ErrorCode"))
        return await reconnect()
    elif failed:
        calls.services.count("call", outcome="lost")
        log.error("call.lost", call=call_sid, error=form.get("ErrorCode"))
        twiml = await first_answer(calls.services, RescuesCall.on_lost, form) or say(phrases.UNAVAILABLE)
    else:
        handoff, services = handoff_of(form), calls.services
        given = handoff is not None
        if session and given and (detour := await first_answer(services, Detours.on_detour, session, handoff)):
            await calls.send_away(session)
            return str(detour)
        # Without a shared store another worker may have served the call.
        session = session or Session(call_sid, *parties(form), FIRST_LANGUAGE, services.now)
        onward = await first_answer(services, HandlesHandoff.on_handoff, session, handoff) if given else None
        twiml = onward or say(with_added_words(phrases.GOODBYE, services.capabilities, last=True))
    await calls.end(call_sid)
    return twiml


def handoff_of(form: Mapping[str, str]) -> Any:
    """What the agent ended the session with, or None."""
    try:
        return json.loads(form["HandoffData"]) if "HandoffData" in form else None
    except (ValueError, RecursionError):
        log.error("handoff.malformed", call=form.get("CallSid"))
        return None


async def on_unhandled_error(request: Request, error: Exception) -> Response:
    """Speak an apology for an error in a route: an empty 500 would be silence. The server logs the error."""
    return respond(say(phrases.UNAVAILABLE))
