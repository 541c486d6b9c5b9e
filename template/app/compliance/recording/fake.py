"""`given.recording` of a scenario."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from kit.simulated_twilio.account import SimulatedAccount


async def given_recording(app: FastAPI, account: SimulatedAccount, facts: dict[str, Any]) -> None:
    """`presses` is what the caller presses when asked. Raises ValueError for anything else."""
    if set(facts) != {"presses"}:
        raise ValueError(f'{facts} is not known: write presses and a key, as in presses: "1"')
    account.keys.append(str(facts["presses"]))


GIVEN = {"recording": given_recording}
