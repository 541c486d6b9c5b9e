"""The TwiML that puts a call on ConversationRelay."""

from __future__ import annotations

from twilio.twiml.voice_response import VoiceResponse

from app import answers
from app.settings import Settings


def connect_twiml(settings: Settings, greeting: str) -> str:
    """`<Connect><ConversationRelay>` as the answers want it. Parameters travel in `<Parameter>`, never in the URL."""
    response = VoiceResponse()
    connect = response.connect(action=f"{settings.public_url}/connect-action", method="POST")
    first = next(iter(answers.LANGUAGES))
    relay = connect.conversation_relay(
        url=f"wss{settings.public_url.removeprefix('https')}/ws",
        welcome_greeting=greeting,
        welcome_greeting_interruptible="any" if answers.GREETING_INTERRUPTIBLE else "none",
        language=first,
        transcription_provider=answers.TRANSCRIPTION_PROVIDER,
        tts_provider=answers.TTS_PROVIDER,
        voice=answers.LANGUAGES[first],
        interruptible="any",
        # Since May 2025 the default is "none": the words that interrupt the agent would never reach it.
        report_input_during_agent_speech="any",
        dtmf_detection=True,
    )
    for code, voice in answers.LANGUAGES.items():
        relay.language(
            code=code,
            transcription_provider=answers.TRANSCRIPTION_PROVIDER,
            tts_provider=answers.TTS_PROVIDER,
            voice=voice,
        )
    return str(response)
