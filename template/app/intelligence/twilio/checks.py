"""Conversation Intelligence: links, operators, rules and webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from app import config
from app.intelligence.twilio.payload import TWILIO_OPERATORS
from app.intelligence.twilio.resources import count_of
from app.orchestrator.checks import configuration
from kit.doctor.check import Context, check, masked, safe_url

GUIDE = "https://www.twilio.com/docs/conversations/intelligence"
WEBHOOK = "/webhooks/intelligence"
IDS = {kind: id for id, kind in TWILIO_OPERATORS.items()}
FINAL = {"summary"}  # operators that are useful only at the end of a conversation


@check(
    "INT004",
    hint="Copy the id of your intelligence configuration into TWILIO_INTELLIGENCE_CONFIGURATION_ID.",
    docs=GUIDE,
    live=True,
    requires=("ORC001",),
)
async def configuration_exists(context: Context) -> AsyncIterator[str]:
    """The intelligence configuration exists."""
    if isinstance(await context.cached(intelligence_configuration), TwilioRestException):
        yield f"There is no intelligence configuration {masked(context.settings.intelligence_configuration_id)}."


@check(
    "INT005",
    hint="Add its id to intelligenceConfigurationIds of the conversation configuration.",
    docs="https://www.twilio.com/docs/conversations/orchestrator",
    live=True,
    requires=("ORC002",),
)
async def configuration_linked(context: Context) -> AsyncIterator[str]:
    """The conversation configuration is linked to the intelligence configuration."""
    linked = (await context.cached(configuration)).intelligence_configuration_ids or []
    ours = context.settings.intelligence_configuration_id
    if ours not in linked:
        others = ", ".join(map(masked, linked)) or "none"
        yield f"The conversation configuration is linked to {others} and not to {masked(ours)}: no signal ever comes."


@check(
    "INT006",
    hint="Give the operator a rule in the intelligence configuration.",
    docs=GUIDE,
    live=True,
    requires=("INT004",),
)
async def operators_have_rules(context: Context) -> AsyncIterator[str]:
    """Every operator of the project has a rule."""
    found = {operator.get("id") for rule in await rules(context) for operator in rule.get("operators") or []}
    for kind in config.OPERATORS:
        if kind in IDS and IDS[kind] not in found:
            yield f"No rule runs the operator {kind}."
    if "custom" in config.OPERATORS and found <= set(IDS.values()):
        yield "No rule runs an operator of your own."


@check(
    "INT007",
    hint="Point the rule's webhook at PUBLIC_URL/webhooks/intelligence, with POST.",
    docs=GUIDE,
    live=True,
    requires=("INT004",),
)
async def webhooks_are_ours(context: Context) -> AsyncIterator[str]:
    """Every rule sends its results to this server."""
    wanted_url = f"{context.settings.public_url}{WEBHOOK}"
    for number, rule in enumerate(await rules(context), start=1):
        hooks = [each for each in rule.get("actions") or [] if each.get("type") == "WEBHOOK"]
        if not any(each.get("url") == wanted_url for each in hooks):
            others = ", ".join(safe_url(each.get("url")) for each in hooks) or "nowhere"
            yield f"Rule {number} sends its results to {others}, not to {wanted_url}."
        elif any(each.get("url") == wanted_url and each.get("method", "POST") != "POST" for each in hooks):
            yield f"Rule {number} calls its webhook with another method than POST: answered with 405."


@check(
    "INT008",
    hint="Trigger what counts while people talk by COMMUNICATION, and a summary by CONVERSATION_END.",
    docs=GUIDE,
    live=True,
    requires=("INT004",),
)
async def triggers_useful(context: Context) -> AsyncIterator[str]:
    """Each operator runs when its result is useful."""
    for number, rule in enumerate(await rules(context), start=1):
        on = {str(each.get("on")) for each in rule.get("triggers") or []}
        kinds = {TWILIO_OPERATORS.get(str(each.get("id")), "") for each in rule.get("operators") or []}
        if not on:
            yield f"Rule {number} has no trigger and never runs."
        elif "COMMUNICATION" in on and kinds & FINAL:
            yield f"Rule {number} summarizes every sentence: expensive, and of no use before the end."
        elif "COMMUNICATION" not in on and kinds - FINAL - {""}:
            late = ", ".join(sorted(kinds - FINAL - {""}))
            yield f"Rule {number} finds {late} only after the end of the conversation ({', '.join(sorted(on))})."


@check(
    "INT009",
    hint="Run agent setup apply, which makes the configuration again with that count.",
    docs="https://www.twilio.com/docs/conversations/intelligence/understanding-billing",
    live=True,
    requires=("INT004",),
)
async def operators_run_as_often(context: Context) -> AsyncIterator[str]:
    """Operators run as often as AGENT_OPERATOR_COUNT says: each run is billed."""
    wanted = context.settings.operator_count
    for number, rule in enumerate(await rules(context), start=1):
        counts = {count_of(each) for each in rule.get("triggers") or [] if each.get("on") == "COMMUNICATION"}
        if counts - {wanted}:
            yield f"Rule {number} runs after every {min(counts - {wanted})} communications, not {wanted}."


async def intelligence_configuration(context: Context) -> Any:
    """The intelligence configuration, or the error of one that does not exist. Raises other errors."""
    api = context.twilio.intelligence.v3
    try:
        return await api.configurations(context.settings.intelligence_configuration_id).fetch_async()
    except TwilioRestException as error:
        if error.status not in (400, 404):
            raise
        return error


async def rules(context: Context) -> list[dict[str, Any]]:
    return list((await context.cached(intelligence_configuration)).rules or [])
