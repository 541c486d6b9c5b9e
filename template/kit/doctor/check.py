"""Check, its context, and the run of all checks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from kit.order import after_required

T = TypeVar("T")

CHECK_TIMEOUT = 60.0  # seconds
REQUEST_TIMEOUT = 15.0  # seconds

Run = Callable[["Context"], Iterator[str] | AsyncIterator[str]]


class NotSetUp(str):
    """A line for what is missing until a project is set up, as in a fresh one, and no mistake."""


@dataclass(frozen=True)
class Check:
    """`run` yields one line for each problem. A `live` check sends requests over the network, and changes nothing.

    A check is skipped when a check that it `requires` has found a problem or was skipped.
    """

    code: str
    title: str
    hint: str
    docs: str
    run: Run
    live: bool = False
    requires: tuple[str, ...] = ()
    until_set_up: bool = False  # each line is a NotSetUp


@dataclass(frozen=True)
class Finding:
    code: str
    message: str
    hint: str
    docs: str
    kind: str = "wrong"  # or "not set up"


@dataclass
class Report:
    """`checked` and `skipped` are codes of checks. A check is skipped when a check that it requires has failed."""

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)  # codes of both, also where another check had found the same


def check(
    code: str,
    *,
    hint: str,
    docs: str,
    live: bool = False,
    requires: tuple[str, ...] = (),
    until_set_up: bool = False,
) -> Callable[[Callable[[Any], Iterator[str] | AsyncIterator[str]]], Check]:
    """Turn a function into a check, with its docstring as the title. A live check also requires valid settings."""

    def make(run: Run) -> Check:
        title = " ".join((run.__doc__ or "").split())
        return Check(code, title, hint, docs, run, live, (*(["ENV001"] if live else []), *requires), until_set_up)

    return make


def region_check(code: str, product: str, name: str) -> Check:
    """Make a check that TWILIO_REGION has a product, by the first part of its host and its name."""

    def run(context: Context) -> Iterator[str]:
        from app.twilio_http import IN_REGION

        region = context.settings.twilio_region
        if region != "us1" and product not in IN_REGION[region][1]:
            yield f"TWILIO_REGION={region} has no {name}: US1 has, and does not accept the credentials of {region}."

    run.__doc__ = f"TWILIO_REGION has {name}."
    hint = "Unset TWILIO_REGION, with Auth Token and API key of US1; or leave out what needs it."
    docs = "https://www.twilio.com/docs/global-infrastructure/regional-product-and-feature-availability"
    return check(code, hint=hint, docs=docs, requires=("ENV001",))(run)


@dataclass
class Context:
    """A project and its account. Nothing is read or requested before a check needs it.

    `transport` carries requests to Twilio, `public` those to the public address; None is the network. `models` replace
    those of the settings, in their order. `before` are answers of an update that is to come.
    """

    root: Path
    transport: httpx2.AsyncBaseTransport | None = None
    public: httpx2.AsyncBaseTransport | None = None
    models: Sequence[Any] | None = None
    before: Sequence[str] = ()
    _fetched: dict[Any, asyncio.Future[Any]] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Any:
        """Raises SettingsError."""
        from app.environment import load

        return load(require_model_keys=False)

    @cached_property
    def answers(self) -> dict[str, Any]:
        """The answers that Copier has recorded."""
        import yaml

        return dict(yaml.safe_load((self.root / answers_file()).read_text(encoding="utf-8")))

    @cached_property
    def http(self) -> httpx2.AsyncClient:
        """A client for the public address. It follows no redirect, which would turn a POST of Twilio's into a GET."""
        return httpx2.AsyncClient(transport=self.public, timeout=REQUEST_TIMEOUT)

    @cached_property
    def account(self) -> Any:
        """A client of Twilio with the Auth Token, which every project has."""
        from twilio.rest import Client

        token = self.settings.auth_token.get_secret_value()
        return Client(self.settings.account_sid, token, http_client=self._http)

    @cached_property
    def twilio(self) -> Any:
        """A client of Twilio with the project's API key."""
        from twilio.rest import Client

        key, secret = self.settings.api_key, self.settings.api_secret.get_secret_value()
        return Client(key, secret, self.settings.account_sid, http_client=self._http)

    @property
    def _http(self) -> Any:
        from app.twilio_http import Http

        return Http(self.transport, REQUEST_TIMEOUT, self.settings)

    async def cached(self, fetch: Callable[[Context], Awaitable[T]]) -> T:
        """The result of `fetch`, which runs once for several checks."""
        if fetch not in self._fetched:
            self._fetched[fetch] = asyncio.ensure_future(fetch(self))
        result: T = await asyncio.shield(self._fetched[fetch])  # a check that times out cancels its own wait only
        return result

    async def close(self) -> None:
        for future in self._fetched.values():
            future.cancel()
        for name in ("account", "twilio"):
            if name in self.__dict__:
                await self.__dict__[name].http_client.close()
        if "http" in self.__dict__:
            await self.http.aclose()


