"""The model: is its key there, is it known, does it answer, and in time?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from ops.doctor.check import Examined, check, reason

ENVIRONMENT = "https://ai.pydantic.dev/models/overview/"
INSTRUCTIONS = "Answer with the single word: yes."


@check(
    "MOD001", fix="Set it in .env or the environment; .env.example explains each.", docs=ENVIRONMENT, needs=("PRJ004",)
)
def key(examined: Examined) -> Iterator[str]:
    """What it takes to ask the model is set."""
    from app.features import RUNTIME

    for name, fix in RUNTIME.missing().items():
        yield f"{name} is missing. {fix}"


@check("MOD002", fix="Correct the name of the model.", docs=ENVIRONMENT, needs=("ENV001", "MOD001"))
def name(examined: Examined) -> Iterator[str]:
    """The model is one that can be asked."""
    from app.features import RUNTIME

    yield from RUNTIME.unknown(examined.settings)


@check(
    "MOD003",
    fix="Name another model as fallback, of another provider if you can, or none.",
    docs=ENVIRONMENT,
    needs=("PRJ004",),
)
def fallback(examined: Examined) -> Iterator[str]:
    """The fallback is another model than the first."""
    from app.features import RUNTIME

    asked = RUNTIME.asks()
    if len(set(asked)) < len(asked):
        yield f"The fallback is the first model once more ({asked[0]}): when it is down, both are."


@check(
    "MOD004",
    fix="Look at the key, the account's credit and the name of the model.",
    docs=ENVIRONMENT,
    live=True,
    needs=("MOD001", "MOD002"),
)
async def answers(examined: Examined) -> AsyncIterator[str]:
    """Every model answers."""
    for model, outcome in await examined.once(asked):
        if isinstance(outcome, Exception):
            yield f"{model} does not answer ({reason(outcome)}): people get an apology, or wait for the fallback."


@check(
    "MOD005",
    fix="Take a quicker model or a nearer region, or raise AGENT_DEADLINE.",
    docs=ENVIRONMENT,
    live=True,
    needs=("MOD004",),
)
async def in_time(examined: Examined) -> AsyncIterator[str]:
    """Every model begins to answer within AGENT_DEADLINE."""
    for model, outcome in await examined.once(asked):
        if isinstance(outcome, float) and outcome > examined.settings.deadline:
            yield f"{model} took {outcome:.1f} s for its first word; AGENT_DEADLINE is {examined.settings.deadline:g}."


async def asked(examined: Examined) -> list[tuple[str, Any]]:
    """Each model, and how many seconds its first word took, or why none came."""
    from app.features import RUNTIME

    names = RUNTIME.asks()
    models = examined.models or names
    return [(name, await ask(examined, model)) for name, model in zip(names, models, strict=False)]


async def ask(examined: Examined, model: Any) -> float | Exception:
    """One turn of nobody's conversation, without tools. Never raises."""
    from app.brain import Turn
    from app.features import RUNTIME
    from app.session import Session, working_for

    first: list[float] = []
    began = time.monotonic()

    def tell(word: str) -> None:
        if word.strip():
            first.append(time.monotonic() - began)

    try:
        runtime = RUNTIME.build(examined.settings, [model])
        session = Session("doctor", "", "", "en-US", lambda: datetime.now(UTC))
        session.turn = Turn("Are you there?")
        working_for(session)
        runtime.begin(session)
        try:
            async with asyncio.timeout(4 * examined.settings.deadline):
                await runtime.answer(session, session.turn, INSTRUCTIONS, [], tell)
        finally:
            runtime.end(session.id)
            await runtime.close()
    except Exception as error:
        return error
    return first[0] if first else ValueError("no word")
