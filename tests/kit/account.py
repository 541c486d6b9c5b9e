"""An account to put in order, for the tests of `agent setup`."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from kit.setup.apply import apply, plan
from kit.setup.resource import SetupContext
from kit.setup.simulated import simulated_context
from kit.setup.undo import undo
from kit.setup.verify import verify
from kit.simulated_twilio.account import SimulatedAccount

PRODUCTS = (
    "numbers",
    "memory_stores",
    "chat_services",
    "conversation_configurations",
    "intelligence_configurations",
    "workspaces",
    "event_streams",
)
PARTS = ("records", "configurations", "operators", "parts", "bought", "sinks", "subscriptions", "types")
TIMES = {"version", "updatedAt", "date_updated"}  # fields that differ after a change and its undo


def state(account: SimulatedAccount) -> Any:
    """The resources of the account, and the ids of its profiles."""
    found = {(name, part): getattr(getattr(account, name), part, None) for name in PRODUCTS for part in PARTS}
    return without_times(copy.deepcopy([found, sorted(account.memory.profiles)]))


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(each) for name, each in value.items() if name not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


class Killed(BaseException):
    """The process is gone, in the middle of something."""


class Wire(httpx2.AsyncBaseTransport):
    """Requests on their way to the account. `before` and `after` may raise, or answer instead."""

    def __init__(self, account: SimulatedAccount) -> None:
        self.simulated = account
        self.requests: list[httpx2.Request] = []
        self.before: Callable[[httpx2.Request], httpx2.Response | None] = lambda request: None
        self.after: Callable[[httpx2.Request], None] = lambda request: None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if (answer := self.before(request)) is not None:
            return answer
        answer = await self.simulated.transport.handle_async_request(request)
        self.after(request)
        return answer

    def written(self) -> list[httpx2.Request]:
        return [request for request in self.requests if request.method != "GET"]


class Account:
    """An account, and a folder with `.env` and the journal. Every command runs in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.simulated = SimulatedAccount(pace=100_000)
        self.wire = Wire(self.simulated)
        self.said: list[str] = []

    def begins(self, **given: str) -> SetupContext:
        return simulated_context(self.folder, self.simulated, given, self.wire)

    async def run(self, command: Callable[..., Any], *args: Any, **given: str) -> Any:
        setup = self.begins(**given)
        try:
            return await command(setup, *args)
        finally:
            await setup.api.close()

    async def plan(self, **given: str) -> dict[str, str]:
        """Resource -> action."""
        return {step.resource.key: step.action for step in await self.run(plan, **given)}

    async def apply(self, **given: str) -> None:
        await self.run(apply, self.said.append, **given)

    async def undo(self) -> list[dict[str, str]]:
        results: list[dict[str, str]] = await self.run(undo, self.said.append)
        return results

    async def broken(self) -> list[tuple[str, str]]:
        """Resource and name of each failed proof of `verify`."""
        return [(check.resource, check.check) for check in await self.run(verify) if not check.ok]

    @property
    def env(self) -> Path:
        return self.folder / ".env"

    @property
    def journal(self) -> Path:
        return self.folder / ".agent-setup.json"

    def sets(self, **variables: str) -> None:
        """Write these variables to `.env`."""
        self.env.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")

    def bodies(self, method: str, place: str) -> list[Any]:
        """The JSON bodies of requests whose path has `place`."""
        found = [each for each in self.wire.requests if each.method == method and place in each.url.path]
        return [json.loads(each.content) for each in found]
