"""Settings of AWS: the region, credentials and timeouts."""

from __future__ import annotations

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from pydantic import Field

from app import config
from app.settings import Settings


class AwsSettings(Settings):
    region: str = Field(
        config.REGION,
        alias="AWS_REGION",
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="Write a region of AWS, as in us-east-1.",
    )


def missing_credentials() -> dict[str, str]:
    """Missing variables, each with its fix; none when a profile or a role has credentials."""
    try:
        found = botocore.session.Session().get_credentials()
    except BotoCoreError:  # a profile that does not exist, or one that is half written
        found = None
    names, address = config.MODEL_KEYS["bedrock"]
    return {} if found else {name: f"A profile (AWS_PROFILE) or a role serves too; see {address}." for name in names}


def client_config(deadline: float, retries: int = 0) -> Config:
    """Limits of a client that is used during a call. `deadline` is in seconds."""
    limits = {"total_max_attempts": 1 + retries}
    return Config(connect_timeout=deadline, read_timeout=4 * deadline, retries=limits)
