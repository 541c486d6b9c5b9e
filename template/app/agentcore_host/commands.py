"""`python -m app host`: the server as Amazon Bedrock AgentCore starts it."""

from __future__ import annotations

import json
import os


def host() -> None:
    """Serve inside AgentCore. Nowhere else: this server accepts WebSockets without Twilio's signature."""
    from app.agentcore_host import AgentCoreHost
    from app.environment import exit_on_settings_error, load
    from app.main import create_app, serve

    with exit_on_settings_error("Nothing was started."):
        read_secret()
        settings = load()
        serve(settings, lambda: AgentCoreHost(create_app(settings), settings))


def read_secret() -> None:
    """Set variables that the environment lacks from the JSON object in the secret SECRET_ARN, when that is set.

    Raises SettingsError when AWS Secrets Manager does not return one.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from app.environment import SettingsError

    arn = os.environ.get("SECRET_ARN")
    if not arn:
        return
    try:
        client = boto3.client("secretsmanager", region_name=arn.split(":")[3])
        secret = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        for name, value in secret.items():
            os.environ.setdefault(name, str(value))
    except (BotoCoreError, ClientError, ValueError, AttributeError, IndexError) as error:
        raise SettingsError(
            [f"SECRET_ARN cannot be read ({type(error).__name__}). It must name a JSON object, for this role."]
        ) from None


COMMANDS = [host]
