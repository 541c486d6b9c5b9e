"""Evaluators in the process: the files of agent/ that they need."""

from __future__ import annotations

from collections.abc import Iterator

from app import config
from app.intelligence.local.evaluators import evaluators
from kit.doctor.check import Context, check


@check(
    "EVA001",
    hint="Write the file as docs/develop.md says, or leave the operator out: copier update -d operators=[sentiment].",
    docs="https://www.twilio.com/docs/conversations/intelligence",
    until_set_up=True,
)
def evaluators_are_complete(context: Context) -> Iterator[str]:
    """Each operator has what its evaluator needs."""
    for found in evaluators(config.OPERATORS, context.root / "agent"):
        if isinstance(found, ValueError):
            yield f"{found}."
