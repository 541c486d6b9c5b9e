"""Workflows that lead to nobody, or tell nobody."""

from __future__ import annotations

import json
import re
from typing import Any

from app.escalation.routing import load, workflow
from app.escalation.webhooks import EVENTS
from kit.defaults import PUBLIC_URL, settings
from kit.simulated_twilio.taskrouter import WORKSPACE
from tests.kit.healthy_project import Patient, sick, well


def healthy(patient: Patient) -> None:
    known: Any = settings()
    workspaces = patient.simulated.workspaces
    workspaces.add("Another")
    workspaces.known[WORKSPACE]["event_callback_url"] = f"{PUBLIC_URL}/webhooks/taskrouter"
    routing = load(patient.root / "agent" / "routing.yml")
    queues = {
        name: workspaces.add_part(WORKSPACE, "TaskQueues", {"friendly_name": name, "target_workers": workers})["sid"]
        for name, workers in routing.queues.items()
    }
    parts = workspaces.parts[WORKSPACE]
    parts["Workflows"][known.workflow_sid] = {
        "sid": known.workflow_sid,
        "friendly_name": "escalations",
        "configuration": json.dumps(workflow(routing, queues)),
        "assignment_callback_url": f"{PUBLIC_URL}/webhooks/taskrouter/assignment",
    }
    workspaces.add_part(
        WORKSPACE, "Workers", {"friendly_name": "Alice", "attributes": "{}", "queues": [*queues.values()]}
    )


def part(patient: Patient, kind: str) -> dict[str, Any]:
    known: dict[str, Any] = next(iter(patient.simulated.workspaces.parts[WORKSPACE][kind].values()))
    return known


def routes(patient: Patient, queue: str) -> None:
    target = {"targets": [{"queue": queue}], "expression": "vip == true"}
    own = json.loads(part(patient, "Workflows")["configuration"])
    own["task_routing"]["filters"] = [target]
    part(patient, "Workflows")["configuration"] = json.dumps(own)


@sick("ESC001")
def a_rule_that_fits_nothing(patient: Patient) -> None:
    path = patient.root / "agent" / "routing.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("1 == 1", "skils HAS 1"))


@sick("ESC002")
def the_last_queue_comes_too_late(patient: Patient) -> None:
    targets = "[{queue: everyone, timeout: 400}, {queue: everyone}]"
    slow = f"filters: [{{name: Slow, expression: vip == true, targets: {targets}}}]"
    workflow = (
        f"worker: {{level: 1}}\nqueues: {{everyone: 1 == 1}}\nworkflow:\n  name: x\n  {slow}\n  default: everyone\n"
    )
    (patient.root / "agent" / "routing.yml").write_text(workflow)


@well("ESC002")
def the_last_queue_comes_in_time(patient: Patient) -> None:
    the_last_queue_comes_too_late(patient)
    patient.patch.setenv("AGENT_QUEUE_TIMEOUT", "600")


@sick("ESC003")
def no_workflow(patient: Patient) -> None:
    patient.simulated.workspaces.parts[WORKSPACE]["Workflows"].clear()


@sick("ESC004")
def events_to_nobody(patient: Patient) -> None:
    patient.simulated.workspaces.known[WORKSPACE]["event_callback_url"] = None


@sick("ESC005")
def events_that_are_left_out(patient: Patient) -> None:
    patient.simulated.workspaces.known[WORKSPACE]["events_filter"] = "task.created,task.completed"


@well("ESC005")
def the_events_that_count(patient: Patient) -> None:
    patient.simulated.workspaces.known[WORKSPACE]["events_filter"] = ",".join([*EVENTS, "worker.created"])


@sick("ESC006")
def a_queue_that_was_deleted(patient: Patient) -> None:
    routes(patient, "WQ" + "9" * 32)


@sick("ESC006")
def no_default_queue(patient: Patient) -> None:
    routes(patient, part(patient, "TaskQueues")["sid"])
    own = json.loads(part(patient, "Workflows")["configuration"])
    del own["task_routing"]["default_filter"]
    part(patient, "Workflows")["configuration"] = json.dumps(own)


@sick("ESC007")
def nobody_at_work(patient: Patient) -> None:
    patient.simulated.workspaces.parts[WORKSPACE]["Workers"].clear()


@sick("ESC007")
def everybody_is_elsewhere(patient: Patient) -> None:
    part(patient, "Workers")["queues"] = []


@well("ESC007")
def a_queue_of_another_workflow(patient: Patient) -> None:
    unused = {"friendly_name": "unused", "target_workers": "1 == 2"}
    patient.simulated.workspaces.add_part(WORKSPACE, "TaskQueues", unused)


@sick("ESC008")
def a_rule_that_was_not_applied(patient: Patient) -> None:
    path = patient.root / "agent" / "routing.yml"
    targets = "[{queue: everyone}]"
    rule = f"filters:\n    - {{name: Late, expression: vip == true, targets: {targets}}}\n"
    path.write_text(re.sub(r"filters:( \[\])?\n", rule, path.read_text(encoding="utf-8")))


@sick("ESC008")
def a_queue_that_was_not_made(patient: Patient) -> None:
    path = patient.root / "agent" / "routing.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("queues:\n", "queues:\n  late: 1 == 1\n"))


@sick("ESC008")
def a_queue_of_other_workers(patient: Patient) -> None:
    part(patient, "TaskQueues")["target_workers"] = "1 == 2"


@well("ESC008")
def numbers_that_come_back_as_text(patient: Patient) -> None:
    own = part(patient, "Workflows")
    own["configuration"] = re.sub(r": (\d+)", r': "\1"', own["configuration"])
