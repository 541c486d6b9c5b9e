"""What the stacks of deploy/ have in common: they are valid, and let nobody do more than needed."""

from __future__ import annotations

import re
import subprocess
import sys

from app.registry import RUNTIME
from app.runtimes.aws.tests.deployed import DEPLOY, many, properties, statements, text

NEEDED = {
    "Strands": {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"},
    "AgentCore": {
        "bedrock-agentcore:InvokeAgentRuntime",
        "bedrock-agentcore:InvokeAgentRuntimeWithWebSocketStream",
    },
    "BedrockAgents": {"bedrock:InvokeAgent"},
}


def test_it_is_what_cloudformation_takes() -> None:
    lint = [
        sys.executable,
        "-c",
        "import sys; from cfnlint.runner import main; sys.exit(main())",
        *map(str, DEPLOY.glob("*.yml")),
    ]
    linted = subprocess.run(lint, capture_output=True, encoding="utf-8")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_nobody_may_do_everything_or_anything_to_everything() -> None:
    for statement in statements():
        assert statement["Effect"] == "Allow" and "NotAction" not in statement and "NotResource" not in statement
        assert not [action for action in many(statement["Action"]) if "*" in action]
        for resource in many(statement["Resource"]):
            if statement["Action"] == "ecr:GetAuthorizationToken":  # AWS knows no resource for it
                continue
            wild = re.sub(r":log-stream:(agent/)?\*$", "", text(resource))  # a stream is named after its process
            assert "*" not in wild, statement


def test_the_agent_may_ask_what_answers() -> None:
    """And a stack that starts the agent itself may wake it."""
    needed = NEEDED[RUNTIME.__name__] | (NEEDED["AgentCore"] if properties("BedrockAgentCore::Runtime") else set())
    asked = {action for statement in statements() for action in many(statement["Action"])}
    assert {action for action in asked if action.startswith("bedrock")} == needed


def test_the_log_is_not_kept_for_ever() -> None:
    assert all(log["RetentionInDays"] <= 90 for log in properties("Logs::LogGroup"))


def test_whoever_was_given_an_address_hears_of_alarms() -> None:
    alarms = properties("CloudWatch::Alarm")
    assert alarms and all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms)
    (subscription,) = properties("SNS::Subscription")
    assert (subscription["TopicArn"], subscription["Endpoint"]) == ({"Ref": "Alarms"}, {"Ref": "AlertEmail"})
