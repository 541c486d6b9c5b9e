"""`agent/operator.yml`: the definition of an operator of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

OPERATOR = "operator.yml"


class OperatorFile(BaseModel):
    """agent/operator.yml. By alias, its fields are those of Twilio's API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    display_name: str
    description: str
    prompt: str
    output_format: Literal["TEXT", "JSON", "CLASSIFICATION"]
    output_schema: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None


def load_operator(folder: Path) -> OperatorFile:
    """The operator of that folder. Raises ValueError, in one line, for a file that is missing or wrong."""
    try:
        return OperatorFile.model_validate(yaml.safe_load((folder / OPERATOR).read_text(encoding="utf-8")))
    except OSError:
        raise ValueError(f"agent/{OPERATOR} is missing") from None
    except (yaml.YAMLError, ValidationError) as error:
        lines = str(error).splitlines()
        raise ValueError(f"agent/{OPERATOR}: {' '.join(' '.join(lines[:3]).split())}") from None
