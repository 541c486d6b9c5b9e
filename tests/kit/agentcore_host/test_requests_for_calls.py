"""A system that asks for a call reaches the agent through the Lambda function, with the token and nothing else."""

from __future__ import annotations

import base64
import json
from importlib.util import find_spec
from typing import Any

import pytest

from app.agentcore_host import Envelope, Webhooks
from app.agentcore_host.tests.test_lambda_proxy import Aws, aws, event, form
from kit.agent_app import build_app
from lambda_proxy import handler

__all__ = ["aws"]  # a fixture
TOKEN = "t" * 32
BODY = json.dumps({"number": "+12125550123", "campaign": "spring", "dry_run": True})


def asks(authorization: str, path: str = "/outbound/calls") -> dict[str, Any]:
    return event(path, BODY, "application/json", authorization=authorization)


@pytest.fixture
def open_route(aws: Aws) -> Aws:
    aws.secret = json.dumps({**json.loads(aws.secret), "AGENT_DIAL_TOKEN": TOKEN})
    return aws


def test_a_request_with_the_token_is_passed_on_with_it(open_route: Aws) -> None:
    assert handler.answer(asks(f"Bearer {TOKEN}"), None)["statusCode"] == 200
    (envelope,) = open_route.envelopes
    assert (envelope["path"], envelope["headers"]["authorization"]) == ("/outbound/calls", f"Bearer {TOKEN}")
    assert base64.b64decode(envelope["body"]).decode() == BODY and len(open_route.sessions[0]) >= handler.MIN_SESSION_ID


@pytest.mark.parametrize("authorization", ["", "Bearer", f"Bearer {TOKEN}x", f"bearer {TOKEN}", "Basic dTpw"])
def test_another_token_starts_no_session(open_route: Aws, authorization: str) -> None:
    assert handler.answer(asks(authorization), None)["statusCode"] == 401
    assert open_route.sessions == []


def test_without_a_token_in_the_secret_the_route_is_closed(aws: Aws) -> None:
    assert handler.answer(asks("Bearer "), None)["statusCode"] == 404
    assert aws.sessions == []


def test_the_token_opens_no_webhook_and_is_not_forwarded_elsewhere(open_route: Aws) -> None:
    assert handler.answer(asks(f"Bearer {TOKEN}", "/twiml"), None)["statusCode"] == 403
    signed = form("/twiml", {"CallSid": "CA1"})
    signed["headers"]["authorization"] = f"Bearer {TOKEN}"
    handler.answer(signed, None)
    assert "authorization" not in open_route.envelopes[-1]["headers"]


@pytest.mark.skipif(find_spec("app.outbound") is None, reason="this project calls nobody")
@pytest.mark.parametrize(("own", "status"), [(TOKEN, 200), ("u" * 32, 401), (None, 404)])
async def test_the_agent_compares_the_token_once_more(open_route: Aws, own: str | None, status: int) -> None:
    handler.answer(asks(f"Bearer {TOKEN}"), None)
    envelope = Envelope.model_validate(open_route.envelopes[-1])
    answer = await Webhooks(build_app(dial_token=own)).answer(envelope)
    assert answer["status"] == status
    if status == 200:
        assert json.loads(base64.b64decode(answer["body"]))["dry_run"] is True
