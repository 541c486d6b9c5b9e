"""`given.memory` of a scenario, in the simulated Conversation Memory."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from kit.simulated_twilio.account import SimulatedAccount


async def given_memory(app: FastAPI, account: SimulatedAccount, facts: dict[str, Any]) -> None:
    """Store the memories of a scenario. Raises ValueError for an unknown field."""
    facts = {**facts, "fails": 503} if facts.pop("fails", False) else facts
    if facts:
        account.set_state({"memory": facts})


GIVEN = {"memory": given_memory}
