"""What Twilio would be told to do with a call: the TwiML, the voices, the words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx2
from fastapi import FastAPI
from twilio.request_validator import RequestValidator

from agent import phrases
from app import config
from app.voice.relay_attributes import websocket_url
from kit.doctor.check import Examined, check
from kit.twiml import Document, TwimlError, read

RELAY = "https://www.twilio.com/docs/voice/twiml/connect/conversationrelay"
VOICES = "https://www.twilio.com/docs/voice/conversationrelay/voice-configuration"
MARKUP = re.compile(r"[*_#`<>\[\]{}|\\]|https?://")
# By which a voice gives away whose it is.
OWNER = {
    "Amazon": re.compile(r"[A-Z][a-z]+-(Neural|Generative|Standard|Long-form)"),
    "Google": re.compile(r"[a-z]{2,3}-[A-Z]{2}-.+"),
    "ElevenLabs": re.compile(r"[A-Za-z0-9]{20}(-.*)?"),
}
CALL = {
    "CallSid": f"CA{'0' * 32}",
    "CallStatus": "in-progress",
    "From": "+15005550006",
    "To": "+15005550001",
    "Direction": "inbound",
}
# How ConversationRelay may let go of a call.
ENDINGS: dict[str, Mapping[str, str]] = {
    "the agent has said goodbye": {"SessionStatus": "ended"},
    "the caller has hung up": {"CallStatus": "completed"},
    "the WebSocket has failed": {"SessionStatus": "failed", "ErrorCode": "64105"},
}


@check("TWI001", fix="Correct what the message names, in agent/phrases.py or in app/.", docs=RELAY, needs=("ENV001",))
async def valid(examined: Examined) -> AsyncIterator[str]:
    """Twilio understands every attribute of the TwiML that begins a call."""
    found = await examined.once(beginning)
    if isinstance(found, str):
        for problem in found.splitlines():
            yield f"POST /twiml: {problem}"


@check("TWI002", fix="Have app/ write it; git diff shows what was changed there.", docs=RELAY, needs=("TWI001",))
async def connects(examined: Examined) -> AsyncIterator[str]:
    """The TwiML connects the call to this server, and says where to go afterwards."""
    found = await examined.once(beginning)
    relay = found.relay if isinstance(found, Document) else None
    if relay is None:
        yield "POST /twiml does not connect the call to ConversationRelay."
        return
    expected = websocket_url(examined.settings), f"{examined.settings.public_url}/connect-action"
    for name, address, wanted in zip(("url", "action"), (relay.url, relay.action), expected, strict=True):
        if address != wanted:
            yield f"POST /twiml gives the {name} {address}; this server has {wanted}."


@check(
    "TWI003",
    fix="Correct what the message names, in agent/phrases.py or in app/voice/connect_action.py.",
    docs=RELAY,
    needs=("ENV001",),
)
async def endings(examined: Examined) -> AsyncIterator[str]:
    """Whatever ends the session, Twilio is told what to do with the caller."""
    for ending, fields in ENDINGS.items():
        found = await ask(examined, "/connect-action", {**CALL, **fields})
        if isinstance(found, str):
            yield f"POST /connect-action when {ending}: {found.splitlines()[0]}"


@check("TWI004", fix="Take a voice of that provider: answer anew with -d voice=… or -d tts_provider=….", docs=VOICES)
def voices(examined: Examined) -> Iterator[str]:
    """Each voice belongs to the provider that is to speak with it."""
    for language, voice in config.LANGUAGES.items():
        owners = [name for name, shape in OWNER.items() if voice and shape.fullmatch(voice)]
        if owners and config.TTS_PROVIDER not in owners:
            yield f"{voice} ({language}) is a voice of {owners[0]}, and {config.TTS_PROVIDER} is to speak."


@check(
    "TWI005",
    fix="Write the sentence in agent/phrases.py as it is spoken.",
    docs="https://www.twilio.com/docs/voice/conversationrelay/best-practices",
)
def spoken(examined: Examined) -> Iterator[str]:
    """The sentences of agent/phrases.py can be said."""
    for name, sentence in vars(phrases).items():
        if not name.isupper() or not isinstance(sentence, str):
            continue
        if not sentence.strip():
            yield f"{name} of agent/phrases.py is empty: in that moment callers hear nothing."
        elif found := MARKUP.search(sentence):
            yield f"{name} of agent/phrases.py has {found[0]!r}, which is read aloud."


async def app(examined: Examined) -> FastAPI:
    """The app, whose model is a script and whose Twilio is nobody."""
    from app.main import create_app
    from app.store import InProcess
    from kit.scripted_model import echo_model

    settings = examined.settings.model_copy(update={"log_level": "error"})
    nobody = httpx2.MockTransport(lambda request: httpx2.Response(503))
    return create_app(settings, [echo_model()], store=InProcess(), transport=nobody)


async def beginning(examined: Examined) -> Document | str:
    return await ask(examined, "/twiml", CALL)


async def ask(examined: Examined, path: str, fields: Mapping[str, str]) -> Document | str:
    """What the app answers Twilio, or what is wrong with it. Nothing leaves this process, and no call begins."""
    url = f"{examined.settings.public_url}{path}"
    form = {**fields, "AccountSid": examined.settings.account_sid}
    token = RequestValidator(examined.settings.auth_token.get_secret_value())
    transport = httpx2.ASGITransport(await examined.once(app), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as http:
        headers = {"X-Twilio-Signature": str(token.compute_signature(url, form))}
        answer = await http.post(path, data=form, headers=headers)
    try:
        return read(answer.text)
    except TwimlError as error:
        return str(error) if answer.is_success else f"answered with {answer.status_code}"
