"""Projects with files in the way of an update."""

from __future__ import annotations

import subprocess
from pathlib import Path

from app.agent_module import AgentModule
from kit.migrations import MOVED
from tests.kit.healthy_project import HealthyProject, fails, passes


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@fails("PRJ010")
def a_module_beside_a_package_of_its_name(project: HealthyProject) -> None:
    write(project.root / "agent" / "tools" / "__init__.py")


@fails("PRJ010")
def a_module_that_hides_those_of_a_folder(project: HealthyProject) -> None:
    write(project.root / "agent" / "prices.py")
    write(project.root / "agent" / "prices" / "tea.py")


@passes("PRJ010")
def a_folder_of_texts_beside_a_module(project: HealthyProject) -> None:
    write(project.root / "agent" / "tools" / "prices.csv")


@fails("PRJ011")
def an_import_of_a_name_that_moved(project: HealthyProject) -> None:
    module, _, name = next(iter(MOVED)).rpartition(".")
    write(project.root / "agent" / "mine.py", f"from {module} import {name}\n")


@passes("PRJ011")
def a_text_with_a_name_that_moved(project: HealthyProject) -> None:
    module, _, name = next(iter(MOVED)).rpartition(".")
    write(project.root / "agent" / "mine.py", f'TEXT = """\nfrom {module} import {name}\n"""\n')
    write(project.root / "agent" / "broken.py", f"from {module} import {name}\n>>>>>>> after\n")


@fails("PRJ012", "PRJ013")
def a_name_that_the_template_keeps(project: HealthyProject) -> None:
    about_to_be_updated(project)
    project.answer(reserved=["/here"])
    write(project.root / "here.py")


@passes("PRJ012")
def caches_of_a_folder_that_an_update_took_away(project: HealthyProject) -> None:
    about_to_be_updated(project)
    project.answer(reserved=["/here"])
    write(project.root / "here" / "__pycache__" / "old.pyc")


@passes("PRJ012")
def a_reserved_name_of_a_project_that_is_not_updated(project: HealthyProject) -> None:
    project.answer(reserved=["here"])
    write(project.root / "here")


def commit(project: HealthyProject) -> None:
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "Everything"]):
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        subprocess.run(["git", *who, *command], cwd=project.root, check=True)


def about_to_be_updated(project: HealthyProject) -> None:
    project.before = ["level=2"]
    project.answer(_commit="v1.0.0")


@fails("PRJ013")
def no_git(project: HealthyProject) -> None:
    about_to_be_updated(project)


@fails("PRJ013")
def a_template_without_git(project: HealthyProject) -> None:
    about_to_be_updated(project)
    project.answer(_commit=None)
    commit(project)


@fails("PRJ013")
def a_file_that_is_not_committed(project: HealthyProject) -> None:
    about_to_be_updated(project)
    commit(project)
    write(project.root / "agent" / "mine.py")


@passes("PRJ013")
def everything_is_committed(project: HealthyProject) -> None:
    about_to_be_updated(project)
    commit(project)


def renamed(project: HealthyProject, **names: str) -> None:
    """A name of agent/tools.py that has another name now."""
    project.patch.setattr(AgentModule, "every", [])
    AgentModule("tools", {}, names)


@fails("PRJ014")
def a_name_of_the_agent_that_was_renamed(project: HealthyProject) -> None:
    renamed(project, order_place="order_status")
    project.patch.setattr("agent.tools.order_status", None, raising=False)


@passes("PRJ014")
def a_name_of_the_agent_that_has_both_names(project: HealthyProject) -> None:
    renamed(project, order_place="order_status")
    project.patch.setattr("agent.tools.order_status", None, raising=False)
    project.patch.setattr("agent.tools.order_place", None, raising=False)


def written_for(project: HealthyProject, outcome: str) -> None:
    project.answer(zone_delivered={"agent/prompt.md": {"outcome": outcome}, "README.md": {}})
    commit(project)


@fails("PRJ015")
def a_prompt_that_was_written_for_another_outcome(project: HealthyProject) -> None:
    written_for(project, "customer_service")
    project.answer(zone_delivered={"agent/prompt.md": {"outcome": "outbound"}})
    commit(project)


@passes("PRJ015")
def a_prompt_that_is_being_rewritten(project: HealthyProject) -> None:
    written_for(project, "customer_service")
    project.answer(zone_delivered={"agent/prompt.md": {"outcome": "outbound"}})
    write(project.root / "agent" / "prompt.md", "You call people.\n")


@passes("PRJ015")
def a_prompt_that_was_committed_with_the_new_answer(project: HealthyProject) -> None:
    written_for(project, "customer_service")
    project.answer(zone_delivered={"agent/prompt.md": {"outcome": "outbound"}})
    write(project.root / "agent" / "prompt.md", "You call people.\n")
    commit(project)
