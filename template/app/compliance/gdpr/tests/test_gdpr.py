"""What is held of a person is exported and erased, and nothing of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.__main__ import app
from app.capability import Services
from app.compliance.gdpr import erasure
from app.compliance.gdpr.erasure import InProgressError, erase, export
from app.compliance.gdpr.source import Person
from app.registry import PARTS
from app.store import InProcess
from kit import defaults
from kit.cli import app as agent
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Fault

ADA, BOB, OURS = "+15005550006", "+15005550009", defaults.CALLED
PERSON = Person("phone", ADA)


class SharedStore(InProcess):
    shared = True


@pytest.fixture
def account() -> SimulatedAccount:
    """Each of two people has called and written, with a recording, a transcription and a transcript."""
    account = SimulatedAccount()
    for person in (ADA, BOB):
        call = account.calls.add(person, OURS, status="completed")
        recording = account.recordings.add(call["sid"], status="completed")
        account.transcriptions.add(recording["sid"], f"{person} speaks")
        account.transcripts.add(call["sid"], f"{person} asks")
        account.messages.add(f"whatsapp:{person}", f"whatsapp:{OURS}", body=f"{person} writes", status="received")
        account.messages.add(OURS, person, body="The answer", status="delivered")
    return account


@pytest.fixture
def services(account: SimulatedAccount) -> Services:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    settings = defaults.settings()
    return Services(settings, SharedStore(), lambda: now, account.transport, parts=PARTS)


def held(account: SimulatedAccount) -> str:
    """All records of the account that the tests give people, as text."""
    products = (account.calls, account.recordings, account.transcriptions, account.transcripts, account.messages)
    return json.dumps([product.records for product in products])


async def test_everything_of_a_person_is_exported(account: SimulatedAccount, services: Services) -> None:
    (call,) = [each for each in account.calls.records.values() if each["from"] == ADA]
    await services.store.put(f"session:{call['sid']}", json.dumps({"caller": ADA, "history": ["asked"]}), 60)
    exported = await export(services, PERSON)
    assert {kind: len(items) for kind, items in exported["data"].items() if kind != "memory profiles"} == {
        "calls": 1,
        "recordings": 1,
        "transcriptions": 1,
        "transcripts": 1,
        "messages": 2,
        "sessions": 1,
    }
    text = json.dumps(exported)
    assert f"{ADA} speaks" in text and f"{ADA} asks" in text and f"{ADA} writes" in text and "The answer" in text
    assert [(each["from"], each["to"]) for each in exported["data"]["calls"]] == [(ADA, OURS)] and "None" not in text
    assert BOB not in text and exported["unread"] == {}
    assert held(account).count(f"{ADA} writes") == 1  # nothing was deleted


async def test_everything_of_a_person_is_erased_and_nothing_of_others(
    account: SimulatedAccount, services: Services
) -> None:
    sid = {each["from"]: each["sid"] for each in account.calls.records.values()}
    for person in (ADA, BOB):
        for key in (f"session:{sid[person]}", f"session:{sid[person]}:2", f"escalation:{sid[person]}"):
            await services.store.put(key, json.dumps({"caller": person}), 60)
    receipt = await erase(services, PERSON)
    assert receipt.complete and receipt.deleted | {"memory profiles": 0} == {
        "calls": 1,
        "recordings": 1,
        "transcriptions": 1,
        "transcripts": 1,
        "messages": 2,
        "sessions": 3,
        "memory profiles": 0,
    }
    left = held(account)
    assert ADA not in left and sid[ADA] not in left
    assert f"{BOB} speaks" in left and f"{BOB} asks" in left and f"{BOB} writes" in left
    assert await services.store.get(f"session:{sid[ADA]}") is None
    assert await services.store.get(f"escalation:{sid[ADA]}") is None
    assert await services.store.get(f"session:{sid[BOB]}:2")
    again = await erase(services, PERSON)
    assert again.complete and again.deleted == {}


async def test_late_results_and_what_waits_in_queues_are_erased(account: SimulatedAccount, services: Services) -> None:
    store, sid = services.store, {each["from"]: each["sid"] for each in account.calls.records.values()}
    for person in (ADA, BOB):
        await store.put(f"session:{sid[person]}", json.dumps({"history": [{"tool_call_id": "call_7"}]}), 60)
        await store.put(f"late-result:{sid[person]}:call_7", '"a table at eight"', 60)
        for key in ("inbox", "signals"):
            await store.push(f"{key}:{sid[person]}", "first", 60)
            await store.push(f"{key}:{sid[person]}", "second", 60)
    assert "a table at eight" in json.dumps(await export(services, PERSON))
    assert (await erase(services, PERSON)).deleted["sessions"] == 2
    assert await store.get(f"late-result:{sid[ADA]}:call_7") is None
    assert await store.get(f"late-result:{sid[BOB]}:call_7")
    for key in ("inbox", "signals"):
        assert await store.pop(f"{key}:{sid[ADA]}", 0) is None
        assert await store.pop(f"{key}:{sid[BOB]}", 0) == "first"


async def test_a_receipt_names_nobody(account: SimulatedAccount, services: Services) -> None:
    receipt = json.dumps((await erase(services, PERSON)).as_json())
    assert ADA not in receipt and "writes" not in receipt
    assert json.loads(receipt)["complete"] is True and json.loads(receipt)["at"] == "2026-11-28T00:00:00+00:00"


async def test_nothing_is_erased_while_the_person_is_in_a_call(account: SimulatedAccount, services: Services) -> None:
    live = account.calls.add(OURS, ADA, status="in-progress")
    before = held(account)
    with pytest.raises(InProgressError):
        await erase(services, PERSON)
    assert held(account) == before
    live["status"] = "completed"
    assert (await erase(services, PERSON)).complete


async def test_what_is_refused_is_found_by_the_next_try(account: SimulatedAccount, services: Services) -> None:
    message = account.messages.add(ADA, OURS, body="Just now", status="sending")
    receipt = await erase(services, PERSON)
    reasons = {each["kind"]: each["reason"] for each in receipt.left}
    assert reasons == {"messages": "TwilioRestException 409 20009", "calls": "kept to find the rest"}
    assert not receipt.complete and receipt.deleted["recordings"] == 1
    message["status"] = "received"
    again = await erase(services, PERSON)
    assert again.complete and again.deleted == {"messages": 1, "calls": 1}


async def test_a_service_that_does_not_answer_is_not_taken_for_empty(
    account: SimulatedAccount, services: Services
) -> None:
    account.messages.fault = Fault(status=503)
    receipt = await erase(services, PERSON)
    assert not receipt.complete and receipt.unread == {"calls and messages": "TwilioRestException 503"}
    exported = await export(services, PERSON)
    assert exported["unread"] == {"calls and messages": "TwilioRestException 503"}


async def test_a_store_that_is_down_is_not_taken_for_empty(services: Services) -> None:
    services.store.down = True
    receipt = await erase(services, PERSON)
    assert not receipt.complete and receipt.unread == {"sessions": "StoreDownError"}
    assert any(each["kind"] == "calls" for each in receipt.left)


async def test_all_pages_are_erased(account: SimulatedAccount, services: Services) -> None:
    for _ in range(120):
        account.messages.add(ADA, OURS, body="Again", status="received")
    assert (await erase(services, PERSON)).deleted["messages"] == 122


async def test_a_receipt_says_what_is_not_reached(services: Services) -> None:
    shared = (await erase(services, PERSON)).not_reached
    assert any("model provider" in each for each in shared) and erasure.IN_PROCESS not in shared
    services.store.shared = False
    assert erasure.IN_PROCESS in (await erase(services, PERSON)).not_reached


# --- the commands ------------------------------------------------------------------------------------------------


@pytest.fixture
def run(services: Services, monkeypatch: pytest.MonkeyPatch, environment: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr("app.compliance.gdpr.commands.configure_logging", lambda level: None)
    monkeypatch.setattr("app.compliance.gdpr.commands.services_of", lambda settings: services)
    return lambda *args, **options: CliRunner().invoke(app, args, **options)


def test_forget_asks_first_and_prints_a_receipt(account: SimulatedAccount, run: Callable[..., Any]) -> None:
    before = held(account)
    assert run("forget", ADA, input="n\n").exit_code == 1 and held(account) == before
    result = run("forget", ADA, "--yes")
    assert result.exit_code == 0 and json.loads(result.stdout)["deleted"]["messages"] == 2
    assert ADA not in held(account)


def test_forget_fails_when_something_is_left(account: SimulatedAccount, run: Callable[..., Any]) -> None:
    account.calls.fault = Fault(status=503)
    result = run("forget", ADA, "--yes")
    assert result.exit_code == 1 and "Run it again" in result.output


def test_forget_waits_for_the_end_of_a_call(account: SimulatedAccount, run: Callable[..., Any]) -> None:
    account.calls.add(ADA, OURS, status="in-progress")
    result = run("forget", ADA, "--yes")
    assert result.exit_code == 1 and "Nothing was deleted" in result.output


def test_export_writes_a_file_that_only_its_owner_reads(run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "ada.json"
    assert run("export", ADA, "--file", str(file)).exit_code == 0
    assert json.loads(file.read_text())["person"] == ADA and file.stat().st_mode & 0o777 == 0o600
    again = run("export", ADA, "--file", str(file))
    assert again.exit_code == 2 and "Name another file" in again.output


@pytest.mark.parametrize("who", ["0800", "Ada", "+0500"])
def test_who_is_a_number_or_an_address(who: str, run: Callable[..., Any]) -> None:
    for command in ("export", "forget"):
        result = run(command, who)
        assert result.exit_code == 2 and "is no phone number" in result.output


def test_expire_says_what_it_cannot_delete(run: Callable[..., Any]) -> None:
    result = run("expire")
    assert result.exit_code == 0 and "have no expiry here" in result.output


def test_the_commands_are_those_of_agent_too() -> None:
    listed = CliRunner().invoke(agent, ["--help"]).output
    assert all(f" {name} " in listed for name in ("export", "forget", "expire"))
