"""Attributes of `<ConversationRelay>`: speech providers, languages, greeting, interruptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app import config
from app.capability import Capability, RelayAttributes
from app.settings import Settings

FIRST_LANGUAGE = config.FIRST_LANGUAGE
PROVIDERS = {"transcription_provider": config.TRANSCRIPTION_PROVIDER, "tts_provider": config.TTS_PROVIDER}
LANGUAGES: list[dict[str, Any]] = [
    {"code": code, "voice": voice, **PROVIDERS} for code, voice in config.LANGUAGES.items()
]


def relay_attributes(greeting: str, capabilities: Sequence[Capability]) -> dict[str, Any]:
    """Attributes in snake_case, as Twilio's helper library and TAC take them."""
    asking = [capability for capability in capabilities if isinstance(capability, RelayAttributes)]
    more = {name: value for capability in asking for name, value in capability.relay_attributes().items()}
    return {
        **PROVIDERS,
        "language": FIRST_LANGUAGE,
        "voice": config.LANGUAGES[FIRST_LANGUAGE],
        "welcome_greeting": greeting,
        "welcome_greeting_interruptible": "any" if config.GREETING_INTERRUPTIBLE else "none",
        "interruptible": "any",
        # Since May 2025 the default is "none": words that interrupt the agent would not reach it.
        "report_input_during_agent_speech": "any",
        **more,
    }


def websocket_url(settings: Settings) -> str:
    """The WebSocket address for ConversationRelay. It has no query, which Twilio would sign differently."""
    return f"wss{settings.public_url.removeprefix('https')}/ws"
