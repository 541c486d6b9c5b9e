"""Accounts whose errors do not reach the server."""

from __future__ import annotations

from app.observability.twilio_events import ERROR_LOGGED
from tests.kit.healthy_project import HealthyProject, fails, passes


def healthy(project: HealthyProject) -> None:
    project.simulated.event_streams.subscribe()


def types(project: HealthyProject) -> dict[str, int]:
    """The event types of the subscription."""
    (known,) = project.simulated.event_streams.types.values()
    found: dict[str, int] = known
    return found


@fails("EVT001")
def a_sink_for_another_address(project: HealthyProject) -> None:
    (sink,) = project.simulated.event_streams.sinks.values()
    sink["sink_configuration"]["destination"] = "https://before.example/webhooks/events"


@fails("EVT001")
def no_sink(project: HealthyProject) -> None:
    project.simulated.event_streams.sinks.clear()


@passes("EVT001")
def a_second_sink(project: HealthyProject) -> None:
    project.simulated.event_streams.subscribe("https://before.example/webhooks/events")


@fails("EVT002")
def a_sink_that_has_failed(project: HealthyProject) -> None:
    (sink,) = project.simulated.event_streams.sinks.values()
    sink["status"] = "failed"


@fails("EVT003")
def no_subscription(project: HealthyProject) -> None:
    project.simulated.event_streams.subscriptions.clear()


@fails("EVT003")
def a_subscription_without_errors(project: HealthyProject) -> None:
    del types(project)[ERROR_LOGGED]


@passes("EVT003")
def a_subscription_with_more_types(project: HealthyProject) -> None:
    types(project)["com.twilio.messaging.message.failed"] = 7


@fails("EVT004")
def a_region_without_it(project: HealthyProject) -> None:
    project.move("au1", without="events")
