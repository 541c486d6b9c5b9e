"""How this server signs in to Azure: with a key or an identity, and the fix when it has neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.environment import SettingsError, load
from app.runtimes.azure import IDENTITY_VARIABLES, has_identity, missing_identity, missing_key


def test_a_missing_key_names_key_and_identity() -> None:
    (fix,) = missing_key("AZURE_OPENAI_API_KEY").values()
    assert "https://portal.azure.com" in fix and "az login" in fix and "AZURE_TOKEN_CREDENTIALS=prod" in fix
    assert missing_identity().keys() == {"AZURE_TOKEN_CREDENTIALS"}


def test_a_key_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-test-key")
    assert not has_identity() and missing_key("AZURE_OPENAI_API_KEY") == {}


@pytest.mark.parametrize("name", IDENTITY_VARIABLES)
def test_an_identity_is_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "prod")
    assert missing_key("AZURE_OPENAI_API_KEY") == {} == missing_identity()


def test_a_signed_in_azure_cli_is_an_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    assert not has_identity()
    (tmp_path / "azureProfile.json").write_text("{}")
    assert has_identity()


def test_an_unknown_kind_of_credential_is_reported(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AZURE_TOKEN_CREDENTIALS", "me")
    with pytest.raises(SettingsError) as error:
        load(require_model_keys=False)
    (problem,) = error.value.problems
    assert problem.startswith("AZURE_TOKEN_CREDENTIALS is 'me'. Write prod, dev or")
