"""What Twilio does with a caller on the way to a human, as TwiML. Every branch says something or connects somewhere."""

from __future__ import annotations

import json

from twilio.twiml.voice_response import VoiceResponse

from agent import handoff, phrases
from app.escalation.payload import Payload
from app.voice.relay_attributes import FIRST_LANGUAGE

LANGUAGE = "en-US" if FIRST_LANGUAGE == "multi" else FIRST_LANGUAGE
PAUSE = 15  # seconds between two reminders; also how late a caller who has waited long enough is let go
MESSAGE = 120  # seconds that a message may be long
SILENCE = 5  # seconds of silence that end it


def enqueue(public_url: str, workflow_sid: str, payload: Payload, timeout: int) -> str:
    """Put the caller in the queue of a workflow. TaskRouter cancels the task after `timeout` seconds."""
    response = VoiceResponse()
    queue = response.enqueue(
        None,
        workflow_sid=workflow_sid,
        wait_url=f"{public_url}/escalation/wait",
        action=f"{public_url}/escalation/after",
    )
    attributes = json.dumps(payload.attributes(), ensure_ascii=False)
    queue.task(attributes, priority=payload.routing_hints.priority, timeout=timeout)
    return str(response)


def wait() -> str:
    """Words, and music if there is any. Twilio asks again when it has been played to its end."""
    response = VoiceResponse()
    response.say(handoff.WAITING, language=LANGUAGE)
    if handoff.MUSIC:
        response.play(handoff.MUSIC)
    else:
        response.pause(length=PAUSE)
    return str(response)


def leave() -> str:
    """Take the caller out of the queue: its task may be cancelled long before, and the caller would wait on.

    Source: https://www.twilio.com/docs/taskrouter/task-evaluation
    """
    response = VoiceResponse()
    response.leave()
    return str(response)


def nobody(public_url: str) -> str:
    """Say so, and offer the way out that agent/handoff.py names."""
    response = VoiceResponse()
    response.say(handoff.NOBODY, language=LANGUAGE)
    if handoff.WAY_OUT == "voicemail":
        response.say(handoff.MESSAGE, language=LANGUAGE)
        action = f"{public_url}/escalation/voicemail"
        response.record(action=action, max_length=MESSAGE, timeout=SILENCE, play_beep=True)
        response.say(phrases.GOODBYE, language=LANGUAGE)  # to a caller who said nothing
    else:
        response.say(handoff.CALL_BACK, language=LANGUAGE)
    response.hangup()
    return str(response)


def goodbye(*sentences: str) -> str:
    response = VoiceResponse()
    for sentence in sentences:
        response.say(sentence, language=LANGUAGE)
    response.hangup()
    return str(response)


def nothing() -> str:
    """For a caller who is not there any more."""
    return str(VoiceResponse())
