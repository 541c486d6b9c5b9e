"""The collector of the container app: beside the agent, with the agent's identity."""

from __future__ import annotations

from typing import Any

import pytest

deploy = pytest.importorskip("app.runtimes.azure.tests.test_deploy", reason="the project is not on Azure")

AGENT, COLLECTOR = deploy.TEMPLATE["containers"]
CONFIG: dict[str, Any] = deploy.AGENT["variables"]["collector"]["value"]


def test_the_agent_sends_to_the_collector_of_its_replica() -> None:
    port = CONFIG["receivers"]["otlp"]["protocols"]["http"]["endpoint"].removeprefix("127.0.0.1:")
    assert deploy.SETTINGS["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://localhost:{port}"
    assert COLLECTOR["name"] == "collector" and COLLECTOR["args"] == ["--config=env:COLLECTOR"]
    assert "{ name: 'COLLECTOR', value: string(collector) }" in deploy.text("agent.bicep")
    assert "collectorImage" in deploy.AGENT["parameters"]


def test_each_signal_goes_to_application_insights_with_the_identity_of_the_agent() -> None:
    (name,) = CONFIG["exporters"]
    exporter = CONFIG["exporters"][name]
    for signal in ("traces", "metrics", "logs"):
        assert CONFIG["service"]["pipelines"][signal]["exporters"] == [name]
        assert exporter[f"{signal}_endpoint"] == f"otlp{signal.capitalize()}"
        assert f"param otlp{signal.capitalize()} string" in deploy.text("agent.bicep")
    assert CONFIG["service"]["extensions"] == [exporter["auth"]["authenticator"]] == list(CONFIG["extensions"])
    (authenticator,) = CONFIG["extensions"].values()
    assert authenticator["managed_identity"]["client_id"] == "agentClientId"


def test_metrics_are_as_application_insights_takes_them() -> None:
    assert deploy.SETTINGS["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"] == "delta"
