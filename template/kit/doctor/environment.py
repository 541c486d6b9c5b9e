"""The environment: settings, the public address, and what does not go together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import urlsplit

from dotenv import dotenv_values

from app.registry import STORE
from kit.doctor.check import Context, check

README = "https://www.twilio.com/docs/usage/webhooks/getting-started-twilio-webhooks"
SIGNATURES = "https://www.twilio.com/docs/usage/security#validating-requests"
REGIONS = "https://www.twilio.com/docs/global-infrastructure/understanding-twilio-regions"
ROUTES = re.compile(r"/(twiml|ws|connect-action|healthz|webhooks(/.*)?|escalation(/.*)?)$")
# Addresses that live as long as a terminal does.
TUNNELS = re.compile(
    r"\.(ngrok(-free)?\.(app|dev|io)|trycloudflare\.com|loca\.lt|localhost\.run|lhr\.life|serveo\.net|devtunnels\.ms"
    r"|pinggy\.(io|link)|ts\.net)$"
)


@check(
    "ENV001",
    hint="Set it in .env or the environment; .env.example explains each.",
    docs="https://www.twilio.com/docs/usage/secure-credentials",
    requires=("PRJ004",),
)
def settings(context: Context) -> Iterator[str]:
    """Every setting is there and has a shape that can be right."""
    from app.environment import SettingsError

    try:
        context.settings  # noqa: B018 (reading is what is tried)
    except SettingsError as error:
        yield from error.problems


@check(
    "ENV002",
    hint="Put the https address of your load balancer or host into PUBLIC_URL; keep tunnels for development.",
    docs="https://www.twilio.com/docs/usage/webhooks/webhooks-faq",
    requires=("PRJ001", "ENV001"),
)
def tunnel(context: Context) -> Iterator[str]:
    """A project for several workers does not hang on a tunnel."""
    host = urlsplit(context.settings.public_url).hostname or ""
    if TUNNELS.search(host) and (STORE.shared or context.answers.get("customer") == "enterprise"):
        yield f"PUBLIC_URL is a tunnel ({host}). When it ends, people meet silence and no log says so."


@check(
    "ENV003",
    hint="Put the address into PUBLIC_URL at which the internet reaches this server: a host name with a certificate.",
    docs=README,
    requires=("ENV001",),
)
def reachable(context: Context) -> Iterator[str]:
    """Twilio can reach the host of PUBLIC_URL."""
    host = urlsplit(context.settings.public_url).hostname or ""
    try:
        private = not ip_address(host).is_global
    except ValueError:
        private = "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan", ".test"))
    if private:
        yield f"PUBLIC_URL names {host}, which only your own network knows."


@check(
    "ENV004",
    hint="Write PUBLIC_URL without what comes after the host: the routes are added to it.",
    docs=SIGNATURES,
    requires=("ENV001",),
)
def address(context: Context) -> Iterator[str]:
    """PUBLIC_URL is an address to which routes can be added, as Twilio signs them."""
    url = urlsplit(context.settings.public_url)
    if found := ROUTES.search(url.path):
        yield f"PUBLIC_URL ends with the route {found[0]}: Twilio would be sent to {url.path}{found[0]}."
    if url.port == 443:
        yield "PUBLIC_URL names the port 443. Twilio signs WebSocket addresses without it, and is refused."
    if url.username:
        yield "PUBLIC_URL holds a user or password, which Twilio sends but does not sign."


@check(
    "ENV005",
    hint="Copy the Auth Token from the Console's start page. What Twilio sends is signed with it and nothing else.",
    docs=SIGNATURES,
    requires=("ENV001",),
)
def token(context: Context) -> Iterator[str]:
    """TWILIO_AUTH_TOKEN is the Auth Token, not an API key or its secret."""
    given = context.settings.auth_token.get_secret_value()
    if given == os.environ.get("TWILIO_API_SECRET"):
        yield "TWILIO_AUTH_TOKEN is the secret of the API key: every call and webhook would be refused."
    elif re.fullmatch("(SK|AC)[0-9a-f]{32}", given):
        yield f"TWILIO_AUTH_TOKEN begins with {given[:2]}: that is the name of a key or an account, not a token."


@check(
    "ENV006",
    hint="Unset the variable in your shell, or change it there: .env gives way to what is set already.",
    docs="https://pypi.org/project/python-dotenv/",
)
def shadowed(context: Context) -> Iterator[str]:
    """What .env says counts: the environment does not say otherwise."""
    for name, value in dotenv_values(context.root / ".env").items():
        if value and os.environ.get(name, value) != value:
            yield f"{name} of .env is not used: the environment has another value."


@check(
    "ENV007",
    hint="Correct the name in .env.",
    docs="https://pypi.org/project/python-dotenv/",
    requires=("PRJ001", "PRJ004"),
)
def misspelt(context: Context) -> Iterator[str]:
    """.env has no name that nobody reads."""
    from app.registry import ProjectSettings

    example = context.root / ".env.example"
    text = example.read_text(encoding="utf-8") if example.is_file() else ""
    known = {str(each.alias) for each in ProjectSettings.model_fields.values()}
    known |= set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    for name in dotenv_values(context.root / ".env"):
        if name in known or not name.startswith(("TWILIO_", "AGENT_", "PUBLIC_")):
            continue
        close = get_close_matches(name, known, 1, cutoff=0.8)
        if close:
            yield f"Nobody reads {name} of .env; {close[0]} is meant?"


@check(
    "ENV008",
    hint="Add .env to .gitignore and .dockerignore. If it was committed, withdraw every secret in it.",
    docs="https://www.twilio.com/docs/usage/secure-credentials",
    requires=("PRJ001",),
)
def ignored(context: Context) -> Iterator[str]:
    """.env stays out of git and of the image."""
    for name in (".gitignore", ".dockerignore"):
        path = context.root / name
        lines = path.read_text(encoding="utf-8").split() if path.is_file() else []
        if not {".env", "/.env", ".env*", "**/.env"} & set(lines):
            where = "committed" if name == ".gitignore" else "in the image"
            yield f"{name} does not name .env: its secrets would be {where}."


@check(
    "ENV009",
    hint="Unset TWILIO_REGION and TWILIO_EDGE.",
    docs=REGIONS,
)
def region(context: Context) -> Iterator[str]:
    """The helper library asks Twilio where the products are: in US1."""
    for name, normal in (("TWILIO_REGION", "us1"), ("TWILIO_EDGE", "ashburn")):
        value = os.environ.get(name) or normal
        if value != normal:
            yield f"{name}={value} sends every request elsewhere; ConversationRelay and what belongs to it are in US1."


@check(
    "ENV010",
    hint="Set AGENT_DRAIN to what the platform leaves between SIGTERM and SIGKILL, longer than a conversation lasts.",
    docs="https://docs.docker.com/reference/cli/docker/container/stop/",
    requires=("ENV001",),
)
def drain(context: Context) -> Iterator[str]:
    """A server that stops lets conversations finish."""
    settings = context.settings
    if settings.drain < settings.deadline:
        yield f"AGENT_DRAIN={settings.drain:g} is below AGENT_DEADLINE={settings.deadline:g}: a stop cuts answers off."
