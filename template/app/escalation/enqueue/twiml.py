"""TwiML of a transfer. Every document speaks, connects or ends the call."""

from __future__ import annotations

import json

from twilio.twiml.voice_response import VoiceResponse

from agent import handoff, phrases
from app.escalation.payload import Payload
from app.voice.relay_attributes import FIRST_LANGUAGE

LANGUAGE = "en-US" if FIRST_LANGUAGE == "multi" else FIRST_LANGUAGE
PAUSE = 15  # seconds between two announcements; a caller leaves the queue at most so late after the timeout
MESSAGE = 120  # seconds, the longest voicemail
SILENCE = 5  # seconds of silence that end a voicemail


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
    """The announcement of the queue, then music or a pause. Twilio requests it again at its end."""
    response = VoiceResponse()
    response.say(handoff.WAITING, language=LANGUAGE)
    if handoff.MUSIC:
        response.play(handoff.MUSIC)
    else:
        response.pause(length=PAUSE)
    return str(response)


def leave() -> str:
    """Take the caller out of the queue. A cancelled task does not: the caller would wait on.

    Source: https://www.twilio.com/docs/taskrouter/task-evaluation
    """
    response = VoiceResponse()
    response.leave()
    return str(response)


def no_worker(public_url: str) -> str:
    """Say that no worker is available, and offer the WAY_OUT of agent/handoff.py."""
    response = VoiceResponse()
    response.say(handoff.NO_WORKER, language=LANGUAGE)
    if handoff.WAY_OUT == "voicemail":
        response.say(handoff.MESSAGE, language=LANGUAGE)
        action = f"{public_url}/escalation/voicemail"
        response.record(action=action, max_length=MESSAGE, timeout=SILENCE, play_beep=True)
        response.say(phrases.GOODBYE, language=LANGUAGE)  # when the caller recorded no message
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
    """For a caller who has hung up."""
    return str(VoiceResponse())
