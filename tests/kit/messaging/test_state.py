"""Text conversations whose tools keep what cannot be saved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from app import Session, this_session
from kit.testing import Reach


@pytest.mark.parametrize("nested", [False, True])
async def test_a_tool_that_keeps_a_datetime_costs_only_that(
    reach: Reach, nested: bool, logged: Callable[[], str]
) -> None:
    def remember() -> str:
        """Remember the time."""
        state = this_session().state
        state["name"] = "Ada"
        state.setdefault("times", [])
        if nested:
            state["times"].append(datetime.now(UTC))
        else:
            state["at"] = datetime.now(UTC)
        return "remembered"

    rules: list[dict[str, Any]] = [{"hears": "time", "calls": {"remember": {}}, "then": "Well."}, {"says": "Yes."}]
    customer = await reach(*rules, tools=[remember])
    await customer.texts("Remember the time")
    assert await customer.texts("Hello") == "Yes."
    session = await customer.messaging.sessions.load(customer.conversation)
    assert isinstance(session, Session)
    own = {name: session.state[name] for name in ("name", "times", "at") if name in session.state}
    assert own == ({"name": "Ada"} if nested else {"name": "Ada", "times": []})
    assert ('"key": "times"' in logged()) is nested
