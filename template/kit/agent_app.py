"""Build the app of this project with the settings of the simulator, scripted models and a simulated account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI

from app.capability import Capability, Timeouts
from app.main import create_app
from app.store import Store
from kit.defaults import settings
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount

T_co = TypeVar("T_co", covariant=True)


class Start(Protocol[T_co]):
    """Starts a conversation with an app. The parameters are those of `build_app`."""

    async def __call__(self, *rules: dict[str, Any], account: SimulatedAccount | None = None, **options: Any) -> T_co:
        raise NotImplementedError


def build_app(
    *rules: dict[str, Any],
    fallback: Sequence[dict[str, Any]] | None = None,
    models: Sequence[Any] = (),
    tools: Sequence[Callable[..., Any]] = (),
    account: SimulatedAccount | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    store: Store | None = None,
    capabilities: Sequence[type[Capability]] | None = None,
    timeouts: Timeouts | None = None,
    **changes: Any,
) -> FastAPI:
    """An app whose model follows `rules`; without rules, the model answers "Yes." to every text.

    `fallback` are the rules of a second model; `models` replace both models. The app has only the tools of `tools`.
    `changes` are settings that differ from the defaults. `app.state.account` is the simulated account.
    """
    scripts = [scripted(*(rules or [{"says": "Yes."}])), *([scripted(*fallback)] if fallback is not None else [])]
    account = account or SimulatedAccount()
    app = create_app(
        settings(**changes),
        models or scripts,
        tools,
        now=now,
        store=store,
        transport=account.transport,
        capabilities=capabilities,
        timeouts=timeouts,
    )
    app.state.account = account
    return app
