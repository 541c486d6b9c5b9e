"""Messages that never get here, or are answered twice."""

from __future__ import annotations

from typing import Any

from kit import defaults
from tests.kit.healthy_project import Patient, sick, well
from tests.kit.orchestrator.cases import configuration

CALLBACK = {"url": f"{defaults.PUBLIC_URL}/webhooks/conversations", "method": "POST"}


def healthy(patient: Patient) -> None:
    known = configuration(patient)
    known["statusCallbacks"] = [dict(CALLBACK)]
    known["channelSettings"]["SMS"] = {"captureRules": [{"from": "*", "to": defaults.CALLED}]}
    number(patient)["sms_url"] = ""  # a new number has a webhook of Twilio's own


def number(patient: Patient) -> dict[str, Any]:
    known: dict[str, Any] = next(iter(patient.simulated.numbers.known.values()))
    return known


@sick("MSG001")
def the_callback_of_yesterday(patient: Patient) -> None:
    configuration(patient)["statusCallbacks"] = [
        {**CALLBACK, "url": "https://4f3a.ngrok-free.app/webhooks/conversations"}
    ]


@sick("MSG001")
def a_callback_by_get(patient: Patient) -> None:
    configuration(patient)["statusCallbacks"][0]["method"] = "GET"


@well("MSG001")
def another_callback_beside_it(patient: Patient) -> None:
    configuration(patient)["statusCallbacks"].insert(0, {"url": "https://example.com/", "method": "GET"})


@sick("MSG002")
def no_rule_for_the_number(patient: Patient) -> None:
    configuration(patient)["channelSettings"]["SMS"]["captureRules"] = [{"from": "*", "to": "+15005550002"}]


@sick("MSG002")
def only_what_goes_out(patient: Patient) -> None:
    configuration(patient)["channelSettings"]["SMS"]["captureRules"] = [{"from": defaults.CALLED, "to": "*"}]


@sick("MSG002")
def no_rule_for_whatsapp(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_WHATSAPP_NUMBER", "whatsapp:+15005550003")


@well("MSG002")
def a_rule_for_whatsapp(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_WHATSAPP_NUMBER", "+15005550003")
    rule = {"from": "*", "to": "whatsapp:+15005550003"}
    configuration(patient)["channelSettings"]["WHATSAPP"] = {"captureRules": [rule]}


@sick("MSG003")
def a_number_without_texts(patient: Patient) -> None:
    number(patient)["capabilities"] = {"voice": True, "sms": False}


@sick("MSG004")
def a_webhook_of_the_number(patient: Patient) -> None:
    number(patient)["sms_url"] = "https://demo.twilio.com/welcome/sms/reply/"


@sick("MSG004")
def an_application_of_the_number(patient: Patient) -> None:
    number(patient)["sms_application_sid"] = "AP" + "2" * 32
