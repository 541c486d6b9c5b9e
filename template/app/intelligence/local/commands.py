"""`evaluate`: ask the project's model about labelled turns."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
import yaml

from app.capability import Services
from app.environment import exit_on_settings_error, load
from app.intelligence.local import LocalIntelligence
from app.intelligence.local.evaluators import between_marks, sentiment
from app.log import configure_logging
from app.registry import RUNTIME
from app.session import Session
from app.signals import Sentiment
from app.store import InProcess

LABELLED = Path(__file__).with_name("labelled.yml")
ENOUGH = 0.8  # the share of turns on which a model agrees with the labels


def evaluate() -> None:
    """Ask your model about the sentiment of thirty labelled turns. Exits with 1 when it misjudges more than a fifth."""
    configure_logging("critical")
    with exit_on_settings_error():
        settings = load()
    wrong, count = asyncio.run(misjudged(settings))
    for line in wrong:
        typer.echo(line)
    typer.echo(f"{count - len(wrong)} of {count} as labelled in {LABELLED.name}.")
    raise typer.Exit(0 if count - len(wrong) >= ENOUGH * count else 1)


def labelled() -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = yaml.safe_load(LABELLED.read_text(encoding="utf-8"))
    return turns


async def misjudged(settings: Any, models: Any = None) -> tuple[list[str], int]:
    """A line for each turn whose label the evaluator did not find, and how many turns there are."""
    services = Services(settings, InProcess(), lambda: datetime.now(UTC))
    services.runtime = RUNTIME.build(settings, models)
    intelligence, evaluator, turns = LocalIntelligence.build(services), sentiment(Path()), labelled()
    session = Session("", "", "", "", services.now)
    wrong = []
    try:
        for turn in turns:
            conversation = between_marks(f"Customer: {turn['says']}")
            found = await intelligence.signal(session, evaluator, turn["says"], conversation)
            label = found.label if isinstance(found, Sentiment) else "no answer"
            if label != turn["sentiment"]:
                wrong.append(f"{turn['says']} Labelled {turn['sentiment']}, found {label}.")
    finally:
        await services.runtime.close()
    return wrong, len(turns)


COMMANDS = [evaluate]
