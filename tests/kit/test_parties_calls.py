"""The customer of a call, as tools and the model see it: in every runtime, and after a disconnect."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import this_session
from app.connection import NO_NUMBER
from kit import defaults
from kit.agent_app import build_app
from kit.caller import dial_app
from kit.scenario import last_instructions
from kit.testing import play

ADA, AGENT = defaults.CALLER, defaults.CALLED
SCRIPT = [{"hears": "who", "calls": {"parties_of_the_call": {}}}, {"hears": "", "says": "Yes."}]


async def parties_of_the_call() -> str:
    """Say who is talking."""
    seen.append((this_session().caller, this_session().called))
    return "Done."


seen: list[tuple[str, str]] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@pytest.mark.parametrize("direction", ["inbound", "outbound", "outbound-api", "outbound-dial"])
async def test_the_caller_of_the_session_is_the_customer_whoever_began(direction: str) -> None:
    app = build_app(*SCRIPT, tools=[parties_of_the_call])
    async with dial_app(app, direction=direction) as call:
        await call.says("Who is it?")
        await call.drops()
        await call.says("And who is it now?")
    assert set(seen) == {(ADA, AGENT)}


@pytest.mark.parametrize("caller", ["anonymous", "+266696687", "+86282452253", "Restricted", "", "client:anonymous"])
async def test_a_withheld_number_is_no_key_for_tools(caller: str) -> None:
    app = build_app(*SCRIPT, tools=[parties_of_the_call])
    async with dial_app(app, caller=caller) as call:
        await call.says("Who is it?")
    assert seen == [("", AGENT)]


@pytest.mark.parametrize("caller", ["anonymous", "+266696687", "sip:ada@example.com", "client:ada"])
async def test_the_model_knows_that_nobody_can_call_back(caller: str) -> None:
    async with dial_app(build_app(), caller=caller) as call:
        await call.says("Hello")
        assert NO_NUMBER in last_instructions(call.session)
        await call.drops()
        await call.says("Hello again")
        assert NO_NUMBER in last_instructions(call.session)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_the_model_is_told_nothing_of_a_number_that_is_known(direction: str) -> None:
    async with dial_app(build_app(), direction=direction) as call:
        await call.says("Hello")
        assert NO_NUMBER not in last_instructions(call.session)


CALL = """
given: {{caller: "{caller}", direction: {direction}}}
model: [{{says: "Yes."}}]
turns:
  - answer: true
  - caller: Hello
    expect: {{contains: "yes", {expectation}: nobody can call back}}
"""


@pytest.mark.parametrize(
    ("caller", "direction", "expectation"),
    [
        ("anonymous", "inbound", "instructions_contain"),
        ("+266696687", "inbound", "instructions_contain"),
        (ADA, "outbound", "instructions_lack"),
    ],
)
async def test_a_scenario_plays_such_calls(tmp_path: Path, caller: str, direction: str, expectation: str) -> None:
    path = tmp_path / "call.yml"
    path.write_text(CALL.format(caller=caller, direction=direction, expectation=expectation))
    assert (await play(path)).failures == []
