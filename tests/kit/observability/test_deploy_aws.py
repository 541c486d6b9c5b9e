"""The collector of the stack on Fargate: beside the agent, and for CloudWatch's own endpoints."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

deployed = pytest.importorskip("app.runtimes.aws.tests.deployed", reason="the project is not on AWS")
if not deployed.properties("ECS::TaskDefinition"):
    pytest.skip("the server runs in AgentCore, without a collector beside it", allow_module_level=True)

CONTAINERS: dict[str, Any] = {
    each["Name"]: each for each in deployed.only("ECS::TaskDefinition")["ContainerDefinitions"]
}
AGENT, COLLECTOR = CONTAINERS["agent"], CONTAINERS["collector"]
(SETTING,) = COLLECTOR["Environment"]
CONFIG: dict[str, Any] = yaml.safe_load(SETTING["Value"]["Fn::Sub"])


def test_the_agent_sends_to_the_collector_of_its_task() -> None:
    """The receiver listens on the task's loopback, and no port is mapped."""
    settings = {each["Name"]: each["Value"] for each in AGENT["Environment"]}
    port = CONFIG["receivers"]["otlp"]["protocols"]["http"]["endpoint"].removeprefix("127.0.0.1:")
    assert settings["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://localhost:{port}"
    assert "PortMappings" not in COLLECTOR
    assert COLLECTOR["Command"] == [f"--config=env:{SETTING['Name']}"]


def test_calls_go_on_without_the_collector() -> None:
    """Also in its start and end: the agent stops first, and what it has measured is sent."""
    assert COLLECTOR["Essential"] is False and COLLECTOR["Memory"] <= 256
    assert AGENT["DependsOn"] == [{"ContainerName": "collector", "Condition": "START"}]
    default = deployed.TEMPLATE["Parameters"][COLLECTOR["Image"]["Ref"]]["Default"]
    assert default.rpartition(":")[2][0].isdigit()


def test_each_signal_is_signed_for_its_service() -> None:
    pipelines, exporters = CONFIG["service"]["pipelines"], CONFIG["exporters"]
    assert set(pipelines) == {"traces", "metrics", "logs"}
    for signal, service, host in [("traces", "xray", "xray"), ("metrics", "monitoring", "monitoring")]:
        (name,) = pipelines[signal]["exporters"]
        authenticator = exporters[name]["auth"]["authenticator"]
        assert authenticator in CONFIG["service"]["extensions"]
        assert CONFIG["extensions"][authenticator] == {"region": "${AWS::Region}", "service": service}
        assert (
            exporters[name][f"{signal}_endpoint"] == f"https://{host}.${{AWS::Region}}.${{AWS::URLSuffix}}/v1/{signal}"
        )
    assert pipelines["logs"]["exporters"] == ["nop"]  # awslogs brings them
    parts = {kind: set(CONFIG[kind]) for kind in ("receivers", "processors", "exporters")}
    for pipeline in pipelines.values():
        assert all(set(used) <= parts[kind] for kind, used in pipeline.items())
