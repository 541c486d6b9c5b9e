"""The customer of a call that comes through the Lambda function and AgentCore."""

from __future__ import annotations

import pytest

from app.agentcore_host.tests.test_agentcore_host_calls import CALL, SID, Chain, Connection, chain
from kit import defaults
from kit.caller import calls_of

__all__ = ["chain"]  # a fixture

ADA, AGENT = defaults.CALLER, defaults.CALLED


@pytest.mark.parametrize(
    ("sender", "recipient", "direction", "parties"),
    [
        (ADA, AGENT, "inbound", (ADA, AGENT)),
        (AGENT, ADA, "outbound", (ADA, AGENT)),
        (AGENT, ADA, "outbound-api", (ADA, AGENT)),
        ("+266696687", AGENT, "inbound", ("", AGENT)),
    ],
)
async def test_the_caller_of_the_session_is_the_customer(
    chain: Chain, sender: str, recipient: str, direction: str, parties: tuple[str, str]
) -> None:
    fields = {"From": sender, "To": recipient, "Direction": direction}
    document = await chain.asks("/twiml", CallStatus="in-progress", **fields)
    assert document.relay
    line = Connection(await chain.connects(document.relay.url))
    setup = {"from": sender, "to": recipient, "direction": direction, "customParameters": document.relay.parameters}
    await line.sends(type="setup", sessionId="VX1", accountSid=defaults.ACCOUNT_SID, callSid=CALL["CallSid"], **setup)
    await line.says("Where is my order?")
    await line.hears()
    session = calls_of(chain.host).get(SID)  # type: ignore[attr-defined]
    assert (session.caller, session.called) == parties
