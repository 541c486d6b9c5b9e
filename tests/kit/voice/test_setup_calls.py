"""Setup of the phone number of a project with voice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit import defaults
from kit.setup.apply import plan
from kit.setup.verify import verify
from tests.kit.account import Account


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@pytest.fixture
def number(account: Account) -> dict[str, Any]:
    return next(iter(account.simulated.numbers.records.values()))


async def test_setup_replaces_a_trunk_and_undo_restores_it(account: Account, number: dict[str, Any]) -> None:
    number.update(trunk_sid="TK" + "1" * 32, voice_url="https://old.example/voice", voice_method="GET")
    before = dict(number)
    (step,) = [each for each in await account.run(plan) if each.resource.key == "number"]
    assert "https://old.example/voice" in step.json()["notes"][0]
    await account.apply()
    assert (number["voice_url"], number["voice_method"]) == (f"{defaults.PUBLIC_URL}/twiml", "POST")
    assert not number["trunk_sid"]
    await account.undo()
    assert number == before


async def test_a_changed_voice_url_is_found_and_repaired(account: Account, number: dict[str, Any]) -> None:
    before = dict(number)
    await account.apply()
    number["voice_url"] = "https://old-tunnel.example/twiml"
    assert ("number", "voice_url") in await account.broken()
    await account.apply()
    assert await account.broken() == []
    await account.undo()
    assert number == before, "as it was first"


@pytest.mark.parametrize(
    ("status", "broken"), [(200, "refuses what is not signed"), (403, "takes what is signed"), (0, "is reachable")]
)
async def test_verify_finds_a_server_that_is_not_this_agent(account: Account, status: int, broken: str) -> None:
    """A gateway that accepts every request; another token or address; no server."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if not status:
            raise httpx2.ConnectError("no server")
        return httpx2.Response(status)

    await account.apply()
    setup = account.begins()
    setup.web = httpx2.MockTransport(answer)
    found = [(each.resource, each.check) for each in await verify(setup) if not each.ok]
    await setup.api.close()
    assert ("number", f"/twiml {broken}") in found
