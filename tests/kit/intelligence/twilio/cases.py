"""Intelligence configurations that are not linked, do not run, or send their results elsewhere."""

from __future__ import annotations

from typing import Any

from app.intelligence.twilio.checks import IDS
from app.intelligence.twilio.payload import TWILIO_OPERATORS
from kit.defaults import PUBLIC_URL, settings
from kit.simulated_twilio.product import identifier
from tests.kit.healthy_project import HealthyProject, fails, passes
from tests.kit.intelligence.cases import OPERATORS
from tests.kit.orchestrator.cases import configuration

OWN = identifier("intelligence_operator", 1)


def rule(operator: str, **fields: Any) -> dict[str, Any]:
    trigger = "CONVERSATION_END" if TWILIO_OPERATORS.get(operator) == "summary" else "COMMUNICATION"
    return {
        "operators": [{"id": operator, "parameters": {}}],
        "triggers": [{"on": trigger, **({"parameters": {"count": 3}} if trigger == "COMMUNICATION" else {})}],
        "actions": [{"type": "WEBHOOK", "method": "POST", "url": f"{PUBLIC_URL}/webhooks/intelligence"}],
        **fields,
    }


def healthy(project: HealthyProject) -> None:
    known: Any = settings()
    rules = [rule(IDS.get(kind, OWN)) for kind in OPERATORS]
    project.simulated.intelligence_configurations.add(known.intelligence_configuration_id, rules)
    configuration(project)["intelligenceConfigurationIds"] = [known.intelligence_configuration_id]


def rules(project: HealthyProject) -> list[dict[str, Any]]:
    known: list[dict[str, Any]] = next(iter(project.simulated.intelligence_configurations.configurations.values()))[
        "rules"
    ]
    return known


@fails("INT004")
def no_configuration(project: HealthyProject) -> None:
    project.simulated.intelligence_configurations.configurations.clear()


@fails("INT005")
def a_link_to_another_configuration(project: HealthyProject) -> None:
    configuration(project)["intelligenceConfigurationIds"] = [identifier("intelligence_configuration", 9)]


@fails("INT006")
def an_operator_without_a_rule(project: HealthyProject) -> None:
    del rules(project)[1]


@fails("INT006")
def no_operator_of_your_own(project: HealthyProject) -> None:
    del rules(project)[2]


@passes("INT006")
def two_operators_in_one_rule(project: HealthyProject) -> None:
    rules(project)[0]["operators"].append(rules(project).pop(2)["operators"][0])


@fails("INT007")
def a_webhook_with_an_old_address(project: HealthyProject) -> None:
    rules(project)[0]["actions"][0]["url"] = "https://4f3a.ngrok-free.app/webhooks/intelligence"


@fails("INT007")
def a_webhook_by_get(project: HealthyProject) -> None:
    rules(project)[0]["actions"][0]["method"] = "GET"


@passes("INT007")
def a_second_webhook_beside_ours(project: HealthyProject) -> None:
    rules(project)[0]["actions"].insert(0, {"type": "WEBHOOK", "method": "GET", "url": "https://example.com/"})


@fails("INT008")
def a_rule_without_a_trigger(project: HealthyProject) -> None:
    rules(project)[0]["triggers"] = []


@fails("INT008")
def a_summary_of_every_sentence(project: HealthyProject) -> None:
    rules(project)[1]["triggers"] = [{"on": "COMMUNICATION", "parameters": {"count": 3}}]


@fails("INT008")
def sentiment_after_the_end(project: HealthyProject) -> None:
    rules(project)[0]["triggers"] = [{"on": "CONVERSATION_END"}]


@passes("INT008")
def an_operator_of_your_own_at_the_end(project: HealthyProject) -> None:
    rules(project)[2]["triggers"] = [{"on": "CONVERSATION_END"}]


@fails("INT009")
def an_operator_at_every_sentence(project: HealthyProject) -> None:
    rules(project)[0]["triggers"] = [{"on": "COMMUNICATION"}]


@fails("INT009")
def another_count_than_that_of_the_settings(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_OPERATOR_COUNT", "5")


@passes("INT009")
def the_count_of_the_settings(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_OPERATOR_COUNT", "1")
    for each in rules(project):
        each["triggers"] = [{"on": trigger["on"]} for trigger in each["triggers"]]
