"""Messages that do not arrive, or are answered twice."""

from __future__ import annotations

from typing import Any

from kit import defaults
from tests.kit.healthy_project import HealthyProject, fails, passes
from tests.kit.orchestrator.cases import configuration

CALLBACK = {"url": f"{defaults.PUBLIC_URL}/webhooks/conversations", "method": "POST"}


def healthy(project: HealthyProject) -> None:
    known = configuration(project)
    known["statusCallbacks"] = [dict(CALLBACK)]
    known["channelSettings"]["SMS"] = {"captureRules": [{"from": "*", "to": defaults.CALLED}]}
    number(project)["sms_url"] = ""  # a new number has a webhook of Twilio's own


def number(project: HealthyProject) -> dict[str, Any]:
    known: dict[str, Any] = next(iter(project.simulated.numbers.records.values()))
    return known


@fails("MSG001")
def a_callback_with_an_old_address(project: HealthyProject) -> None:
    configuration(project)["statusCallbacks"] = [
        {**CALLBACK, "url": "https://4f3a.ngrok-free.app/webhooks/conversations"}
    ]


@fails("MSG001")
def a_callback_by_get(project: HealthyProject) -> None:
    configuration(project)["statusCallbacks"][0]["method"] = "GET"


@passes("MSG001")
def another_callback_beside_it(project: HealthyProject) -> None:
    configuration(project)["statusCallbacks"].insert(0, {"url": "https://example.com/", "method": "GET"})


@fails("MSG002")
def no_rule_for_the_number(project: HealthyProject) -> None:
    configuration(project)["channelSettings"]["SMS"]["captureRules"] = [{"from": "*", "to": "+15005550002"}]


@fails("MSG002")
def only_outgoing_messages(project: HealthyProject) -> None:
    configuration(project)["channelSettings"]["SMS"]["captureRules"] = [{"from": defaults.CALLED, "to": "*"}]


@fails("MSG002")
def no_rule_for_whatsapp(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_WHATSAPP_NUMBER", "whatsapp:+15005550003")


@passes("MSG002")
def a_rule_for_whatsapp(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_WHATSAPP_NUMBER", "+15005550003")
    rule = {"from": "*", "to": "whatsapp:+15005550003"}
    configuration(project)["channelSettings"]["WHATSAPP"] = {"captureRules": [rule]}


@fails("MSG003")
def a_number_without_texts(project: HealthyProject) -> None:
    number(project)["capabilities"] = {"voice": True, "sms": False}


@fails("MSG004")
def a_webhook_of_the_number(project: HealthyProject) -> None:
    number(project)["sms_url"] = "https://demo.twilio.com/welcome/sms/reply/"


@fails("MSG004")
def an_application_of_the_number(project: HealthyProject) -> None:
    number(project)["sms_application_sid"] = "AP" + "2" * 32


def registration(project: HealthyProject) -> Any:
    return project.simulated.messaging_services


def becomes(project: HealthyProject, phone_number: str) -> str:
    """Give the project another number. Returns its SID."""
    known = number(project)
    known["phone_number"] = phone_number
    project.patch.setenv("TWILIO_PHONE_NUMBER", phone_number)
    rule = {"from": "*", "to": phone_number}
    configuration(project)["channelSettings"]["SMS"] = {"captureRules": [rule]}
    return str(known["sid"])


@fails("MSG005")
def a_number_of_no_campaign(project: HealthyProject) -> None:
    services = registration(project)
    services.numbers = {service: [] for service in services.records}


@fails("MSG005")
def a_campaign_that_is_not_approved(project: HealthyProject) -> None:
    for campaigns in registration(project).campaigns.values():
        campaigns[0]["campaign_status"] = "FAILED"


@passes("MSG005")
def a_campaign_of_another_service(project: HealthyProject) -> None:
    services = registration(project)
    services.records = dict(reversed([(services.add("PN" + "9" * 32, "FAILED"), {}), *services.records.items()]))
    for sid, record in services.records.items():
        record["sid"] = sid


@fails("MSG005")
def a_toll_free_number_that_is_not_verified(project: HealthyProject) -> None:
    sid = becomes(project, "+18005550100")
    pending = {"tollfree_phone_number_sid": sid, "status": "PENDING_REVIEW"}
    registration(project).verifications = [pending, {"tollfree_phone_number_sid": "PN0", "status": "TWILIO_APPROVED"}]


@passes("MSG005")
def a_toll_free_number_that_is_verified(project: HealthyProject) -> None:
    sid = becomes(project, "+18005550100")
    registration(project).verifications = [{"tollfree_phone_number_sid": sid, "status": "TWILIO_APPROVED"}]


@passes("MSG005")
def a_number_of_another_country(project: HealthyProject) -> None:
    becomes(project, "+447400123456")
    a_number_of_no_campaign(project)
