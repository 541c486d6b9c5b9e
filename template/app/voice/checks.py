"""Checks of calls: TwiML and phrases, the WebSocket, the phone number."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx2
from fastapi import FastAPI
from twilio.base.exceptions import TwilioRestException

from app.voice import call_token, websocket_url
from app.voice.phrases import phrases
from kit.doctor.check import Check, Context, check, list_records, masked, safe_url
from kit.doctor.sentences import unspeakable
from kit.twiml import Document, TwimlError, read
from kit.webhook import sign

RELAY = "https://www.twilio.com/docs/voice/twiml/connect/conversationrelay"
CALL = {"CallSid": f"CA{'0' * 32}", "CallStatus": "in-progress", "From": "+15005550006", "To": "+15005550001"}
ENDINGS: dict[str, Mapping[str, str]] = {  # the form of the action URL
    "the agent has said goodbye": {"SessionStatus": "ended"},
    "the caller has hung up": {"CallStatus": "completed"},
    "the WebSocket has failed": {"SessionStatus": "failed", "ErrorCode": "64105"},
}


@check(
    "TWI001",
    hint="Correct what the message names, in agent/phrases.py or in app/. A voice is answered anew: -d voice=….",
    docs=RELAY,
    requires=("ENV001", "PRJ016", "TWI005"),
)
async def twiml_valid(context: Context) -> AsyncIterator[str]:
    """Twilio understands every attribute of the TwiML that begins a call."""
    answer = await post(context, "/twiml", CALL)
    for problem in answer.splitlines() if isinstance(answer, str) else []:
        yield f"POST /twiml: {problem}"


@check("TWI002", hint="Restore app/voice from the template: see git diff.", docs=RELAY, requires=("TWI001",))
async def twiml_connects(context: Context) -> AsyncIterator[str]:
    """The TwiML connects the call to this server, and names its action URL."""
    answer = await post(context, "/twiml", CALL)
    relay = answer.relay if isinstance(answer, Document) else None
    if relay is None:
        yield "POST /twiml does not connect the call to ConversationRelay."
        return
    if call_token.PARAMETER not in relay.parameters:
        yield f"POST /twiml gives no <Parameter name={call_token.PARAMETER!r}>: this server would refuse the call."
    own = {"url": websocket_url(context.settings), "action": f"{context.settings.public_url}/connect-action"}
    for name, address in own.items():
        if getattr(relay, name) != address:
            yield f"POST /twiml gives the {name} {getattr(relay, name)}; this server has {address}."


@check(
    "TWI003",
    hint="Correct what the message names, in agent/phrases.py or in app/voice/connect_action.py.",
    docs=RELAY,
    requires=("ENV001", "PRJ016", "TWI005"),
)
async def call_endings_valid(context: Context) -> AsyncIterator[str]:
    """Each way in which a session can end is answered with valid TwiML."""
    for ending, fields in ENDINGS.items():
        answer = await post(context, "/connect-action", {**CALL, **fields})
        if isinstance(answer, str):
            yield f"POST /connect-action when {ending}: {answer.splitlines()[0]}"


@check(
    "TWI005",
    hint="Write the sentence in agent/phrases.py as it is spoken.",
    docs="https://www.twilio.com/docs/voice/conversationrelay/best-practices",
)
def phrases_speakable(context: Context) -> Iterator[str]:
    """The sentences of agent/phrases.py can be spoken."""
    if isinstance(phrases.HINTS, str) or any("," in str(hint) for hint in phrases.HINTS):
        yield "HINTS of agent/phrases.py is no list of words without commas."
    yield from unspeakable(phrases)


async def app(context: Context) -> FastAPI:
    """The app with a scripted model. Its requests to Twilio fail, and nothing measures it."""
    from app.capability import Observes
    from app.main import create_app
    from app.registry import CAPABILITIES
    from app.store import InProcess
    from kit.scripted_model import echo_model

    settings = context.settings.model_copy(update={"log_level": "error"})
    no_twilio = httpx2.MockTransport(lambda request: httpx2.Response(503))
    chosen = [each for each in CAPABILITIES if not issubclass(each, Observes)]
    return create_app(settings, [echo_model()], store=InProcess(), transport=no_twilio, capabilities=chosen)


async def post(context: Context, path: str, fields: Mapping[str, str]) -> Document | str:
    """The TwiML of a route of the app, or its problems, one a line. No request leaves this process."""
    form = {**fields, "AccountSid": context.settings.account_sid}
    headers = {"X-Twilio-Signature": signature(context, f"{context.settings.public_url}{path}", form)}
    transport = httpx2.ASGITransport(await context.cached(app), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as http:
        answer = await http.post(path, data=form, headers=headers)
    try:
        return read(answer.text)
    except TwimlError as error:
        return str(error) if answer.is_success else f"answered with {answer.status_code}"


def signature(context: Context, url: str, form: Mapping[str, str]) -> str:
    return sign(url, form, token=context.settings.auth_token.get_secret_value())


CONNECT_FAILED = "https://www.twilio.com/docs/api/errors/64102"


@check(
    "WSS001",
    hint="Have every proxy on the way pass the headers Upgrade and Connection, over HTTP/1.1, to exactly that path.",
    docs=CONNECT_FAILED,
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
    docs=CONNECT_FAILED,
    live=True,
    requires=("WSS001",),
)
async def websocket_accepts_signed(context: Context) -> AsyncIterator[str]:
    """The server accepts a WebSocket with Twilio's signature."""
    if await context.cached(signed_handshake) == 403:
        yield "A handshake with a valid signature is refused (403): callers hear the greeting, then nothing."


