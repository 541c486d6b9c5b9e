"""The three addresses that Twilio calls. Each checks Twilio's signature against the public URL, proxy or not."""

from typing import Annotated

import structlog
from fastapi import Depends, FastAPI, Response, WebSocket
from twilio.request_validator import RequestValidator

from agent import words
from app.action import after_relay
from app.calls import Calls
from app.relay.line import RelayLine
from app.relay.twiml import connect_twiml
from app.settings import Settings
from app.speech import websocket_url
from app.webhook import signed

log = structlog.get_logger()


def connect(app: FastAPI, settings: Settings, calls: Calls) -> None:
    """Put the routes of the manual path on `app`."""
    validator = RequestValidator(settings.auth_token.get_secret_value())

    signed_form = signed(settings)

    @app.post("/twiml")
    async def twiml(form: Annotated[dict[str, str], Depends(signed_form)]) -> Response:
        return Response(connect_twiml(settings, words.GREETING, calls.capabilities), media_type="application/xml")

    @app.post("/connect-action")
    async def connect_action(form: Annotated[dict[str, str], Depends(signed_form)]) -> Response:
        async def reconnect() -> str:
            return connect_twiml(settings, words.RECONNECTED, calls.capabilities)

        return Response(await after_relay(form, calls, reconnect), media_type="application/xml")

    @app.websocket("/ws")
    async def websocket(websocket: WebSocket) -> None:
        url = websocket_url(settings)
        if not validator.validate(url, {}, websocket.headers.get("X-Twilio-Signature", "")):
            log.warning("signature.refused", url=url, hint="PUBLIC_URL and TWILIO_AUTH_TOKEN must be the number's own")
            await websocket.close(1008)  # before accept(): the handshake is answered with 403
            return
        await websocket.accept()
        await RelayLine(websocket, calls, settings.account_sid).serve()
