"""Settings that every project reads from the environment."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class WrongValue(ValueError):
    """Raised by the validator of a field. The text says what is wrong and the fix; others keep the field's fix."""


class Settings(BaseSettings):
    """`description` is the fix shown to the user; `examples[0]` is the simulator's value."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True)

    account_sid: str = Field(
        alias="TWILIO_ACCOUNT_SID",
        pattern=r"^AC[0-9a-f]{32}$",
        examples=["AC" + "0" * 32],
        description="Copy the Account SID (AC and 32 characters) from the Twilio Console's start page.",
    )
    auth_token: SecretStr = Field(
        alias="TWILIO_AUTH_TOKEN",
        min_length=1,
        examples=["example-auth-token"],
        description="Copy the Auth Token from the Twilio Console's start page. An API key secret does not work here.",
    )
    public_url: str = Field(
        alias="PUBLIC_URL",
        pattern=r"^https://[^\s/?#]+(/[^\s?#]+)*$",
        examples=["https://agent.example"],
        description="Write the https address at which Twilio reaches this server, without a slash at the end.",
    )
    deadline: float = Field(
        5.0, alias="AGENT_DEADLINE", gt=0, le=30, description="Write how many seconds a model may be silent, 0 to 30."
    )
    history: int = Field(
        100_000, alias="AGENT_HISTORY", ge=1000, description="Write how many characters the model gets, 1000 or more."
    )
    drain: float = Field(
        600, alias="AGENT_DRAIN", ge=0, description="Write how many seconds conversations may last at shutdown."
    )
    time_zone: ZoneInfo = Field(
        ZoneInfo("UTC"), alias="AGENT_TIME_ZONE", description="Write an IANA name, as in America/New_York."
    )
    off: bool = Field(
        False, alias="AGENT_OFF", description="Write true to answer nothing and to call nobody, or false."
    )
    call_tokens: int = Field(0, alias="AGENT_CALL_TOKENS", ge=0, description="Write how many, or 0 for no limit.")
    day_tokens: int = Field(0, alias="AGENT_DAY_TOKENS", ge=0, description="Write how many, or 0 for no limit.")
    host: str = Field("0.0.0.0", alias="HOST", description="Write the address to listen on.")
    port: int = Field(8000, alias="PORT", ge=0, le=65535, description="Write the port to listen on, 0 to 65535.")
    log_level: str = Field(
        "info",
        alias="LOG_LEVEL",
        pattern="^(debug|info|warning|error)$",
        description="Write debug, info, warning or error.",
    )
    twilio_region: str = Field("us1", alias="TWILIO_REGION", pattern="^(us|ie|au)1$", description="Take us1, ie1, au1.")
    twilio_edge: str = Field("", alias="TWILIO_EDGE", pattern="^[a-z-]*$", description="Write a city, as in dublin.")
