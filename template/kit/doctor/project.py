"""The project: Python, packages and environment, the code and the answers, the names of `agent/`, guards."""

from __future__ import annotations

import json
import platform
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from kit.doctor.check import Context, answers_file, check, safe_url
from kit.doctor.sentences import empty

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
    "regulations": "REGULATIONS",
    "routing": "ROUTING",
    "stt_provider": "TRANSCRIPTION_PROVIDER",
    "tts_provider": "TTS_PROVIDER",
}
CONVENTIONAL = ("checks.py", "checks", "resources.py", "commands.py", "fake.py", "scenarios")
# "AI" in the languages that ConversationRelay speaks, and words near it.
AI = re.compile(
    r"(?<![A-Za-z])(?:AI|KI|IA)(?![A-Za-z])|(?i:artifici|künstlich|kunstmatig|sztuczn|automat|virtu|\b(chat|voice)?bots?\b)"
    "|人工知能|人工智[能慧]|自動|自动|인공지능|자동|एआई|कृत्रिम|स्वचालित"
)
# The release of a package that a guard is for.
GUARD = re.compile(r"Drop when ([\w.-]+) > (\d+(?:\.\d+)*)\s+passes (\S+)")


@check("PRJ001", hint="Run agent doctor in the folder of the project, where its pyproject.toml is.", docs=UPDATES)
def folder_is_complete(context: Context) -> Iterator[str]:
    """The command runs in the folder of a complete project."""
    for name in ("pyproject.toml", answers_file(), "agent/prompt.md", "app/main.py"):
        if not (context.root / name).is_file():
            yield f"There is no {name} in {context.root}."


@check(
    "PRJ002",
    hint="Take a Python of that range: uv python pin 3.13 && uv sync.",
    docs="https://docs.astral.sh/uv/concepts/python-versions/",
    requires=("PRJ001",),
)
def python_is_supported(context: Context) -> Iterator[str]:
    """Python has a version that the project is tested with."""
    wanted = str(pyproject(context.root).get("requires-python", ""))
    if not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        yield f"This is Python {platform.python_version()}; pyproject.toml wants {wanted}."


@check(
    "PRJ003",
    hint="Run uv sync. If you raised a version on purpose, run the tests and raise the range in pyproject.toml.",
    docs="https://docs.astral.sh/uv/concepts/projects/sync/",
    requires=("PRJ001",),
)
def packages_match(context: Context) -> Iterator[str]:
    """The installed packages are in the ranges of pyproject.toml."""
    server = pyproject(context.root / "app")["name"]  # PRJ009 examines it
    members = (context.root, context.root / "app", context.root / "kit")
    for wanted in [Requirement(line) for member in members for line in pyproject(member).get("dependencies", [])]:
        if wanted.name == server or (wanted.marker and not wanted.marker.evaluate()):
            continue
        try:
            installed = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield f"{wanted.name} is not installed; pyproject.toml wants {wanted.specifier or 'it'}."
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            yield f"{wanted.name} {installed} is installed; pyproject.toml wants {wanted.specifier}."


@check("PRJ004", hint="Correct the file that the message names, or take it back: git checkout.", docs=UPDATES)
def app_can_be_imported(context: Context) -> Iterator[str]:
    """The modules of agent/ and the app can be imported."""
    own = sorted(f"agent.{module.name}" for module in iter_modules(import_module("agent").__path__))
    for name in [*own, "app.main", "kit.cli"]:  # kit.cli has the commands of every folder
        try:
            import_module(name)
        except Exception as error:
            place = f"{name.replace('.', '/')}.py" if name.startswith("agent.") else "app/"
            yield f"{place} cannot be imported: {type(error).__name__}: {error}"
            return


@check("PRJ005", hint=ANEW, docs=UPDATES, requires=("PRJ001", "PRJ004"))
def code_matches_answers(context: Context) -> Iterator[str]:
    """The code was written for the recorded answers."""
    from app import config

    recorded, file = context.answers, answers_file()
    for name, written in config.ANSWERS.items():
        if plain(recorded.get(name, written)) != written:
            yield f"{file} says {name}={plain(recorded[name])}; the code was written for {name}={written}."
    for name, constant in IN_CODE.items():
        known = getattr(config, constant, None)
        if name in recorded and known is not None and plain(recorded[name]) not in (plain(known), "auto"):
            yield f"{file} says {name}={plain(recorded[name])}; app/config.py has {plain(known)}."
    provider, model = recorded.get("model_provider"), getattr(config, "MODEL", "")
    if provider and config.ANSWERS["path"] != "aws" and model.partition(":")[0] != provider:
        yield f"{file} says model_provider={provider}; app/config.py has {model}."


