"""The setting of the number that texts come to, and from which the agent calls."""

from __future__ import annotations

from pydantic import Field

from app.settings import Settings


class NumberSettings(Settings):
    phone_number: str = Field(
        alias="TWILIO_PHONE_NUMBER",
        pattern=r"^\+[1-9]\d{6,14}$",
        examples=["+15005550001"],
        description="Write the number of your agent, as in +15005550001.",
    )
