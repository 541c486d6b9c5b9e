"""What the caller hears when ConversationRelay lets go of the call: the `<Connect action>` route.

Every branch is valid TwiML; an empty body would drop the caller in silence.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from twilio.twiml.voice_response import VoiceResponse

from agent import words
from app import answers
from app.calls import Calls
from app.capability import each
from app.session import Session

log = structlog.get_logger()

RECONNECTS = 1


def apology(text: str = words.UNAVAILABLE) -> str:
    """TwiML that says a sentence in the project's first language and hangs up."""
    language = next(iter(answers.LANGUAGES))
    response = VoiceResponse()
    response.say(text, language="en-US" if language == "multi" else language)
    response.hangup()
    return str(response)


async def after_relay(form: Mapping[str, str], calls: Calls, reconnect: Callable[[], Awaitable[str]]) -> str:
    """TwiML for each way in which a session can end. `reconnect` gives the TwiML that opens a new one."""
    session = calls.get(form.get("CallSid", ""))
    if form.get("CallStatus", "in-progress") != "in-progress":
        next_step = str(VoiceResponse())  # the caller has hung up
    elif "HandoffData" in form:
        next_step = await handoff(session, form["HandoffData"], calls)
    elif form.get("SessionStatus") == "failed" and session and session.reconnects < RECONNECTS:
        session.reconnects += 1
        session.line.open = False
        log.warning("call.reconnecting", call=session.call_sid, error=form.get("ErrorCode"))
        return await reconnect()
    elif form.get("SessionStatus") == "failed":
        log.error("call.lost", call=form.get("CallSid"), error=form.get("ErrorCode"))
        next_step = apology()
    else:
        response = VoiceResponse()
        response.hangup()
        next_step = str(response)
    await calls.end(form.get("CallSid", ""))
    return next_step


async def handoff(session: Session | None, data: str, calls: Calls) -> str:
    """Ask the capabilities where the caller goes next; say goodbye when none of them knows."""
    try:
        wanted: Any = json.loads(data)
    except ValueError:
        log.error("handoff.malformed", call=session.call_sid if session else None)
        return apology()
    if session is not None and isinstance(wanted, dict):
        for twiml in await each(calls.capabilities, "on_handoff", session, wanted):
            if twiml:
                return str(twiml)
    return apology(words.GOODBYE)
