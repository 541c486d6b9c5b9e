"""The regulations of this agent (`app.config.REGULATIONS`): which products they allow, and a folder for each duty.

Not legal advice. The server does not start with a product, region or model that contradicts them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Self

from pydantic import model_validator

from app import config
from app.capability import Capability
from app.compliance.products import barred
from app.settings import Settings


class ComplianceSettings(Settings):
    @model_validator(mode="after")
    def fit_regulations(self) -> Self:
        """Raises ValueError with a line for each contradiction."""
        if found := list(contradictions(self)):
            raise ValueError("\n".join(found))
        return self


class Compliance(Capability):
    settings = ComplianceSettings


def contradictions(settings: Any) -> Iterator[str]:
    """One line for each product, region and model of this project that its regulations do not allow, with the fix."""
    from app.registry import folders  # which imports this folder

    registered = folders()
    in_ireland = os.environ.get("TWILIO_REGION") == "ie1" and "app.escalation" in registered
    for verdict in barred():
        if verdict.package in registered:
            yield f"app/features.py lists {verdict.package}. {verdict.reason} Undo it: git checkout app/features.py."
        if verdict.key == "taskrouter_ie1" and in_ireland:
            yield f"TWILIO_REGION is 'ie1'. {verdict.reason} Unset it: us1 is the default."
    for name in ("model", "fallback_model") if "hipaa" in config.REGULATIONS else ():
        provider = str(getattr(settings, name, None) or "").partition(":")[0]
        if provider and provider not in (*config.MODEL_KEYS, "test"):  # "test" sends no request
            answered = " and ".join(config.MODEL_KEYS)
            yield (
                f"AGENT_{name.upper()} names {provider}, and the answers {answered}: health data goes to no other "
                "provider. Unset it, or answer anew with -d model_provider=… and see to a BAA."
            )
