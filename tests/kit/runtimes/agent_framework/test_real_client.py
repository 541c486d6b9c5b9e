"""Agent Framework with its real client of Azure OpenAI (Responses API)."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from app.runtimes.agent_framework import deployment
from tests.kit.runtimes.failover import RealClients
from tests.kit.runtimes.providers import OpenAI, Provider


class TestAzure(RealClients):
    kind = OpenAI

    def models(self, first: Provider, second: Provider, deadline: float) -> Sequence[Any]:
        return [
            deployment("one", SimpleNamespace(deadline=deadline, openai_endpoint=provider.address), "a-test-key")
            for provider in (first, second)
        ]
