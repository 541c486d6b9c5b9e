"""A script as pydantic-ai asks it."""

from __future__ import annotations

from pydantic_ai.models.function import FunctionModel


def played(model: FunctionModel) -> FunctionModel:
    """A script, as the runtime of this project asks it: as it is."""
    return model
