"""The model: key, name, fallback, answer and latency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from kit.doctor.check import Context, check, reason

ENVIRONMENT = "https://ai.pydantic.dev/models/overview/"
INSTRUCTIONS = "Answer with the single word: yes."


@check(
    "MOD001",
    hint="Set it in .env or the environment; .env.example explains each.",
    docs=ENVIRONMENT,
    requires=("PRJ004",),
    until_set_up=True,
)
def key_is_set(context: Context) -> Iterator[str]:
    """The variables that the model needs are set."""
    from app.registry import RUNTIME

    for name, fix in RUNTIME.missing_env().items():
        yield f"{name} is missing. {fix}"


@check("MOD002", hint="Correct the name of the model.", docs=ENVIRONMENT, requires=("PRJ004", "MOD001"))
def model_is_valid(context: Context) -> Iterator[str]:
    """The name of the model is valid, also while other settings are missing."""
    from pydantic import ValidationError

    from app.registry import RUNTIME
    from kit.defaults import settings

    try:
        yield from RUNTIME.invalid_models(settings())
    except ValidationError:  # ENV001 names it
        return


@check(
    "MOD003",
    hint="Name another model as fallback, of another provider if you can, or none.",
    docs=ENVIRONMENT,
    requires=("PRJ004",),
)
def fallback_differs(context: Context) -> Iterator[str]:
    """The fallback is another model than the first."""
    from app.registry import RUNTIME

    names = RUNTIME.model_names()
    if len(set(names)) < len(names):
        yield f"The fallback is the first model once more ({names[0]}): when it is down, both are."


@check(
    "MOD006",
    hint="Set its key in .env or the environment, or name no fallback.",
    docs=ENVIRONMENT,
    requires=("PRJ004",),
    until_set_up=True,
)
def fallback_has_a_key(context: Context) -> Iterator[str]:
    """The fallback can be asked."""
    from app.registry import RUNTIME

    yield from RUNTIME.left_out()


@check(
    "MOD004",
    hint="Look at the key, the account's credit and the name of the model.",
    docs=ENVIRONMENT,
    live=True,
    requires=("MOD001", "MOD002"),
)
async def model_answers(context: Context) -> AsyncIterator[str]:
    """Every model answers."""
    for model, outcome in await context.cached(latencies):
        if isinstance(outcome, Exception):
            yield f"{model} does not answer ({reason(outcome)}): people get an apology, or wait for the fallback."


@check(
    "MOD005",
    hint="Take a quicker model or a nearer region, or raise AGENT_DEADLINE.",
    docs=ENVIRONMENT,
    live=True,
    requires=("MOD004",),
)
async def model_answers_in_time(context: Context) -> AsyncIterator[str]:
    """Every model begins to answer within AGENT_DEADLINE."""
    for model, outcome in await context.cached(latencies):
        if isinstance(outcome, float) and outcome > context.settings.deadline:
            yield f"{model} took {outcome:.1f} s for its first word; AGENT_DEADLINE is {context.settings.deadline:g}."


async def latencies(context: Context) -> list[tuple[str, Any]]:
    """The name of each model, and the latency of its first word in seconds, or an exception."""
    from app.registry import RUNTIME

    names = RUNTIME.model_names()
    models = context.models or names
    return [(name, await latency(context, model)) for name, model in zip(names, models, strict=False)]


async def latency(context: Context, model: Any) -> float | Exception:
    """The latency of the first word of one turn, in seconds. Returns an exception instead of raising it."""
    from app.registry import RUNTIME
    from app.session import Session, set_session
    from app.turn import Turn

    began, first = time.monotonic(), 0.0
    try:
        runtime = RUNTIME.build(context.settings, [model])
        session = Session("doctor", "", "", "en-US", lambda: datetime.now(UTC))
        session.turn = Turn("Are you there?")
        set_session(session)
        runtime.on_connect(session)
        try:
            async with asyncio.timeout(4 * context.settings.deadline):
                async with aclosing(runtime.answer(session, session.turn, INSTRUCTIONS, [])) as tokens:
                    async for token in tokens:
                        if token.strip() and not first:
                            first = time.monotonic() - began
        finally:
            runtime.on_end(session.id)
            await runtime.close()
    except Exception as error:
        return error
    return first or ValueError("no word")
