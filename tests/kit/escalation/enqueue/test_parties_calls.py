"""A transfer and its ways out: of calls that the agent makes, and of callers who cannot be called back."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app import config
from app.escalation.handoff import handoff
from app.escalation.record import Record
from app.store import InProcess, Store
from app.voice.phrases import phrases
from kit import defaults, twiml
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, dial_app
from kit.plugin import Web
from kit.simulated_twilio.account import SimulatedAccount

ADA, AGENT = defaults.CALLER, defaults.CALLED
ASKS = {"hears": "person", "calls": {"transfer_to_human": {"reason": "Billing dispute"}}}
WITHOUT_NUMBER = ["anonymous", "+266696687", "+86282452253", "unknown", "", "sip:ada@example.com", "client:ada"]
EVENTS = ["no_worker", "queue_full", "error"]


@pytest.fixture
def follow_ups(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    async def follow_up(*args: Any) -> None:
        calls.append(args)

    monkeypatch.setattr(handoff, "follow_up", follow_up)
    return calls


@asynccontextmanager
async def transferred(store: Store | None = None, full: bool = False, **options: Any) -> AsyncGenerator[Call]:
    account = SimulatedAccount()
    account.set_state({"taskrouter": {"full": full}})
    app = build_app(ASKS, account=account, store=store)
    async with dial_app(app, account=account, **options) as call:
        await call.says("A person, please")
        await call.wait_for_end()
        yield call


async def record_of(store: Store, call: Call) -> Record:
    text = await store.get(f"escalation:{call.sid}")
    assert text
    return Record.model_validate_json(text)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("way_out", ["voicemail", "callback"])
@pytest.mark.parametrize("direction", ["inbound", "outbound", "outbound-dial"])
async def test_the_customer_is_followed_up_whoever_began_the_call(
    follow_ups: list[Any], monkeypatch: pytest.MonkeyPatch, direction: str, way_out: str, event: str
) -> None:
    monkeypatch.setattr(handoff, "WAY_OUT", way_out)
    monkeypatch.setattr(config, "VOICEMAIL", True)
    async with transferred(direction=direction) as call:
        await call.account.simulate(call, {"taskrouter": event})
        await wait_until(lambda: follow_ups, "nobody is followed up")
        assert handoff.CALL_BACK in call.farewell
    assert [(caller, recording is not None) for caller, _, recording in follow_ups] == [(ADA, way_out == "voicemail")]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_the_task_names_the_customer(direction: str) -> None:
    async with transferred(direction=direction) as call:
        assert call.task and (call.task["customerName"], call.task["customerAddress"]) == (ADA, ADA)


@pytest.mark.parametrize("caller", ["anonymous", "+266696687", ""])
async def test_the_task_of_a_withheld_number_names_nobody(caller: str) -> None:
    async with transferred(caller=caller) as call:
        assert call.task and not {"customerName", "customerAddress", "profile_id"} & set(call.task)


@pytest.mark.parametrize(("direction", "sender", "recipient"), [("inbound", ADA, AGENT), ("outbound-api", AGENT, ADA)])
async def test_the_worker_is_called_from_the_agents_number(
    web: Web, direction: str, sender: str, recipient: str
) -> None:
    attributes = {"call_sid": "CA1", "from": sender, "to": recipient, "direction": direction}
    form = {"TaskAttributes": json.dumps(attributes)}
    answer = await web.post("/webhooks/taskrouter/assignment", form)
    assert answer.json() == {"instruction": "dequeue", "from": AGENT}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("caller", WITHOUT_NUMBER)
async def test_nobody_promises_to_call_back_a_caller_without_a_number(
    follow_ups: list[Any], monkeypatch: pytest.MonkeyPatch, caller: str, event: str
) -> None:
    monkeypatch.setattr(handoff, "WAY_OUT", "callback")
    store = InProcess()
    async with transferred(store, caller=caller) as call:
        await call.account.simulate(call, {"taskrouter": event})
        assert call.farewell.endswith(f"{handoff.NO_WORKER} {handoff.CALL_AGAIN}")
        assert handoff.CALL_BACK not in call.farewell
        assert (await record_of(store, call)).way_out is None
    assert follow_ups == []


@pytest.mark.parametrize("caller", WITHOUT_NUMBER)
async def test_a_caller_without_a_number_who_meets_a_full_queue_is_promised_nothing(
    follow_ups: list[Any], monkeypatch: pytest.MonkeyPatch, caller: str
) -> None:
    monkeypatch.setattr(handoff, "WAY_OUT", "callback")
    async with transferred(full=True, caller=caller) as call:
        assert handoff.NO_WORKER in call.farewell and handoff.CALL_BACK not in call.farewell
    assert follow_ups == []


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("caller", WITHOUT_NUMBER)
async def test_a_voicemail_of_a_caller_without_a_number_is_passed_on_without_a_promise(
    follow_ups: list[Any], monkeypatch: pytest.MonkeyPatch, caller: str, event: str
) -> None:
    monkeypatch.setattr(handoff, "WAY_OUT", "voicemail")
    monkeypatch.setattr(config, "VOICEMAIL", True)
    store = InProcess()
    async with transferred(store, caller=caller) as call:
        await call.account.simulate(call, {"taskrouter": event})
        await wait_until(lambda: follow_ups, "the voicemail is lost")
        assert f"{handoff.NO_WORKER} {handoff.MESSAGE}" in call.farewell and call.farewell.endswith(phrases.GOODBYE)
        assert handoff.CALL_BACK not in call.farewell
        assert (await record_of(store, call)).way_out == "voicemail"
    ((address, task, recording),) = follow_ups
    assert (address, task["reason_code"], bool(recording)) == ("", "billing_dispute", True)


async def test_a_call_without_a_session_is_transferred_for_its_customer(web: Web) -> None:
    """Another worker without a shared store has served it."""
    form = {"CallSid": "CA9", "From": AGENT, "To": ADA, "Direction": "outbound-api", "CallStatus": "in-progress"}
    form |= {"SessionStatus": "ended", "HandoffData": json.dumps({"reason_code": "caller_asked"})}
    answer = await web.post("/connect-action", form)
    queue = twiml.read(answer.text).queue
    assert queue and queue.attributes["customerAddress"] == ADA
