"""The collector that telemetry goes to, and the standard variables of OpenTelemetry."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from difflib import get_close_matches
from urllib.parse import urlsplit

import httpx2
from dotenv import dotenv_values
from opentelemetry.sdk import environment_variables
from opentelemetry.util.re import parse_env_headers

from app.observability.telemetry import address
from kit.doctor.check import Context, check, safe_url

VARIABLES = "https://opentelemetry.io/docs/languages/sdk-configuration/"
EXPORTER = "https://opentelemetry.io/docs/specs/otel/protocol/exporter/"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
NEAR = ("localhost", "127.0.0.1", "::1")
# What opentelemetry-api, instrumentations and frameworks read besides those of the SDK.
OTHERS = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
    "OTEL_PROPAGATORS",
    "OTEL_PYTHON_CONTEXT",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
}
KNOWN = OTHERS | {name for name in vars(environment_variables) if name.startswith("OTEL_")}
SAMPLERS = {
    f"{parent}{name}" for parent in ("", "parentbased_") for name in ("always_on", "always_off", "traceidratio")
}
SIGNED = {  # the end of a host -> the signature that its requests need
    ".amazonaws.com": "SigV4",
    ".ingest.monitor.azure.com": "Microsoft Entra",
}


@check(
    "OBS001",
    hint="Write the address of a collector into OTEL_EXPORTER_OTLP_ENDPOINT, or answer observability=off.",
    docs=EXPORTER,
    requires=("ENV001",),
    until_set_up=True,
)
def endpoint_is_set(context: Context) -> Iterator[str]:
    """Telemetry has somewhere to go."""
    if not context.settings.otlp_endpoint:
        yield f"{ENDPOINT} is not set: nothing is measured."
    elif os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield "OTEL_SDK_DISABLED is true: nothing is measured."


@check(
    "OBS002",
    hint="Write the base address of OTLP over HTTP, as in http://localhost:4318; /v1/traces and the rest are added.",
    docs=EXPORTER,
    requires=("OBS001",),
)
def endpoint_takes_http(context: Context) -> Iterator[str]:
    """The collector is reached by OTLP over HTTP, and takes unsigned requests."""
    url = urlsplit(context.settings.otlp_endpoint)
    if url.port == 4317:
        yield f"{ENDPOINT} names port 4317, which is that of gRPC."
    if url.path.rstrip("/").endswith(("/v1/traces", "/v1/metrics", "/v1/logs")):
        yield f"{ENDPOINT} ends with {url.path}: metrics would be sent to {url.path.rstrip('/')}/v1/metrics."
    for end, signature in SIGNED.items():
        if (url.hostname or "").endswith(end):
            yield f"{url.hostname} takes requests signed by {signature}: send to a collector that signs them."
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        yield f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}: this project sends http/protobuf."


@check(
    "OBS003",
    hint="Write https:// into OTEL_EXPORTER_OTLP_ENDPOINT, or send to a collector beside the server.",
    docs=EXPORTER,
    requires=("OBS001",),
)
def headers_encrypted(context: Context) -> Iterator[str]:
    """Keys in OTEL_EXPORTER_OTLP_HEADERS travel encrypted."""
    url = urlsplit(context.settings.otlp_endpoint)
    near = url.hostname in NEAR or "." not in (url.hostname or "")  # this machine, or a network of containers
    if url.scheme == "http" and not near and os.environ.get("OTEL_EXPORTER_OTLP_HEADERS"):
        yield f"OTEL_EXPORTER_OTLP_HEADERS reaches {url.hostname} without TLS: the key can be read on the way."


@check(
    "OBS004",
    hint="Correct the name or the value, in .env or the environment.",
    docs=VARIABLES,
)
def variables_exist(context: Context) -> Iterator[str]:
    """No variable of OpenTelemetry is misspelt."""
    given = {**dotenv_values(context.root / ".env"), **os.environ}
    for name in sorted(given):
        if name.startswith("OTEL") and name not in KNOWN and (close := get_close_matches(name, KNOWN, 1, cutoff=0.85)):
            yield f"{name} is not a variable of OpenTelemetry; did you mean {close[0]}?"
    sampler = str(given.get("OTEL_TRACES_SAMPLER") or "always_on").strip().lower()
    if sampler not in SAMPLERS:
        yield f"OTEL_TRACES_SAMPLER is {sampler}, which is none of {', '.join(sorted(SAMPLERS))}."
    ratio = str(given.get("OTEL_TRACES_SAMPLER_ARG") or "")
    if sampler.endswith("traceidratio") and not is_ratio(ratio):
        yield f"OTEL_TRACES_SAMPLER_ARG is {ratio!r}: without a number from 0 to 1, every trace is kept."


def is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


@check(
    "OBS005",
    hint="Start the collector, open its port, or correct address and OTEL_EXPORTER_OTLP_HEADERS.",
    docs="https://opentelemetry.io/docs/specs/otlp/#otlphttp",
    live=True,
    requires=("OBS002", "OBS003"),
)
async def collector_answers(context: Context) -> AsyncIterator[str]:
    """The collector takes an empty request."""
    url = address(context.settings.otlp_endpoint, "traces")
    headers = parse_env_headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True)
    try:
        sent = {**headers, "Content-Type": "application/x-protobuf"}
        response = await context.http.post(url, content=b"", headers=sent)
    except httpx2.TransportError as error:
        yield f"{safe_url(url)} does not answer ({type(error).__name__}): telemetry is lost."
        return
    if not response.is_success:
        yield f"{safe_url(url)} answers {response.status_code}: telemetry is lost."
