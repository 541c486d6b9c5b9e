"""The WebSocket of Twilio. Its signature is validated against PUBLIC_URL, not against headers of a proxy."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from fastapi import FastAPI, WebSocket
from twilio.request_validator import RequestValidator

from app.voice import Voice, websocket_url
from app.voice.phrases import phrases
from app.voice.relay.connection import RelayConnection
from app.voice.relay.twiml import connect_twiml

log = structlog.get_logger()


class RelayVoice(Voice):
    """Our own WebSocket server for ConversationRelay."""

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

    async def connect_twiml(self, form: Mapping[str, str], greeting: str | None = None) -> str:
        token, capabilities = self.calls.token(form.get("CallSid", "")), self.services.capabilities
        return connect_twiml(self.services.settings, greeting or phrases.GREETING, capabilities, token)
