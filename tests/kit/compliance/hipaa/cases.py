"""Contracts that are missing, numbers abroad, recordings for everybody, keys that were not revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import yaml

from app.compliance.hipaa.baa import FILE, parties
from app.registry import folders
from tests.kit.healthy_project import HealthyProject, fails, passes

TODAY = datetime.now(UTC).date()
AGREEMENT = {"signed": TODAY - timedelta(days=30), "by": "Ada Lovelace", "review": TODAY + timedelta(days=300)}


def healthy(project: HealthyProject) -> None:
    agree(project)


def agree(project: HealthyProject, **entries: Any) -> None:
    """Fill the checklist; `entries` replace those of a name."""
    filled = {name: AGREEMENT for name in parties()}
    (project.root / FILE).write_text(yaml.safe_dump({**filled, **entries}), encoding="utf-8")


def number(project: HealthyProject) -> dict[str, Any]:
    known: dict[str, Any] = next(iter(project.simulated.numbers.records.values()))
    return known


@fails("HIP001")
def an_empty_checklist(project: HealthyProject) -> None:
    (project.root / FILE).write_text("twilio:\n", encoding="utf-8")


@fails("HIP001")
def no_checklist(project: HealthyProject) -> None:
    (project.root / FILE).unlink()


@fails("HIP001")
def a_checklist_that_is_not_yaml(project: HealthyProject) -> None:
    (project.root / FILE).write_text("twilio: {signed", encoding="utf-8")


@fails("HIP001")
def no_name(project: HealthyProject) -> None:
    agree(project, twilio={**AGREEMENT, "by": None})


@fails("HIP001")
def a_word_for_a_day(project: HealthyProject) -> None:
    agree(project, hosting={**AGREEMENT, "signed": "soon"})


@fails("HIP001")
def a_contract_to_come(project: HealthyProject) -> None:
    agree(project, twilio={**AGREEMENT, "signed": TODAY + timedelta(days=2)})


@fails("HIP001")
def a_review_that_is_due(project: HealthyProject) -> None:
    agree(project, speech={**AGREEMENT, "review": TODAY - timedelta(days=1)})


@fails("HIP001")
def a_provider_of_a_later_answer(project: HealthyProject) -> None:
    project.patch.setattr("app.config.MODEL_KEYS", {"openai": ([], ""), "a_new_one": ([], "")})


@passes("HIP001")
def more_than_is_asked_for(project: HealthyProject) -> None:
    agree(project, answering_service={"signed": None}, twilio={**AGREEMENT, "contract": "2026/17"})


@fails("HIP002")
def a_number_abroad(project: HealthyProject) -> None:
    number(project)["phone_number"] = "+442071838750"
    project.patch.setenv("TWILIO_PHONE_NUMBER", "+442071838750")


@fails("HIP002")
def a_number_of_canada(project: HealthyProject) -> None:
    number(project)["phone_number"] = "+14165550100"
    project.patch.setenv("TWILIO_PHONE_NUMBER", "+14165550100")


@passes("HIP002")
def a_number_of_puerto_rico(project: HealthyProject) -> None:
    number(project)["phone_number"] = "+17875550100"
    project.patch.setenv("TWILIO_PHONE_NUMBER", "+17875550100")


def recorded(project: HealthyProject, **fields: Any) -> None:
    """A recording, encrypted if `fields` do not say otherwise."""
    key = {"type": "rsa-aes", "encryption_public_key_sid": "CR" + "0" * 32}
    project.simulated.recordings.add("CA" + "0" * 32, status="completed", **{"encryption_details": key, **fields})


def answered_with(project: HealthyProject, status: int) -> None:
    """Requests for the media of a recording have that status."""
    recorded(project)
    transport = project.simulated.transport
    normal = transport.handle_async_request

    async def handle(request: httpx2.Request) -> httpx2.Response:
        open_door = request.url.path.endswith(".wav") and "Authorization" not in request.headers
        return httpx2.Response(status) if open_door else await normal(request)

    project.patch.setattr(transport, "handle_async_request", handle)


@fails("HIP003")
def recordings_for_everybody(project: HealthyProject) -> None:
    answered_with(project, 200)


@fails("HIP003")
def recordings_elsewhere(project: HealthyProject) -> None:
    answered_with(project, 307)


@passes("HIP003")
def recordings_behind_a_password(project: HealthyProject) -> None:
    recorded(project)


@fails("HIP005")
def recordings_without_a_key(project: HealthyProject) -> None:
    recorded(project, encryption_details=None)


@passes("HIP005")
def recordings_with_a_key(project: HealthyProject) -> None:
    recorded(project)


RECORDS = "app.compliance.recording" in folders()


def without_a_key(project: HealthyProject) -> None:
    project.patch.delenv("TWILIO_API_SECRET")


(fails if RECORDS else passes)("HIP006")(without_a_key)


@fails("HIP004")
def a_key_that_was_not_revoked(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_API_KEY_OLD", "SK" + "1" * 32)
