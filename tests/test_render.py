"""Every project that the template can emit is well-formed. Each distinct file is checked once."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dotenv
import pytest
import yaml
from copier import Settings, run_copy
from copier._main import Worker
from jinja2 import Environment, meta, nodes
from pathspec import GitIgnoreSpec

from tests import shortcuts
from tests.conftest import Render, files, recorded
from tests.pairs import pairwise
from tests.project_files import problems
from tests.questionnaire import (
    ASKED,
    COMPUTED,
    CONFIG,
    DEFAULTS,
    LANGUAGES,
    QUESTIONS,
    ROOT,
    STRUCTURAL,
    Answers,
    asked,
    choices,
    combinations,
    defaults,
    is_valid,
    record,
    serves,
)

TEMPLATE = ROOT / "template"
# GitHub's own expressions are `${{ … }}`.
JINJA = re.compile(rb"(?<!\$)\{\{-? +[a-z_]|\{%|\{#")


@functools.cache
def excluding(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(patterns)


def expected_files(answers: Answers) -> set[str]:
    """The files of the template that these answers get, as a project has them."""
    context = Computed(defaults(answers) | answers)
    excluded = excluding((*filter(lambda entry: "{" not in entry, CONFIG["_exclude"]), *context["left_out"]))
    zone = {name for name in ALL_FILES if name.startswith(ZONE)}
    delivered = set(context["zone"])
    assert delivered <= zone
    return {name for name in ALL_FILES if not excluded.match_file(name)} - (zone - delivered)


def parse(name: str, body: bytes) -> Any:
    """The file as its tool parses it; raises when it does not parse."""
    text = body.decode()
    match Path(name):
        case Path(suffix=".toml"):
            return tomllib.loads(text)
        case Path(suffix=".yml" | ".yaml"):
            documents = list(yaml.safe_load_all(text))
            return documents[0] if len(documents) == 1 else documents
        case Path(suffix=".json"):
            return json.loads(text)
        case Path(suffix=".py"):
            return compile(text, name, "exec")
        case Path(name=".env.example"):
            assert not [line for line in text.splitlines() if line and not re.match(r"#|[A-Z_]+=", line)]
            return dotenv.dotenv_values(stream=io.StringIO(text))


def check(distinct: Path, config: Path) -> None:
    """Parse and lint every file in `distinct`, with the ruff settings of an emitted project."""
    for path in distinct.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            assert not JINJA.search(body), f"{path.name} has Jinja left"
            assert body.endswith(b"\n") or not body, f"{path.name} does not end with a line break"
            assert not re.search(rb"[ \t]$|\n\n\n\n", body, re.MULTILINE), f"{path.name} has stray blanks"
            parse(path.name, body)
    for verb in (["format", "--diff"], ["check"]):
        ruff = ["ruff", *verb, "--no-cache", "--quiet", "--config", str(config), str(distinct)]
        linted = subprocess.run(ruff, capture_output=True, encoding="utf-8")
        assert linted.returncode == 0, linted.stdout + linted.stderr


def copiers_environment() -> Environment:
    """Jinja as Copier sets it up for this template."""
    with pytest.MonkeyPatch.context() as patch:
        shortcuts.without_git(patch, ROOT)
        environment: Environment = Worker(src_path=str(ROOT), dst_path=Path("nowhere")).jinja_env
    return environment


ENVIRONMENT = copiers_environment()
ALL_FILES = [
    ".copier-answers.yml"
    if "answers_file" in path.name
    else path.relative_to(TEMPLATE).as_posix().removesuffix(".jinja")
    for path in TEMPLATE.rglob("*")
    if path.is_file() and not any(part.endswith(("__pycache__", "_cache")) for part in path.parts)
]
ZONE = ("agent/", "scenarios/", "tests/", "README.md")
TEMPLATES = sorted(path.relative_to(ROOT / "template").as_posix() for path in (ROOT / "template").rglob("*.jinja"))


compiled = functools.cache(ENVIRONMENT.from_string)


@functools.cache
def names_in(source: str) -> set[str]:
    """The names that a template reads, and those of the templates that it includes or imports from."""
    tree = ENVIRONMENT.parse(source)
    names = [node.template for node in tree.find_all(nodes.Include)]
    names += [node.template for node in tree.find_all(nodes.FromImport)]
    included = [str(getattr(name, "value", "")) for name in names]
    return meta.find_undeclared_variables(tree).union(*(names_in((ROOT / name).read_text()) for name in included))


def questions_behind(names: set[str]) -> set[str]:
    """The questions whose answers decide the values of `names`."""
    found = names & ASKED.keys()
    for name in names & COMPUTED:
        found |= questions_behind(names_in(str(QUESTIONS[name]["default"])))
    return found


class Computed(dict[str, Any]):
    """Answers, and what copier.yml computes from them."""

    def __missing__(self, name: str) -> Any:
        default, kind = QUESTIONS[name]["default"], QUESTIONS[name]["type"]
        if isinstance(default, str):
            names = names_in(default) & QUESTIONS.keys()
            text = compiled(default).render({needed: self[needed] for needed in names}).strip()
            default = yaml.safe_load(text) if kind in ("bool", "int", "yaml") else text
        self[name] = default
        return default


@functools.cache
def bringing(emitted: str) -> set[str]:
    """The computed names that decide whether a project has a file: in the tables of files and in the registry."""
    tables = [ROOT / "copier" / "files.yml", ROOT / "includes" / "zone.jinja", TEMPLATE / "app" / "features.py.jinja"]
    lines = [line for table in tables for line in table.read_text(encoding="utf-8").splitlines()]
    rows = [(path[1].replace(".", "/"), line) for line in lines if (path := re.search(r"'(app\.[\w.]+)'", line))]
    rows += [(path[1], line) for line in lines if (path := re.match(r" +'([\w./*-]+)': ", line))]
    deciding = [line for path, line in rows if emitted.startswith(path)]
    return names_in("{{ [" + ",".join(re.findall(r"has_\w+|needs_\w+", " ".join(deciding))) + "] }}") & QUESTIONS.keys()


REGULATIONS: list[Answers] = [
    {"regulations": names} for names in (["hipaa"], ["pci"], ["gdpr", "eu_ai_act"], choices("regulations"))
]
WORDS = {"model_provider", "fallback_provider", "stt_provider", "tts_provider", "python_version", "outcome"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.matrix if name == "app/config.py.jinja" else ())  # it reads most answers
        for name in TEMPLATES
        if "answers_file" not in name and name != "ARCHITECTURE.md.jinja"  # it reads every answer: tests/test_advice.py
    ],
)
def test_every_combination_is_well_formed(name: str, render: Render, tmp_path: Path) -> None:
    """Each file with every combination of answers that it depends on; those that only change a word, one at a time."""
    source = (ROOT / "template" / name).read_text(encoding="utf-8")
    template, names = ENVIRONMENT.from_string(source), names_in(source)
    emitted, distinct = name.removesuffix(".jinja"), tmp_path / "distinct"
    behind = questions_behind(names | bringing(emitted))
    structural = behind & set(STRUCTURAL)
    seen: set[str] = set()
    rows = [*combinations(structural - WORDS), *combinations(structural & (WORDS | {"path"}))]
    for regulations in REGULATIONS if "regulations" in behind else ():
        few = combinations(structural & {"channels", "level", "path", "recording", "memory_backend"})
        rows += [row | regulations for row in few if is_valid(defaults(regulations) | row | regulations)]
    several: list[Answers] = [{"languages": ["es-MX", "en-US"]}, {"languages": "zh-CN, de-DE, en-US", "path": "manual"}]
    for answers in rows + several * ("languages" in behind):
        context = Computed(defaults(answers) | answers)
        values = {needed: context[needed] for needed in names & QUESTIONS.keys()}
        if repr(values) in seen or emitted not in expected_files(answers):
            continue
        seen.add(repr(values))
        body = template.render(values, _copier_conf={"answers_file": CONFIG["_answers_file"]})
        kept = distinct / hashlib.sha256(body.encode()).hexdigest()[:12] / emitted
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(body, encoding="utf-8")
    check(distinct, render(tmp_path / "project") / "pyproject.toml")


@pytest.mark.parametrize("path", choices("path"))
def test_every_file_belongs_to_an_answer(path: str, folder: Path, tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    """In every pair of answers."""
    shortcuts.without_git(quick, folder)
    regulated = [{"path": path, "level": "4", "recording": True, **regulations} for regulations in REGULATIONS]
    for row in [*pairwise(), *(row for row in regulated if is_valid(defaults(row) | row))]:
        if row["path"] == path:
            project, answers = tmp_path / "project", {**row, "languages": DEFAULTS["languages"]}
            given = asked(answers)
            run_copy(str(folder), project, given, defaults=True, quiet=True, settings=Settings(), unsafe=False)
            assert problems(files(project)) == [], answers
            assert files(project).keys() == expected_files(answers), answers
            assert recorded(project) == record(answers)
            shutil.rmtree(project)


@pytest.mark.parametrize("python", choices("python_version"))
@pytest.mark.parametrize("path", choices("path"))
def test_every_file_is_clean_for_every_python(path: str, python: str, render: Render, tmp_path: Path) -> None:
    """Ruff's rules and format depend on the Python version."""
    project = render(tmp_path / "project", path=path, python_version=python)
    assert files(project).keys() == expected_files({"path": path})
    check(project, project / "pyproject.toml")


