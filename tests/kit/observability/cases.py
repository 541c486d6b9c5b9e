"""Collectors that get nothing, and variables of OpenTelemetry that do nothing."""

from __future__ import annotations

import os

import httpx2

from tests.kit.healthy_project import HealthyProject, fails, passes

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
COLLECTOR = "https://collector.example"


def healthy(project: HealthyProject) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        project.patch.delenv(name)
    project.patch.setenv(ENDPOINT, COLLECTOR)
    project.public.others["collector.example"] = takes


def takes(request: httpx2.Request) -> httpx2.Response:
    """A collector with a key."""
    if request.headers.get("api-key") == "wrong":
        return httpx2.Response(401)
    is_otlp = request.headers["Content-Type"] == "application/x-protobuf" and request.url.path == "/v1/traces"
    return httpx2.Response(200 if is_otlp else 404)


@fails("OBS001")
def no_endpoint(project: HealthyProject) -> None:
    project.patch.delenv(ENDPOINT)


@fails("OBS001")
def the_sdk_disabled(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_SDK_DISABLED", "TRUE")


@fails("OBS002")
def the_port_of_grpc(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, "http://localhost:4317")


@fails("OBS002")
def the_protocol_of_grpc(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")


@fails("OBS002")
def the_address_of_one_signal(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, f"{COLLECTOR}/v1/traces/")


@fails("OBS002")
def cloudwatch_itself(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, "https://xray.us-east-1.amazonaws.com")


@fails("OBS002")
def azure_monitor_itself(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, "https://agent-x1.westeurope-1.ingest.monitor.azure.com")


@passes("OBS002")
def a_collector_beside_the_server(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, "http://localhost:4318")


@fails("OBS003")
def a_key_without_tls(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, "http://collector.example:4318")
    project.patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")


@passes("OBS003")
def a_key_within_a_network_of_containers(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, "http://collector:4318")
    project.patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")


@fails("OBS004")
def a_misspelt_name_in_env(project: HealthyProject) -> None:
    (project.root / ".env").write_text("OTEL_TRACE_SAMPLER=traceidratio\n")


@fails("OBS004")
def a_misspelt_name_in_the_environment(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_EXPORTER_OTLP_HEADER", "api-key=secret")


@fails("OBS004")
def a_sampler_that_does_not_exist(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_TRACES_SAMPLER", "ratio")


@fails("OBS004")
def a_ratio_in_percent(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    project.patch.setenv("OTEL_TRACES_SAMPLER_ARG", "10")


@passes("OBS004")
def a_tenth_of_the_traces(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    project.patch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.1")
    project.patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")


@passes("OBS004")
def a_variable_of_another_tool(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_RESOURCE_PROVIDERS_AWS_ENABLED", "true")


@fails("OBS005")
def a_wrong_key(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=wrong")


@fails("OBS005")
def a_collector_that_is_down(project: HealthyProject) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    project.public.others["collector.example"] = refuse


@fails("OBS005")
def another_path(project: HealthyProject) -> None:
    project.patch.setenv(ENDPOINT, f"{COLLECTOR}/otlp")


@passes("OBS005")
def a_right_key(project: HealthyProject) -> None:
    project.patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=right,tenant=agent")


@passes("OBS005")
def another_address_for_traces(project: HealthyProject) -> None:
    """The server sends them there, so the other path is not asked."""
    project.patch.setenv(ENDPOINT, f"{COLLECTOR}/otlp")
    project.patch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{COLLECTOR}/v1/traces")
