"""The public address, requested as Twilio requests it: DNS, TLS, health and signatures."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

from app.registry import CHANNELS
from kit.doctor.check import Context, check, safe_url
from kit.webhook import sign

PROBE = CHANNELS[0].signed_path
# A webhook for the end of an unknown call: no route acts on it.
ENDED_CALL = {"CallSid": f"CA{'0' * 32}", "CallStatus": "completed"}


@check(
    "END001",
    hint="Start agent serve and what is in front of it. An address that has changed has to stand in PUBLIC_URL.",
    docs="https://www.twilio.com/docs/api/errors/11205",
    live=True,
)
async def address_answers(context: Context) -> AsyncIterator[str]:
    """A server answers at PUBLIC_URL."""
    outcome = await context.cached(health)
    if isinstance(outcome, httpx2.TransportError) and not untrusted(outcome):
        yield f"{safe_url(context.settings.public_url)} does not answer ({type(outcome).__name__})."


@check(
    "END002",
    hint="Install a certificate of a public authority for that name, with the certificates in between.",
    docs="https://www.twilio.com/docs/api/errors/11237",
    live=True,
    requires=("END001",),
)
async def certificate_trusted(context: Context) -> AsyncIterator[str]:
    """The certificate at PUBLIC_URL is one that Twilio trusts."""
    outcome = await context.cached(health)
    if isinstance(outcome, Exception) and (why := untrusted(outcome)):
        yield f"The certificate of {safe_url(context.settings.public_url)} is not trusted: {why}."


@check(
    "END003",
    hint="Look at the log of the server and of the proxy in front of it. 503 means that it is being stopped.",
    docs="https://www.twilio.com/docs/api/errors/11200",
    live=True,
    requires=("END001", "END002"),
)
async def agent_is_healthy(context: Context) -> AsyncIterator[str]:
    """The server at PUBLIC_URL is this agent, and takes conversations."""
    answer: Any = await context.cached(health)
    if answer.is_redirect:
        return
    if answer.status_code != 200:
        yield f"GET /healthz at PUBLIC_URL is answered with {answer.status_code}."
    elif not is_ours(answer):
        yield "GET /healthz at PUBLIC_URL is answered, but not by this agent: another server has the address."


@check(
    "END004",
    hint="Put the address that answers without a redirect into PUBLIC_URL.",
    docs="https://www.twilio.com/docs/usage/webhooks/webhooks-faq",
    live=True,
    requires=("END001", "END002"),
)
async def answers_directly(context: Context) -> AsyncIterator[str]:
    """PUBLIC_URL answers without a redirect."""
    answer: Any = await context.cached(health)
    if answer.is_redirect:
        yield f"PUBLIC_URL redirects ({answer.status_code}): Twilio's POST becomes a GET on the way, and is refused."


@check(
    "END005",
    hint="Remove a proxy that answers for the server or adds a signature: the server itself rejects it with 403.",
    docs="https://www.twilio.com/docs/usage/security#validating-requests",
    live=True,
    requires=("END003", "END004"),
)
async def rejects_unsigned(context: Context) -> AsyncIterator[str]:
    """Webhooks without a signature are rejected."""
    answer = await post(context, signature="")
    if answer.is_success:
        yield f"POST {PROBE} is answered without a signature ({answer.status_code}): every sender passes for Twilio."


@check(
    "END006",
    hint="Give the server the PUBLIC_URL and TWILIO_AUTH_TOKEN of here, and have the proxy leave path and body alone.",
    docs="https://www.twilio.com/docs/api/errors/11200",
    live=True,
    requires=("END003", "END004"),
)
async def accepts_signed(context: Context) -> AsyncIterator[str]:
    """Webhooks with a signature are accepted, through every proxy."""
    url, token = f"{context.settings.public_url}{PROBE}", context.settings.auth_token.get_secret_value()
    answer = await post(context, signature=sign(url, ENDED_CALL, token))
    if answer.status_code == 403:
        yield f"POST {PROBE} with a valid signature is refused (403): every webhook of Twilio's would be."
    elif not answer.is_success:
        yield f"POST {PROBE} with a valid signature is answered with {answer.status_code}."


async def health(context: Context) -> httpx2.Response | httpx2.TransportError:
    try:
        return await context.http.get(f"{context.settings.public_url}/healthz")
    except httpx2.TransportError as error:
        return error


async def post(context: Context, signature: str) -> httpx2.Response:
    headers = {"X-Twilio-Signature": signature} if signature else {}
    return await context.http.post(f"{context.settings.public_url}{PROBE}", data=ENDED_CALL, headers=headers)


def is_ours(answer: httpx2.Response) -> bool:
    try:
        return set(answer.json()) == {"status", "active"}
    except (ValueError, TypeError):
        return False


def untrusted(error: BaseException) -> str:
    """The reason why a certificate is not trusted; empty for every other error."""
    for each in causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message
        if isinstance(each, ssl.SSLError):
            return each.reason or "no TLS"
    return "" if "CERTIFICATE_VERIFY_FAILED" not in str(error) else "it cannot be verified"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__
