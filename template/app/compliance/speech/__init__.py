"""PCI DSS: the speech providers of ConversationRelay have to be compliant, and no public page names those that are.

Twilio gives its Responsibility Matrix to customers. The server starts when the owner has named the providers and the
day on which the matrix named them (twilio.com/docs/voice/pci-workflows, 2026-11-28; not legal advice).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pydantic import Field, field_validator

from app import config
from app.capability import Capability
from app.settings import Settings, WrongValue

PROVIDERS = {config.TRANSCRIPTION_PROVIDER, config.TTS_PROVIDER}
EXAMPLE = f"{' '.join(sorted(PROVIDERS))} {datetime.now(UTC).date()}"
MAX_AGE = timedelta(days=366)  # an assessment under PCI DSS holds for a year
FIX = (
    "Ask Twilio for its PCI Responsibility Matrix (twilio.com/en-us/pci-compliance). If it names the speech providers "
    f"of this agent, write them and the day on which you read it, as in {EXAMPLE}. Not legal advice."
)


class SpeechSettings(Settings):
    pci_speech: str = Field(alias="AGENT_PCI_SPEECH", examples=[EXAMPLE], description=FIX)

    @field_validator("pci_speech")
    @classmethod
    def names_providers_and_day(cls, text: str) -> str:
        *names, day = text.replace(",", " ").split() or [""]
        try:
            age = datetime.now(UTC).date() - date.fromisoformat(day)
        except ValueError:
            raise WrongValue(f"It does not end with a day, as 2026-11-28. {FIX}") from None
        if missing := PROVIDERS.difference(names):
            raise WrongValue(f"It does not name {' and '.join(sorted(missing))}. {FIX}")
        if not timedelta(days=-1) <= age <= MAX_AGE:
            raise WrongValue(f"The day has to be in the past year. {FIX}")
        return text


class ConfirmedSpeech(Capability):
    settings = SpeechSettings
