"""What the project reads from the environment. A wrong value names itself and the fix, all of them at once."""

from __future__ import annotations

import os
from typing import Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import answers


class SettingsError(Exception):
    """The environment cannot be used. `problems` holds one line per variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """Each description is the fix that a wrong value is answered with."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    account_sid: str = Field(
        alias="TWILIO_ACCOUNT_SID",
        pattern=r"^AC[0-9a-f]{32}$",
        description="Copy the Account SID (AC and 32 characters) from the Twilio Console's start page.",
    )
    auth_token: SecretStr = Field(
        alias="TWILIO_AUTH_TOKEN",
        min_length=1,
        description="Copy the Auth Token from the Twilio Console's start page. An API key secret does not work here.",
    )
    public_url: str = Field(
        alias="PUBLIC_URL",
        pattern=r"^https://[^\s/?#]+(/[^\s?#]+)*$",
        description="Write the https address at which Twilio reaches this server, without a slash at the end.",
    )
    model: str = Field(answers.MODEL, alias="AGENT_MODEL", description="Write provider:model, as in openai:gpt-6-luna.")
    fallback_model: str | None = Field(
        answers.FALLBACK_MODEL, alias="AGENT_FALLBACK_MODEL", description="Write provider:model, or leave it out."
    )
    deadline: float = Field(
        5.0, alias="AGENT_DEADLINE", gt=0, le=30, description="Write how many seconds a model may be silent, 0 to 30."
    )
    drain: float = Field(
        600, alias="AGENT_DRAIN", ge=0, description="Write how many seconds calls may take to finish at shutdown."
    )
    host: str = Field("0.0.0.0", alias="HOST", description="Write the address to listen on.")
    port: int = Field(8000, alias="PORT", ge=0, le=65535, description="Write the port to listen on, 0 to 65535.")
    log_level: str = Field(
        "info",
        alias="LOG_LEVEL",
        pattern="^(debug|info|warning|error)$",
        description="Write debug, info, warning or error.",
    )

    @classmethod
    def load(cls) -> Self:
        """Read the environment, or raise SettingsError with every problem that it has."""
        problems: list[str] = []
        settings = None
        try:
            settings = cls()
        except ValidationError as errors:
            problems += [cls._problem(error["loc"][0], error["type"]) for error in errors.errors()]
        problems += [f"{name} is missing. {fix}" for name, fix in missing_model_keys(settings).items()]
        if settings is None or problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def _problem(cls, name: int | str, kind: str) -> str:
        field = next(f for f in cls.model_fields.values() if f.alias == name)
        if kind == "missing" or not os.environ.get(str(name)):
            return f"{name} is missing. {field.description}"
        shown = "is malformed" if field.annotation is SecretStr else f"is {os.environ[str(name)]!r}"
        return f"{name} {shown}. {field.description}"


def missing_model_keys(settings: Settings | None = None) -> dict[str, str]:
    """The variables that the chosen models need and the environment lacks, each with its fix."""
    chosen = {settings.model, settings.fallback_model} if settings else {answers.MODEL, answers.FALLBACK_MODEL}
    providers = {model.partition(":")[0] for model in chosen if model}
    return {
        name: f"The {provider} models need it; see {address}."
        for provider, (names, address) in answers.MODEL_KEYS.items()
        if provider in providers
        for name in names
        if not os.environ.get(name)
    }
