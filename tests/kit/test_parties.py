"""Who is the customer of a call, and whether there is a number to reach the customer at."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.connection import has_number, known_address, parties
from kit import defaults
from kit.scenario_file import Given, ScenarioError, load

ADA, AGENT = defaults.CALLER, defaults.CALLED

OUTBOUND = ["outbound", "outbound-api", "outbound-dial", "OUTBOUND"]
INBOUND = ["inbound", "Inbound", "", None, "trunking"]

WORDS = ["anonymous", "Anonymous", "ANONYMOUS", "Restricted", "unknown", "unavailable", "private", "blocked"]
KEYPAD = ["+266696687", "+7378742833", "+8656696", "+86282452253", "+7748283", "+2562533"]
ADDRESSES = ["client:Anonymous", "sip:anonymous@anonymous.invalid", "SIP:Restricted@carrier.example"]
OTHERS = ["No Caller ID", "Withheld", "N/A", "Private Number", "+0000000000", "0000000000", "+", "null"]
NOBODY = ["", " ", *WORDS, *KEYPAD, *ADDRESSES, *OTHERS]
WITHOUT_NUMBER = ["client:ada", "sip:ada@example.com", "sips:ada@example.com", "911", "12345", "1001", "+1266696687"]
NUMBERS = [ADA, "+15550100123", "+17378742833", "+4915112345678", "+85212345678", "+6421234567"]


@pytest.mark.parametrize("names", [("from", "to", "direction"), ("From", "To", "Direction")])
@pytest.mark.parametrize("direction", OUTBOUND)
def test_the_customer_of_a_call_that_the_agent_makes_is_the_recipient(direction: str, names: tuple[str, ...]) -> None:
    assert parties(dict(zip(names, (AGENT, ADA, direction), strict=True))) == (ADA, AGENT)


@pytest.mark.parametrize("direction", INBOUND)
def test_the_customer_of_any_other_call_is_the_sender(direction: str | None) -> None:
    assert parties({"from": ADA, "to": AGENT, "direction": direction}) == (ADA, AGENT)
    assert parties({"From": ADA, "To": AGENT}) == (ADA, AGENT)


@pytest.mark.parametrize("address", NOBODY)
def test_a_withheld_number_is_no_address(address: str) -> None:
    assert parties({"from": address, "to": AGENT}) == ("", AGENT)
    assert not has_number(address)


@pytest.mark.parametrize("address", WITHOUT_NUMBER)
def test_an_address_that_is_no_phone_number_is_kept_and_cannot_be_called(address: str) -> None:
    assert parties({"from": address, "to": AGENT}) == (address, AGENT)
    assert not has_number(address)


@pytest.mark.parametrize("address", NUMBERS)
def test_a_phone_number_can_be_called(address: str) -> None:
    assert has_number(address) and known_address(address) == address


@pytest.mark.parametrize("direction", ["inbound", "outbound-api"])
def test_the_agents_own_number_is_not_the_customer(direction: str) -> None:
    """A call that another program has forwarded without a caller id."""
    assert parties({"From": AGENT, "To": AGENT, "Direction": direction}) == ("", AGENT)


def test_a_call_over_whatsapp_is_of_the_phone_number() -> None:
    assert parties({"from": f"whatsapp:{ADA}", "to": f"whatsapp:{AGENT}"}) == (ADA, AGENT)


@pytest.mark.parametrize("caller", ["anonymous", "", "+266696687", "client:ada", "sip:ada@example.com", ADA])
def test_a_scenario_may_be_of_a_caller_without_a_number(caller: str) -> None:
    given = Given.model_validate({"caller": caller, "direction": "outbound"})
    assert (given.caller, given.direction) == (caller, "outbound")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("caller: '0800'", "'0800' is no caller: write +15005550006, anonymous, sip:name@host or client:name"),
        ("direction: out", "Input should be 'inbound' or 'outbound'"),
    ],
)
def test_a_wrong_party_of_a_scenario_is_named_with_its_fix(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "one.yml"
    path.write_text(f"given:\n  {line}\nturns: [{{caller: Hello}}]\n")
    with pytest.raises(ScenarioError, match=f":2: given.{line.partition(':')[0]}: .*") as raised:
        load(path)
    assert problem in str(raised.value)
