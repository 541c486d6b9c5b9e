"""Bodies that reach the Lambda function: forms with repeated fields, and JSON that is too deep."""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

import pytest
from starlette.datastructures import MultiDict

from app.agentcore_host.tests.test_lambda_proxy import CALL, PUBLIC_URL, Aws, aws, event, sign
from lambda_proxy import handler

__all__ = ["aws"]  # a fixture
FORM_TYPE = "application/x-www-form-urlencoded; charset=UTF-8"


@pytest.mark.parametrize(
    "repeated",
    [[("Digits", "1"), ("Digits", "2")], [("Digits", "2"), ("Digits", ""), ("Digits", "1")], [("a", "é"), ("a", "é")]],
)
def test_all_values_of_a_field_count_for_the_signature(aws: Aws, repeated: list[tuple[str, str]]) -> None:
    fields = MultiDict([*CALL.items(), *repeated])
    body = urlencode(fields.multi_items())
    signed = event("/twiml", body, FORM_TYPE, x_twilio_signature=sign(f"{PUBLIC_URL}/twiml", fields))
    assert handler.answer(signed, None)["statusCode"] == 200
    for kept in (dict(fields), {**fields, repeated[0][0]: f"{repeated[0][1]}x"}):
        other = event("/twiml", body, FORM_TYPE, x_twilio_signature=sign(f"{PUBLIC_URL}/twiml", kept))
        equal = sign(f"{PUBLIC_URL}/twiml", kept) == sign(f"{PUBLIC_URL}/twiml", fields)
        assert handler.answer(other, None)["statusCode"] == (200 if equal else 403)


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"data":' * 50_000 + "1" + "}" * 50_000],
    ids=["lists", "closed", "objects"],
)
def test_deep_json_is_malformed(aws: Aws, body: str) -> None:
    query = f"bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    signed = sign(f"{PUBLIC_URL}/webhooks/conversations?{query}", {})
    webhook = event("/webhooks/conversations", body, "application/json", query, x_twilio_signature=signed)
    assert handler.answer(webhook, None)["statusCode"] == 400


def test_deep_attributes_of_a_task_are_malformed(aws: Aws) -> None:
    fields = {"EventType": "reservation.accepted", "TaskAttributes": "[" * 100_000}
    signed = sign(f"{PUBLIC_URL}/webhooks/taskrouter", fields)
    webhook = event("/webhooks/taskrouter", urlencode(fields), FORM_TYPE, x_twilio_signature=signed)
    assert handler.answer(webhook, None)["statusCode"] == 400
