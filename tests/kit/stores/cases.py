"""A shared store that does not answer."""

from __future__ import annotations

from app.registry import STORE
from tests.kit.healthy_project import HealthyProject, fails

NOWHERE = "http://127.0.0.1:1"
VARIABLES = {
    "RedisStore": {"REDIS_URL": "redis://127.0.0.1:1/0"},
    "DynamoDBStore": {"AGENT_TABLE": "sessions", "AWS_ENDPOINT_URL_DYNAMODB": NOWHERE},
    "CosmosStore": {"AZURE_COSMOS_ENDPOINT": NOWHERE, "AZURE_COSMOS_KEY": "bm9ib2R5"},
}


@fails("STO001")
def no_server(project: HealthyProject) -> None:
    for name, value in VARIABLES[STORE.__name__].items():
        project.patch.setenv(name, value)
