"""Evaluators that lack a file."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails, passes

OPERATORS = ["sentiment", "summary", "script_adherence", "custom"]
OPERATOR = "{display_name: Mine, description: x, prompt: Judge it., output_format: TEXT}"


def healthy(project: HealthyProject) -> None:
    """With the files of every operator."""
    (project.root / "agent" / "script.md").write_text("- recording: Say that the call is recorded.\n")
    (project.root / "agent" / "operator.yml").write_text(OPERATOR)
    project.answer(operators=OPERATORS)
    project.patch.setattr("app.config.OPERATORS", OPERATORS)


@fails("EVA001")
def no_script(project: HealthyProject) -> None:
    (project.root / "agent" / "script.md").unlink()


@fails("EVA001")
def a_script_without_a_line(project: HealthyProject) -> None:
    (project.root / "agent" / "script.md").write_text("# Script\n\n")


@fails("EVA001")
def an_operator_that_is_no_operator(project: HealthyProject) -> None:
    (project.root / "agent" / "operator.yml").write_text("display_name: Mine")


@passes("EVA001")
def no_script_that_no_operator_needs(project: HealthyProject) -> None:
    (project.root / "agent" / "script.md").unlink()
    project.answer(operators=["sentiment", "summary"])
    project.patch.setattr("app.config.OPERATORS", ["sentiment", "summary"])
