"""deploy/agentcore.yml: permissions, settings, the container, timeouts and alarms."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app import config
from app.registry import ProjectSettings
from app.runtimes.aws.tests.deployed import DEPLOY, FIELDS, NOT_OURS, RESOURCES, TEMPLATE, many, only, properties
from kit import defaults
from lambda_proxy import handler

RUNTIME: dict[str, Any] = only("BedrockAgentCore::Runtime")
ENVIRONMENT: dict[str, Any] = RUNTIME["EnvironmentVariables"]
FUNCTION: dict[str, Any] = only("Lambda::Function")
DOCKERFILE = (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8")
PAGE = (DEPLOY / "README.md").read_text(encoding="utf-8")


def allowed(role: str) -> dict[str, Any]:
    policies = RESOURCES[role]["Properties"]["Policies"]
    return {
        action: each["Resource"]
        for policy in policies
        for each in policy["PolicyDocument"]["Statement"]
        for action in many(each["Action"])
    }


# --- permissions --------------------------------------------------------------------------------------------------


def test_each_role_is_for_one_service() -> None:
    trusts = {
        name: RESOURCES[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        for name in ("FunctionRole", "RuntimeRole")
    }
    assert [trust["Principal"]["Service"] for (trust,) in trusts.values()] == [
        "lambda.amazonaws.com",
        "bedrock-agentcore.amazonaws.com",
    ]
    condition = trusts["RuntimeRole"][0]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert len(properties("IAM::Role")) == 2


def test_the_function_may_invoke_the_agent_and_no_model() -> None:
    actions = allowed("FunctionRole")
    assert not [action for action in actions if action.startswith(("bedrock:", "dynamodb:"))]
    assert actions["bedrock-agentcore:InvokeAgentRuntime"] == [
        {"Fn::GetAtt": ["Runtime", "AgentRuntimeArn"]},
        {"Fn::Sub": "${Runtime.AgentRuntimeArn}/runtime-endpoint/DEFAULT"},
    ]
    assert not [action for action in allowed("RuntimeRole") if action.startswith("bedrock-agentcore:")]
    assert (FUNCTION["Role"], RUNTIME["RoleArn"]) == (
        {"Fn::GetAtt": ["FunctionRole", "Arn"]},
        {"Fn::GetAtt": ["RuntimeRole", "Arn"]},
    )


def test_only_the_api_may_call_the_function() -> None:
    permission = only("Lambda::Permission")
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${Api}/*")
    assert only("ApiGatewayV2::Route")["RouteKey"] == "POST /{proxy+}"  # Twilio posts everything


# --- settings -------------------------------------------------------------------------------------------------------


def test_every_required_setting_is_in_the_environment_or_the_secret() -> None:
    assert ENVIRONMENT.keys() - NOT_OURS - {"SECRET_ARN"} <= FIELDS.keys()
    listed = set(re.findall(r"^([A-Z][A-Z0-9_]+)=$", (DEPLOY.parent / ".env.example").read_text(), re.M))
    assert {name for name, field in FIELDS.items() if field.is_required()} <= {*ENVIRONMENT, *listed}


def test_no_secret_is_in_the_stack() -> None:
    names = {*ENVIRONMENT, *FUNCTION["Environment"]["Variables"]} - {"SECRET_ARN"}
    assert not [name for name in names if re.search("TOKEN|SECRET|PASSWORD|KEY", name)]
    assert not [name for name, parameter in TEMPLATE["Parameters"].items() if parameter.get("NoEcho")]
    assert defaults.AUTH_TOKEN not in PAGE


def test_function_and_server_have_the_same_public_url() -> None:
    """Both check the signature, which covers the URL."""
    address = ENVIRONMENT["PUBLIC_URL"]
    assert address == FUNCTION["Environment"]["Variables"]["PUBLIC_URL"] == TEMPLATE["Outputs"]["PublicUrl"]["Value"]
    assert address["Fn::If"][2] == {"Fn::GetAtt": ["Api", "ApiEndpoint"]}


def test_the_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"AWS::Region": config.REGION, "Sessions": "a-table"}
    for name, field in FIELDS.items():
        monkeypatch.delenv(name, raising=False)
        if name not in ENVIRONMENT and field.examples:
            monkeypatch.setenv(name, str(field.examples[0]))
    for name, value in ENVIRONMENT.items():
        if isinstance(value, dict) and "Ref" in value:
            value = given.get(value["Ref"], TEMPLATE["Parameters"].get(value["Ref"], {}).get("Default", "x"))
        monkeypatch.setenv(name, "https://abc.execute-api.us-east-1.amazonaws.com" if name == "PUBLIC_URL" else value)
    settings = ProjectSettings()
    assert settings.port == 8080 and settings.public_url.startswith("https://abc.")


# --- the container --------------------------------------------------------------------------------------------------


def test_the_server_listens_where_agentcore_connects() -> None:
    """Port 8080, on every address, as `python -m app host`."""
    assert ENVIRONMENT["PORT"] == "8080"
    assert "EXPOSE 8080\n" in DOCKERFILE and " PORT=8080\n" in DOCKERFILE
    assert FIELDS["HOST"].default == "0.0.0.0"
    assert 'CMD ["python", "-m", "app", "host"]' in DOCKERFILE


def test_the_image_is_for_arm64() -> None:
    assert "--platform linux/arm64" in PAGE and "linux/amd64" not in PAGE
    assert RUNTIME["ProtocolConfiguration"] == "HTTP"
    assert re.fullmatch("[a-zA-Z][a-zA-Z0-9_]{0,47}", RUNTIME["AgentRuntimeName"])


def test_a_session_may_last_as_long_as_a_call() -> None:
    lifecycle = RUNTIME["LifecycleConfiguration"]
    assert lifecycle["MaxLifetime"] >= 4 * 3600  # as long as a call may be
    queue = float(FIELDS["AGENT_QUEUE_TIMEOUT"].default) if "AGENT_QUEUE_TIMEOUT" in FIELDS else 0
    assert lifecycle["IdleRuntimeSessionTimeout"] >= queue + 60


def test_each_timeout_is_shorter_than_the_next() -> None:
    """The function answers within its own time, that of the API, and the 15 seconds of Twilio."""
    latest = handler.READ_TIMEOUT + handler.CONNECT_TIMEOUT + 1.5  # which the function may take to start
    assert latest <= 15
    assert latest < FUNCTION["Timeout"] < only("ApiGatewayV2::Integration")["TimeoutInMillis"] / 1000 <= 30


def test_the_handler_of_the_function_exists() -> None:
    module, name = FUNCTION["Handler"].split(".")
    assert module == handler.__name__.split(".")[-1] and callable(getattr(handler, name))
    assert only("ApiGatewayV2::Integration")["PayloadFormatVersion"] == "2.0"
    assert "ReservedConcurrentExecutions" in FUNCTION


# --- alarms and logs ------------------------------------------------------------------------------------------------


def test_every_failure_that_callers_hear_has_an_alarm() -> None:
    metrics = {
        (alarm["Namespace"] if isinstance(alarm["Namespace"], str) else "ours", alarm["MetricName"])
        for alarm in properties("CloudWatch::Alarm")
    }
    assert metrics == {("AWS/Lambda", "Errors"), ("AWS/Lambda", "Throttles"), ("ours", "AgentFailed")}
    counted = only("Logs::MetricFilter")
    assert counted["LogGroupName"] == FUNCTION["LoggingConfig"]["LogGroup"] == {"Ref": "FunctionLog"}


def test_the_log_of_the_agent_has_a_retention() -> None:
    log = RESOURCES["RuntimeLog"]["Properties"]["LogGroupName"]
    assert log == {"Fn::Sub": "/aws/bedrock-agentcore/runtimes/${Runtime.AgentRuntimeId}-DEFAULT"}
    (policy,) = properties("IAM::RolePolicy")
    assert policy["RoleName"] == {"Ref": "RuntimeRole"}


def test_the_command_in_the_readme_sets_every_required_parameter() -> None:
    command = PAGE[PAGE.rindex("aws cloudformation deploy") :].partition("```")[0]
    given = set(re.findall(r"\b([A-Z]\w+)=", command))
    parameters: dict[str, Any] = TEMPLATE["Parameters"]
    assert {name for name, parameter in parameters.items() if "Default" not in parameter} <= given <= parameters.keys()
    assert "--template-file deploy/agentcore.yml" in command
    assert parameters["RepositoryName"]["Default"] in PAGE
