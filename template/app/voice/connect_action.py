"""The `<Connect action>` route: TwiML for the caller when a ConversationRelay session has ended.

Every branch returns valid TwiML; an empty body would drop the caller in silence.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from fastapi import Request, Response
from twilio.twiml.voice_response import VoiceResponse

from app.capability import Detours, HandlesHandoff, run_hooks, with_added_words
from app.config import FIRST_LANGUAGE
from app.connection import parties
from app.session import Session
from app.voice.calls import MAX_CALL_DURATION, Calls
from app.voice.phrases import phrases

log = structlog.get_logger()

SAY_LANGUAGE = "en-US" if FIRST_LANGUAGE == "multi" else FIRST_LANGUAGE  # `<Say>` does not support "multi"


def say(text: str) -> str:
    """TwiML that says a sentence in the project's first language and hangs up."""
    response = VoiceResponse()
    response.say(text, language=SAY_LANGUAGE)
    response.hangup()
    return str(response)


async def on_session_ended(form: Mapping[str, str], calls: Calls, reconnect: Callable[[], Awaitable[str]]) -> str:
    """TwiML for each way in which a session ends. `reconnect` returns the TwiML that opens a new one."""
    call_sid = form.get("CallSid", "")
    session = await calls.find(call_sid)
    failed, handoff = form.get("SessionStatus") == "failed", form.get("HandoffData")
    if form.get("CallStatus", "in-progress") != "in-progress":
        twiml = str(VoiceResponse())  # the caller hung up
    elif failed and session and await calls.store.claim(f"reconnect:{call_sid}", MAX_CALL_DURATION):
        await calls.mark_dropped(session)
        log.warning("call.reconnecting", call=call_sid, error=form.get("ErrorCode"))
        return await reconnect()
    elif failed:
        log.error("call.lost", call=call_sid, error=form.get("ErrorCode"))
        twiml = say(phrases.UNAVAILABLE)
    elif session and (detour := await handoff_twiml(session, handoff, calls, Detours.on_detour)):
        await calls.send_away(session)
        return detour
    else:
        # Without a shared store another worker may have served the call.
        unknown = Session(call_sid, *parties(form), FIRST_LANGUAGE, calls.services.now)
        goodbye = with_added_words(phrases.GOODBYE, calls.services.capabilities, last=True)
        twiml = await handoff_twiml(session or unknown, handoff, calls, HandlesHandoff.on_handoff) or say(goodbye)
    await calls.end(call_sid)
    return twiml


async def handoff_twiml(session: Session, data: str | None, calls: Calls, hook: Callable[..., Any]) -> str | None:
    """TwiML of the first capability with this hook that takes the caller further."""
    if data is None:
        return None
    try:
        handoff = json.loads(data)
    except (ValueError, RecursionError):
        log.error("handoff.malformed", call=session.id)
        return None
    capable = [capability for capability in calls.services.capabilities if hasattr(capability, hook.__name__)]
    answers = await run_hooks(capable, hook, session, handoff, timeout=calls.services.timeouts.hook)
    return next(filter(None, answers), None)


async def on_unhandled_error(request: Request, error: Exception) -> Response:
    """Speak an apology for an error in a route: an empty 500 would be silence. The server logs the error."""
    return Response(say(phrases.UNAVAILABLE), media_type="application/xml")
