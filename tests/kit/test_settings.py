"""Settings: every problem of an environment is named at once with its fix, and no secret is shown."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Self

import pytest
from pydantic import ValidationError, field_validator, model_validator
from typer.testing import CliRunner

from app import config
from app.environment import SettingsError, load, problems_in
from app.main import create_app
from app.registry import ProjectSettings
from app.settings import Settings, WrongValue
from kit import cli, defaults
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from tests.kit.healthy_project import DATABASE, KEYS_OF_FIRST

KEYS = [name for names, _ in config.MODEL_KEYS.values() for name in names]
SHAPED = {
    "AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com",
    "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",  # looks for an identity nowhere else
    "AZURE_VOICE_LIVE_ENDPOINT": "https://example.services.ai.azure.com",
    "FOUNDRY_PROJECT_ENDPOINT": "https://example.services.ai.azure.com/api/projects/one",
}
"""Variables of models that are no secrets, with values of the right form."""
FIELDS = {str(field.alias): field for field in ProjectSettings.model_fields.values()}
VALID = {
    **{name: str(field.examples[0]) for name, field in FIELDS.items() if field.is_required() and field.examples},
    **{name: SHAPED.get(name, "a-key") for name in KEYS},
    **DATABASE,
    "AGENT_MODEL": "test",
    "AGENT_FALLBACK_MODEL": "test",
}


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No variable and no .env of the machine that runs the tests."""
    for name in (*FIELDS, *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def valid(nothing_set: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A complete environment; the test changes it."""
    for name, value in VALID.items():
        nothing_set.setenv(name, value)
    return nothing_set


def test_names_and_variables_of_settings_are_unique() -> None:
    """Each part brings settings of its own: two of one name, or of one variable, would be one.

    A regulation may narrow a setting of the part that it builds on.
    """
    parts = [part for part in ProjectSettings.__mro__ if issubclass(part, Settings)]
    named = [
        name
        for part in parts
        for name in inspect.get_annotations(part)
        if name in part.model_fields and not any(name in inspect.get_annotations(base) for base in part.__mro__[1:])
    ]
    assert sorted(named) == sorted(ProjectSettings.model_fields)
    assert len(FIELDS) == len(named)


def test_settings_do_not_change_while_the_server_runs() -> None:
    settings = defaults.settings()
    with pytest.raises(ValidationError):
        settings.port = 1


def test_every_setting_says_what_to_write() -> None:
    for name, field in FIELDS.items():
        assert field.description and field.description.endswith("."), name


def problems() -> list[str]:
    with pytest.raises(SettingsError) as error:
        load()
    return error.value.problems


def test_a_complete_environment_is_accepted(valid: pytest.MonkeyPatch) -> None:
    settings = load()
    assert (settings.account_sid, settings.public_url) == (defaults.ACCOUNT_SID, defaults.PUBLIC_URL)
    assert settings.auth_token.get_secret_value() == defaults.AUTH_TOKEN


@pytest.mark.usefixtures("nothing_set")
def test_every_missing_variable_is_named_at_once_with_its_fix() -> None:
    missing = [problem.split()[0] for problem in problems()]
    needed = [name for name in KEYS if name in missing]
    assert missing == [*(name for name, field in FIELDS.items() if field.is_required()), *needed]
    assert set(needed) == set(KEYS_OF_FIRST)
    for problem in problems():
        assert re.fullmatch(r"[A-Z_]+ is missing\. [A-Z].{20,}\.?", problem)


MALFORMED = {  # a blank value is a missing one
    "TWILIO_ACCOUNT_SID": ["", "SK" + "0" * 32, "AC123", "AC" + "G" * 32],
    "TWILIO_AUTH_TOKEN": [""],
    "PUBLIC_URL": ["", "http://agent.example", "agent.example", "https://agent.example/", "https://agent.example?a=b"],
    "AGENT_DEADLINE": ["0", "-1", "soon", "31"],
    "AGENT_DRAIN": ["-1", "later"],
    "PORT": ["http", "70000", "-1"],
    "LOG_LEVEL": ["verbose", "INFO?"],
    "AGENT_HISTORY": ["999", "-1", "all"],
    "AGENT_TIME_ZONE": ["Mars/Phobos"],
    "AGENT_OFF": ["perhaps"],
    "AGENT_CALL_TOKENS": ["-1", "many"],
    "AGENT_DAY_TOKENS": ["-1", "many"],
    "AGENT_MAX_CALLS": ["-1", "many"],
    "AGENT_CALLER_CALLS": ["-1", "many"],
    "AGENT_SILENCE": ["-1", "601", "long"],
    "TWILIO_REGION": ["us2", "us1x", "xus1"],
    "TWILIO_EDGE": ["Dublin", "dublin!", "!dublin"],
}
AT_THE_LIMIT = {
    "AGENT_DEADLINE": ["0.1", "30"],
    "AGENT_DRAIN": ["0"],
    "PORT": ["0", "65535"],
    "AGENT_HISTORY": ["1000"],
    "AGENT_CALL_TOKENS": ["0", "1"],
    "AGENT_DAY_TOKENS": ["0", "1"],
    "AGENT_MAX_CALLS": ["0", "1"],
    "AGENT_CALLER_CALLS": ["0", "1"],
    "AGENT_SILENCE": ["0", "600"],
}


def of_project(values: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name in values if name in FIELDS for value in values[name]]


@pytest.mark.parametrize(("name", "value"), of_project(AT_THE_LIMIT))
def test_a_value_at_the_limit_is_taken(valid: pytest.MonkeyPatch, name: str, value: str) -> None:
    valid.setenv(name, value)
    assert load().model_dump(by_alias=True)[name] == float(value)


@pytest.mark.parametrize(("name", "value"), of_project(MALFORMED))
def test_a_malformed_value_is_named_and_shown(valid: pytest.MonkeyPatch, name: str, value: str) -> None:
    valid.setenv(name, value)
    (problem,) = problems()
    assert problem.startswith(f"{name} is {repr(value) if value else 'missing'}. ")


@pytest.mark.parametrize("name", sorted(set(FIELDS) - set(VALID)))
def test_a_blank_optional_value_is_the_default(valid: pytest.MonkeyPatch, name: str) -> None:
    valid.setenv(name, "")
    field = next(field for field in ProjectSettings.model_fields if ProjectSettings.model_fields[field].alias == name)
    assert getattr(load(), field) == ProjectSettings.model_fields[field].default


class Checked(Settings):
    """Settings whose validators say what is wrong."""

    @field_validator("drain")
    @classmethod
    def not_seven(cls, drain: float) -> float:
        if drain == 7:
            raise WrongValue("It is unlucky. Write 8.")
        if drain == 6:
            raise ValueError("not for the user")
        return drain

    @model_validator(mode="after")
    def not_both(self) -> Self:
        if self.drain == self.port:
            raise ValueError("Write another port.\nWrite another time.")
        return self


@pytest.mark.parametrize(
    ("drain", "found"),
    [
        (7, ["AGENT_DRAIN is '7'. It is unlucky. Write 8."]),
        (6, [f"AGENT_DRAIN is '6'. {Settings.model_fields['drain'].description}"]),
        (8000, ["Write another port.", "Write another time."]),
    ],
)
def test_a_validator_may_say_what_is_wrong(valid: pytest.MonkeyPatch, drain: int, found: list[str]) -> None:
    valid.setenv("AGENT_DRAIN", str(drain))
    with pytest.raises(ValidationError) as error:
        Checked()  # type: ignore[call-arg]  # mypy does not know that the environment has the rest
    assert problems_in(error.value, Checked) == found


def test_neither_settings_nor_their_errors_show_secrets(valid: pytest.MonkeyPatch) -> None:
    assert defaults.AUTH_TOKEN not in repr(load()) + str(load())
    for name in set(KEYS) - set(SHAPED):
        valid.setenv(name, "a-key-that-is-secret")
    valid.setenv("PUBLIC_URL", "nonsense")
    valid.setenv("TWILIO_ACCOUNT_SID", "wrong")
    with pytest.raises(SettingsError) as error:
        load()
    shown = "\n".join((*error.value.problems, str(error.value), repr(error.value)))
    assert defaults.AUTH_TOKEN not in shown and "a-key-that-is-secret" not in shown


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of the servers that `agent serve` starts; none of them runs."""
    started: list[Settings] = []
    monkeypatch.setattr("app.main.serve", started.append)
    return started


def test_serve_prints_every_problem_and_starts_nothing(valid: pytest.MonkeyPatch, started: list[Settings]) -> None:
    valid.delenv("TWILIO_AUTH_TOKEN")
    valid.setenv("PORT", "http")
    result = CliRunner().invoke(cli.app, ["serve"])
    assert (result.exit_code, started) == (2, [])
    assert "TWILIO_AUTH_TOKEN is missing" in result.stderr and "PORT is 'http'" in result.stderr
    assert "Nothing was started" in result.stderr


def test_serve_starts_with_the_environment_and_the_env_file(
    valid: pytest.MonkeyPatch, started: list[Settings], tmp_path: Path
) -> None:
    valid.setattr("os.environ", dict(os.environ))  # what the file sets must not outlive the test
    valid.setenv("PORT", "8123")
    valid.delenv("PUBLIC_URL")
    (tmp_path / ".env").write_text("PUBLIC_URL=https://from.file\nTWILIO_ACCOUNT_SID=lost\n")
    assert CliRunner().invoke(cli.app, ["serve"]).exit_code == 0
    (settings,) = started
    expected = (8123, "https://from.file", defaults.ACCOUNT_SID)
    assert (settings.port, settings.public_url, settings.account_sid) == expected


@pytest.mark.usefixtures("nothing_set")
def test_settings_are_not_needed_to_build_the_app_with_others() -> None:
    create_app(defaults.settings(), [scripted({"says": "Yes."})], [], transport=SimulatedAccount().transport)
