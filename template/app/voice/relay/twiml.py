"""The TwiML that puts a call on ConversationRelay."""

from __future__ import annotations

from collections.abc import Sequence

from twilio.twiml.voice_response import VoiceResponse

from app import config
from app.capability import Capability
from app.settings import Settings
from app.voice import LANGUAGES, call_token, relay_attributes, websocket_url


def connect_twiml(settings: Settings, greeting: str, capabilities: Sequence[Capability], token: str) -> str:
    """`<Connect><ConversationRelay>`, with every language and the token of the call."""
    response = VoiceResponse()
    connect = response.connect(action=f"{settings.public_url}/connect-action", method="POST")
    # Twilio sends partial prompts with Deepgram's flux only.
    partial = {"partial_prompts": True, "speech_model": "flux"} if config.PARTIAL_PROMPTS else {}
    relay = connect.conversation_relay(
        url=websocket_url(settings), dtmf_detection=True, **partial, **relay_attributes(greeting, capabilities)
    )
    for language in LANGUAGES:
        relay.language(**language)
    relay.parameter(name=call_token.PARAMETER, value=token)
    return str(response)
