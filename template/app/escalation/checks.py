"""Transfer to a human: routing, workflow, queues, workers and event callback."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from twilio.base.exceptions import TwilioRestException

from app.escalation import EVENTS
from app.escalation.resources import comparable
from app.escalation.routing import RoutingError, load, workflow_configuration
from kit.doctor.check import Context, check, list_records, masked, region_check, safe_url

WORKFLOWS = "https://www.twilio.com/docs/taskrouter/workflow-configuration"
CALLBACKS = "https://www.twilio.com/docs/taskrouter/api/event"
WEBHOOK = "/webhooks/taskrouter"

# In IE1 it is a public beta, and may not be used under HIPAA and PCI (app/compliance refuses that). Source, 2026-11-29:
# https://www.twilio.com/docs/global-infrastructure/taskrouter-with-twilio-regions
has_region = region_check("ESC009", "taskrouter", "TaskRouter")


@check(
    "ESC001",
    hint="Correct agent/routing.yml as the message says.",
    docs="https://www.twilio.com/docs/taskrouter/expression-syntax",
    requires=("PRJ001",),
)
def routing_valid(context: Context) -> Iterator[str]:
    """TaskRouter can match every rule of agent/routing.yml."""
    try:
        load(context.root / "agent" / "routing.yml")
    except RoutingError as error:
        yield f"agent/routing.yml: {error}."


@check(
    "ESC002",
    hint="Raise AGENT_QUEUE_TIMEOUT, or lower the timeouts in agent/routing.yml.",
    docs=WORKFLOWS,
    requires=("ENV001", "ESC001"),
)
def last_queue_in_time(context: Context) -> Iterator[str]:
    """A caller reaches every queue of a rule before AGENT_QUEUE_TIMEOUT."""
    for rule in load(context.root / "agent" / "routing.yml").workflow.filters:
        before = sum(target.timeout or 0 for target in rule.targets[:-1])
        if before >= context.settings.queue_timeout:
            yield (
                f"The rule {rule.name} reaches its last queue after {before} s, "
                f"and AGENT_QUEUE_TIMEOUT={context.settings.queue_timeout} ends the wait before."
            )


@check(
    "ESC003",
    hint="Copy the SID of your workflow into TWILIO_WORKFLOW_SID, of the same account.",
    docs="https://www.twilio.com/docs/taskrouter/api/workflow",
    live=True,
    requires=("ACC001", "ACC002"),
)
async def workflow_exists(context: Context) -> AsyncIterator[str]:
    """The workflow exists."""
    if await context.cached(find_place) is None:
        yield f"No workspace has the workflow {masked(context.settings.workflow_sid)}: every transfer to a human fails."


@check(
    "ESC004",
    hint="Put PUBLIC_URL/webhooks/taskrouter into the workspace as its event callback.",
    docs=CALLBACKS,
    live=True,
    requires=("ESC003",),
)
async def sends_events(context: Context) -> AsyncIterator[str]:
    """The workspace sends its events to this server."""
    url, wanted = (await place(context)).workspace.event_callback_url, f"{context.settings.public_url}{WEBHOOK}"
    if url != wanted:
        yield f"The workspace sends its events to {safe_url(url)}, not to {wanted}: no timeout is noticed."


@check(
    "ESC005",
    hint="Let the workspace send all events, or add the named ones.",
    docs=CALLBACKS,
    live=True,
    requires=("ESC004",),
)
async def sends_every_event(context: Context) -> AsyncIterator[str]:
    """The event filter of the workspace leaves out no event that the server needs."""
    events_filter = (await place(context)).workspace.events_filter
    if events_filter and (missing := set(EVENTS) - set(events_filter.split(","))):
        yield f"The workspace's event filter leaves out {', '.join(sorted(missing))}."


@check(
    "ESC006",
    hint="Correct the workflow: each target and the default need a queue that exists.",
    docs=WORKFLOWS,
    live=True,
    requires=("ESC003",),
)
async def queues_exist(context: Context) -> AsyncIterator[str]:
    """The workflow leads every task to a queue that exists."""
    workflow = (await place(context)).workflow
    known = {each.sid for each in await context.cached(task_queues)}
    if missing := sorted(queues_of(workflow) - known):
        yield f"The workflow leads to queues that do not exist: {', '.join(map(masked, missing))}."
    routes = json.loads(workflow.configuration or "{}").get("task_routing", {})
    if not (routes.get("default_filter") or {}).get("queue"):
        yield "The workflow has no default queue: a task that fits no rule is cancelled at once."


@check(
    "ESC007",
    hint="Add a worker with the attributes that the queue asks for (agent/routing.yml shows them).",
    docs="https://www.twilio.com/docs/taskrouter/api/worker",
    live=True,
    requires=("ESC006",),
)
async def queues_have_workers(context: Context) -> AsyncIterator[str]:
    """Every queue of the workflow has a worker."""
    workspace = context.account.taskrouter.v1.workspaces((await place(context)).workspace.sid)
    for queue in await context.cached(task_queues):
        if queue.sid not in queues_of((await place(context)).workflow):
            continue
        if not await list_records(workspace.workers, task_queue_sid=queue.sid):
            yield f"No worker serves the queue {queue.friendly_name} ({queue.target_workers}): its tasks time out."


@check(
    "ESC008",
    hint="Run agent setup apply, or copy the queues and rules of TaskRouter into agent/routing.yml.",
    docs=WORKFLOWS,
    live=True,
    requires=("ESC001", "ESC006"),
)
async def equals_routing_file(context: Context) -> AsyncIterator[str]:
    """TaskRouter has the queues and rules of agent/routing.yml."""
    routing = load(context.root / "agent" / "routing.yml")
    queues = {queue.friendly_name: queue for queue in await context.cached(task_queues)}
    for name, workers in routing.queues.items():
        if name not in queues:
            yield f"agent/routing.yml has the queue {name}, and TaskRouter has none of that name."
        elif queues[name].target_workers != workers:
            yield f"The queue {name} takes {queues[name].target_workers}, and in agent/routing.yml {workers}."
    if routing.queues.keys() <= queues.keys():
        wanted = workflow_configuration(routing, {name: queue.sid for name, queue in queues.items()})
        if comparable((await place(context)).workflow.configuration) != comparable(json.dumps(wanted)):
            yield "The workflow has other rules than agent/routing.yml: tasks reach other workers than it says."


@dataclass
class Place:
    """A workflow and the workspace that has it."""

    workspace: Any
    workflow: Any


async def find_place(context: Context) -> Place | None:
    """The workflow and its workspace, found by a search of all workspaces. None when no workspace has the workflow."""
    workspaces = context.account.taskrouter.v1.workspaces
    for workspace in await list_records(workspaces):
        try:
            workflow = await workspaces(workspace.sid).workflows(context.settings.workflow_sid).fetch_async()
        except TwilioRestException as error:
            if error.status != 404:
                raise
        else:
            return Place(workspace, workflow)
    return None


async def place(context: Context) -> Place:
    """For checks that require ESC003."""
    found = await context.cached(find_place)
    assert found
    return found


async def task_queues(context: Context) -> list[Any]:
    workspace = (await place(context)).workspace
    return await list_records(context.account.taskrouter.v1.workspaces(workspace.sid).task_queues)


def queues_of(workflow: Any) -> set[str]:
    return set(re.findall("WQ[0-9a-f]{32}", workflow.configuration or ""))
