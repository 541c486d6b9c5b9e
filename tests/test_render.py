"""Every project that the template can emit is well-formed. Each distinct file is checked once."""

from __future__ import annotations

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

from tests import shortcuts
from tests.conftest import Render, files, recorded
from tests.questionnaire import ASKED, DEFAULTS, LANGUAGES, ROOT, Answers, choices, combinations, serves

EMITTED: dict[str, list[str]] = yaml.safe_load((ROOT / "tests" / "emitted_files.yml").read_text())
# GitHub's own expressions are `${{ … }}`.
JINJA = re.compile(rb"(?<!\$)\{\{-? +[a-z_]|\{%|\{#")


def expected_files(path: str) -> set[str]:
    return {*EMITTED["always"], *EMITTED[path]}


def parse(name: str, body: bytes) -> Any:
    """What a tool would make of the file; raises where it would."""
    text = body.decode()
    match Path(name):
        case Path(suffix=".toml"):
            return tomllib.loads(text)
        case Path(suffix=".yml" | ".yaml"):
            return yaml.safe_load(text)
        case Path(suffix=".json"):
            return json.loads(text)
        case Path(suffix=".py"):
            return compile(text, name, "exec")
        case Path(name=".env.example"):
            assert not [line for line in text.splitlines() if line and not re.match(r"#|[A-Z_]+=", line)]
            return dotenv.dotenv_values(stream=io.StringIO(text))


def check(distinct: Path, config: Path) -> None:
    """Parse, lint and look through every file in `distinct`, with the ruff settings of an emitted project."""
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


@pytest.fixture(scope="module")
def rendered_only(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without the files that Copier copies byte for byte: a fifth of the work, and the same answers."""
    lean = tmp_path_factory.mktemp("lean")
    for name in files(folder):
        if name.endswith(".jinja") or not name.startswith("template/"):
            (lean / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, lean / name)
    return lean


@pytest.fixture(scope="module")
def plain(folder: Path) -> set[str]:
    """Those files."""
    names = {name.removeprefix("template/") for name in files(folder) if name.startswith("template/")}
    return {name for name in names if not name.endswith(".jinja")}


@pytest.mark.parametrize("provider", choices("model_provider"))
@pytest.mark.parametrize("path", choices("path"))
def test_every_combination_is_well_formed(
    path: str, provider: str, rendered_only: Path, plain: set[str], tmp_path: Path, quick: pytest.MonkeyPatch
) -> None:
    shortcuts.without_git(quick, rendered_only)
    project, distinct, seen, count = tmp_path / "project", tmp_path / "distinct", set(), 0
    for answers in combinations(path=path, model_provider=provider):
        worker = run_copy(
            str(rendered_only), project, answers, defaults=True, quiet=True, settings=Settings(), unsafe=False
        )
        emitted = files(project)
        names = emitted.keys() | {name for name in plain if not worker.match_exclude(Path(name))}
        assert names == expected_files(path), answers
        assert recorded(project) == DEFAULTS | answers
        for name, body in emitted.items():
            digest = hashlib.sha256(body).hexdigest()[:12]
            if name != ".copier-answers.yml" and (name, digest) not in seen:
                seen.add((name, digest))
                kept = distinct / digest / name
                kept.parent.mkdir(parents=True)
                kept.write_bytes(body)
        shutil.rmtree(project)
        count += 1
    assert count == sum(1 for _ in combinations(path=path, model_provider=provider)) > 100
    run_copy(str(rendered_only), project, {"path": path}, defaults=True, quiet=True, unsafe=False)
    check(distinct, project / "pyproject.toml")


@pytest.mark.parametrize("python", choices("python_version"))
@pytest.mark.parametrize("path", choices("path"))
def test_every_file_is_clean_for_every_python(path: str, python: str, render: Render, tmp_path: Path) -> None:
    """Ruff has other wishes for other versions, and formats differently too."""
    project = render(tmp_path / "project", path=path, python_version=python)
    assert files(project).keys() == expected_files(path)
    check(project, project / "pyproject.toml")


def test_caches_in_a_clone_stay_there(folder: Path, tmp_path: Path) -> None:
    """Whoever works on the template leaves such things in it."""
    clone = shutil.copytree(folder, tmp_path / "clone")
    for name in ["app/__pycache__/main.pyc", ".ruff_cache/x", "tests/.pytest_cache/x", ".venv/bin/python", ".DS_Store"]:
        stray = clone / "template" / name
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_text("stray")
    run_copy(str(clone), tmp_path / "project", {"path": "tac"}, defaults=True, quiet=True, unsafe=False)
    assert files(tmp_path / "project").keys() == expected_files("tac")


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
        assert recorded(project) == DEFAULTS | answers
        module: dict[str, Any] = {}
        exec((project / "app" / "answers.py").read_text(), module)
        given = answers["languages"]
        assert list(module["LANGUAGES"]) == ([given] if isinstance(given, str) else given)
        assert (module["TRANSCRIPTION_PROVIDER"], module["TTS_PROVIDER"]) == (
            answers["stt_provider"],
            answers["tts_provider"],
        )
        if answers.get("voice"):
            assert next(iter(module["LANGUAGES"].values())) == answers["voice"]
        for name in ("app/answers.py", "agent/words.py"):
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


def test_the_questions_are_few() -> None:
    assert len([name for name, details in ASKED.items() if details.get("ask", True)]) <= 10
    assert all("default" in details for details in ASKED.values())
