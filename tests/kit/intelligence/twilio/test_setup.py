"""The intelligence configuration and its link."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app import config
from app.intelligence.twilio.resources import IntelligenceConfiguration
from kit.setup.api import SetupError
from kit.setup.apply import apply
from kit.simulated_twilio.intelligence import TWILIO_OPERATORS
from kit.simulated_twilio.product import identifier
from tests.kit.account import Account, Killed
from tests.kit.account import state as state_of

VARIABLE = str(IntelligenceConfiguration.variable)
THEIRS = identifier("intelligence_configuration", 777)
KIND = "intelligence configuration"


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def linked(account: Account) -> list[str]:
    (configuration,) = account.simulated.conversation_configurations.records.values()
    return list(configuration["intelligenceConfigurationIds"])


async def test_each_operator_has_a_rule_with_our_webhook(account: Account) -> None:
    await account.apply()
    (configuration,) = account.simulated.intelligence_configurations.configurations.values()
    triggers = {rule["operators"][0]["id"]: rule["triggers"][0]["on"] for rule in configuration["rules"]}
    assert len(triggers) == len(config.OPERATORS)
    if "summary" in config.OPERATORS:
        assert triggers[TWILIO_OPERATORS["summary"][1]] == "CONVERSATION_END"
    assert linked(account) == [configuration["id"]]


def counts(account: Account) -> set[int]:
    """The counts of the linked configuration, of operators that run while people talk."""
    (id,) = linked(account)
    rules = account.simulated.intelligence_configurations.configurations[id]["rules"]
    triggers = [trigger for rule in rules for trigger in rule["triggers"] if trigger["on"] == "COMMUNICATION"]
    return {trigger["parameters"]["count"] for trigger in triggers}


async def test_operators_run_as_often_as_the_settings_say(account: Account) -> None:
    """Another count makes the configuration again, since a changed one never becomes active."""
    await account.apply()
    assert counts(account) == {3}
    account.env.write_text(account.env.read_text() + "AGENT_OPERATOR_COUNT=7\n")
    assert (KIND, "rules") in await account.broken()
    await account.apply()
    assert counts(account) == {7} and await account.broken() == []
    assert (await account.plan())[KIND] == "keep"


@pytest.mark.parametrize("count", ["0", "21", "often"])
async def test_a_count_that_no_rule_may_have_is_refused_before_any_change(account: Account, count: str) -> None:
    before = state_of(account.simulated)
    account.sets(AGENT_OPERATOR_COUNT=count)
    with pytest.raises(SetupError, match=f"AGENT_OPERATOR_COUNT is '{count}'. Write after how many"):
        await account.plan()
    assert state_of(account.simulated) == before


@pytest.mark.parametrize(
    "trigger",
    [
        {"on": "COMMUNICATION", "parameters": {"count": 0}},
        {"on": "COMMUNICATION", "parameters": {"count": 21}},
        {"on": "COMMUNICATION", "parameters": {"every": 3}},
        {"on": "CONVERSATION_END", "parameters": {"count": 1}},
    ],
)
async def test_the_account_refuses_what_the_api_refuses(account: Account, trigger: dict[str, Any]) -> None:
    rule = {"operators": [{"id": TWILIO_OPERATORS["sentiment"][1]}], "triggers": [trigger]}
    setup = account.begins()
    with pytest.raises(SetupError, match=r"1 to 20"):
        await setup.api.send_json(
            "POST", "https://intelligence.twilio.com/v3/ControlPlane/Configurations", {"rules": [rule]}
        )


async def test_a_configuration_without_the_operators_is_replaced_and_linked_again_by_undo(account: Account) -> None:
    """The configuration of another project is unchanged: only the link moves."""
    account.simulated.intelligence_configurations.add(THEIRS, [], "theirs")
    account.sets(**{VARIABLE: THEIRS})
    before = state_of(account.simulated)
    found = await account.broken()
    assert (KIND, f"{config.OPERATORS[0]} is attached to this configuration") in found
    await account.apply()
    assert THEIRS in account.simulated.intelligence_configurations.configurations
    assert THEIRS not in linked(account) and len(linked(account)) == 1
    assert account.env.read_text().splitlines()[0] == f"{VARIABLE}={linked(account)[0]}"
    assert await account.broken() == []
    await account.undo()
    assert state_of(account.simulated) == before
    assert account.env.read_text() == f"{VARIABLE}={THEIRS}\n"


@pytest.mark.parametrize("status", [400, 503])
async def test_a_refused_replacement_deletes_nothing(account: Account, status: int) -> None:
    """It deletes neither the configuration of another project, which an undo links again, nor ours."""
    account.simulated.intelligence_configurations.add(THEIRS, [], "theirs")
    account.sets(**{VARIABLE: THEIRS})
    refuses(account, status)
    with pytest.raises(SetupError):
        await account.apply()
    account.wire.before = lambda request: None
    await account.undo()
    assert list(account.simulated.intelligence_configurations.configurations) == [THEIRS]

    account.sets()
    await account.apply()
    (ours,) = linked(account)
    rules = account.simulated.intelligence_configurations.configurations[ours]["rules"]
    account.simulated.intelligence_configurations.configurations[ours]["rules"] = []
    refuses(account, status)
    with pytest.raises(SetupError):
        await account.apply()
    account.wire.before = lambda request: None
    account.simulated.intelligence_configurations.configurations[ours]["rules"] = rules
    await account.apply()
    assert linked(account) == [ours] and ours in account.simulated.intelligence_configurations.configurations


def refuses(account: Account, status: int) -> None:
    """Twilio refuses to create a configuration."""
    account.wire.before = lambda request: (
        httpx2.Response(status, json={})
        if request.method == "POST"
        and request.url.path.endswith("/Configurations")
        and "intelligence" in request.url.host
        else None
    )


async def test_a_removed_operator_is_restored_in_a_new_configuration(tmp_path: Path) -> None:
    """Our old one is deleted, also after an interruption; nothing is ever PUT."""

    async def killed(number: int) -> bool:
        (folder := tmp_path / str(number)).mkdir()
        account = Account(folder)
        before = state_of(account.simulated)
        await account.apply()
        (old,) = account.simulated.intelligence_configurations.configurations.values()
        old["rules"].pop()
        count = 0

        def dying(request: Any) -> None:
            nonlocal count
            count += request.method != "GET"
            if count == number:
                raise Killed

        account.wire.after = dying
        ended = True
        try:
            await account.apply()
        except Killed:
            ended = False
        account.wire.after = lambda request: None
        await account.apply()
        (new,) = account.simulated.intelligence_configurations.configurations.values()
        assert new["id"] != old["id"] and linked(account) == [new["id"]]
        assert await account.broken() == []
        await account.undo()
        assert state_of(account.simulated) == before
        assert {request.method for request in account.wire.requests} <= {"GET", "POST", "PATCH", "DELETE"}
        return not ended

    number = 1
    while await killed(number):
        number += 1
    assert number == 4, "created, linked, deleted"


async def test_links_of_others_are_kept(account: Account) -> None:
    await account.apply()
    (configuration,) = account.simulated.conversation_configurations.records.values()
    ours = configuration["intelligenceConfigurationIds"]
    configuration["intelligenceConfigurationIds"] = [THEIRS]
    assert ("intelligence link", "intelligenceConfigurationIds") in await account.broken()
    await account.apply()
    assert configuration["intelligenceConfigurationIds"] == [THEIRS, *ours]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of agent/."""
    shutil.copytree("agent", tmp_path / "agent")
    return tmp_path / "agent"


@pytest.mark.skipif("custom" not in config.OPERATORS, reason="no operator of your own")
async def test_a_changed_operator_of_your_own_is_created_again(account: Account, own: Path) -> None:
    text = (own / "operator.yml").read_text(encoding="utf-8")
    before = state_of(account.simulated)

    async def applied() -> str:
        setup = account.begins()
        setup.folder = own
        await apply(setup, account.said.append)
        await setup.api.close()
        (found,) = [
            id
            for id, each in account.simulated.intelligence_configurations.operators.items()
            if each["author"] == "SELF"
        ]
        (configuration,) = account.simulated.intelligence_configurations.configurations.values()
        assert found in [rule["operators"][0]["id"] for rule in configuration["rules"]]
        assert linked(account) == [configuration["id"]]
        return found

    first = await applied()
    assert await applied() == first
    (own / "operator.yml").write_text(text.replace("one sentence", "a few words"), encoding="utf-8")
    second = await applied()
    assert (
        second != first and "a few words" in account.simulated.intelligence_configurations.operators[second]["prompt"]
    )
    await account.undo()
    assert state_of(account.simulated) == before
