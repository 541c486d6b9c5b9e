"""Every file that the template can emit is well-formed, and the renderer that shows it equals Copier."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from copier import Settings, run_copy
from jinja2 import meta, nodes

from tests import shortcuts
from tests.conftest import Figure, Render, files, recorded
from tests.contents import JINJA, check
from tests.folders import FOLDERS, files_of, matched
from tests.pairs import pairwise
from tests.parts import LARGEST, WHOLE, combinations_of, parts, rows
from tests.questionnaire import (
    ASKED,
    DEFAULTS,
    LANGUAGES,
    QUESTIONS,
    ROOT,
    Answers,
    asked,
    choices,
    completed,
    defaults,
    record,
    serves,
    together,
)
from tests.renderer import (
    ANSWERS_FILE,
    ENVIRONMENT,
    TEMPLATE_OF,
    bringing,
    expected_files,
    project,
    questions_behind,
    situation,
    source,
    text_of,
)

TEMPLATES = [name for name, path in TEMPLATE_OF.items() if path.suffix == ".jinja"]


def texts(projects: list[Path]) -> Iterator[tuple[str, str]]:
    for place in projects:
        yield from ((name, body.decode()) for name, body in files(place).items())


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_combination_is_well_formed(name: str, render: Render, tmp_path: Path, figure: Figure) -> None:
    """Each part of each template with every combination of the answers that it depends on, in whole files."""
    found = {(name, text_of(name, situation(answers))) for answers in rows(name)}
    check(found, tmp_path / "distinct", render(tmp_path / "project") / "pyproject.toml")
    figure("distinct files of all combinations of the answers that they read", len(found))


def test_the_parts_of_a_template_are_few() -> None:
    """What is rendered with whole projects only stands in WHOLE."""
    large = {name for name in TEMPLATES for part in parts(source(name)) if combinations_of(part) > LARGEST}
    assert large == WHOLE


def test_every_name_in_a_template_is_known() -> None:
    """Jinja would take a misspelt one for an empty text."""
    copiers = {"_copier_answers", "_copier_conf", "_external_data"}
    known = QUESTIONS.keys() | copiers | ENVIRONMENT.globals.keys()
    texts = [path.read_text(encoding="utf-8") for path in [*TEMPLATE_OF.values(), *(ROOT / "includes").iterdir()]]
    texts += [str(question["default"]) for question in QUESTIONS.values()]
    for text in filter(JINJA.search, texts):
        tree = ENVIRONMENT.parse(text)
        set_there = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
        assert meta.find_undeclared_variables(tree) - known - set_there == set(), text[:300]


@functools.cache
def expected(questions: frozenset[str]) -> list[tuple[Answers, frozenset[str]]]:
    """Every combination of the answers to these questions, and the files that the template then gives."""
    found = filter(None, map(completed, together(questions)))
    return [(defaults(answers) | answers, expected_files(answers)) for answers in found]


@pytest.mark.parametrize("pattern", sorted(FOLDERS))
def test_a_folder_belongs_to_its_answers(pattern: str, figure: Figure) -> None:
    """In every combination of the answers that the template asks for it."""
    files, count = matched(pattern), 0
    for questions in {frozenset(questions_behind(bringing(name))) for name in files}:
        for answers, given in expected(questions):
            assert given & files == files_of(answers) & files, answers
            count += 1
    assert count > 1
    figure("combinations of answers that bring a folder", count)


@pytest.mark.parametrize("path", choices("path"))
def test_the_renderer_equals_copier(path: str, folder: Path, tmp_path: Path, quick: pytest.MonkeyPatch) -> None:
    """On the pairs of answers, file by file."""
    shortcuts.without_git(quick, folder)
    for row in pairwise():
        if row["path"] == path:
            answers = asked({**row, "languages": DEFAULTS["languages"]})
            run_copy(str(folder), tmp_path / "project", answers, defaults=True, quiet=True, settings=Settings())
            copied = {name: body.decode() for name, body in files(tmp_path / "project").items()}
            rendered = project(answers)
            heads = [each.pop(ANSWERS_FILE).partition("\n")[0] for each in (copied, rendered)]
            assert heads[0] == heads[1]
            assert rendered == copied, answers
            assert recorded(tmp_path / "project") == record(answers)
            shutil.rmtree(tmp_path / "project")


@pytest.mark.parametrize("python", choices("python_version"))
@pytest.mark.parametrize("path", choices("path"))
def test_every_file_is_clean_for_every_python(path: str, python: str, render: Render, tmp_path: Path) -> None:
    """Ruff's rules and format depend on the Python version."""
    place = render(tmp_path / "project", path=path, python_version=python)
    assert files(place).keys() == expected_files({"path": path})
    check(texts([place]), tmp_path / "distinct", place / "pyproject.toml")


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


SPEAKING = ("app/config.py", "agent/phrases.py", "app/voice/languages/translations.py")


def test_every_language_is_spoken(render: Render, tmp_path: Path) -> None:
    found = set()
    for answers in spoken_lists():
        rendered = project(answers)
        module: dict[str, Any] = {}
        exec(rendered["app/config.py"], module)
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
        found |= {(name, rendered[name]) for name in SPEAKING if name in rendered}  # one language has no translations
    check(found, tmp_path / "distinct", render(tmp_path / "project") / "pyproject.toml")


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
