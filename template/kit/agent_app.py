"""The app of this project with the simulator's settings, a script for a model and a simulated account."""

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
    """Start a conversation with an app of `build_app`, whose parameters these are."""

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
    """An app whose model follows `rules`, or says yes without any. `changes` are settings that differ from the default.

    `models` replace the scripts, `tools` those of agent/tools.py: none unless given. `app.state.account` is set.
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
