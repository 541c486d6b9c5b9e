"""The two parties of a call: who the customer is, and whether there is a number to reach the customer at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# A withheld number arrives as one of these words, also as the user of a SIP address, or spelled on a keypad: +266696687
# is "anonymous".
WORDS = {"anonymous", "blocked", "private", "restricted", "unavailable", "unknown"}
KEYPAD = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
WITHHELD = {*WORDS, *(f"+{word.translate(KEYPAD)}" for word in WORDS)}
NUMBER = re.compile(r"\+(?:1[2-9][0-9]{9}|[2-9][0-9]{6,14})")  # E.164; a number of country code 1 has eleven digits

NO_NUMBER = (
    "You do not have this person's phone number: nobody can call back or send a text. Promise neither. If they need to "
    "be reached, ask for a number."
)


def parties(fields: Mapping[str, Any]) -> tuple[str, str]:
    """The customer and the agent's own number, of a setup frame, a webhook of a call, or the attributes of its task.

    Twilio's `from` placed the call. If the agent did, `direction` is outbound, outbound-api or outbound-dial, and the
    customer is `to`. A withheld number is "".
    """
    named = {name.lower(): str(value or "").strip() for name, value in fields.items()}
    began, answered = named.get("from", ""), named.get("to", "")
    outbound = named.get("direction", "").lower().startswith("outbound")
    customer, agent = (answered, began) if outbound else (began, answered)
    # Words without a scheme, such as "No Caller ID", and zeros name nobody. A forwarded call may have our own number.
    known = re.search("[1-9:]", customer) and customer != agent
    return known_address(customer) if known else "", agent.removeprefix("whatsapp:")


def known_address(address: str) -> str:
    """An address without the prefix of WhatsApp. "" when it names nobody, as `anonymous` or `client:anonymous` does."""
    user = re.sub(r"^(sips?|client):|@.*", "", address, flags=re.IGNORECASE | re.DOTALL)
    return "" if user.lower() in WITHHELD else address.removeprefix("whatsapp:")


def has_number(address: str) -> bool:
    """Whether this is a phone number, that a person can be called or sent an SMS at."""
    return NUMBER.fullmatch(address) is not None and address not in WITHHELD
