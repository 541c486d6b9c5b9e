"""A voicemail: the caller leaves a message, where no human is there and the regulations allow it."""

from __future__ import annotations

from twilio.twiml.voice_response import VoiceResponse

from app.voice.connect_action import SAY_LANGUAGE
from app.voice.phrases import phrases

MAX_DURATION = 120  # seconds
SILENCE = 5  # seconds that end it


def record_twiml(action: str, *sentences: str) -> str:
    """Say the sentences, record, and post the recording to the URL `action`."""
    response = VoiceResponse()
    for sentence in sentences:
        response.say(sentence, language=SAY_LANGUAGE)
    response.record(action=action, max_length=MAX_DURATION, timeout=SILENCE, play_beep=True)
    response.say(phrases.GOODBYE, language=SAY_LANGUAGE)  # when the caller recorded no message
    response.hangup()
    return str(response)
