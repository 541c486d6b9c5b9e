"""Payments without words."""

from __future__ import annotations

from app.compliance.pay import checks
from app.compliance.pay.phrases import phrases
from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("PAY001")
def an_amount_that_is_not_said(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "PAY_AMOUNT", "Please type in your card.", raising=False)


@fails("PAY001")
def silence_after_a_payment(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "PAID", " ", raising=False)


@passes("PAY001")
def another_currency(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_PAY_CURRENCY", "eur")


@fails("PAY002")
def a_language_that_pay_does_not_speak(project: HealthyProject) -> None:
    project.patch.setattr(checks, "FIRST_LANGUAGE", "ja-JP")
    project.patch.setattr(phrases, "PAY_PROMPTS", {"payment-card-number": "カード番号"}, raising=False)


@passes("PAY002")
def a_language_with_prompts(project: HealthyProject) -> None:
    project.patch.setattr(checks, "FIRST_LANGUAGE", "ja-JP")
    project.patch.setattr(phrases, "PAY_PROMPTS", dict.fromkeys(checks.STEPS, "番号"), raising=False)
