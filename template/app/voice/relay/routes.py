"""The routes of Twilio. Each validates the signature against PUBLIC_URL, not against headers of a proxy."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request, Response, WebSocket
from twilio.request_validator import RequestValidator

from app.channel import signed_body
from app.voice import Voice, websocket_url
from app.voice.connect_action import on_session_ended
from app.voice.phrases import phrases
from app.voice.relay.connection import RelayConnection
from app.voice.relay.twiml import connect_twiml

log = structlog.get_logger()


class RelayVoice(Voice):
    """Our own WebSocket server for ConversationRelay."""

    def add_routes(self, app: FastAPI) -> None:
        settings, capabilities = self.services.settings, self.services.capabilities
        validator = RequestValidator(settings.auth_token.get_secret_value())
        signed_form = signed_body(settings)

        @app.post("/twiml")
        async def twiml(request: Request) -> Response:
            token = self.calls.token((await signed_form(request)).get("CallSid", ""))
            twiml = connect_twiml(settings, phrases.GREETING, capabilities, token)
            return Response(twiml, media_type="application/xml")

        @app.post("/connect-action")
        async def connect_action(request: Request) -> Response:
            form = await signed_form(request)

            async def reconnect() -> str:
                return connect_twiml(settings, phrases.RECONNECTED, capabilities, self.calls.token(form["CallSid"]))

            twiml = await on_session_ended(form, self.calls, reconnect)
            return Response(twiml, media_type="application/xml")

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
