"""A healthy project and account for tests of `agent doctor`. A case changes one thing."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from twilio.request_validator import RequestValidator

from app import config
from app.main import create_app
from app.registry import RUNTIME, START_CHECKS, ProjectSettings
from app.twilio_http import IN_REGION
from kit import defaults
from kit.conventions import check_modules
from kit.doctor.check import Check, Context, Report, examine, load_checks
from kit.doctor.command import CORE
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount

PROJECT = Path(__file__).parents[2]
COPIED = ("pyproject.toml", config.ANSWERS_FILE, ".env.example", ".gitignore", ".dockerignore")
CHECKS = load_checks([*CORE, *check_modules()])
# A second model is left out without its key.
KEYS_OF_FIRST = next((names for names, _ in config.MODEL_KEYS.values()), [])
DEFAULT_FILE = {name: field.default for name, field in ProjectSettings.model_fields.items() if name == "database_url"}
FILE_REFUSED = any("SQLite" in line for check in START_CHECKS for line in check(defaults.settings(**DEFAULT_FILE)))
DATABASE = {"DATABASE_URL": "postgresql://agent:a-key-for-tests@127.0.0.1:1/agent"} if FILE_REFUSED else {}
"""The variable of a project that several processes may serve, whose server does not start with a file."""
SHAPED = {  # variables of a model that are no key and have a shape
    "AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com",
    "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",  # looks for an identity nowhere else
    "AZURE_VOICE_LIVE_ENDPOINT": "https://example.services.ai.azure.com",
    "FOUNDRY_AGENT_NAME": "example",
    "FOUNDRY_PROJECT_ENDPOINT": "https://example.services.ai.azure.com/api/projects/example",
}


class Public(httpx2.AsyncBaseTransport):
    """The public address: the app behind a proxy. `instead` may answer in its place; `others` are other hosts."""

    def __init__(self) -> None:
        self.others: dict[str, Callable[[httpx2.Request], httpx2.Response]] = {}
        self.app: httpx2.ASGITransport | None = None
        self.instead: Callable[[httpx2.Request], httpx2.Response | None] = lambda request: None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.host in self.others:
            return self.others[request.url.host](request)
        if (answer := self.instead(request)) is not None:
            return answer
        if request.headers.get("Upgrade") == "websocket":
            signature = request.headers.get("X-Twilio-Signature", "")
            ours = RequestValidator(defaults.AUTH_TOKEN).validate(f"wss{str(request.url)[5:]}", {}, signature)
            return httpx2.Response(101 if ours and request.url.path == "/ws" else 403)
        if self.app is None:
            model = scripted({"says": "Yes."})
            app = create_app(defaults.settings(), [model], [], transport=SimulatedAccount().transport)
            self.app = httpx2.ASGITransport(app, raise_app_exceptions=False)
        return await self.app.handle_async_request(request)


class HealthyProject:
    """A case may change files in `root`, `simulated`, `public`, and by `patch` the environment and more."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.patch = patch
        self.simulated: Any = SimulatedAccount()
        self.public = Public()
        self.before: list[str] = []
        self.models = [scripted({"says": "Yes."}) for _ in RUNTIME.model_names()]
        for name in COPIED:
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(PROJECT / name, root / name)
        shutil.copytree(PROJECT / "agent", root / "agent", ignore=shutil.ignore_patterns("__pycache__"))
        for member in ("app", "kit"):
            (root / member).symlink_to(PROJECT / member)
        for name in ("TWILIO_REGION", "TWILIO_EDGE", "AGENT_MODEL", "AGENT_FALLBACK_MODEL"):
            patch.delenv(name, raising=False)
        for names, _ in config.MODEL_KEYS.values():
            for name in names:
                patch.setenv(name, SHAPED.get(name, "a-key-for-tests"))
        patch.chdir(root)

    def answer(self, **changed: Any) -> None:
        """Write answers into the answers file."""
        path = self.root / config.ANSWERS_FILE
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **changed}))

    def move(self, region: str, without: str = "") -> None:
        """Set TWILIO_REGION to a region that has every product but one, by the first part of its host."""
        self.patch.setenv("TWILIO_REGION", region)
        self.simulated.transport.region = region
        hosts = {product.partition(".")[0] for product in self.simulated.transport.products}
        self.patch.setitem(IN_REGION, region, (IN_REGION[region][0], sorted(hosts - {without})))

    async def diagnose(self, checks: Iterable[Check] = CHECKS) -> Report:
        return await examine(
            Context(self.root, self.simulated.transport, self.public, self.models, self.before), checks
        )


def like(code: str) -> list[Check]:
    """The checks that are live, or those that are not, as the one of that code; with those that they need."""
    (live,) = (check.live for check in CHECKS if check.code == code)
    needed = {need for check in CHECKS if check.live for need in check.requires}
    return [check for check in CHECKS if check.live == live or (live and check.code in needed)]


Case = Callable[[HealthyProject], None]
FAILING: dict[str, list[tuple[Case, set[str]]]] = defaultdict(list)  # code -> cases, and all codes that each brings
PASSING: dict[str, list[Case]] = defaultdict(list)  # code -> cases that come close to a failing one


def fails(code: str, *others: str) -> Callable[[Case], Case]:
    """Mark a case that a check must find. `others` are the codes of checks that find it too."""

    def mark(case: Case) -> Case:
        FAILING[code].append((case, {code, *others}))
        return case

    return mark


def passes(code: str) -> Callable[[Case], Case]:
    """Mark a case that a check must not find, though it comes close."""

    def mark(case: Case) -> Case:
        PASSING[code].append(case)
        return case

    return mark
