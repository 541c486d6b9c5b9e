"""`given.evaluators` of a scenario: what the model answers to each evaluator."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI

import agent
from app.intelligence.local import LocalIntelligence
from app.intelligence.local.evaluators import BUILD, Evaluator
from app.session import Session
from kit.simulated_twilio.account import SimulatedAccount


async def given_evaluators(app: FastAPI, account: SimulatedAccount, facts: dict[str, Any]) -> None:
    """By operator the answers, each by a regular expression that the customer's last words match; else the answer is
    empty. Raises ValueError for anything else.
    """
    if unknown := sorted(facts.keys() - BUILD.keys()):
        raise ValueError(f"{', '.join(unknown)} is no operator; there are {', '.join(BUILD)}")

    async def ask(session: Session, evaluator: Evaluator, conversation: str) -> str:
        last = conversation.rpartition("Customer: ")[2]
        answers = dict(facts[evaluator.kind])
        return next((str(said) for heard, said in answers.items() if re.search(heard, last, re.IGNORECASE)), "")

    for capability in app.state.conversations.capabilities:
        if isinstance(capability, LocalIntelligence):
            capability.enabled = True
            capability.ask = ask  # type: ignore[method-assign]
            capability.evaluators = [BUILD[kind](Path(agent.__path__[0])) for kind in facts]


GIVEN = {"evaluators": given_evaluators}
