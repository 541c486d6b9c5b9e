"""Projects that are not as they were made."""

from __future__ import annotations

import importlib.util
from importlib import import_module, metadata

from app.capability import Capability
from kit.registry import ANSWERS
from tests.kit.healthy_project import Patient, sick, well

SENTENCES = import_module("agent.phrases" if importlib.util.find_spec("agent.phrases") else "agent.texts")
VERSION = metadata.version


def pretend(patient: Patient, package: str, version: str | None) -> None:
    def known(name: str) -> str:
        if name == package and version is None:
            raise metadata.PackageNotFoundError(name)
        return version if name == package and version else VERSION(name)

    patient.patch.setattr("kit.doctor.project.metadata.version", known)


@sick("PRJ001")
def another_folder(patient: Patient) -> None:
    (patient.root / ".copier-answers.yml").unlink()


@sick("PRJ002")
def an_old_python(patient: Patient) -> None:
    patient.patch.setattr("kit.doctor.project.platform.python_version", lambda: "3.10.14")


@well("PRJ002")
def a_new_python(patient: Patient) -> None:
    patient.patch.setattr("kit.doctor.project.platform.python_version", lambda: "3.14.1")


@sick("PRJ003")
def a_package_out_of_range(patient: Patient) -> None:
    pretend(patient, "fastapi", "0.1.0")


@sick("PRJ003")
def a_package_that_is_not_there(patient: Patient) -> None:
    pretend(patient, "structlog", None)


@well("PRJ003")
def a_newer_release_within_the_range(patient: Patient) -> None:
    pretend(patient, "fastapi", "0.999.0")


@sick("PRJ004")
def a_sentence_that_app_needs_is_missing(patient: Patient) -> None:
    patient.patch.delattr(SENTENCES, "APOLOGY")


@sick("PRJ005")
def an_answer_that_was_edited(patient: Patient) -> None:
    patient.answer(level="1" if ANSWERS["level"] != "1" else "2")


@sick("PRJ005")
def a_language_that_was_edited(patient: Patient) -> None:
    """Of calls; people who write have no list of languages."""
    patient.answer(path="manual" if ANSWERS["path"] != "manual" else "tac", languages=["xx-XX"])


@well("PRJ005")
def an_answer_that_the_code_does_not_have(patient: Patient) -> None:
    patient.answer(project_name="Another name", outcome="commerce", of_tomorrow="yes")


@sick("PRJ006")
def a_capability_that_the_answers_do_not_bring(patient: Patient) -> None:
    import app.features

    patient.patch.setattr("app.features.CAPABILITIES", [*app.features.CAPABILITIES, Capability])


@sick("PRJ007")
def an_empty_prompt(patient: Patient) -> None:
    (patient.root / "agent" / "prompt.md").write_text(" \n")


@sick("PRJ007")
def a_conflict_in_the_prompt(patient: Patient) -> None:
    (patient.root / "agent" / "prompt.md").write_text(f"{7 * '<'} before\nYou\n=======\nYou\n{7 * '>'} after\n")


@well("PRJ007")
def a_prompt_with_a_line_under_its_title(patient: Patient) -> None:
    (patient.root / "agent" / "prompt.md").write_text("You are\n=======\n")


@sick("PRJ008", "PRJ003")
def a_release_that_the_guards_are_not_for(patient: Patient) -> None:
    pretend(patient, "twilio", "9.99.0")


@well("PRJ008")
def a_patch_of_the_same_release(patient: Patient) -> None:
    pretend(patient, "twilio", "9.13.7")
