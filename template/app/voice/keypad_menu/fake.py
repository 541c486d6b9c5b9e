"""`given.keypad_menu` of a scenario."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.voice.keypad_menu import KeypadMenu


async def given_keypad_menu(app: FastAPI, account: object, facts: dict[str, Any]) -> None:
    """`number` is AGENT_FALLBACK_NUMBER, or null for none. Raises ValueError for anything else."""
    if set(facts) != {"number"}:
        raise ValueError(f'{facts} is not known: write a number, as in number: "+15005550010", or null')
    for capability in app.state.conversations.capabilities:
        if isinstance(capability, KeypadMenu):
            capability.options = capability.options.model_copy(update={"fallback_number": facts["number"]})


GIVEN = {"keypad_menu": given_keypad_menu}
