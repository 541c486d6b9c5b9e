""".env.example names every variable that the project reads, with its default and without a secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app import config
from app.registry import ProjectSettings

KEYS = [name for names, _ in config.MODEL_KEYS.values() for name in names]
ANSWERED = {"AGENT_MODEL", "AGENT_FALLBACK_MODEL", "AWS_REGION"}  # app/config.py has their defaults
FIELDS = {str(field.alias): field for field in ProjectSettings.model_fields.values()}


def documented() -> dict[str, Any]:
    text = Path(".env.example").read_text(encoding="utf-8").partition("# Yours below this line.")[0]
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=(.*)$", text, re.M))


def test_the_example_names_every_variable_and_no_other() -> None:
    others = {"TAC_ANALYTICS_DISABLED": "app/voice/tac", "TWILIO_PHONE_NUMBER": "app/voice"}
    assert set(documented()) == {*FIELDS, *KEYS, *(name for name, folder in others.items() if Path(folder).is_dir())}


def test_the_example_shows_the_defaults() -> None:
    for field in ProjectSettings.model_fields.values():
        if not field.is_required():
            shown = documented()[str(field.alias)]
            default = "" if field.default is None or field.alias in ANSWERED else field.default
            default = default.get_secret_value() if isinstance(default, SecretStr) else default
            default = str(default).lower() if isinstance(default, bool) else default
            assert shown == (f"{default:g}" if isinstance(default, float) else str(default))


def test_the_example_holds_no_secret() -> None:
    for name in (*(name for name, field in FIELDS.items() if field.is_required()), *KEYS):
        assert documented()[name] == ""