def test_caches_in_a_clone_stay_there(folder: Path, tmp_path: Path) -> None:
    """Caches in a plain folder that is used as the template."""
    clone = shutil.copytree(folder, tmp_path / "clone")
    for name in ["app/__pycache__/main.pyc", ".ruff_cache/x", "tests/.pytest_cache/x", ".venv/bin/python", ".DS_Store"]:
        stray = clone / "template" / name
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_text("stray")
    run_copy(str(clone), tmp_path / "project", {"path": "tac"}, defaults=True, quiet=True, unsafe=False)
    assert files(tmp_path / "project").keys() == expected_files({})


def spoken_lists() -> Iterator[Answers]:
    for stt in choices("stt_provider"):
        for tts in choices("tts_provider"):
            spoken = [code for code in [*LANGUAGES, "multi"] if serves(stt, tts, code)]
            providers = {"stt_provider": stt, "tts_provider": tts}
            yield from ({**providers, "languages": [code], "voice": voice} for code in spoken for voice in ("", "v.1"))
            yield {**providers, "languages": spoken[0]}
            yield {**providers, "languages": [code for code in spoken if code != "multi"]}
            yield {**providers, "languages": [code for code in reversed(spoken) if code != "multi"], "voice": "v-1"}


def test_every_language_is_spoken(render: Render, tmp_path: Path) -> None:
    for number, answers in enumerate(spoken_lists()):
        project = render(tmp_path / "project", **answers)
        assert recorded(project) == record(answers)
        module: dict[str, Any] = {}
        exec((project / "app" / "config.py").read_text(), module)
        given = answers["languages"]
        assert list(module["LANGUAGES"]) == ([given] if isinstance(given, str) else given)
        flux = answers["stt_provider"] == "Deepgram" and given in ("en-US", ["en-US"])
        assert module["SPEECH_MODEL"] == ("flux" if flux else None)
        assert (module["TRANSCRIPTION_PROVIDER"], module["TTS_PROVIDER"]) == (
            answers["stt_provider"],
            answers["tts_provider"],
        )
        if answers.get("voice"):
            assert next(iter(module["LANGUAGES"].values())) == answers["voice"]
        for name in ("app/config.py", "agent/phrases.py", "app/voice/languages/translations.py"):
            if not (project / name).exists():
                continue  # one language
            (tmp_path / "distinct" / str(number) / name).parent.mkdir(parents=True)
            shutil.copy(project / name, tmp_path / "distinct" / str(number) / name)
        shutil.copy(project / "pyproject.toml", tmp_path)
        shutil.rmtree(project)
    check(tmp_path / "distinct", tmp_path / "pyproject.toml")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"path": "manual", "fallback_provider": "anthropic", "languages": ["es-MX", "en-US"]},
        {"model_provider": "azure", "tts_provider": "Amazon", "greeting_interruptible": False, "voice": "Joanna"},
    ],
)
def test_the_fast_render_equals_the_real_command(
    answers: Answers, folder: Path, render: Render, tmp_path: Path
) -> None:
    fast = render(tmp_path / "fast", **answers)
    data = [f"--data={name}={json.dumps(value).strip(chr(34))}" for name, value in answers.items()]
    real = tmp_path / "real"
    subprocess.run(["copier", "copy", "--quiet", "--defaults", *data, str(folder), str(real)], check=True)
    assert files(fast) == files(real)
    modes = [{path.name: path.stat().st_mode for path in project.rglob("*")} for project in (fast, real)]
    assert modes[0] == modes[1]


def test_every_question_has_a_default() -> None:
    assert all("default" in details for details in ASKED.values())
