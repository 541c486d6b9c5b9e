"""Who takes over: a workspace, the queues and the workflow of agent/routing.yml."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.escalation.routing import Routing, RoutingError, load, workflow
from app.escalation.webhooks import EVENTS
from app.registry import CHANNELS
from kit.setup.api import Record, SetupError
from kit.setup.plan import LATER, Check, Resource, Setup, webhook

URL = "https://taskrouter.twilio.com/v1/Workspaces"
PATH = "/webhooks/taskrouter"
FLEX = "Flex Task Assignment"  # what Flex calls its workspace
NEW = "a new one"


def routing(setup: Setup) -> Routing:
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
    order = 40
    kind = "workspace"
    variable = "TWILIO_WORKSPACE_SID"
    flag = "workspace"
    one_way = ("Multitasking in a workspace cannot be switched off again: setup leaves it as it is.",)

    async def fetch(self, id: str) -> Record | None:
        if id.startswith("WS"):
            return await self.api.find(f"{URL}/{id}")
        return next((each for each in await self._all() if each["friendly_name"] == id), None)

    async def read(self) -> Record | None:
        """A new one is made once."""
        if self.setup.choices.given.get("workspace") == NEW:
            if not self.setup.journal.entry(self.key):
                return await self.search()
            del self.setup.choices.given["workspace"]
        return await super().read()

    async def search(self) -> Record | None:
        """That of the workflow in `.env`, the one with our name, or one that people choose."""
        found = await self._all()
        begun = self.setup.journal.entry(self.key).get("begun")  # then only what has our name can be ours
        if not begun and (number := self.setup.value(Workflow.variable or "")):
            for each in found:
                if await self.api.find(f"{URL}/{each['sid']}/Workflows/{number}"):
                    return each
        if own := next((each for each in found if each["friendly_name"] == self.setup.name), None):
            return own
        if not found or begun:
            return None
        flex = next((each["sid"] for each in found if each["friendly_name"] == FLEX), None)
        options = [(NEW, NEW), *((f"{each['friendly_name']} ({each['sid']})", each["sid"]) for each in found)]
        default = flex if flex and not HAS_VOICE_ONLY else NEW
        taken = await self.setup.choices.take("workspace", options, default)
        return next((each for each in found if each["sid"] == taken), None)

    def know(self, record: Record | None) -> None:
        """Remembered, because queues are found by it, and not every project has it in `.env`."""
        super().know(record)
        if record:
            self.setup.choices.kept["workspace"] = self.identify(record)

    async def _all(self) -> list[Record]:
        return await self.api.all(URL, "workspaces")

    async def wanted(self, existing: Record | None) -> Record:
        """All events, or at least those that the agent understands."""
        wanted: Record = {"event_callback_url": f"{self.setup.settings.public_url}{PATH}"}
        if existing is None:
            return {"friendly_name": self.setup.name, **wanted}
        if told := existing.get("events_filter"):
            known = str(told).split(",")
            wanted["events_filter"] = ",".join([*known, *(each for each in EVENTS if each not in known)])
        return wanted

    async def create(self, wanted: Record) -> str:
        return self.identify(await self.api.form(URL, form(wanted)))

    async def change(self, id: str, fields: Record) -> str:
        await self.api.form(f"{URL}/{id}", form(fields))
        return id

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{URL}/{id}")

    async def checks(self, record: Record) -> AsyncIterator[Check]:
        async for check in webhook(self.setup, self.key, PATH, form={"EventType": "setup.verify"}):
            yield check


class Part(Resource):
    """Something in the workspace, by name."""

    order = 41
    place = ""
    list_key = ""
    friendly_name = ""

    @property
    def url(self) -> str:
        return f"{URL}/{self.setup.ids['workspace']}/{self.place}"

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{self.url}/{id}") if self._there else None

    async def search(self) -> Record | None:
        if not self._there:
            return None
        found = await self.api.all(self.url, self.list_key)
        return next((each for each in found if each["friendly_name"] == self.friendly_name), None)

    @property
    def _there(self) -> bool:
        return self.setup.ids.get("workspace", LATER) != LATER

    async def create(self, wanted: Record) -> str:
        return self.identify(await self.api.form(self.url, form({"friendly_name": self.friendly_name, **wanted})))

    async def change(self, id: str, fields: Record) -> str:
        await self.api.form(f"{self.url}/{id}", form(fields))
        return id

    async def delete(self, id: str) -> None:
        """With its workspace gone, it is gone."""
        if self._there:
            await self.api.delete(f"{self.url}/{id}")


class Queue(Part):
    kind = "queue"
    place, list_key = "TaskQueues", "task_queues"

    def __init__(self, setup: Setup, name: str, workers: str) -> None:
        super().__init__(setup, f"queue {name}")
        self.friendly_name, self.workers = name, workers

    @classmethod
    def all(cls, setup: Setup) -> Sequence[Resource]:
        return [cls(setup, name, workers) for name, workers in routing(setup).queues.items()]

    async def wanted(self, existing: Record | None) -> Record:
        return {"target_workers": self.workers}


class Workflow(Part):
    kind = "workflow"
    variable = "TWILIO_WORKFLOW_SID"
    place, list_key = "Workflows", "workflows"

    def __init__(self, setup: Setup, key: str = "") -> None:
        super().__init__(setup, key)
        self.routing = routing(setup)
        self.friendly_name = self.routing.workflow.name

    async def wanted(self, existing: Record | None) -> Record:
        """Without Flex, we say how a worker is reached: their browser or phone."""
        sids = {name: self.setup.ids.get(f"queue {name}", LATER) for name in self.routing.queues}
        wanted: Record = {"configuration": json.dumps(workflow(self.routing, sids))}
        flex = self.setup.records.get("workspace", {}).get("friendly_name") == FLEX
        if HAS_VOICE and not flex:
            wanted["assignment_callback_url"] = f"{self.setup.settings.public_url}{PATH}/assignment"
        return wanted

    def same(self, name: str, before: Any, after: Any) -> bool:
        if name != "configuration":
            return super().same(name, before, after)
        return bool(read(before) == read(after))


def read(configuration: Any) -> Any:
    """A workflow's JSON. TaskRouter gives numbers back as text."""
    try:
        return json.loads(str(configuration or "null"), parse_int=str, parse_float=str)
    except ValueError:
        return None


RESOURCES = [Workspace, Queue, Workflow]
