"""What the TwiML turns on, and the regulations do not allow."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.compliance.products import barred
from app.voice.checks import CALL, RELAY, post
from kit.doctor.check import Context, check
from kit.twiml import Document


@check(
    "REG001",
    hint="Leave the attribute out of relay_attributes of your capability.",
    docs=RELAY,
    requires=("TWI001",),
)
async def attributes_are_allowed(context: Context) -> AsyncIterator[str]:
    """The TwiML turns on no feature of ConversationRelay that a regulation bars."""
    answer = await post(context, "/twiml", CALL)
    relay = answer.relay if isinstance(answer, Document) else None
    attributes = relay.attributes if relay else {}
    found = {*attributes, *(f"{name}={value}" for name, value in attributes.items())}
    found |= {"Failover"} if relay and relay.failover else set()
    for verdict in barred():
        if verdict.attribute in found:
            yield f"<ConversationRelay> has {verdict.attribute}. {verdict.reason}"
