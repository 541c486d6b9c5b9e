"""The WebSocket of Twilio. Its signature is validated against PUBLIC_URL, not against headers of a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import structlog
from fastapi import FastAPI, WebSocket
from twilio.request_validator import RequestValidator

from app import config
from app.voice import Voice, websocket_url
from app.voice.relay.connection import RelayConnection

log = structlog.get_logger()


class RelayVoice(Voice):
    """Our own WebSocket server for ConversationRelay."""

    own_attributes: ClassVar[Mapping[str, Any]] = {
        "dtmf_detection": True,
        "partial_prompts": config.PARTIAL_PROMPTS or None,
    }

    def add_websocket(self, app: FastAPI) -> None:
        settings = self.services.settings
        validator = RequestValidator(settings.auth_token.get_secret_value())

        @app.websocket("/ws")
        async def websocket(websocket: WebSocket) -> None:
            url = websocket_url(settings)
            if not validator.validate(url, {}, websocket.headers.get("X-Twilio-Signature", "")):
                hint = "PUBLIC_URL and TWILIO_AUTH_TOKEN must be the number's own"
                log.warning("signature.refused", url=url, hint=hint)
                await websocket.close(1008)  # before accept(): the handshake is answered with 403
                return
            await websocket.accept()
            await RelayConnection(websocket, self.calls, settings.account_sid).serve()