@check(
    "WSS003",
    hint="Remove the proxy that accepts the WebSocket instead of the server: the server itself answers with 403.",
    docs="https://www.twilio.com/docs/usage/security#validating-requests",
    live=True,
    requires=("WSS001",),
)
async def websocket_rejects_unsigned(context: Context) -> AsyncIterator[str]:
    """The server rejects a WebSocket without Twilio's signature."""
    if await handshake(context, signature="") == 101:
        yield "The WebSocket opens without a signature: anyone can talk to the agent, at your cost."


async def signed_handshake(context: Context) -> int:
    """The status of the handshake that Twilio would make."""
    return await handshake(context, signature(context, websocket_url(context.settings), {}))


async def handshake(context: Context, signature: str) -> int:
    """The status of an opening handshake (RFC 6455). The connection is closed at once; no frame is sent."""
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


NUMBERS_API = "https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource"
CONNECT_NUMBER = "Point the number at PUBLIC_URL/twiml with HTTP POST: docs/operate.md, Connect a number."

NumberRun = Callable[[Context, Any], Awaitable[str | None]]


def number_check(code: str, *, hint: str, docs: str = NUMBERS_API) -> Callable[[NumberRun], Check]:
    """Make a check of a function that returns the problem of one number of this server, or None."""

    def make(problem_of: NumberRun) -> Check:
        async def run(context: Context) -> AsyncIterator[str]:
            for number in await context.cached(own_numbers):
                if problem := await problem_of(context, number):
                    yield f"The number {masked(number.phone_number)} {problem}"

        run.__doc__ = problem_of.__doc__
        return check(code, hint=hint, docs=docs, live=True, requires=("NUM002",))(run)

    return make


@check(
    "NUM001",
    hint="Buy a number, or correct TWILIO_PHONE_NUMBER.",
    docs=NUMBERS_API,
    live=True,
    requires=("ACC001", "ACC002"),
)
async def number_exists(context: Context) -> AsyncIterator[str]:
    """The account has a number for the agent."""
    if not await context.cached(numbers):
        name = os.environ.get("TWILIO_PHONE_NUMBER")
        yield f"The account has no number {masked(name)}." if name else "The account has no phone number."


