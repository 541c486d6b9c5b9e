"""Analyses that are not linked, do not run, or end elsewhere."""

from __future__ import annotations

from typing import Any

from agent import reactions as actions
from app import config
from app.intelligence.checks import IDS
from app.intelligence.payload import TWILIO_OPERATORS
from kit.defaults import PUBLIC_URL, settings
from kit.simulated_twilio.product import identifier
from tests.kit.healthy_project import Patient, sick, well
from tests.kit.orchestrator.cases import configuration

OWN = identifier("intelligence_operator", 1)
OPERATORS = ["sentiment", "summary", "custom"]


def rule(operator: str, **fields: Any) -> dict[str, Any]:
    trigger = "CONVERSATION_END" if TWILIO_OPERATORS.get(operator) == "summary" else "COMMUNICATION"
    return {
        "operators": [{"id": operator, "parameters": {}}],
        "triggers": [{"on": trigger}],
        "actions": [{"type": "WEBHOOK", "method": "POST", "url": f"{PUBLIC_URL}/webhooks/intelligence"}],
        **fields,
    }


def healthy(patient: Patient) -> None:
    """With the same operators in every project, so that each case fits."""
    known: Any = settings()
    patient.answer(operators=OPERATORS)
    patient.patch.setattr(config, "OPERATORS", OPERATORS)
    rules = [rule(IDS.get(kind, OWN)) for kind in OPERATORS]
    patient.simulated.intelligence_configurations.add(known.intelligence_configuration_id, rules)
    configuration(patient)["intelligenceConfigurationIds"] = [known.intelligence_configuration_id]


def rules(patient: Patient) -> list[dict[str, Any]]:
    known: list[dict[str, Any]] = next(iter(patient.simulated.intelligence_configurations.configurations.values()))[
        "rules"
    ]
    return known


@sick("INT001")
def a_file_in_a_folder_that_is_not_there(patient: Patient) -> None:
    patient.patch.setenv("AGENT_FAILED_SIGNALS", "nowhere/failed-signals.jsonl")


@well("INT001")
def a_file_beside_the_project(patient: Patient) -> None:
    patient.patch.setenv("AGENT_FAILED_SIGNALS", "failed-signals.jsonl")


@sick("INT002")
def alerts_that_anybody_can_read(patient: Patient) -> None:
    patient.patch.setenv("AGENT_ALERT_URL", "http://alerts.example.com/hook")


@sick("INT002")
def alerts_to_ourselves(patient: Patient) -> None:
    patient.patch.setenv("AGENT_ALERT_URL", f"{PUBLIC_URL}/alerts")


@well("INT002")
def alerts_to_somebody(patient: Patient) -> None:
    patient.patch.setenv("AGENT_ALERT_URL", "https://alerts.example.com/hook")


@sick("INT003")
def nobody_reacts(patient: Patient) -> None:
    patient.patch.delattr(actions, "on_sentiment")


@sick("INT004")
def no_configuration(patient: Patient) -> None:
    patient.simulated.intelligence_configurations.configurations.clear()


@sick("INT005")
def a_chain_with_a_gap(patient: Patient) -> None:
    configuration(patient)["intelligenceConfigurationIds"] = [identifier("intelligence_configuration", 9)]


@sick("INT006")
def an_operator_without_a_rule(patient: Patient) -> None:
    del rules(patient)[1]


@sick("INT006")
def no_operator_of_your_own(patient: Patient) -> None:
    del rules(patient)[2]


@well("INT006")
def two_operators_in_one_rule(patient: Patient) -> None:
    rules(patient)[0]["operators"].append(rules(patient).pop(2)["operators"][0])


@sick("INT007")
def the_webhook_of_yesterday(patient: Patient) -> None:
    rules(patient)[0]["actions"][0]["url"] = "https://4f3a.ngrok-free.app/webhooks/intelligence"


@sick("INT007")
def a_webhook_by_get(patient: Patient) -> None:
    rules(patient)[0]["actions"][0]["method"] = "GET"


@well("INT007")
def a_second_webhook_beside_ours(patient: Patient) -> None:
    rules(patient)[0]["actions"].insert(0, {"type": "WEBHOOK", "method": "GET", "url": "https://example.com/"})


@sick("INT008")
def a_rule_without_a_trigger(patient: Patient) -> None:
    rules(patient)[0]["triggers"] = []


@sick("INT008")
def a_summary_of_every_sentence(patient: Patient) -> None:
    rules(patient)[1]["triggers"] = [{"on": "COMMUNICATION"}]


@sick("INT008")
def a_mood_that_is_found_too_late(patient: Patient) -> None:
    rules(patient)[0]["triggers"] = [{"on": "CONVERSATION_END"}]


@well("INT008")
def an_operator_of_your_own_at_the_end(patient: Patient) -> None:
    rules(patient)[2]["triggers"] = [{"on": "CONVERSATION_END"}]
