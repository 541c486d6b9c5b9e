"""Workflows without workers, queues or events."""

from __future__ import annotations

import json
import re
from typing import Any

from app import config
from app.escalation import EVENTS
from app.escalation.routing import load, workflow_configuration
from kit.defaults import PUBLIC_URL, settings
from kit.simulated_twilio.taskrouter import WORKSPACE
from tests.kit.healthy_project import HealthyProject, fails, passes


def healthy(project: HealthyProject) -> None:
    known: Any = settings()
    workspaces = project.simulated.workspaces
    workspaces.add("Another")
    workspaces.records[WORKSPACE]["event_callback_url"] = f"{PUBLIC_URL}/webhooks/taskrouter"
    routing = load(project.root / "agent" / "routing.yml")
    queues = {
        name: workspaces.add_part(WORKSPACE, "TaskQueues", {"friendly_name": name, "target_workers": workers})["sid"]
        for name, workers in routing.queues.items()
    }
    parts = workspaces.parts[WORKSPACE]
    parts["Workflows"][known.workflow_sid] = {
        "sid": known.workflow_sid,
        "friendly_name": "escalations",
        "configuration": json.dumps(workflow_configuration(routing, queues)),
        "assignment_callback_url": f"{PUBLIC_URL}/webhooks/taskrouter/assignment",
    }
    workspaces.add_part(
        WORKSPACE, "Workers", {"friendly_name": "Alice", "attributes": "{}", "queues": [*queues.values()]}
    )


def part(project: HealthyProject, kind: str) -> dict[str, Any]:
    """The first part of this kind in the workspace."""
    known: dict[str, Any] = next(iter(project.simulated.workspaces.parts[WORKSPACE][kind].values()))
    return known


def routes(project: HealthyProject, queue: str) -> None:
    target = {"targets": [{"queue": queue}], "expression": "vip == true"}
    own = json.loads(part(project, "Workflows")["configuration"])
    own["task_routing"]["filters"] = [target]
    part(project, "Workflows")["configuration"] = json.dumps(own)


def routes_by_skill(project: HealthyProject) -> None:
    project.answer(routing="skills")
    project.patch.setattr(config, "ROUTING", "skills")


@fails("ESC001")
def a_rule_with_an_unknown_attribute(project: HealthyProject) -> None:
    path = project.root / "agent" / "routing.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("1 == 1", "skils HAS 1"))


@fails("ESC002")
def the_last_queue_comes_too_late(project: HealthyProject) -> None:
    routes_by_skill(project)
    targets = "[{queue: everyone, timeout: 400}, {queue: everyone}]"
    slow = f"filters: [{{name: Slow, expression: vip == true, targets: {targets}}}]"
    workflow = (
        f"worker: {{level: 1}}\nqueues: {{everyone: 1 == 1}}\nworkflow:\n  name: x\n  {slow}\n  default: everyone\n"
    )
    (project.root / "agent" / "routing.yml").write_text(workflow)


@passes("ESC002")
def the_last_queue_comes_in_time(project: HealthyProject) -> None:
    the_last_queue_comes_too_late(project)
    project.patch.setenv("AGENT_QUEUE_TIMEOUT", "600")


@fails("ESC003")
def no_workflow(project: HealthyProject) -> None:
    project.simulated.workspaces.parts[WORKSPACE]["Workflows"].clear()


@fails("ESC004")
def no_event_callback(project: HealthyProject) -> None:
    project.simulated.workspaces.records[WORKSPACE]["event_callback_url"] = None


@fails("ESC005")
def a_filter_without_needed_events(project: HealthyProject) -> None:
    project.simulated.workspaces.records[WORKSPACE]["events_filter"] = "task.created,task.completed"


@passes("ESC005")
def the_needed_events(project: HealthyProject) -> None:
    project.simulated.workspaces.records[WORKSPACE]["events_filter"] = ",".join([*EVENTS, "worker.created"])


@fails("ESC006")
def a_queue_that_was_deleted(project: HealthyProject) -> None:
    routes(project, "WQ" + "9" * 32)


@fails("ESC006")
def no_default_queue(project: HealthyProject) -> None:
    routes(project, part(project, "TaskQueues")["sid"])
    own = json.loads(part(project, "Workflows")["configuration"])
    del own["task_routing"]["default_filter"]
    part(project, "Workflows")["configuration"] = json.dumps(own)


@fails("ESC007")
def a_queue_without_workers(project: HealthyProject) -> None:
    project.simulated.workspaces.parts[WORKSPACE]["Workers"].clear()


@fails("ESC007")
def workers_of_other_queues(project: HealthyProject) -> None:
    part(project, "Workers")["queues"] = []


@passes("ESC007")
def a_queue_of_another_workflow(project: HealthyProject) -> None:
    unused = {"friendly_name": "unused", "target_workers": "1 == 2"}
    project.simulated.workspaces.add_part(WORKSPACE, "TaskQueues", unused)


@fails("ESC008")
def a_rule_that_was_not_applied(project: HealthyProject) -> None:
    routes_by_skill(project)
    path = project.root / "agent" / "routing.yml"
    targets = "[{queue: everyone}]"
    rule = f"filters:\n    - {{name: Late, expression: vip == true, targets: {targets}}}\n"
    path.write_text(path.read_text(encoding="utf-8").replace("filters:\n", rule))


@fails("ESC008")
def a_queue_that_was_not_created(project: HealthyProject) -> None:
    routes_by_skill(project)
    path = project.root / "agent" / "routing.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("queues:\n", "queues:\n  late: 1 == 1\n"))


@fails("ESC008")
def a_queue_of_other_workers(project: HealthyProject) -> None:
    part(project, "TaskQueues")["target_workers"] = "1 == 2"


@passes("ESC008")
def numbers_that_come_back_as_text(project: HealthyProject) -> None:
    own = part(project, "Workflows")
    own["configuration"] = re.sub(r": (\d+)", r': "\1"', own["configuration"])


@fails("ESC009")
def a_region_without_taskrouter(project: HealthyProject) -> None:
    project.move("au1", without="taskrouter")


@passes("ESC009")
def a_region_with_taskrouter(project: HealthyProject) -> None:
    project.move("au1")
