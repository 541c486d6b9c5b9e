"""Evaluators that lack a file."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails, passes

OPERATORS = ["sentiment", "summary", "script_adherence"]
OPERATOR = "{display_name: Mine, description: x, prompt: Judge it., output_format: TEXT}"


def healthy(project: HealthyProject) -> None:
    """With the script that an operator needs."""
    (project.root / "agent" / "script.md").write_text("- recording: Say that the call is recorded.\n")
    choose(project, OPERATORS)


def choose(project: HealthyProject, operators: list[str]) -> None:
    project.answer(operators=operators)
    project.patch.setattr("app.config.OPERATORS", operators)


@fails("EVA001")
def no_script(project: HealthyProject) -> None:
    (project.root / "agent" / "script.md").unlink()


@fails("EVA001")
def a_script_without_a_line(project: HealthyProject) -> None:
    (project.root / "agent" / "script.md").write_text("# Script\n\n")


@fails("EVA001")
def an_operator_that_is_no_operator(project: HealthyProject) -> None:
    (project.root / "agent" / "operator.yml").write_text("display_name: Mine")
    choose(project, [*OPERATORS, "custom"])


@passes("EVA001")
def an_operator_of_the_project(project: HealthyProject) -> None:
    (project.root / "agent" / "operator.yml").write_text(OPERATOR)
    choose(project, [*OPERATORS, "custom"])


@passes("EVA001")
def no_script_that_no_operator_needs(project: HealthyProject) -> None:
    (project.root / "agent" / "script.md").unlink()
    choose(project, ["sentiment", "summary"])
