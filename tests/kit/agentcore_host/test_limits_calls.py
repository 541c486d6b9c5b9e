"""A setup without a token, and large bodies, at the Lambda function, the host in AgentCore and the app behind both."""

from __future__ import annotations

import base64
from collections.abc import Callable

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from app.agentcore_host.tests import test_lambda_proxy as proxy
from app.agentcore_host.tests.test_agentcore_host_calls import SID, Chain, Connection, chain
from app.limits import MAX_BODY
from kit import defaults
from lambda_proxy import handler

__all__ = ["chain"]  # a fixture


def test_the_function_refuses_a_large_body_before_its_signature() -> None:
    with proxy.reached(proxy.Aws()) as aws:
        large = proxy.form("/twiml", {**proxy.CALL, "Filler": "a" * MAX_BODY})
        assert handler.answer(large, None)["statusCode"] == 413
        assert handler.answer(proxy.post("/webhooks/conversations", {"a": "a" * MAX_BODY}), None)["statusCode"] == 413
        assert aws.sessions == []


def test_the_limit_of_the_function_is_that_of_the_server() -> None:
    assert handler.MAX_BODY == MAX_BODY


async def test_the_host_and_its_app_refuse_a_large_body(chain: Chain) -> None:
    body = base64.b64encode(b"a" * (MAX_BODY + 1)).decode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    envelope = {"method": "POST", "path": "/twiml", "query": "", "headers": headers, "body": body}
    async with httpx2.AsyncClient(base_url=f"http://{chain.aws.address}", verify=False) as http:
        assert (await http.post("/invocations", json=envelope)).json()["status"] == 413
        assert (await http.post("/invocations", json={**envelope, "body": 2 * body})).status_code == 413


async def test_the_url_of_a_session_opens_no_call_without_its_token(chain: Chain) -> None:
    """AgentCore passes on whoever has the presigned URL, for five minutes."""
    document = await chain.asks("/twiml", CallStatus="ringing")
    assert document.relay
    for parameters, opened in (({}, False), (document.relay.parameters, True)):
        line = Connection(await chain.connects(document.relay.url))
        call = {"accountSid": defaults.ACCOUNT_SID, "callSid": SID, "from": "+15005550009", "to": "x"}
        await line.sends(type="setup", **call, customParameters=parameters)
        await line.says("Hello")
        if opened:
            assert "".join(await line.hears()) == "It is on its way."
        else:
            with pytest.raises(ConnectionClosed):
                await line.frame()


async def test_the_signature_of_the_url_is_not_logged(chain: Chain, logged: Callable[[], str]) -> None:
    line = await chain.dials()
    await line.says("Hello")
    await line.hears()
    document = await chain.asks("/twiml", CallStatus="ringing")
    assert document.relay and "X-Amz-Signature" in document.relay.url
    assert '"WebSocket /ws' in logged().replace("\\", "") and "X-Amz" not in logged()
