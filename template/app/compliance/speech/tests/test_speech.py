"""The server starts when its speech providers are confirmed for PCI DSS, by name and day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.compliance.speech import EXAMPLE, MAX_AGE, PROVIDERS
from app.environment import SettingsError, load

NAMES = " ".join(sorted(PROVIDERS))
TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize("text", [EXAMPLE, f"{NAMES} {TODAY}", f"{NAMES.replace(' ', ', ')}, Another {TODAY}"])
def test_names_and_a_day_are_accepted(text: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_PCI_SPEECH", text)
    assert load(require_model_keys=False).pci_speech == text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "AGENT_PCI_SPEECH is missing"),
        (NAMES, "does not end with a day"),
        (f"{NAMES} yesterday", "does not end with a day"),
        (f"Another {TODAY}", "does not name"),
        (str(TODAY), "does not name"),
        (f"{NAMES} {TODAY + timedelta(days=2)}", "in the past year"),
        (f"{NAMES} {TODAY - MAX_AGE - timedelta(days=1)}", "in the past year"),
    ],
)
def test_anything_else_keeps_the_server_from_starting(text: str, why: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_PCI_SPEECH", text)
    with pytest.raises(SettingsError) as refused:
        load(require_model_keys=False)
    (problem,) = refused.value.problems
    assert why in problem and "Responsibility Matrix" in problem and "Not legal advice" in problem
