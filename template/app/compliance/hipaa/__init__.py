"""HIPAA: no more health information than a request needs is said, and none is logged.

Not legal advice. The minimum necessary is 45 CFR 164.502(b); docs/operate.md has what code cannot hold.
"""

from __future__ import annotations

from pydantic import Field, SecretStr

from app.capability import Capability
from app.compliance.hipaa.log import withhold_texts
from app.session import Session
from app.settings import Settings

MINIMUM = """\
Health information is protected here.
- Ask for and say only what this request needs. Do not read health details back unless the person asks for it.
- Before you say anything about a person's health, appointments, prescriptions, results or bills, ask for their full
  name and date of birth, and let a tool confirm both. Without such a tool, or without a match, say what is public.
- To somebody else, say nothing about a person, not even whether they are known here."""


class HipaaSettings(Settings):
    """An API key can be replaced (`agent rotate-key`) without breaking the signatures of webhooks."""

    api_key: str | None = Field(
        None,
        alias="TWILIO_API_KEY",
        pattern="^SK[0-9a-f]{32}$",
        examples=["SK" + "0" * 32],
        description="Make one with agent rotate-key (SK and 32 characters), or leave it out.",
    )
    api_secret: SecretStr | None = Field(
        None,
        alias="TWILIO_API_SECRET",
        min_length=1,
        examples=["example-api-secret"],
        description="Leave the secret beside its key, as agent rotate-key has written it.",
    )


class Hipaa(Capability):
    settings = HipaaSettings
    log_filter = staticmethod(withhold_texts)

    async def context(self, session: Session, text: str) -> str:
        return MINIMUM
