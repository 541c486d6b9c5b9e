"""Rules for every stack of deploy/: valid templates, minimal permissions, logs and alarms."""

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
# AWS knows no resource for these.
UNSCOPED = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "xray:PutTraceSegments"}


def test_the_templates_are_valid() -> None:
    lint = [
        sys.executable,
        "-c",
        "import sys; from cfnlint.runner import main; sys.exit(main())",
        *map(str, DEPLOY.glob("*.yml")),
    ]
    linted = subprocess.run(lint, capture_output=True, encoding="utf-8")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_no_statement_allows_all_actions_or_all_resources() -> None:
    for statement in statements():
        assert statement["Effect"] == "Allow" and "NotAction" not in statement and "NotResource" not in statement
        assert not [action for action in many(statement["Action"]) if "*" in action]
        for resource in many(statement["Resource"]):
            if UNSCOPED.issuperset(many(statement["Action"])):
                continue
            wild = re.sub(r":log-stream:(agent/)?\*$", "", text(resource))  # a stream is named after its process
            assert "*" not in wild, statement


def test_the_agent_may_use_its_runtime_and_no_other() -> None:
    """A stack that runs the agent in AgentCore may invoke that too."""
    needed = NEEDED[RUNTIME.__name__] | (NEEDED["AgentCore"] if properties("BedrockAgentCore::Runtime") else set())
    asked = {action for statement in statements() for action in many(statement["Action"])}
    assert {action for action in asked if action.startswith("bedrock")} == needed


def test_logs_have_a_retention() -> None:
    assert all(log["RetentionInDays"] <= 90 for log in properties("Logs::LogGroup"))


def test_alarms_are_sent_to_the_email_address() -> None:
    alarms = properties("CloudWatch::Alarm")
    assert alarms and all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms)
    (subscription,) = properties("SNS::Subscription")
    assert (subscription["TopicArn"], subscription["Endpoint"]) == ({"Ref": "Alarms"}, {"Ref": "AlertEmail"})
