"""Error 21610 is an opt-out wherever a message is sent: one request, no error in the log, and silence afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app import Session, this_session
from app.capability import Capability, attach
from app.messaging.opt_out import OptedOut
from app.messaging.tests.test_messaging import sent
from app.messaging.tests.test_opt_out import Model, writes
from kit import defaults
from kit.testing import Reach
from kit.texter import Texter


def actions(customer: Texter) -> int:
    return len([each for each in customer.account.conversations.requests if each.path.endswith("/Actions")])


def levels(log: str) -> set[str]:
    return {json.loads(line)["level"] for line in log.splitlines() if line.startswith("{")}


async def announce() -> str:
    """Announce something."""
    await this_session().say("One moment.")
    return "said"


class Greets(Capability):
    async def on_start(self, session: Session) -> None:
        await session.say("By the way.")


@pytest.mark.parametrize("place", ["reply", "tool", "capability", "long reply"])
async def test_error_21610_is_no_failure(reach: Reach, place: str, logged: Callable[[], str]) -> None:
    rule = (
        {"calls": {"announce": {}}} if place == "tool" else {"says": "Yes. " * (1000 if place == "long reply" else 1)}
    )
    capabilities = [Greets] if place == "capability" else []
    customer = await reach({"hears": "", **rule}, tools=[announce], capabilities=capabilities)
    customer.account.conversations.blocked.add(defaults.CALLER)
    await writes(customer, "Hello", "Hello?")
    assert (sent(customer), actions(customer)) == ([], 1)
    assert (customer.messaging.counts["failed"], customer.messaging.counts["opted out"]) == (0, 2)
    log = logged()
    assert "text.opted_out" in log and "text.not_answered" in log
    assert "error" not in levels(log) and "Traceback" not in log


async def test_error_21610_between_two_messages_is_an_opt_out(reach: Reach, logged: Callable[[], str]) -> None:
    model = Model()
    customer = await reach(models=model.models, capabilities=[])
    await writes(customer, "Hello")
    session = await customer.session()
    await attach(session, customer.messaging.services)
    customer.account.conversations.blocked.add(defaults.CALLER)
    with pytest.raises(OptedOut):
        await session.say("By the way.")
    await writes(customer, "Where is my order?")
    assert model.seen == ["Hello"] and "error" not in levels(logged())


@pytest.mark.parametrize("text", ["STOP", "Stop all", "UNSUBSCRIBE", "Stop texting me", "arrêt", "退订"])
async def test_stop_during_a_loop_or_with_a_human_counts(reach: Reach, text: str) -> None:
    model = Model()
    customer = await reach(models=model.models)
    await writes(customer, *["I am out of the office until Monday."] * 7, text, "Is somebody there?")
    assert len(model.seen) == 5 and customer.messaging.counts["opted out"] == 2
