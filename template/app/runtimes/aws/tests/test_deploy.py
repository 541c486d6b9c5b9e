"""deploy/cloudformation.yml: permissions, networks, settings, long calls and alarms."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import uvicorn
import yaml

from app import config
from app.capability import Timeouts
from app.registry import STORE, ProjectSettings
from app.runtimes.aws.tests.deployed import (
    DEPLOY,
    FIELDS,
    NOT_OURS,
    RESOURCES,
    TEMPLATE,
    attributes,
    many,
    only,
    properties,
)
from app.settings import Settings
from kit import defaults
from kit.plugin import Web

NETWORK: dict[str, Any] = yaml.safe_load((DEPLOY / "network.yml").read_text(encoding="utf-8"))

CONTAINER: dict[str, Any] = only("ECS::TaskDefinition")["ContainerDefinitions"][0]
ENVIRONMENT: dict[str, Any] = {each["Name"]: each["Value"] for each in CONTAINER["Environment"]}
SECRETS: dict[str, Any] = {each["Name"]: each["ValueFrom"] for each in CONTAINER["Secrets"]}


# --- permissions --------------------------------------------------------------------------------------------------


def test_the_roles_are_for_tasks_of_this_account() -> None:
    for role in properties("IAM::Role"):
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_task_role_cannot_read_secrets() -> None:
    """ECS reads them with the execution role, and the app runs with another."""
    task = RESOURCES["TaskRole"]["Properties"]["Policies"]
    allowed = {a.split(":")[0] for p in task for s in p["PolicyDocument"]["Statement"] for a in many(s["Action"])}
    assert allowed <= {"bedrock", "bedrock-agentcore", "cloudwatch", "dynamodb", "xray"}
    definition = only("ECS::TaskDefinition")
    assert definition["TaskRoleArn"] == {"Fn::GetAtt": ["TaskRole", "Arn"]}
    assert definition["ExecutionRoleArn"] == {"Fn::GetAtt": ["ExecutionRole", "Arn"]}


def test_the_process_does_not_run_as_root() -> None:
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8")
    uid = re.search(r"useradd --uid (\d+)", dockerfile)
    assert uid and uid[1] != "0" and CONTAINER["User"] == uid[1]
    assert f"USER {uid[1]}\n" in dockerfile and not CONTAINER.get("Privileged")


# --- networks -----------------------------------------------------------------------------------------------------


def test_calls_use_tls_only() -> None:
    listeners = {listener["Port"]: listener for listener in properties("ElasticLoadBalancingV2::Listener")}
    assert listeners.keys() == {80, 443}
    assert listeners[443]["Protocol"] == "HTTPS" and listeners[443]["Certificates"]
    assert listeners[443]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    (redirect,) = listeners[80]["DefaultActions"]
    assert redirect["Type"] == "redirect" and redirect["RedirectConfig"]["Protocol"] == "HTTPS"


def test_only_the_load_balancer_reaches_the_tasks() -> None:
    network = only("ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert network["SecurityGroups"] == [{"Ref": "TaskGroup"}]
    (ingress,) = RESOURCES["TaskGroup"]["Properties"]["SecurityGroupIngress"]
    assert ingress["SourceSecurityGroupId"] == {"Ref": "LoadBalancerGroup"}
    assert (network["Subnets"], only("ElasticLoadBalancingV2::LoadBalancer")["Subnets"]) == (
        {"Ref": "PrivateSubnetIds"},
        {"Ref": "PublicSubnetIds"},
    )


def test_private_subnets_have_a_nat_gateway_only() -> None:
    network = NETWORK["Resources"]
    routes = {
        each["Properties"]["RouteTableId"]["Ref"]: each["Properties"]
        for each in network.values()
        if each["Type"] == "AWS::EC2::Route"
    }
    joined = {
        each["Properties"]["SubnetId"]["Ref"]: routes[each["Properties"]["RouteTableId"]["Ref"]]
        for each in network.values()
        if each["Type"] == "AWS::EC2::SubnetRouteTableAssociation"
    }
    for output, gateway in [("PublicSubnetIds", "GatewayId"), ("PrivateSubnetIds", "NatGatewayId")]:
        subnets = [subnet["Ref"] for subnet in NETWORK["Outputs"][output]["Value"]["Fn::Join"][1]]
        assert len({str(network[name]["Properties"]["AvailabilityZone"]) for name in subnets}) == 2
        assert all(gateway in joined[name] for name in subnets)


def test_the_port_is_the_same_everywhere() -> None:
    port = int(ENVIRONMENT["PORT"])
    assert f"EXPOSE {port}\n" in (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8")
    assert [mapping["ContainerPort"] for mapping in CONTAINER["PortMappings"]] == [port]
    (ingress,) = RESOURCES["TaskGroup"]["Properties"]["SecurityGroupIngress"]
    (balanced,) = only("ECS::Service")["LoadBalancers"]
    targets = only("ElasticLoadBalancingV2::TargetGroup")
    assert {ingress["FromPort"], ingress["ToPort"], balanced["ContainerPort"], targets["Port"]} == {port}


# --- settings ----------------------------------------------------------------------------------------------------


def test_every_required_setting_is_given() -> None:
    given = {*ENVIRONMENT, *SECRETS}
    assert {name for name, field in FIELDS.items() if field.is_required()} <= given
    assert given - NOT_OURS <= FIELDS.keys()


def test_no_secret_is_in_the_stack() -> None:
    assert not [name for name in ENVIRONMENT if name in FIELDS and "SecretStr" in repr(FIELDS[name].annotation)]
    assert not [name for name in ENVIRONMENT if re.search("TOKEN|SECRET|PASSWORD|KEY", name)]
    for name, value in SECRETS.items():
        assert value == {"Fn::Sub": f"${{SecretArn}}:{name}::"}
    assert not [name for name, parameter in TEMPLATE["Parameters"].items() if parameter.get("NoEcho")]


def test_the_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"DomainName": "agent.example.com", "AWS::Region": config.REGION}
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
    for name in SECRETS:
        examples = FIELDS[name].examples or [str(FIELDS[name].default)]
        monkeypatch.setenv(name, str(examples[0]))
    for name, value in ENVIRONMENT.items():
        if isinstance(value, dict) and "Ref" in value:
            default = TEMPLATE["Parameters"].get(value["Ref"], {}).get("Default")
            value = given.get(value["Ref"], default)
            if value is None:
                value = (FIELDS[name].examples or [FIELDS[name].default])[0]
        elif isinstance(value, dict):
            value = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], value["Fn::Sub"])
        monkeypatch.setenv(name, str(value))
    settings = ProjectSettings()
    assert settings.public_url == "https://agent.example.com" and settings.drain == float(ENVIRONMENT["AGENT_DRAIN"])


# --- long calls ---------------------------------------------------------------------------------------------------


async def test_the_health_check_uses_the_health_route(web: Web) -> None:
    targets = only("ElasticLoadBalancingV2::TargetGroup")
    answer = await web.http.get(targets["HealthCheckPath"])
    assert targets["Matcher"]["HttpCode"] == f"{answer.status_code},503", "ECS would end a task that has calls"
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8")
    assert f"    CMD {json.dumps(CONTAINER['HealthCheck']['Command'][1:])}\n" in dockerfile


def test_the_idle_timeout_of_the_load_balancer_allows_long_silence() -> None:
    """A caller may be silent without limit. The server's pings come in time, and half an hour may pass without them."""
    idle = float(
        attributes(only("ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"])[
            "idle_timeout.timeout_seconds"
        ]
    )
    ping = uvicorn.Config("app", log_config=None).ws_ping_interval
    assert ping and idle > 2 * ping
    assert 1800 <= idle <= 4000  # the most that a load balancer allows


