"""A wrong setting ends each command with one line that has the value and the fix, and never with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from pydantic import ValidationError

from app.registry import RUNTIME, ProjectSettings
from kit import defaults
from kit.conventions import commands
from kit.setup.api import SetupSettings
from tests.kit.healthy_project import SHAPED
from tests.kit.test_cli import KEYS, alone, run, scenarios

__all__ = ["alone", "scenarios"]  # fixtures

WRONG = ("no value of it! \u2026", "-1")
TALKS = [each.__name__ for each in commands() if each.__name__ in ("call", "text")]
STARTING = [[name] for name in TALKS] + [["scenario"], ["setup", "plan", "--simulated"], ["setup", "plan"], ["serve"]]


def refused() -> dict[str, str]:
    """A wrong value of each setting that has one, where the simulator does not take its own."""
    found = {}
    for name, field in ProjectSettings.model_fields.items():
        for value in () if field.examples or name == "log_level" else WRONG:
            try:
                ProjectSettings.__pydantic_validator__.validate_assignment(defaults.settings(), name, value)
            except ValidationError:
                found[str(field.alias)] = value
                break
    return found


def has_no_traceback(result: Result) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output + result.stderr


@pytest.mark.parametrize("command", STARTING, ids=" ".join)
def test_a_wrong_setting_is_one_line_with_value_and_fix(
    command: list[str], scenarios: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = refused()
    assert {"AGENT_DEADLINE", "PORT", "TWILIO_REGION"} <= {*wrong}
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
        result = run(*command)
        monkeypatch.delenv(name)
        has_no_traceback(result)
        lines = [line for line in result.stderr.splitlines() if line.startswith(f"{name} is ")]
        if command == ["setup", "plan"] and name not in {each.alias for each in SetupSettings.model_fields.values()}:
            continue
        assert result.exit_code == 2 and len(lines) == 1, f"{name}: {result.output}"
        field = next(field for field in ProjectSettings.model_fields.values() if field.alias == name)
        shown = "malformed" if "SecretStr" in repr(field.annotation) else repr(value)
        assert lines[0].startswith(f"{name} is {shown}. ") and len(lines[0]) > len(f"{name} is {shown}. ") + 10


def test_the_doctor_names_every_wrong_setting(scenarios: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (wrong := refused()).items():
        monkeypatch.setenv(name, value)
    result = run("doctor")
    has_no_traceback(result)
    assert result.exit_code == 1
    assert all(f"ENV001  {name} is " in result.output for name in wrong)


MODELS = ["nonsense:x", "nonsense", ":x", "x" * 200, "openai:", "bedrock:", "groq:llama", "claude-sonnet-4-5"]


@pytest.mark.skipif("model" not in ProjectSettings.model_fields, reason="no model is named in the environment")
@pytest.mark.parametrize("variable", ["AGENT_MODEL", "AGENT_FALLBACK_MODEL"])
@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_cannot_be_used_is_one_line_with_the_fix(
    model: str, variable: str, scenarios: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, SHAPED.get(name, "a-key"))
    monkeypatch.setenv(variable, model)
    try:
        if not RUNTIME.invalid_models(defaults.settings()):
            pytest.skip("this runtime finds that out at the first turn")
    except ValidationError:
        pass  # this runtime's names of models have a pattern
    for command in [*([name] for name in TALKS), ["scenario", "--model"]]:
        result = run(*command)
        has_no_traceback(result)
        (line,) = result.stderr.splitlines()
        assert result.exit_code == 2
        assert line.startswith(f"{variable} is {model!r}. ") and len(line) > len(f"{variable} is {model!r}. ") + 10


@pytest.mark.skipif("model" not in ProjectSettings.model_fields, reason="no model is named in the environment")
def test_a_script_answers_whatever_the_model(scenarios: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, SHAPED.get(name, "a-key"))
    monkeypatch.setenv("AGENT_MODEL", "nonsense")
    for name in TALKS:
        assert run(name, "--script").exit_code == 0
    assert run("scenario").exit_code == 0


def test_the_tests_do_not_see_the_settings_of_the_shell(tmp_path: Path) -> None:
    (tmp_path / "test_settings.py").write_text(
        "from kit import defaults\n\n\ndef test_them() -> None:\n    assert defaults.settings().port == 8000\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "kit.plugin", str(tmp_path)]
    done = subprocess.run(
        command, env={**os.environ, "PORT": "none"}, cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
