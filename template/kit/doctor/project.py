"""The project itself: Python and packages, your answers against the code, what `agent/` owes to `app/`, guards."""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from kit.doctor.check import Context, check

UPDATES = "https://copier.readthedocs.io/en/stable/updating/"
ANEW = "Answer anew with copier update --vcs-ref=:current: -d NAME=VALUE, or take the file back: git checkout."
# A recorded answer, and what app/config.py calls it.
IN_CODE = {
    "aws_model": "MODEL",
    "aws_region": "REGION",
    "greeting_interruptible": "GREETING_INTERRUPTIBLE",
    "languages": "LANGUAGES",
    "operators": "OPERATORS",
    "partial_prompts": "PARTIAL_PROMPTS",
    "stt_provider": "TRANSCRIPTION_PROVIDER",
    "tts_provider": "TTS_PROVIDER",
}
CONVENTIONAL = ("checks.py", "checks", "resources.py", "commands.py", "fake.py", "scenarios")
# What app/ takes from agent/; and how it says which release of a package a guard is for.
IMPORT = re.compile(r"^from agent import ([a-z_, ]+)$", re.MULTILINE)
GUARD = re.compile(r"Drop when ([\w.-]+) > (\d+(?:\.\d+)*)\s+passes (\S+)")


@check("PRJ001", hint="Run agent doctor in the folder of the project, where its pyproject.toml is.", docs=UPDATES)
def folder(context: Context) -> Iterator[str]:
    """The command is run in the project's folder, and that is complete."""
    for name in ("pyproject.toml", ".copier-answers.yml", "agent/prompt.md", "app/main.py"):
        if not (context.root / name).is_file():
            yield f"There is no {name} in {context.root}."


@check(
    "PRJ002",
    hint="Take a Python of that range: uv python pin 3.13 && uv sync.",
    docs="https://docs.astral.sh/uv/concepts/python-versions/",
    requires=("PRJ001",),
)
def python(context: Context) -> Iterator[str]:
    """Python has a version that the project is tested with."""
    wanted = str(project(context).get("requires-python", ""))
    if not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        yield f"This is Python {platform.python_version()}; pyproject.toml wants {wanted}."


@check(
    "PRJ003",
    hint="Run uv sync. If you raised a version on purpose, run the tests and raise the range in pyproject.toml.",
    docs="https://docs.astral.sh/uv/concepts/projects/sync/",
    requires=("PRJ001",),
)
def packages(context: Context) -> Iterator[str]:
    """The installed packages are those that pyproject.toml asks for."""
    for line in dependencies(context.root):
        wanted = Requirement(line)
        if wanted.name == "twilio-agent-server":  # app/ itself
            continue
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            installed = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield f"{wanted.name} is not installed; pyproject.toml wants {wanted.specifier or 'it'}."
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            yield f"{wanted.name} {installed} is installed; pyproject.toml wants {wanted.specifier}."


@check(
    "PRJ004",
    hint="The message names the place. Names that are new in agent/ stand in the template's own files; copy them.",
    docs=UPDATES,
)
def imports(context: Context) -> Iterator[str]:
    """The app can be imported: agent/ has every name that app/ takes from it."""
    missing = list(owed(context.root))
    yield from missing
    if not missing:
        try:
            import_module("app.features")
            import_module("app.environment")
        except Exception as error:
            yield f"app/ cannot be imported: {type(error).__name__}: {error}"


def owed(root: Path) -> Iterator[str]:
    """Names that app/ takes from the modules of agent/, and that those do not have."""
    for path in sorted((root / "app").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for name in {name.strip() for names in IMPORT.findall(text) for name in names.split(",")}:
            module, _, alias = name.partition(" as ")
            try:
                known = import_module(f"agent.{module}")
            except Exception as error:
                yield f"agent/{module}.py cannot be imported: {type(error).__name__}: {error}"
                return
            for used in sorted(set(re.findall(rf"(?<![\w./\"']){alias or module}\.([A-Za-z]\w*)", text))):
                if not hasattr(known, used):
                    yield f"agent/{module}.py has no {used}, which {path.relative_to(root)} takes from it."


@check("PRJ005", hint=ANEW, docs=UPDATES, requires=("PRJ001", "PRJ004"))
def answered(context: Context) -> Iterator[str]:
    """The code was written for the answers in .copier-answers.yml."""
    from app import config

    recorded = context.answers
    for name, written in config.ANSWERS.items():
        if plain(recorded.get(name, written)) != written:
            yield f".copier-answers.yml says {name}={plain(recorded[name])}; the code was written for {name}={written}."
    for name, constant in IN_CODE.items():
        known = getattr(config, constant, None)
        if name in recorded and known is not None and plain(recorded[name]) != plain(known):
            yield f".copier-answers.yml says {name}={plain(recorded[name])}; app/config.py has {plain(known)}."
    provider, model = recorded.get("model_provider"), getattr(config, "MODEL", "")
    if provider and config.ANSWERS["path"] != "aws" and model.partition(":")[0] != provider:
        yield f".copier-answers.yml says model_provider={provider}; app/config.py has {model}."


@check("PRJ006", hint=ANEW, docs=UPDATES, requires=("PRJ001", "PRJ004"))
def listed(context: Context) -> Iterator[str]:
    """app/features.py lists what the answers bring, in their order."""
    from app.registry import folders

    registered = set(folders())
    for path in sorted((context.root / "app").rglob("__init__.py")):
        name = ".".join(path.parent.relative_to(context.root).parts)
        if name not in registered and any((path.parent / part).exists() for part in CONVENTIONAL):
            yield f"{name.replace('.', '/')}/ is there, but app/features.py does not list it."


@check(
    "PRJ007",
    hint="Write into agent/prompt.md who the agent is and what it may do.",
    docs="https://www.twilio.com/docs/voice/conversationrelay/best-practices",
    requires=("PRJ001",),
)
def prompt(context: Context) -> Iterator[str]:
    """The agent has a prompt."""
    text = (context.root / "agent" / "prompt.md").read_text(encoding="utf-8")
    if not text.strip():
        yield "agent/prompt.md is empty: the model is not told what it is."
    elif found := re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
        yield f"agent/prompt.md has the conflict mark {found[1]} of an update, which the model reads as instructions."


@check(
    "PRJ008",
    hint="Run the named test without the guard: drop the guard if it is green, or go back to the release.",
    docs="https://docs.astral.sh/uv/concepts/projects/dependencies/",
    requires=("PRJ001",),
)
def guards(context: Context) -> Iterator[str]:
    """The guards against other packages' defects are for the installed releases."""
    for path in sorted((context.root / "app").rglob("*.py")):
        for package, version, test in GUARD.findall(path.read_text(encoding="utf-8")):
            known = Version(version).release
            try:
                installed = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
            if Version(installed).release[: len(known)] > known:
                where = path.relative_to(context.root)
                yield f"{where} guards against {package} {version}; {installed} is installed ({test} shows the need)."


def dependencies(root: Path) -> Iterator[str]:
    """The packages of the project, of the server and of the workbench, as pyproject.toml of each lists them."""
    for folder in (root, root / "app", root / "kit"):
        file = folder / "pyproject.toml"
        if file.is_file():
            yield from tomllib.loads(file.read_text(encoding="utf-8"))["project"].get("dependencies", [])


def project(context: Context) -> dict[str, Any]:
    """`[project]` of pyproject.toml."""
    text = (context.root / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text)["project"]
    return found


def plain(value: Any) -> str:
    """An answer as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple | dict) else str(value)
