"""`agent forget` and `python -m app forget` with memory in Twilio."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from typer.testing import CliRunner

from app.memory.backend import Identity
from app.twilio_api import twilio_client
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Fault

ADA, BOB = Identity("phone", defaults.CALLER), Identity("phone", "+15005550009")


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


@pytest.fixture(params=["kit.cli", "app.__main__"])
def agent(
    request: pytest.FixtureRequest,
    account: SimulatedAccount,
    environment: pytest.MonkeyPatch,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Runs `agent forget` or `python -m app forget`, with the simulated account."""
    cli = import_module(request.param).app
    monkeypatch.setattr("app.memory.commands.configure_logging", lambda level: None)
    monkeypatch.setattr("app.memory.twilio.twilio_client", lambda own, _: twilio_client(own, account.transport))
    return lambda *args: CliRunner().invoke(cli, ["forget", *args])


def test_agent_forget_prints_the_deleted_counts(account: SimulatedAccount, agent: Callable[..., Any]) -> None:
    account.memory.add_caller(ADA.value, observations=["Prefers tea.", "Has a dog."], summaries=["Called."])
    result = agent(ADA.value)
    assert (
        result.exit_code == 0 and result.output == f"Deleted of {ADA.value}: 1 profile, 2 observations and 1 summary.\n"
    )
    assert agent(ADA.value).output == f"There are no memories of {ADA.value}. Nothing was deleted.\n"


def test_agent_forget_accepts_an_email_address_and_an_account_id(
    account: SimulatedAccount, agent: Callable[..., Any]
) -> None:
    account.memory.add_caller(ADA.value, {"email": "ada@example.com"})
    account.memory.add_caller(BOB.value, {"account_id": "4711"})
    assert agent("Ada@Example.com").output.startswith("Deleted of ada@example.com: 1 profile")
    assert agent("4711", "--account").output.startswith("Deleted of 4711: 1 profile")


@pytest.mark.parametrize("number", ["15005550006", "+0500", "Ada", ""])
def test_agent_forget_refuses_an_invalid_number(
    account: SimulatedAccount, agent: Callable[..., Any], number: str
) -> None:
    result = agent(number)
    assert result.exit_code == 2 and result.output.startswith(f"{number!r} is no phone number. Write + and")
    assert account.memory.requests == []


def test_agent_forget_reports_an_error_of_memory(account: SimulatedAccount, agent: Callable[..., Any]) -> None:
    account.memory.fault = Fault(status=503)
    result = agent(ADA.value)
    assert result.exit_code == 1 and "TwilioRestException 503" in result.output and "Try again" in result.output


def test_agent_forget_needs_its_settings(agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWILIO_MEMORY_STORE_ID", raising=False)
    result = agent(ADA.value)
    assert result.exit_code == 2 and "TWILIO_MEMORY_STORE_ID is missing" in result.output
    assert "Nothing was deleted" in result.output
