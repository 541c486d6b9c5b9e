"""A database that does not answer: every route still does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.capability import Timeouts
from kit.agent_app import build_app
from tests.kit.routes import OPENING, every_route_answers

pytest_plugins = ["app.database.tests.servers"]


async def test_every_route_answers_without_a_database(
    no_thread_is_left: None, tmp_path: Path, logged: Callable[[], str]
) -> None:
    url = f"sqlite:///{tmp_path}/missing/agent.db"
    app = build_app({"says": "Yes."}, database_url=url, timeouts=Timeouts(hook=0.1), **OPENING)
    async with app.router.lifespan_context(app):
        answered = await every_route_answers(app)
    closed = {path for path, status in answered if status == 503}
    assert closed == ({"/outbound/calls"} if OPENING else set()) and "OperationalError" in logged()
