"""Strands with its real client of Amazon Bedrock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from app.runtimes.strands import Strands
from kit import defaults
from tests.kit.runtimes.failover import RealClients
from tests.kit.runtimes.providers import Bedrock, Provider


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a client that hangs keeps its socket
class TestBedrock(RealClients):
    kind = Bedrock

    @pytest.fixture(autouse=True)
    def keys(self, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        for name, value in Bedrock().environment().items():
            monkeypatch.setenv(name, value)
        self.environment = monkeypatch
        return monkeypatch

    @pytest.fixture(autouse=True)
    def closed(self) -> Iterator[None]:
        self.found: list[Any] = []
        yield
        for model in self.found:
            model.client.close()

    def models(self, first: Provider, second: Provider, deadline: float) -> Sequence[Any]:
        settings = defaults.settings(deadline=deadline, model="one", fallback_model="two")
        for number, provider in enumerate((first, second)):
            self.environment.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", provider.address)
            self.found.append(Strands.build(settings).models[number])
        return self.found
