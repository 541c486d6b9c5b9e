"""Numbers that ring elsewhere."""

from __future__ import annotations

from typing import Any

from kit import defaults
from tests.kit.healthy_project import Patient, sick, well

APPLICATION = "AP" + "1" * 32


def healthy(patient: Patient) -> None:
    number(patient)["voice_url"] = f"{defaults.PUBLIC_URL}/twiml"


def number(patient: Patient) -> dict[str, Any]:
    known: dict[str, Any] = next(iter(patient.simulated.numbers.known.values()))
    return known


@sick("NUM001", "MSG003")
def no_number(patient: Patient) -> None:
    patient.simulated.numbers.known.clear()


@sick("NUM002")
def the_address_of_yesterday(patient: Patient) -> None:
    number(patient)["voice_url"] = "https://user:a-key-of-nobody@4f3a.ngrok-free.app/twiml?key=a-key-of-nobody"


@sick("NUM002")
def a_slash_too_much(patient: Patient) -> None:
    number(patient)["voice_url"] = f"{defaults.PUBLIC_URL}/twiml/"


@well("NUM002")
def another_number_beside_it(patient: Patient) -> None:
    patient.simulated.numbers.add("+15005550002")


@sick("NUM003")
def calls_by_get(patient: Patient) -> None:
    number(patient)["voice_method"] = "GET"


@sick("NUM004")
def an_application_answers(patient: Patient) -> None:
    number(patient)["voice_application_sid"] = APPLICATION
    patient.simulated.numbers.applications[APPLICATION] = {"voice_url": "https://example.com/voice"}


@well("NUM004")
def an_application_that_points_here(patient: Patient) -> None:
    number(patient).update(voice_application_sid=APPLICATION, voice_url="")
    patient.simulated.numbers.applications[APPLICATION] = {"voice_url": f"{defaults.PUBLIC_URL}/twiml"}


@sick("NUM005")
def a_trunk_takes_the_calls(patient: Patient) -> None:
    number(patient)["trunk_sid"] = "TK" + "1" * 32


@sick("NUM006")
def a_number_for_texts(patient: Patient) -> None:
    number(patient)["capabilities"] = {"voice": False, "sms": True}


@sick("NUM006")
def a_number_for_faxes(patient: Patient) -> None:
    number(patient)["voice_receive_mode"] = "fax"


@sick("NUM007")
def calls_are_processed_in_ireland(patient: Patient) -> None:
    patient.simulated.regions.known[defaults.CALLED] = "ie1"


@well("NUM007")
def a_route_to_the_same_region(patient: Patient) -> None:
    patient.simulated.regions.known[defaults.CALLED] = "US1"
