"""Projects that are not as they were made."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import import_module, metadata
from types import SimpleNamespace
from typing import Any

from app.capability import Capability
from app.channel import Channel
from app.config import ANSWERS, ANSWERS_FILE
from app.features import FEATURES
from kit.doctor.project import pyproject
from tests.kit.healthy_project import PROJECT, HealthyProject, fails, passes

SENTENCES = import_module("agent.phrases" if importlib.util.find_spec("agent.phrases") else "agent.texts")
VERSION, DISTRIBUTION = metadata.version, metadata.distribution
UV = {"INSTALLER": "uv", "direct_url.json": json.dumps({"url": (PROJECT / "app").as_uri(), "dir_info": {}})}


def pretend(project: HealthyProject, package: str, version: str | None) -> None:
    def known(name: str) -> str:
        if name == package and version is None:
            raise metadata.PackageNotFoundError(name)
        return version if name == package and version else VERSION(name)

    project.patch.setattr("kit.doctor.project.metadata.version", known)


@fails("PRJ017")
def an_agent_that_does_not_say_what_it_is(project: HealthyProject) -> None:
    name = "GREETING" if SENTENCES.__name__ == "agent.phrases" else "INTRODUCTION"
    project.patch.setattr(SENTENCES, name, "Hello, this is Laila. I can email you.")


@passes("PRJ017")
def an_agent_that_says_it_in_words_of_its_own(project: HealthyProject) -> None:
    name = "GREETING" if SENTENCES.__name__ == "agent.phrases" else "INTRODUCTION"
    project.patch.setattr(SENTENCES, name, "お電話ありがとうございます。AIが承ります。")


@fails("PRJ001")
def another_folder(project: HealthyProject) -> None:
    (project.root / ANSWERS_FILE).unlink()


@fails("PRJ002")
def an_old_python(project: HealthyProject) -> None:
    project.patch.setattr("kit.doctor.project.platform.python_version", lambda: "3.10.14")


@passes("PRJ002")
def a_new_python(project: HealthyProject) -> None:
    project.patch.setattr("kit.doctor.project.platform.python_version", lambda: "3.14.1")


@fails("PRJ003")
def a_package_out_of_range(project: HealthyProject) -> None:
    pretend(project, "fastapi", "0.1.0")


@fails("PRJ003")
def a_package_that_is_not_there(project: HealthyProject) -> None:
    pretend(project, "structlog", None)


@passes("PRJ003")
def a_newer_release_within_the_range(project: HealthyProject) -> None:
    pretend(project, "fastapi", "0.999.0")


@fails("PRJ004")
def a_module_of_the_agent_with_an_error(project: HealthyProject) -> None:
    project.patch.setitem(sys.modules, "agent.tools", None)


@passes("PRJ004")
def a_sentence_that_app_needs_is_missing(project: HealthyProject) -> None:
    project.patch.delattr(SENTENCES, "APOLOGY")


@fails("PRJ005")
def an_answer_that_was_edited(project: HealthyProject) -> None:
    project.answer(level="1" if ANSWERS["level"] != "1" else "2")


@fails("PRJ005")
def a_language_that_was_edited(project: HealthyProject) -> None:
    """Of calls; people who write have no list of languages."""
    project.answer(path="manual" if ANSWERS["path"] != "manual" else "tac", languages=["xx-XX"])


@passes("PRJ005")
def an_answer_that_the_code_does_not_have(project: HealthyProject) -> None:
    project.answer(project_name="Another name", outcome="commerce", of_tomorrow="yes")


@fails("PRJ006")
def a_folder_that_is_not_listed(project: HealthyProject) -> None:
    """With all features in the folder of a channel: one of them alone would list the folder, too."""
    modules = [each.__module__.split(".") for each in FEATURES if issubclass(each, Channel)]
    channels = tuple(f"{package}.{folder}." for package, folder, *_ in modules)
    others = [each for each in FEATURES if not f"{each.__module__}.".startswith(channels)]
    project.patch.setattr("app.registry.FEATURES", others)


@passes("PRJ006")
def a_capability_of_the_user(project: HealthyProject) -> None:
    project.patch.setattr("app.registry.FEATURES", [*FEATURES, Capability])


@fails("PRJ007")
def an_empty_prompt(project: HealthyProject) -> None:
    (project.root / "agent" / "prompt.md").write_text(" \n")


@fails("PRJ007")
def a_conflict_in_the_prompt(project: HealthyProject) -> None:
    (project.root / "agent" / "prompt.md").write_text(f"{7 * '<'} before\nYou\n=======\nYou\n{7 * '>'} after\n")


@passes("PRJ007")
def a_prompt_with_a_line_under_its_title(project: HealthyProject) -> None:
    (project.root / "agent" / "prompt.md").write_text("You are\n=======\n")


@fails("PRJ008", "PRJ003")
def a_release_that_the_guards_are_not_for(project: HealthyProject) -> None:
    pretend(project, "twilio", "9.99.0")


@passes("PRJ008")
def a_patch_of_the_same_release(project: HealthyProject) -> None:
    pretend(project, "twilio", "9.13.7")


def install(project: HealthyProject, **files: str | None) -> None:
    """Install the server with these files of metadata; None: not at all."""
    name = pyproject(project.root / "app")["name"]

    def known(asked: str) -> Any:
        if asked != name:
            return DISTRIBUTION(asked)
        if None in files.values():
            raise metadata.PackageNotFoundError(name)
        return SimpleNamespace(read_text={**UV, **files}.get)

    project.patch.setattr("kit.doctor.project.metadata.distribution", known)


@fails("PRJ009")
def a_server_that_is_not_installed(project: HealthyProject) -> None:
    install(project, INSTALLER=None)


@fails("PRJ009")
def a_server_that_pip_installed(project: HealthyProject) -> None:
    install(project, INSTALLER="pip\n")


@fails("PRJ009")
def the_environment_of_another_project(project: HealthyProject) -> None:
    install(project, **{"direct_url.json": '{"url": "file:///another/app", "dir_info": {"editable": true}}'})


@passes("PRJ009")
def an_installation_that_is_not_editable(project: HealthyProject) -> None:
    install(project)


def add_tool(project: HealthyProject, tool: Any) -> None:
    tool.__module__ = "agent.tools"
    project.patch.setattr(f"agent.tools.{tool.__name__}", tool, raising=False)


@fails("PRJ016")
def a_tool_whose_argument_has_no_schema(project: HealthyProject) -> None:
    async def book(calendar: Channel) -> None:
        """Book something."""

    add_tool(project, book)


@passes("PRJ016")
def a_tool_whose_result_has_no_schema(project: HealthyProject) -> None:
    async def book(day: str) -> Channel:
        """Book something."""
        raise NotImplementedError

    add_tool(project, book)
