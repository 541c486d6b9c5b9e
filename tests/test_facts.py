"""The tables in copier.yml agree with the packages that they speak of, and the repository with itself."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import dotenv
import pytest
from jinja2 import Environment, FileSystemLoader
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import infer_model, known_model_names

from tests.conftest import Render
from tests.questionnaire import LANGUAGES, PROVIDERS, ROOT, choices

WITHOUT_WORDS = {  # keys of the store whose values are yes, no, a time, an id or empty, and which expire
    *(
        "answering",
        "away",
        "caller",
        "conversation",
        "dropped",
        "ended",
        "escalation-begins",
        "finished",
        "interaction",
        "language",
    ),
    *(
        "listening",
        "no-worker",
        "outbound",
        "reassured",
        "reconnect",
        "recorded",
        "signals-seen",
        "taskrouter",
        "text-seen",
        "tokens",
    ),
    *("twilio-error", "twilio-event", "whatsapp-window"),
}
KEPT = {"opted-out"}  # an opt-out stays respected, and every receipt says so
PLACEHOLDERS = {"AWS_DEFAULT_REGION": "us-east-1", "AZURE_OPENAI_ENDPOINT": "https://example.com"}
every_provider = pytest.mark.parametrize("provider", PROVIDERS)


def test_the_tables_hold_what_is_offered() -> None:
    assert set(PROVIDERS) == set(choices("model_provider")) == set(choices("fallback_provider")) - {"none"}
    assert {stt for row in LANGUAGES.values() for stt in row["stt"]} == set(choices("stt_provider"))
    assert {tts for row in LANGUAGES.values() for tts in row["tts"]} == set(choices("tts_provider"))


@pytest.mark.parametrize("code", [*LANGUAGES, "multi"])
def test_the_first_words_say_that_an_ai_speaks_or_writes(code: str) -> None:
    """In its own words in each language; `multi` begins in English."""
    includes = Environment(loader=FileSystemLoader(ROOT))
    words, texts = map(includes.get_template, ("includes/words.jinja", "includes/texts.jinja"))
    spoken, english = (words.make_module({"language_list": [each]}).spoken for each in (code, "en-US"))  # type: ignore[attr-defined]
    written = texts.make_module({"language_list": [code]}).written  # type: ignore[attr-defined]
    assert spoken["greeting"].keys() == written["introduction"].keys() == set(choices("outcome"))
    for first_words in (spoken["greeting"], written["introduction"]):
        assert len(set(first_words.values())) == len(first_words)  # each outcome has its own
        assert all(spoken["ai"] in each for each in first_words.values())
    assert (spoken["ai"] == english["ai"]) == (code in ("en-US", "multi"))


@every_provider
def test_a_model_is_known(provider: str) -> None:
    """Azure names deployments, not models: no list can know them."""
    kind, _, name = PROVIDERS[provider]["model"].partition(":")
    assert kind == provider
    assert f"{'openai' if kind == 'azure' else kind}:{name}" in known_model_names()


@every_provider
def test_the_variables_are_those_that_the_model_needs(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = PROVIDERS[provider]
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in row["env"]:
        monkeypatch.setenv(name, PLACEHOLDERS.get(name, "placeholder"))
    infer_model(row["model"])
    for name in row["env"]:
        with monkeypatch.context() as patch, pytest.raises(UserError):
            patch.delenv(name)
            infer_model(row["model"])


@every_provider
def test_the_extra_exists(provider: str) -> None:
    assert PROVIDERS[provider]["extra"] in importlib.metadata.metadata("pydantic-ai-slim").get_all("Provides-Extra", [])
    assert PROVIDERS[provider]["keys"].startswith("https://")


@every_provider
def test_env_example_names_the_variables(provider: str, render: Render, tmp_path: Path) -> None:
    other = next(name for name in PROVIDERS if name != provider)
    project = render(tmp_path / "project", model_provider=provider, fallback_provider=other)
    named = dotenv.dotenv_values(project / ".env.example")
    assert {*PROVIDERS[provider]["env"], *PROVIDERS[other]["env"]} <= named.keys()
    assert not [name for name in named if named[name] and name != "TAC_ANALYTICS_DISABLED"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_language_is_heard_and_spoken(code: str) -> None:
    row = LANGUAGES[code]
    assert row["name"] and row["stt"] and row["tts"]
    assert all(voice is None or not voice.isspace() for voice in row["tts"].values())
    heard = code.partition("-")[0] in runpy.run_path(str(ROOT / "template" / "kit" / "twiml.py"))["FLUX"]
    assert row["flux"] == (["Deepgram"] if heard else []) and bool(row["flux"]) >= ("speech_model" in row)


def test_both_repositories_are_linted_alike(render: Render, tmp_path: Path) -> None:
    """But for the packages that not every project has."""
    project = render(tmp_path / "project", path="aws", aws_runtime="agentcore")
    emitted = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["ruff"]
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ours = root["tool"]["ruff"]
    theirs = set(emitted["lint"].pop("isort")["known-first-party"])
    assert theirs <= set(ours["lint"].pop("isort")["known-first-party"])
    assert ours == emitted
    for member in ("app", "kit"):
        own = tomllib.loads((project / member / "pyproject.toml").read_text())["tool"]["ruff"]
        own["lint"].pop("isort")
        assert own == emitted, f"{member}/ is linted in another way"
    assert "ruff>=0.17,<0.18" in root["dependency-groups"]["dev"]


def test_tests_of_the_workbench_import_from_the_places_that_stay() -> None:
    """In a project, `agent doctor` would find the others."""
    imports = runpy.run_path(str(ROOT / "template" / "kit" / "migrations.py"))["imports"]
    texts = {str(path): path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "kit").rglob("*.py")}
    assert imports(texts) == {}


def workflows(where: Path) -> list[str]:
    return sorted(str(path) for path in (where / ".github" / "workflows").glob("*.yml"))


def validate(files: list[str]) -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert files and done.returncode == 0, done.stdout


def test_the_workflows_are_valid() -> None:
    assert len(workflows(ROOT)) == 4
    validate(workflows(ROOT))


@pytest.mark.parametrize("answers", [{"path": path} for path in choices("path")], ids=str)
def test_the_emitted_workflows_are_valid(answers: dict[str, Any], render: Render, tmp_path: Path) -> None:
    validate(workflows(render(tmp_path / "project", **answers)))


def test_an_erasure_knows_each_key_of_the_store() -> None:
    """Keys are f-strings that begin with a word and a colon, as `session:` does."""
    strange = {"script", "whatsapp", "rcs", "value", "queue"}  # a signal, addresses, and names inside of two stores
    found = set()
    for path in (ROOT / "template" / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if "tests" not in path.parts and isinstance(node, ast.JoinedStr) and len(node.values) > 1:
                key = re.match(r"'([a-z-]+):'", ast.unparse(node.values[0]))
                found |= {key[1]} - strange if key else set()
    erased = (ROOT / "template" / "app" / "compliance" / "gdpr" / "sessions.py").read_text(encoding="utf-8")
    assert found == set(re.findall(r'"([a-z-]+):\{}', erased)) | WITHOUT_WORDS | KEPT