@check("PRJ006", hint=ANEW, docs=UPDATES, requires=("PRJ001", "PRJ004"))
def folders_are_registered(context: Context) -> Iterator[str]:
    """app/features.py lists every folder of a feature."""
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
def prompt_is_written(context: Context) -> Iterator[str]:
    """The agent has a prompt."""
    text = (context.root / "agent" / "prompt.md").read_text(encoding="utf-8")
    if not text.strip():
        yield "agent/prompt.md is empty: the model gets no instructions of yours."
    elif found := re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
        yield f"agent/prompt.md has the conflict mark {found[1]} of an update, which the model reads as instructions."


@check(
    "PRJ008",
    hint="Run the named test without the guard: drop the guard if it is green, or go back to the release.",
    docs="https://docs.astral.sh/uv/concepts/projects/dependencies/",
    requires=("PRJ001",),
)
def guards_match_releases(context: Context) -> Iterator[str]:
    """Every guard against a defect of a package was written for the installed release."""
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


@check(
    "PRJ009",
    hint="Run uv sync: it installs the server, the workbench and the releases of uv.lock.",
    docs="https://docs.astral.sh/uv/concepts/projects/sync/",
    requires=("PRJ001",),
)
def environment_is_synced(context: Context) -> Iterator[str]:
    """The environment was created by uv sync, for this project."""
    for member in (context.root / "app", context.root / "kit"):
        name = pyproject(member)["name"]
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            yield f"{name} is not installed: it is the package of {member.name}/."
            continue
        if (installer := (installed.read_text("INSTALLER") or "an unknown tool").strip()) != "uv":
            yield f"{name} was installed by {installer}, which does not read uv.lock."
        url = json.loads(installed.read_text("direct_url.json") or "{}").get("url", "")
        if Path(url2pathname(urlsplit(url).path)).resolve() != member.resolve():
            yield f"{name} is installed from {safe_url(url)}, not from {member.name}/ of this project."


@check(
    "PRJ016",
    hint="Correct the function that the message names. docs/develop.md says what types a tool may have.",
    docs="https://docs.pydantic.dev/latest/concepts/types/",
    requires=("PRJ004",),
)
def tools_have_schemas(context: Context) -> Iterator[str]:
    """Every tool of the agent and of its capabilities can be offered to a model."""
    from app.environment import ToolsError
    from app.main import create_app
    from app.store import InProcess
    from kit import defaults
    from kit.scripted_model import echo_model

    try:
        create_app(defaults.settings(), [echo_model()], store=InProcess())
    except ToolsError as error:
        yield from error.problems
    except Exception:  # another check reports it
        return


@check(
    "PRJ017",
    hint="Say in the sentence that the message names that an AI speaks or writes. This is not legal advice.",
    docs="https://artificialintelligenceact.eu/article/50/",
    requires=("PRJ004",),
)
def agent_says_that_it_is_an_ai(context: Context) -> Iterator[str]:
    """The first words of a conversation say that an AI speaks or writes."""
    from kit.conventions import drivers

    for driver in drivers().values():
        for name in {"GREETING", "INTRODUCTION"} & set(dir(driver.phrases)):
            sentence = str(getattr(driver.phrases, name))
            if not sentence.strip():
                yield empty(name, driver.phrases)
            elif not AI.search(sentence):
                yield f"{name} of {driver.phrases.file} does not say that an AI speaks or writes."


def pyproject(folder: Path) -> dict[str, Any]:
    """`[project]` of pyproject.toml; empty without the file."""
    file = folder / "pyproject.toml"
    found: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"] if file.is_file() else {}
    return found


def plain(value: Any) -> str:
    """An answer as text, as the user types it."""
    if isinstance(value, bool):
        return str(value).lower()
    parts = map(str, value) if isinstance(value, list | tuple | dict) else re.split(r"[][,\s]+", str(value))
    return ",".join(filter(None, parts))