def answers_file() -> str:
    """Its path in the project; the usual one while app/config.py has the marks of a conflict."""
    try:
        from app.config import ANSWERS_FILE
    except Exception:
        return ".copier-answers.yml"
    return ANSWERS_FILE


def load_checks(modules: Iterable[str]) -> list[Check]:
    """The checks of these modules, each after those that it requires. An import error becomes a check that fails.

    It is skipped if PRJ004 fails, which reports an app that cannot be imported.
    """
    found = [check for name in modules for check in _checks_of(name)]
    return after_required(found, lambda check, other: other.code in check.requires)


def _checks_of(name: str) -> list[Check]:
    try:
        return [each for each in vars(import_module(name)).values() if isinstance(each, Check)]
    except Exception as error:
        symptom = f"{name} cannot be imported ({type(error).__name__}: {error})."
        return [
            Check(
                "DOC001",
                "The checks of this project can be read.",
                "Look at the named module, or take an unedited one: git checkout kit app.",
                "https://docs.python.org/3/reference/import.html",
                lambda _: iter([symptom]),
                requires=("PRJ004",),
            )
        ]


async def examine(context: Context, checks: Iterable[Check]) -> Report:
    """Run all checks in order. Never raises: the exception of a check is reported as a finding of that check.

    What two checks find of one cause, with the same words or as the same missing variable, is one finding.
    """
    report = Report()
    failed, causes = report.failed, set[str]()
    for each in checks:
        if failed.intersection(each.requires):
            failed.add(each.code)
            report.skipped.append(each.code)
            continue
        report.checked.append(each.code)
        for symptom in await _symptoms(each, context):
            failed.add(each.code)
            message = " ".join(symptom.split())
            missing = re.match(r"[A-Z][A-Z0-9_]+ is missing\.", message)
            cause = missing[0] if missing else message
            kind = "not set up" if each.until_set_up or isinstance(symptom, NotSetUp) else "wrong"
            if cause not in causes:
                report.findings.append(Finding(each.code, message, each.hint, each.docs, kind))
            causes.add(cause)
    await context.close()
    return report


async def _symptoms(check: Check, context: Context) -> list[str]:
    found: list[str] = []
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            symptoms = check.run(context)
            if isinstance(symptoms, AsyncIterator):
                async for symptom in symptoms:
                    found.append(symptom)
            else:
                found.extend(symptoms)
    except Exception as error:
        found.append(f"This could not be checked ({reason(error)}): {check.title}")
    return found


async def list_records(resource: Any, **filters: Any) -> list[Any]:
    """All records of a paged list of the helper library. Raises TwilioException."""
    page = await resource.page_async(page_size=1000, **filters)
    records = list(page)
    while page := await page.next_page_async():
        records += page
    return records


def reason(error: BaseException) -> str:
    """Type and status of an error, without its text, which may hold a secret."""
    status = getattr(error, "status", None) or getattr(error, "status_code", None)
    return " ".join(filter(None, [type(error).__name__, str(status) if status else ""]))


def safe_url(url: str | None) -> str:
    """A URL without user, password and query, which may hold a secret."""
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else "nowhere"


def masked(text: str) -> str:
    """The last four characters of a number or an id."""
    return f"***{text[-4:]}"