def test_a_task_has_time_for_its_last_calls() -> None:
    delay = attributes(only("ElasticLoadBalancingV2::TargetGroup")["TargetGroupAttributes"])
    assert float(delay["deregistration_delay.timeout_seconds"]) >= Settings.model_fields["drain"].default
    drain = float(ENVIRONMENT["AGENT_DRAIN"])
    assert drain + Timeouts.shutdown <= CONTAINER["StopTimeout"] <= 120  # the most that Fargate gives


def test_the_number_of_tasks_fits_the_store() -> None:
    service = only("ECS::Service")
    if STORE.shared:
        scaled = only("ApplicationAutoScaling::ScalableTarget")
        parameters = TEMPLATE["Parameters"]
        assert parameters[scaled["MinCapacity"]["Ref"]]["MinValue"] >= 2
        assert parameters[scaled["MaxCapacity"]["Ref"]]["Default"] > 2
        assert "DesiredCount" not in service  # a deployment would set it back
    else:
        assert service["DesiredCount"] == 1
        assert not properties("ApplicationAutoScaling::ScalableTarget")


def test_a_deployment_keeps_tasks_running_and_rolls_back_when_it_fails() -> None:
    deployment = only("ECS::Service")["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200)


# --- alarms and logs ----------------------------------------------------------------------------------------------


def test_every_failure_that_callers_hear_has_an_alarm() -> None:
    alarms = {alarm["MetricName"]: alarm for alarm in properties("CloudWatch::Alarm")}
    assert alarms.keys() == {
        "HealthyHostCount",
        "UnHealthyHostCount",
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
    }
    assert all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms.values())
    assert alarms["HealthyHostCount"]["TreatMissingData"] == "breaching"  # no task reports nothing


def test_the_container_logs_to_the_log_group_of_the_stack() -> None:
    assert CONTAINER["LogConfiguration"]["Options"]["awslogs-group"] == {"Ref": "Log"}


# --- README.md ----------------------------------------------------------------------------------------------------


def test_the_command_in_the_readme_sets_every_required_parameter() -> None:
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    command = page[page.rindex("aws cloudformation deploy") :].partition("```")[0]
    given = set(re.findall(r"\b([A-Z]\w+)=", command))
    parameters: dict[str, Any] = TEMPLATE["Parameters"]
    given |= NETWORK["Outputs"].keys()
    assert {name for name, parameter in parameters.items() if "Default" not in parameter} <= given <= parameters.keys()
    assert f"--stack-name $NAME --template-file deploy/{DEPLOY.joinpath('cloudformation.yml').name}" in command
    assert parameters["RepositoryName"]["Default"] in page
    assert defaults.AUTH_TOKEN not in page