@check(
    "NUM002", hint=CONNECT_NUMBER, docs="https://www.twilio.com/docs/api/errors/11200", live=True, requires=("NUM001",)
)
async def calls_reach_this_server(context: Context) -> AsyncIterator[str]:
    """The calls of a number reach this server."""
    if not await context.cached(own_numbers):
        others = sorted({safe_url(number.voice_url) for number in await context.cached(numbers)})
        yield f"No number calls {webhook(context)}; calls go to {', '.join(others[:3])}."


@number_check("NUM003", hint=CONNECT_NUMBER)
async def method_is_post(context: Context, number: Any) -> str | None:
    """The number requests TwiML with POST, which is what the server answers."""
    method = number.voice_method or "POST"
    return None if method.upper() == "POST" else f"calls with {method}: answered with 405."


@number_check(
    "NUM004",
    hint="Remove the TwiML application from the number's voice configuration, or point the application here.",
    docs="https://www.twilio.com/docs/usage/api/applications",
)
async def no_application(context: Context, number: Any) -> str | None:
    """No TwiML application overrides the number's webhook."""
    application = (await context.cached(applications)).get(number.voice_application_sid)
    right = webhook(context), "POST"
    if application is None or (application.voice_url, (application.voice_method or "POST").upper()) == right:
        return None
    return f"has a TwiML application: calls go to {safe_url(application.voice_url)}."


@number_check(
    "NUM005",
    hint="Take the number off the SIP trunk: Elastic SIP Trunking > the trunk > Numbers.",
    docs="https://www.twilio.com/docs/sip-trunking",
)
async def no_trunk(context: Context, number: Any) -> str | None:
    """No SIP trunk takes the number's calls."""
    return "belongs to a SIP trunk, which takes its calls." if number.trunk_sid else None


@number_check("NUM006", hint="Take a number with voice, or set its incoming calls to voice.")
async def number_takes_calls(context: Context, number: Any) -> str | None:
    """The number takes phone calls."""
    if not (number.capabilities or {}).get("voice", True):
        return "cannot take phone calls."
    return "takes calls for faxes." if number.voice_receive_mode == "fax" else None


@number_check(
    "NUM007",
    hint="Route the number to TWILIO_REGION: Console, Phone Numbers, the number, Routing. Or set that to its region.",
    docs="https://www.twilio.com/docs/global-infrastructure/inbound-processing-console",
)
async def region_is_supported(context: Context, number: Any) -> str | None:
    """The number's calls are processed in TWILIO_REGION, whose Auth Token signs them."""
    region, wanted = "us1", context.settings.twilio_region
    try:
        route = await context.account.routes.v2.phone_numbers(number.phone_number).fetch_async()
        region = (route.voice_region or region).lower()
    except TwilioRestException as error:
        if error.status == 401 and wanted != "us1":
            return None  # routes are kept in US1, for its credentials
        if error.status != 404:  # no route
            raise
    return None if region == wanted else f"is processed in {region}, not in {wanted}: another token signs its calls."


def webhook(context: Context) -> str:
    return f"{context.settings.public_url}/twiml"


async def numbers(context: Context) -> list[Any]:
    """The numbers of the account, or the one that the environment names."""
    name = os.environ.get("TWILIO_PHONE_NUMBER")
    return await list_records(context.account.incoming_phone_numbers, **({"phone_number": name} if name else {}))


async def own_numbers(context: Context) -> list[Any]:
    """The numbers whose own webhook, or that of their application, is this server's."""
    own = []
    for number in await context.cached(numbers):
        application = (await context.cached(applications)).get(number.voice_application_sid)
        if webhook(context) in (number.voice_url, application and application.voice_url):
            own.append(number)
    return own


async def applications(context: Context) -> dict[str, Any]:
    """The TwiML applications of the numbers, by SID."""
    sids = {number.voice_application_sid for number in await context.cached(numbers)} - {None, ""}
    return {sid: await context.account.applications(sid).fetch_async() for sid in sorted(sids)}
