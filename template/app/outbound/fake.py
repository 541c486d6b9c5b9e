"""Outbound calls in scenarios: `given.contact` is the row of the caller, and `command: dial` calls it by the gate."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError

from app.outbound import Outbound
from app.outbound.contacts import Contact, wrong
from app.outbound.dialer import Dialer

FIELDS = {"calls", "crashed"}
AGREED = {"consent": "written", "consent_at": "2026-01-02T10:00:00Z", "consent_how": "web", "consent_wording": "v1"}


def dialer_of(app: FastAPI) -> Dialer:
    capabilities = app.state.conversations.capabilities
    return next(each.dialer for each in capabilities if isinstance(each, Outbound))


async def given_contact(app: FastAPI, account: object, facts: dict[str, Any]) -> None:
    """Fields of a contact, without `number`. `calls` are times of earlier calls; `crashed` is a campaign, in which the
    dialer ended between the reservation and the call. Raises ValueError for a wrong field.
    """
    row = {**AGREED, **{name: value for name, value in facts.items() if name not in FIELDS}}
    app.state.contact = {name: str(value) for name, value in row.items() if value is not None}
    app.state.earlier = [(str(at), f"earlier {number}") for number, at in enumerate(facts.get("calls", []))]
    if crashed := facts.get("crashed"):
        app.state.earlier.append((str(dialer_of(app).now()), str(crashed)))


async def dial(app: FastAPI, caller: str) -> str:
    """Call the caller of the scenario in the campaign `spring`. Returns what a dry run says, and what became of it."""
    dialer = dialer_of(app)
    try:
        who = Contact.model_validate({"number": caller, **getattr(app.state, "contact", AGREED)})
    except ValidationError as error:
        raise ValueError("; ".join(wrong(error))) from None
    for at, campaign in getattr(app.state, "earlier", []):
        await reserve(dialer, who, datetime.fromisoformat(at), campaign)
    app.state.earlier = []
    verdict, result = await dialer.would_call(who, "spring"), await dialer.call(who, "spring")
    assert verdict.allowed == (result.result == "called")
    return ": ".join(filter(None, [result.result, result.gate, result.reason]))


async def reserve(dialer: Dialer, who: Contact, at: datetime, campaign: str) -> None:
    """What the ledger has after a call at `at` that was not even placed."""
    now, dialer.now = dialer.now, lambda: at
    dialer.ledger.now = dialer.now
    async with dialer.ledger.turn() as turn:
        verdict, _, _ = await dialer._reserve(turn, who, await dialer.terms(who), campaign)
        turn.next_call = 0.0
    dialer.now = dialer.ledger.now = now
    if not verdict.allowed:
        raise ValueError(f"contact.calls: the call at {at} is refused ({verdict.gate}: {verdict.reason})")


async def ledger(app: FastAPI, caller: str) -> str:
    """The verification of the ledger."""
    found = await dialer_of(app).ledger.verify()
    return "; ".join(found.problems) or f"{found.verdicts} verdicts recomputed"


GIVEN = {"contact": given_contact}
SCENARIO_COMMANDS = {"dial": dial, "ledger": ledger}
