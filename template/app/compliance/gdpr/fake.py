"""The commands `export` and `forget` in a scenario, with the data of the simulated agent and account."""

from __future__ import annotations

from fastapi import FastAPI

from app.compliance.gdpr import erasure
from app.compliance.gdpr.commands import IN_CALL, as_text, person_of


async def export(app: FastAPI, caller: str) -> str:
    return as_text(await erasure.export(app.state.brain.services, person_of(caller, account=False)))


async def forget(app: FastAPI, caller: str) -> str:
    try:
        receipt = await erasure.erase(app.state.brain.services, person_of(caller, account=False))
    except erasure.InProgressError:
        return IN_CALL
    return as_text(receipt.as_json())


SCENARIO_COMMANDS = {"export": export, "forget": forget}
