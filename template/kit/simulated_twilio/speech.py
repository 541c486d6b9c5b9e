"""Providers of speech, which fail when a scenario says so.

Source: https://www.twilio.com/docs/voice/conversationrelay/provider-failover and /docs/api/errors/64114 (2026-11-29).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kit.simulated_twilio.product import Product

PARTS = ("stt", "tts")


@dataclass
class Speech(Product):
    """Speech to text and text to speech of ConversationRelay."""

    setting = "public_url"

    async def simulate(self, call: Any, event: Any) -> None:
        """`stt` or `tts`: its provider fails. Raises ValueError for anything else, and for a text conversation."""
        if event not in PARTS or not hasattr(call, "loses_speech"):
            raise ValueError(f"speech cannot lose {event!r}; a call can lose {' or '.join(PARTS)}")
        await call.loses_speech(event)
