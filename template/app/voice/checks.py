"""Checks of calls: TwiML, the WebSocket, the number."""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx2
from fastapi import FastAPI
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

from agent import phrases
from app import config
from app.voice.relay_attributes import websocket_url
from kit.doctor.check import Context, check, listed, masked, shown
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


@check(
    "TWI001",
    hint="Correct what the message names, in agent/phrases.py or in app/.",
    docs=RELAY,
    requires=("ENV001",),
)
async def twiml_valid(context: Context) -> AsyncIterator[str]:
    """Twilio understands every attribute of the TwiML that begins a call."""
    found = await context.cached(beginning)
    if isinstance(found, str):
        for problem in found.splitlines():
            yield f"POST /twiml: {problem}"


@check("TWI002", hint="Have app/ write it; git diff shows what was changed there.", docs=RELAY, requires=("TWI001",))
async def twiml_connects(context: Context) -> AsyncIterator[str]:
    """The TwiML connects the call to this server, and says where to go afterwards."""
    found = await context.cached(beginning)
    relay = found.relay if isinstance(found, Document) else None
    if relay is None:
        yield "POST /twiml does not connect the call to ConversationRelay."
        return
    expected = websocket_url(context.settings), f"{context.settings.public_url}/connect-action"
    for name, address, wanted in zip(("url", "action"), (relay.url, relay.action), expected, strict=True):
        if address != wanted:
            yield f"POST /twiml gives the {name} {address}; this server has {wanted}."


@check(
    "TWI003",
    hint="Correct what the message names, in agent/phrases.py or in app/voice/connect_action.py.",
    docs=RELAY,
    requires=("ENV001",),
)
async def call_endings_valid(context: Context) -> AsyncIterator[str]:
    """Whatever ends the session, Twilio is told what to do with the caller."""
    for ending, fields in ENDINGS.items():
        found = await ask(context, "/connect-action", {**CALL, **fields})
        if isinstance(found, str):
            yield f"POST /connect-action when {ending}: {found.splitlines()[0]}"


@check("TWI004", hint="Take a voice of that provider: answer anew with -d voice=… or -d tts_provider=….", docs=VOICES)
def voices_fit_languages(context: Context) -> Iterator[str]:
    """Each voice belongs to the provider that is to speak with it."""
    for language, voice in config.LANGUAGES.items():
        owners = [name for name, shape in OWNER.items() if voice and shape.fullmatch(voice)]
        if owners and config.TTS_PROVIDER not in owners:
            yield f"{voice} ({language}) is a voice of {owners[0]}, and {config.TTS_PROVIDER} is to speak."


@check(
    "TWI005",
    hint="Write the sentence in agent/phrases.py as it is spoken.",
    docs="https://www.twilio.com/docs/voice/conversationrelay/best-practices",
)
def phrases_speakable(context: Context) -> Iterator[str]:
    """The sentences of agent/phrases.py can be said."""
    for name, sentence in vars(phrases).items():
        if not name.isupper() or not isinstance(sentence, str):
            continue
        if not sentence.strip():
            yield f"{name} of agent/phrases.py is empty: in that moment callers hear nothing."
        elif found := MARKUP.search(sentence):
            yield f"{name} of agent/phrases.py has {found[0]!r}, which is read aloud."


async def app(context: Context) -> FastAPI:
    """The app, whose model is a script and whose Twilio is nobody."""
    from app.main import create_app
    from app.store import InProcess
    from kit.scripted_model import echo_model

    settings = context.settings.model_copy(update={"log_level": "error"})
    nobody = httpx2.MockTransport(lambda request: httpx2.Response(503))
    return create_app(settings, [echo_model()], store=InProcess(), transport=nobody)


async def beginning(context: Context) -> Document | str:
    return await ask(context, "/twiml", CALL)


