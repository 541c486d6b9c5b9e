"""Conversation configurations that take no calls, or pay for them twice."""

from __future__ import annotations

from tests.kit.healthy_project import Patient, sick, well
from tests.kit.orchestrator.cases import configuration


def healthy(patient: Patient) -> None:
    configuration(patient)["channelSettings"]["VOICE"] = {"statusTimeouts": {"inactive": 1, "closed": 5}}


@sick("CON001")
def no_calls(patient: Patient) -> None:
    del configuration(patient)["channelSettings"]["VOICE"]


@sick("CON002")
def speech_recognition_twice(patient: Patient) -> None:
    configuration(patient)["channelSettings"]["VOICE"]["captureRules"] = [{"from": "*", "to": "+15005550001"}]


@well("CON002")
def rules_that_are_none(patient: Patient) -> None:
    configuration(patient)["channelSettings"]["VOICE"]["captureRules"] = []
