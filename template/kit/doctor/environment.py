"""The environment: settings, the public address, and values that contradict each other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import urlsplit

from dotenv import dotenv_values

from app.twilio_http import IN_REGION
from kit.doctor.check import Context, NotSetUp, check

README = "https://www.twilio.com/docs/usage/webhooks/getting-started-twilio-webhooks"
SIGNATURES = "https://www.twilio.com/docs/usage/security#validating-requests"
ROUTES = re.compile(r"/(twiml|ws|connect-action|healthz|webhooks(/.*)?|escalation(/.*)?)$")
# Hosts of tunnels, which end with the terminal.
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
def settings_are_valid(context: Context) -> Iterator[str]:
    """Every setting is present and well formed."""
    from app.environment import SettingsError

    try:
        context.settings  # noqa: B018 (reading validates)
    except SettingsError as error:
        yield from (NotSetUp(each) if " is missing. " in each else each for each in error.problems)


@check(
    "ENV002",
    hint="Deploy the server, and put the https address of its load balancer or host into PUBLIC_URL.",
    docs="https://www.twilio.com/docs/usage/webhooks/webhooks-faq",
    requires=("PRJ001", "ENV001"),
)
def address_is_permanent(context: Context) -> Iterator[str]:
    """A project for several workers, or of an enterprise, has a permanent address."""
    from app.registry import STORE

    host = urlsplit(context.settings.public_url).hostname or ""
    if TUNNELS.search(host) and (STORE.shared or context.answers.get("profile") == "enterprise"):
        yield f"PUBLIC_URL is a tunnel ({host}). When it ends, callers hear silence and no log says so."


@check(
    "ENV003",
    hint="Put the address into PUBLIC_URL at which the internet reaches this server: a host name with a certificate.",
    docs=README,
    requires=("ENV001",),
)
def host_is_public(context: Context) -> Iterator[str]:
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
    hint="Write PUBLIC_URL without the path of a route: the routes are added to it.",
    docs=SIGNATURES,
    requires=("ENV001",),
)
def address_takes_routes(context: Context) -> Iterator[str]:
    """Routes can be added to PUBLIC_URL, and have the form that Twilio signs."""
    url = urlsplit(context.settings.public_url)
    if found := ROUTES.search(url.path):
        yield f"PUBLIC_URL ends with the route {found[0]}: Twilio would be sent to {url.path}{found[0]}."
    if url.port == 443:
        yield "PUBLIC_URL names the port 443. Twilio signs WebSocket addresses without it, and is refused."
    if url.username:
        yield "PUBLIC_URL holds a user or password, which Twilio sends but does not sign."


@check(
    "ENV005",
    hint="Copy the Auth Token from the Console's start page. Twilio signs every request with it.",
    docs=SIGNATURES,
    requires=("ENV001",),
)
def token_is_auth_token(context: Context) -> Iterator[str]:
    """TWILIO_AUTH_TOKEN is the Auth Token, not an API key or its secret."""
    given = context.settings.auth_token.get_secret_value()
    if given == os.environ.get("TWILIO_API_SECRET"):
        yield "TWILIO_AUTH_TOKEN is the secret of the API key: every call and webhook would be refused."
    elif re.fullmatch("(SK|AC)[0-9a-f]{32}", given):
        yield f"TWILIO_AUTH_TOKEN begins with {given[:2]}: that is the name of a key or an account, not a token."


@check(
    "ENV006",
    hint="Unset the variable in your shell, or change it there: the environment overrides .env.",
    docs="https://pypi.org/project/python-dotenv/",
)
def env_file_is_effective(context: Context) -> Iterator[str]:
    """The environment does not override .env."""
    for name, value in dotenv_values(context.root / ".env").items():
        if value and os.environ.get(name, value) != value:
            yield f"{name} of .env is not used: the environment has another value."


@check(
    "ENV007",
    hint="Correct the name in .env.",
    docs="https://pypi.org/project/python-dotenv/",
    requires=("PRJ001", "PRJ004"),
)
def names_exist(context: Context) -> Iterator[str]:
    """.env has no misspelt name."""
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
            yield f"{name} of .env is not a variable of this project; did you mean {close[0]}?"


@check(
    "ENV008",
    hint="Add .env to .gitignore and .dockerignore. If it was committed, withdraw every secret in it.",
    docs="https://www.twilio.com/docs/usage/secure-credentials",
    requires=("PRJ001",),
)
def env_file_is_ignored(context: Context) -> Iterator[str]:
    """.env stays out of git and of the image."""
    for name in (".gitignore", ".dockerignore"):
        path = context.root / name
        lines = path.read_text(encoding="utf-8").split() if path.is_file() else []
        if not {".env", "/.env", ".env*", "**/.env"} & set(lines):
            where = "committed" if name == ".gitignore" else "in the image"
            yield f"{name} does not name .env: its secrets would be {where}."


@check(
    "ENV009",
    hint="Unset TWILIO_EDGE: a region has its city, and Twilio takes the nearest way to it.",
    docs="https://www.twilio.com/docs/global-infrastructure/understanding-edge-locations",
    requires=("ENV001",),
)
def edge_fits_region(context: Context) -> Iterator[str]:
    """TWILIO_EDGE is the city of TWILIO_REGION, or a private connection to Twilio."""
    region, edge = context.settings.twilio_region, context.settings.twilio_edge
    city, _ = IN_REGION[region]
    if city and edge and edge != city and not edge.endswith("-ix"):
        yield f"TWILIO_REGION={region} has the edge {city}; TWILIO_EDGE={edge} makes hosts that nothing answers at."


@check(
    "ENV010",
    hint="Set AGENT_DRAIN to the time of the platform between SIGTERM and SIGKILL, longer than a conversation lasts.",
    docs="https://docs.docker.com/reference/cli/docker/container/stop/",
    requires=("ENV001",),
)
def drain_covers_deadline(context: Context) -> Iterator[str]:
    """A server that stops lets conversations finish."""
    settings = context.settings
    if settings.drain < settings.deadline:
        yield f"AGENT_DRAIN={settings.drain:g} is below AGENT_DEADLINE={settings.deadline:g}: a stop cuts answers off."
