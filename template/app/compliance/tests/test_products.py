"""The server does not start with what the regulations of this project do not allow."""

from __future__ import annotations

import pytest

from app import compliance, config
from app.compliance import products
from app.compliance.products import VERDICTS, Verdict
from app.environment import SettingsError, load
from app.registry import folders

OWN = config.REGULATIONS[0]


def verdict(status: str, key: str = "example", package: str = "", regulation: str = OWN) -> Verdict:
    return Verdict(key, "Example", regulation, status, "", "example.com", "2026-11-28", package, "")


def problems() -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(require_model_keys=False)
    return refused.value.problems


def test_every_regulation_is_judged_and_this_project_fits_all(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("TWILIO_REGION", raising=False)
    assert {each.regulation for each in VERDICTS} == set(config.REGULATIONS)
    assert load(require_model_keys=False).public_url


@pytest.mark.parametrize("status", ["not", "unknown"])
def test_a_product_that_is_not_allowed_keeps_the_server_from_starting(
    status: str, environment: pytest.MonkeyPatch
) -> None:
    package = folders()[0]
    environment.setattr(products, "VERDICTS", [verdict(status, package=package)])
    (problem,) = problems()
    assert problem.startswith(f"app/features.py lists {package}. Example") and "example.com, 2026-11-28" in problem


@pytest.mark.parametrize("status", ["eligible", "conditional"])
def test_a_product_that_is_allowed_does_not(status: str, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("TWILIO_REGION", raising=False)
    environment.setattr(products, "VERDICTS", [verdict(status, package=name) for name in folders()])
    assert load(require_model_keys=False).public_url


def test_a_regulation_that_does_not_apply_bars_nothing(environment: pytest.MonkeyPatch) -> None:
    barred = [verdict("not", package=name, regulation="another") for name in folders()]
    environment.setattr(products, "VERDICTS", barred)
    assert load(require_model_keys=False).public_url


def test_taskrouter_stays_in_a_region_that_is_allowed(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(products, "VERDICTS", [verdict("not", "taskrouter_ie1")])
    environment.setattr("app.registry.folders", lambda: ["app.escalation"])
    environment.setenv("TWILIO_REGION", "us1")
    assert load(require_model_keys=False).public_url
    environment.setenv("TWILIO_REGION", "ie1")
    assert problems() == [
        "TWILIO_REGION is 'ie1'. Example may not be used under "
        f"{OWN} (example.com, 2026-11-28; not legal advice). Unset it: us1 is the default."
    ]


class Chosen:
    """Settings of models."""

    fallback_model = None

    def __init__(self, model: str) -> None:
        self.model = model


def test_health_data_goes_to_the_providers_of_the_answers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    known = next(iter(config.MODEL_KEYS))
    monkeypatch.setattr(products, "VERDICTS", [])
    monkeypatch.setattr(config, "REGULATIONS", ["hipaa"])
    assert list(compliance.contradictions(Chosen(f"{known}:a-model"))) == []
    (problem,) = compliance.contradictions(Chosen("another:a-model"))
    assert problem.startswith("AGENT_MODEL names another") and "-d model_provider=" in problem
    monkeypatch.setattr(config, "REGULATIONS", ["pci", "gdpr"])
    assert list(compliance.contradictions(Chosen("another:a-model"))) == []
