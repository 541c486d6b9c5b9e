"""The workspace, the queues and the workflow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app import config
from app.registry import CHANNELS
from kit import defaults
from kit.setup.api import SetupError
from kit.setup.apply import plan
from kit.setup.resource import SetupContext, variables
from kit.simulated_twilio.taskrouter import WORKSPACE
from tests.kit.account import Account
from tests.kit.account import state as state_of

ROUTING = """
worker: {contact_uri: "client:alice", skills: [billing]}
queues: {billing: skills HAS "billing", everyone: 1 == 1}
workflow:
  name: escalations
  filters:
    - {name: Billing, expression: skills HAS "billing", targets: [{queue: billing, timeout: 60}, {queue: everyone}]}
  default: everyone
"""


class OwnRouting(Account):
    """With a routing.yml of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.agent = folder / "agent"
        shutil.copytree("agent", self.agent)
        self.routes(ROUTING)

    def routes(self, text: str) -> None:
        (self.agent / "routing.yml").write_text(text, encoding="utf-8")

    def begins(self, **given: str) -> SetupContext:
        setup = super().begins(**given)
        setup.folder = self.agent
        return setup


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnRouting:
    monkeypatch.setattr(config, "ROUTING", "skills")
    return OwnRouting(tmp_path)


def workflow(account: Account, workspace: str) -> dict[str, Any]:
    (found,) = account.simulated.workspaces.parts[workspace]["Workflows"].values()
    return dict(json.loads(found["configuration"])["task_routing"])


async def test_an_existing_workspace_is_changed_and_restored(account: OwnRouting) -> None:
    workspaces = account.simulated.workspaces
    workspaces.records[WORKSPACE].update(events_filter="task.created", event_callback_url="https://theirs.example")
    queue = workspaces.add_part(WORKSPACE, "TaskQueues", {"friendly_name": "everyone", "target_workers": "1 == 2"})
    before = state_of(account.simulated)
    await account.apply(workspace="Simulated")
    own = workspaces.records[WORKSPACE]
    assert own["event_callback_url"] == f"{defaults.PUBLIC_URL}/webhooks/taskrouter"
    assert {"task.created", "task.canceled"} <= set(own["events_filter"].split(","))
    assert queue["target_workers"] == "1 == 1" and len(workspaces.parts[WORKSPACE]["TaskQueues"]) == 2
    assert workflow(account, WORKSPACE)["default_filter"] == {"queue": queue["sid"]}
    assert set((await account.plan()).values()) == {"keep"}, "the choice is remembered"
    assert await account.broken() == []
    await account.undo()
    assert state_of(account.simulated) == before


async def test_a_new_workspace_is_created_once(account: OwnRouting) -> None:
    count = len(account.simulated.workspaces.records)
    await account.apply(workspace="a new one")
    await account.apply(workspace="a new one")
    assert len(account.simulated.workspaces.records) == count + 1


async def test_a_change_of_routing_is_applied(account: OwnRouting) -> None:
    before = state_of(account.simulated)
    await account.apply()
    account.routes(ROUTING.replace("timeout: 60", "timeout: 90").replace("billing", "invoices"))
    planned = await account.plan()
    assert (planned["queue invoices"], planned["queue everyone"], planned["workflow"]) == ("create", "keep", "change")
    await account.apply()
    assert await account.broken() == []
    account.routes(ROUTING)
    left = [each["resource"] for each in await account.undo() if each["action"] == "left"]
    assert left == ["queue invoices"], "its workflow is gone"
    assert state_of(account.simulated) == before


async def test_first_in_first_out_needs_one_queue(account: OwnRouting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer decides, with the same routing.yml; a change of the answer is applied."""
    monkeypatch.setattr(config, "ROUTING", "fifo")
    planned = await account.plan()
    assert [name for name in planned if name.startswith("queue ")] == ["queue everyone"]
    await account.apply()
    (workspace,) = [sid for sid, parts in account.simulated.workspaces.parts.items() if parts["Workflows"]]
    assert workflow(account, workspace)["filters"] == []
    assert await account.broken() == []
    monkeypatch.setattr(config, "ROUTING", "skills")
    planned = await account.plan()
    assert (planned["queue billing"], planned["queue everyone"], planned["workflow"]) == ("create", "keep", "change")


async def test_numbers_that_come_back_as_text_are_the_same(account: OwnRouting) -> None:
    await account.apply()
    (found,) = [each for parts in account.simulated.workspaces.parts.values() for each in parts["Workflows"].values()]
    found["configuration"] = found["configuration"].replace('"timeout": 60', '"timeout": "60"')
    assert set((await account.plan()).values()) == {"keep"}


async def test_a_broken_callback_is_found(account: OwnRouting) -> None:
    await account.apply()
    for workspace in account.simulated.workspaces.records.values():
        workspace["event_callback_url"] = "https://old.example/events"
    assert ("workspace", "event_callback_url") in await account.broken()


async def test_text_conversations_use_the_workspace_of_flex(account: OwnRouting) -> None:
    """Flex has its own assignment callback."""
    flex = account.simulated.workspaces.add("Flex Task Assignment")
    await account.apply()
    mine = next(each for each in account.simulated.workspaces.records.values() if each["event_callback_url"])
    assert (mine == flex) is ([channel.name for channel in CHANNELS] != ["voice"])
    (made,) = account.simulated.workspaces.parts[mine["sid"]]["Workflows"].values()
    assert bool(made["assignment_callback_url"]) is (mine != flex)


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ('billing: skills HAS "billing"', 'billing: skill HAS "billing"', "queues.billing"),
        ('expression: skills HAS "billing"', 'expression: skill HAS "billing"', "workflow.filters.0.expression"),
        ("timeout: 60", "expression: worker.floor == 1", "workflow.filters.0.targets.0.expression"),
        ("timeout: 60", "skip_if: workers.gone == 0", "workflow.filters.0.targets.0.skip_if"),
        ("timeout: 60", "order_by: worker.skills", "workflow.filters.0.targets.0.order_by"),
        ("default: everyone", "default: missing", "workflow.default"),
    ],
)
async def test_invalid_routing_stops_before_any_request(
    account: OwnRouting, right: str, wrong: str, place: str
) -> None:
    assert ROUTING.count(right) == 1
    account.routes(ROUTING.replace(right, wrong))
    with pytest.raises(SetupError, match=f"{place}: ") as error:
        await account.run(plan)
    assert error.value.code == 2 and account.wire.requests == []
    assert "TWILIO_WORKFLOW_SID" in variables()