async def ask(context: Context, path: str, fields: Mapping[str, str]) -> Document | str:
    """What the app answers Twilio, or what is wrong with it. Nothing leaves this process, and no call begins."""
    url = f"{context.settings.public_url}{path}"
    form = {**fields, "AccountSid": context.settings.account_sid}
    token = RequestValidator(context.settings.auth_token.get_secret_value())
    transport = httpx2.ASGITransport(await context.cached(app), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as http:
        headers = {"X-Twilio-Signature": str(token.compute_signature(url, form))}
        answer = await http.post(path, data=form, headers=headers)
    try:
        return read(answer.text)
    except TwimlError as error:
        return str(error) if answer.is_success else f"answered with {answer.status_code}"


UNABLE = "https://www.twilio.com/docs/api/errors/64102"


@check(
    "WSS001",
    hint="Have every proxy on the way pass the headers Upgrade and Connection, over HTTP/1.1, to exactly that path.",
    docs=UNABLE,
    live=True,
    requires=("END003", "END004"),
)
async def websocket_opens(context: Context) -> AsyncIterator[str]:
    """A WebSocket handshake gets through to the server."""
    status = await context.cached(signed_handshake)
    if status not in (101, 403):
        yield f"The handshake at {websocket_url(context.settings)} is answered with {status}, not with 101."


@check(
    "WSS002",
    hint="Give the server the same PUBLIC_URL and TWILIO_AUTH_TOKEN as here, and have the proxy leave the path alone.",
    docs=UNABLE,
    live=True,
    requires=("WSS001",),
)
async def websocket_accepts_signed(context: Context) -> AsyncIterator[str]:
    """The server lets Twilio's WebSocket in."""
    if await context.cached(signed_handshake) == 403:
        yield "A handshake with a valid signature is refused (403): callers hear the greeting, then nothing."


@check(
    "WSS003",
    hint="Take away what accepts the WebSocket in the server's place: the server itself refuses it with 403.",
    docs="https://www.twilio.com/docs/usage/security#validating-requests",
    live=True,
    requires=("WSS001",),
)
async def websocket_rejects_unsigned(context: Context) -> AsyncIterator[str]:
    """Nobody but Twilio can open the WebSocket."""
    if await handshake(context, signature="") == 101:
        yield "The WebSocket opens without a signature: anybody can talk to the agent, at your cost."


async def signed_handshake(context: Context) -> int:
    """The status of the handshake that Twilio would make."""
    token = RequestValidator(context.settings.auth_token.get_secret_value())
    return await handshake(context, str(token.compute_signature(websocket_url(context.settings), {})))


async def handshake(context: Context, signature: str) -> int:
    """The status of an opening handshake (RFC 6455). The line is dropped at once; no frame is sent."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        **({"X-Twilio-Signature": signature} if signature else {}),
    }
    url = httpx2.URL(f"https{websocket_url(context.settings).removeprefix('wss')}")
    async with context.http.stream("GET", url, headers=headers) as answer:
        return answer.status_code


CONFIGURE = "https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource"
HOME = "us1"
POINT = "Point the number at PUBLIC_URL/twiml with HTTP POST; docs/operate.md says how, under Connect a number."


@check(
    "NUM001",
    hint="Buy a number, or correct TWILIO_PHONE_NUMBER.",
    docs=CONFIGURE,
    live=True,
    requires=("ACC001", "ACC002"),
)
async def number_exists(context: Context) -> AsyncIterator[str]:
    """The account has a number for the agent."""
    if not await context.cached(numbers):
        wanted = os.environ.get("TWILIO_PHONE_NUMBER")
        yield f"The account has no number {masked(wanted)}." if wanted else "The account has no phone number."


@check("NUM002", hint=POINT, docs="https://www.twilio.com/docs/api/errors/11200", live=True, requires=("NUM001",))
async def calls_reach_this_server(context: Context) -> AsyncIterator[str]:
    """A number's calls come to this server."""
    known = await context.cached(numbers)
    if not await context.cached(own_numbers):
        others = ", ".join(sorted({shown(each.voice_url) for each in known})[:3])
        yield f"No number calls {webhook(context)}; calls go to {others}."


@check("NUM003", hint=POINT, docs=CONFIGURE, live=True, requires=("NUM002",))
async def method_is_post(context: Context) -> AsyncIterator[str]:
    """Calls come as POST, which is what is signed and answered."""
    for number in await context.cached(own_numbers):
        if (number.voice_method or "POST").upper() != "POST":
            yield f"The number {masked(number.phone_number)} calls with {number.voice_method}: answered with 405."


@check(
    "NUM004",
    hint="Take the TwiML application out of the number's voice configuration, or point the application here.",
    docs="https://www.twilio.com/docs/usage/api/applications",
    live=True,
    requires=("NUM002",),
)
async def no_application(context: Context) -> AsyncIterator[str]:
    """No TwiML application answers in the number's place."""
    for number in await context.cached(own_numbers):
        application = (await context.cached(applications)).get(number.voice_application_sid)
        if application is None:
            continue
        if application.voice_url != webhook(context) or (application.voice_method or "POST").upper() != "POST":
            where = shown(application.voice_url)
            yield f"A TwiML application answers for {masked(number.phone_number)}: calls go to {where}."


@check(
    "NUM005",
    hint="Take the number off the SIP trunk: Elastic SIP Trunking > the trunk > Numbers.",
    docs="https://www.twilio.com/docs/sip-trunking",
    live=True,
    requires=("NUM002",),
)
async def no_trunk(context: Context) -> AsyncIterator[str]:
    """No SIP trunk takes the number's calls."""
    for number in await context.cached(own_numbers):
        if number.trunk_sid:
            yield f"The number {masked(number.phone_number)} belongs to a SIP trunk, which takes its calls."


@check(
    "NUM006",
    hint="Take a number with voice, or set its incoming calls to voice.",
    docs=CONFIGURE,
    live=True,
    requires=("NUM002",),
)
async def number_takes_calls(context: Context) -> AsyncIterator[str]:
    """The number takes phone calls."""
    for number in await context.cached(own_numbers):
        if not (number.capabilities or {}).get("voice", True):
            yield f"The number {masked(number.phone_number)} cannot take phone calls."
        elif number.voice_receive_mode == "fax":
            yield f"The number {masked(number.phone_number)} takes calls for faxes."


@check(
    "NUM007",
    hint="Route the number to US1: Console, Phone Numbers, the number, Routing. Or use the token of that region.",
    docs="https://www.twilio.com/docs/global-infrastructure/inbound-processing-console",
    live=True,
    requires=("NUM002",),
)
async def region_is_supported(context: Context) -> AsyncIterator[str]:
    """The number's calls are processed where the account's token is known."""
    for number in await context.cached(own_numbers):
        where = await region(context, number.phone_number)
        if where != HOME:
            yield f"Calls to {masked(number.phone_number)} are processed in {where}: another token signs them."


def webhook(context: Context) -> str:
    return f"{context.settings.public_url}/twiml"


async def numbers(context: Context) -> list[Any]:
    """The numbers of the account, or the one that the environment names."""
    wanted = os.environ.get("TWILIO_PHONE_NUMBER")
    filters = {"phone_number": wanted} if wanted else {}
    return await listed(context.account.incoming_phone_numbers, **filters)


async def own_numbers(context: Context) -> list[Any]:
    """Those whose calls are meant for this server: by their own webhook, or by an application's."""
    found = []
    for number in await context.cached(numbers):
        applied = (await context.cached(applications)).get(number.voice_application_sid)
        if webhook(context) in (number.voice_url, applied and applied.voice_url):
            found.append(number)
    return found


async def applications(context: Context) -> dict[str, Any]:
    """The TwiML applications that answer for a number, by SID."""
    sids = {each.voice_application_sid for each in await context.cached(numbers) if each.voice_application_sid}
    return {sid: await context.account.applications(sid).fetch_async() for sid in sorted(sids)}


async def region(context: Context, number: str) -> str:
    """Where the calls to a number are processed."""
    try:
        route = await context.account.routes.v2.phone_numbers(number).fetch_async()
    except TwilioRestException as error:
        if error.status != 404:
            raise
        return HOME
    return str(route.voice_region or HOME).lower()
