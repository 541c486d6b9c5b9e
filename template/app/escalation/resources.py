"""TaskRouter: the workspace, and the queues and the workflow of agent/routing.yml."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.escalation import EVENTS
from app.escalation.routing import Routing, RoutingError, load, workflow_configuration
from app.registry import CHANNELS
from kit.setup.api import Record, SetupError
from kit.setup.resource import UNKNOWN_UNTIL_APPLY, Proof, Resource, SetupContext
from kit.setup.verify import webhook_proofs

URL = "https://taskrouter.twilio.com/v1/Workspaces"
PATH = "/webhooks/taskrouter"
FLEX = "Flex Task Assignment"  # name of the workspace that Flex creates
NEW = "a new one"


def routing(setup: SetupContext) -> Routing:
    try:
        return load(setup.folder / "routing.yml")
    except (OSError, RoutingError) as error:
        raise SetupError(str(error), 2) from None


def form(fields: Record) -> Record:
    """friendly_name -> FriendlyName."""
    return {"".join(part.title() for part in name.split("_")): value or "" for name, value in fields.items()}


HAS_VOICE = any(channel.name == "voice" for channel in CHANNELS)
HAS_VOICE_ONLY = HAS_VOICE and len(CHANNELS) == 1


class Workspace(Resource):
    kind = "workspace"
    requires = ("number",)  # callers reach the agent before the workers are reached
    variable = "TWILIO_WORKSPACE_SID"
    flag = "workspace"
    one_way = ("Multitasking in a workspace cannot be switched off again: setup leaves it as it is.",)

    async def fetch(self, id: str) -> Record | None:
        if id.startswith("WS"):
            return await self.api.find(f"{URL}/{id}")
        return next((each for each in await self._list() if each["friendly_name"] == id), None)

    async def read(self) -> Record | None:
        """`--workspace 'a new one'` creates one workspace, also when it is given again."""
        if self.setup.choices.flags.get("workspace") == NEW:
            if not self.setup.journal.entry(self.key):
                return await self.search()
            del self.setup.choices.flags["workspace"]
        return await super().read()

    async def search(self) -> Record | None:
        """Lookup order: workspace of the workflow in `.env`, name, choice of the user."""
        found = await self._list()
        pending = self.setup.journal.entry(self.key).get("pending")  # then only the name identifies the workspace
        if not pending and (number := self.setup.value(Workflow.variable or "")):
            for each in found:
                if await self.api.find(f"{URL}/{each['sid']}/Workflows/{number}"):
                    return each
        if own := next((each for each in found if each["friendly_name"] == self.setup.name), None):
            return own
        if not found or pending:
            return None
        flex = next((each["sid"] for each in found if each["friendly_name"] == FLEX), None)
        options = [(NEW, NEW), *((f"{each['friendly_name']} ({each['sid']})", each["sid"]) for each in found)]
        default = flex if flex and not HAS_VOICE_ONLY else NEW
        chosen = await self.setup.choices.choose("workspace", options, default)
        return next((each for each in found if each["sid"] == chosen), None)

    def publish(self, record: Record | None) -> None:
        """Keep the choice in the journal too: queues need it, and a project with voice only has no variable for it."""
        super().publish(record)
        if record:
            self.setup.choices.remembered["workspace"] = self.id_of(record)

    async def _list(self) -> list[Record]:
        return await self.api.list_all(URL, "workspaces")

    async def wanted_fields(self, existing: Record | None) -> Record:
        """A new workspace sends all events; an existing filter is extended by those that the agent reads."""
        wanted: Record = {"event_callback_url": f"{self.setup.settings.public_url}{PATH}"}
        if existing is None:
            return {"friendly_name": self.setup.name, **wanted}
        if events := existing.get("events_filter"):
            present = str(events).split(",")
            wanted["events_filter"] = ",".join([*present, *(each for each in EVENTS if each not in present)])
        return wanted

    async def create(self, wanted: Record) -> str:
        return self.id_of(await self.api.post_form(URL, form(wanted)))

    async def change(self, id: str, fields: Record) -> str:
        await self.api.post_form(f"{URL}/{id}", form(fields))
        return id

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{URL}/{id}")

    async def proofs(self, record: Record) -> AsyncIterator[Proof]:
        async for proof in webhook_proofs(self.setup, self.key, PATH, form={"EventType": "setup.verify"}):
            yield proof


class WorkspaceResource(Resource):
    """A resource inside the workspace, found by name."""

    place = ""
    list_key = ""
    friendly_name = ""

    @property
    def url(self) -> str:
        return f"{URL}/{self.setup.ids['workspace']}/{self.place}"

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{self.url}/{id}") if self._workspace_exists else None

    async def search(self) -> Record | None:
        if not self._workspace_exists:
            return None
        found = await self.api.list_all(self.url, self.list_key)
        return next((each for each in found if each["friendly_name"] == self.friendly_name), None)

    @property
    def _workspace_exists(self) -> bool:
        return self.setup.ids.get("workspace", UNKNOWN_UNTIL_APPLY) != UNKNOWN_UNTIL_APPLY

    async def create(self, wanted: Record) -> str:
        return self.id_of(await self.api.post_form(self.url, form({"friendly_name": self.friendly_name, **wanted})))

    async def change(self, id: str, fields: Record) -> str:
        await self.api.post_form(f"{self.url}/{id}", form(fields))
        return id

    async def delete(self, id: str) -> None:
        """Deleted together with its workspace."""
        if self._workspace_exists:
            await self.api.delete(f"{self.url}/{id}")


class Queue(WorkspaceResource):
    kind = "queue"
    requires = ("workspace",)
    place, list_key = "TaskQueues", "task_queues"

    def __init__(self, setup: SetupContext, name: str, workers: str) -> None:
        super().__init__(setup, f"queue {name}")
        self.friendly_name, self.workers = name, workers

    @classmethod
    def all(cls, setup: SetupContext) -> Sequence[Resource]:
        return [cls(setup, name, workers) for name, workers in routing(setup).queues.items()]

    async def wanted_fields(self, existing: Record | None) -> Record:
        return {"target_workers": self.workers}


class Workflow(WorkspaceResource):
    kind = "workflow"
    requires = ("queue",)
    variable = "TWILIO_WORKFLOW_SID"
    place, list_key = "Workflows", "workflows"

    def __init__(self, setup: SetupContext, key: str = "") -> None:
        super().__init__(setup, key)
        self.routing = routing(setup)
        self.friendly_name = self.routing.workflow.name

    async def wanted_fields(self, existing: Record | None) -> Record:
        """Without Flex, the assignment callback dequeues the call to the worker's contact URI."""
        sids = {name: self.setup.ids.get(f"queue {name}", UNKNOWN_UNTIL_APPLY) for name in self.routing.queues}
        wanted: Record = {"configuration": json.dumps(workflow_configuration(self.routing, sids))}
        flex = self.setup.records.get("workspace", {}).get("friendly_name") == FLEX
        if HAS_VOICE and not flex:
            wanted["assignment_callback_url"] = f"{self.setup.settings.public_url}{PATH}/assignment"
        return wanted

    def same(self, name: str, before: Any, after: Any) -> bool:
        if name != "configuration":
            return super().same(name, before, after)
        return bool(comparable(before) == comparable(after))


def comparable(configuration: Any) -> Any:
    """The JSON of a workflow with numbers as text, since TaskRouter may return them so. None for invalid JSON."""
    try:
        return json.loads(str(configuration or "null"), parse_int=str, parse_float=str)
    except ValueError:
        return None


RESOURCES = [Workspace, Queue, Workflow]
