"""`agent/baa.yml`: with whom there is a business associate agreement, since when, and the person who answers for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from app import config
from app.registry import STORE, folders

FILE = "agent/baa.yml"


class Agreement(BaseModel):
    """`signed` and `review` are days; `by` names a person."""

    model_config = ConfigDict(extra="allow")

    signed: date | None = None
    by: str | None = None
    review: date | None = None


def parties() -> dict[str, str]:
    """Who gets health data of this project, by the name of the entry, and what has to be agreed."""
    speech = f"{config.TRANSCRIPTION_PROVIDER} and {config.TTS_PROVIDER}"
    found = {
        "twilio": "a BAA with Twilio, and this account set up as a HIPAA project",
        "speech": f"a written word of Twilio that its BAA covers {speech} within ConversationRelay",
        **{provider: f"a BAA with {provider}, which runs a model" for provider in config.MODEL_KEYS},
        "hosting": "a BAA with the operator of the servers",
        "logs": "a BAA with the operator of the logs",
    }
    if STORE.shared:
        found["session_store"] = "a BAA with the operator of the session store, encryption at rest and on the way"
    if "app.memory" in folders():
        found["memory"] = "a BAA with the operator of the database of memory, encryption at rest and on the way"
    return found


def open_points(root: Path, today: date) -> Iterator[str]:
    """One line for each party without a complete entry, and for each review that is due."""
    try:
        read = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        yield f"{FILE} cannot be read ({type(error).__name__})."
        return
    entries: Mapping[str, Any] = read if isinstance(read, dict) else {}
    for name, wanted in parties().items():
        try:
            agreement = Agreement.model_validate(entries.get(name) or {})
        except ValidationError as errors:
            fields = ", ".join(sorted({str(error["loc"][0]) for error in errors.errors() if error["loc"]}))
            yield f"{name} in {FILE}: {fields or 'the entry'} cannot be read. Write days as in 2026-11-28."
            continue
        missing = [field for field in ("signed", "by", "review") if not getattr(agreement, field)]
        if missing:
            yield f"{name} in {FILE} has no {', '.join(missing)}: it takes {wanted}."
        elif agreement.signed and agreement.signed > today:
            yield f"{name} in {FILE} is signed on {agreement.signed}, which is to come."
        elif agreement.review and agreement.review <= today:
            yield f"{name} in {FILE} was to be reviewed on {agreement.review}."
