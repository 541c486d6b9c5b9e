"""The memory store and the conversation configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from dotenv import dotenv_values

from app.orchestrator.resources import ConversationConfiguration, MemoryStore
from kit.setup.api import SetupError
from kit.setup.apply import plan
from kit.setup.resource import variables
from kit.simulated_twilio.product import Fault
from tests.kit.account import Account, Killed
from tests.kit.account import state as state_of

STORE, OTHER = "mem_store_" + "7" * 26, "mem_store_" + "8" * 26
THEIRS = "conv_configuration_" + "7" * 26
RULE = {"from": "*", "to": "+15005550077"}
VARIABLE = str(ConversationConfiguration.variable)
KIND = "conversation configuration"


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@pytest.fixture
def theirs(account: Account) -> dict[str, Any]:
    """A configuration and a store of another project, which `.env` names."""
    account.simulated.memory_stores.add(STORE, "theirs")
    account.sets(**{VARIABLE: THEIRS, str(MemoryStore.variable): STORE})
    return account.simulated.conversation_configurations.add(
        THEIRS,
        memoryStoreId=STORE,
        memoryExtractionEnabled=True,
        channelSettings={
            "VOICE": {"captureRules": [RULE]},
            "SMS": {"captureRules": [RULE], "statusTimeouts": {"closed": 9}},
        },
        statusCallbacks=[{"url": "https://theirs.example/hook", "method": "POST"}],
        description="",
    )


async def test_voice_never_has_capture_rules(account: Account) -> None:
    await account.apply()
    sent = [*account.bodies("POST", "Configurations"), *account.bodies("PATCH", "Configurations")]
    voice = [body["channelSettings"].get("VOICE", {}) for body in sent if "channelSettings" in body]
    assert voice and not any(each.get("captureRules") for each in voice)


async def test_a_description_is_always_sent(account: Account, theirs: dict[str, Any]) -> None:
    await account.apply()
    await account.undo()
    theirs.clear()
    account.simulated.conversation_configurations.records.clear()
    await account.apply()
    sent = [*account.bodies("POST", "Configurations"), *account.bodies("PATCH", "Configurations")]
    sent += account.bodies("POST", "ControlPlane/Stores")
    assert len(sent) > 2 and all(body["description"] for body in sent)


async def test_settings_of_others_in_a_configuration_are_kept(account: Account, theirs: dict[str, Any]) -> None:
    before = state_of(account.simulated)
    await account.apply()
    assert RULE in theirs["channelSettings"]["SMS"]["captureRules"]
    assert theirs["channelSettings"]["SMS"]["statusTimeouts"] == {"closed": 9}
    assert theirs["statusCallbacks"][0]["url"] == "https://theirs.example/hook"
    assert theirs["conversationGroupingType"] == "GROUP_BY_PROFILE"
    assert await account.broken() == []
    await account.undo()
    theirs["description"] = ""  # undo keeps the description
    assert state_of(account.simulated) == before
    assert account.env.read_text().splitlines()[:2] == [f"{VARIABLE}={THEIRS}", f"{MemoryStore.variable}={STORE}"]


async def test_undo_removes_an_added_channel(account: Account, theirs: dict[str, Any]) -> None:
    theirs.update(channelSettings={"CHAT": {"statusTimeouts": {"closed": 9}}}, description="Theirs")
    before = state_of(account.simulated)
    await account.apply()
    assert len(theirs["channelSettings"]) > 1
    await account.undo()
    assert state_of(account.simulated) == before


async def test_speech_is_not_recognised_twice(account: Account, theirs: dict[str, Any]) -> None:
    if "voice_url" not in [each.field for step in await account.run(plan) for each in step.changes]:
        pytest.skip("this project has no voice")
    (step,) = [each for each in await account.run(plan) if each.resource.key == KIND]
    assert any("paid for twice" in note for note in step.json()["notes"])
    assert any("capture rule" in note for note in step.json()["one_way"])
    await account.apply()
    assert "captureRules" not in theirs["channelSettings"]["VOICE"]


async def test_a_wrong_store_is_reported_and_changed(account: Account) -> None:
    """Twilio accepts it without an error."""
    await account.apply()
    (configuration,) = account.simulated.conversation_configurations.records.values()
    configuration["memoryStoreId"] = OTHER
    assert (KIND, "names the memory store") in await account.broken()
    await account.apply()
    assert await account.broken() == []


async def test_a_deleted_resource_is_created_again(account: Account) -> None:
    before = state_of(account.simulated)
    await account.apply()
    account.simulated.conversation_configurations.records.clear()
    assert (KIND, "exists") in await account.broken()
    await account.apply()
    assert set((await account.plan()).values()) == {"keep"}
    await account.undo()
    assert state_of(account.simulated) == before


def refuses(account: Account, method: str, place: str, status: int) -> None:
    """Twilio answers requests to this address with an error, and does nothing."""
    account.wire.before = lambda request: (
        httpx2.Response(status, json={}) if request.method == method and request.url.path.endswith(place) else None
    )


@pytest.mark.parametrize("again", [True, False])
async def test_a_resource_named_after_an_interrupted_creation_is_not_ours(account: Account, again: bool) -> None:
    refuses(account, "POST", "/Configurations", 503)
    with pytest.raises(SetupError):
        await account.apply()
    account.wire.before = lambda request: None
    account.simulated.conversation_configurations.add(THEIRS, description="theirs")
    account.sets(**{**dotenv_values(account.env), VARIABLE: THEIRS})
    if again:
        await account.apply()
    await account.undo()
    assert list(account.simulated.conversation_configurations.records) == [THEIRS]


async def test_a_flag_is_used_after_an_interrupted_creation_too(account: Account) -> None:
    refuses(account, "POST", "/Configurations", 503)
    with pytest.raises(SetupError):
        await account.apply()
    account.wire.before = lambda request: None
    account.simulated.conversation_configurations.add(THEIRS, description="theirs")
    await account.apply(configuration=THEIRS)
    assert dotenv_values(account.env)[VARIABLE] == THEIRS
    assert list(account.simulated.conversation_configurations.records) == [THEIRS]


async def test_the_next_run_waits_again_for_a_store_that_was_not_ready(account: Account) -> None:
    account.simulated.memory_stores.activates = False
    with pytest.raises(SetupError, match="not ACTIVE yet"):
        await account.apply()
    assert ("memory store", "is ACTIVE") in await account.broken()
    (store,) = account.simulated.memory_stores.records.values()
    store["status"] = "ACTIVE"
    await account.apply()
    assert len(account.simulated.memory_stores.records) == 1 and await account.broken() == []


async def test_a_failed_operation_can_be_repeated(account: Account) -> None:
    account.simulated.conversation_configurations.operation_error = "INTERNAL"
    with pytest.raises(SetupError, match="INTERNAL"):
        await account.apply()
    account.simulated.conversation_configurations.operation_error = ""
    await account.apply()
    assert len(account.simulated.conversation_configurations.records) == 1
    assert set((await account.plan()).values()) == {"keep"}


async def test_a_repeated_request_has_the_same_key(account: Account) -> None:
    """Twilio then answers as it did the first time."""

    def lost(request: Any) -> None:
        if request.method == "POST" and request.url.path.endswith("Configurations"):
            raise Killed

    account.wire.before = lost
    with pytest.raises(Killed):
        await account.apply()
    account.wire.before = lambda request: None
    await account.apply()
    posts = [each for each in account.wire.written() if each.url.path == "/v2/ControlPlane/Configurations"]
    assert len(posts) == 2 and len({each.headers["Idempotency-Key"] for each in posts}) == 1


async def test_the_error_at_the_limit_of_stores_names_the_flag(account: Account) -> None:
    for number in range(5):
        account.simulated.memory_stores.add(f"mem_store_{number:026d}", f"store-{number}")
    with pytest.raises(SetupError, match="--store"):
        await account.apply()
    await account.apply(store=f"mem_store_{3:026d}")
    assert await account.broken() == [] or str(MemoryStore.variable) not in variables()


async def test_a_memory_that_cannot_be_read_is_reported(account: Account) -> None:
    await account.apply()
    account.simulated.memory.fault = Fault(status=503)
    assert ("memory store", "answers") in await account.broken()
    assert account.simulated.memory.profiles == {}


async def test_a_proof_deletes_its_profile(account: Account) -> None:
    await account.apply()
    account.simulated.memory.add_caller("+15005550006", observations=["Likes tea"])
    assert await account.broken() == []
    assert [profile.traits["Contact"]["phone"] for profile in account.simulated.memory.profiles.values()] == [
        "+15005550006"
    ]
