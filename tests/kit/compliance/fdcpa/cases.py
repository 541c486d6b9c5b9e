"""Calls about debts that say too much, or to whom the model alone decides."""

from __future__ import annotations

from app.compliance.fdcpa import sentences
from app.outbound.phrases import phrases
from tests.kit.healthy_project import HealthyProject, fails, passes


async def is_right_person(number: str, detail: str) -> bool:
    return False


def healthy(project: HealthyProject) -> None:
    project.patch.setattr(sentences.own, "is_right_person", is_right_person, raising=False)


@fails("FDC001")
def a_person_whom_the_model_confirms(project: HealthyProject) -> None:
    project.patch.delattr(sentences.own, "is_right_person")


@fails("FDC002")
def an_introduction_with_the_reason(project: HealthyProject) -> None:
    project.patch.setattr(phrases.own, "INTRODUCTION", "This is an AI assistant. It is about your debt.")


@fails("FDC002")
def a_message_with_a_word_of_your_own(project: HealthyProject) -> None:
    project.patch.setattr(sentences.own, "WORDS_AFTER", ["bank of foo"], raising=False)
    project.patch.setattr(sentences.own, "LIMITED_CONTENT", "This is the Bank of Foo.", raising=False)


@passes("FDC002")
def an_introduction_without_it(project: HealthyProject) -> None:
    project.patch.setattr(phrases.own, "INTRODUCTION", "This is an AI assistant calling for Example.")


@fails("FDC003")
def a_name_with_the_trade(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_BUSINESS_NAME", "Foo Debt Collectors")
