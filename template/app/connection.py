"""The other party of a conversation: who it is, and the operations that channels support."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


class NotSupported(Exception):
    """This connection cannot do that. The message names the operation."""


class Connection:
    """The way to the other party. A channel overrides what it can do; the rest raises NotSupported."""

    open = True
    spoken = True  # False in a text conversation, which needs no hold phrase
    reader = "spoken"  # how replies arrive: spoken, written as plain text, or shown with markdown
    hold = ""  # said when a model or a tool takes long; empty in a text conversation
    apology = ""  # said when no model could answer
    still_there = ""  # asked when a caller says nothing
    busy = ""  # said in place of an answer, when a limit of the owner's is reached
    instructions = ""  # added to the model's instructions
    turn_is_open = False  # tokens of a turn are being sent

    async def say(self, text: str, interruptible: bool = True) -> None:
        """Say `text` at once, between the agent's turns or after the tokens that are being sent."""
        raise NotSupported("say")

    async def append_to_turn(self, text: str) -> None:
        """Add `text` to the end of the turn that is open."""
        await self.say(text)

    async def update_state(self, state: Mapping[str, Any], guidance: Sequence[str] | None) -> None:
        """Merge `state` into a text conversation, for its next message. `guidance` None keeps the old."""
        raise NotSupported("update_state")

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """End after the tokens of this turn, or at once between turns. `<Connect action>` gets `handoff`."""
        raise NotSupported("end")

    async def play(self, source: str, loop: int = 1) -> None:
        """Play an audio file (https URL) to the caller, `loop` times."""
        raise NotSupported("play")

    async def send_digits(self, digits: str) -> None:
        """Send DTMF tones: 0-9, *, # and w for a pause of half a second."""
        raise NotSupported("send_digits")

    async def switch_language(self, code: str) -> None:
        """Switch speech-to-text and text-to-speech to a language of the project, as in "es-MX"."""
        raise NotSupported("switch_language")


def parties(fields: Mapping[str, Any]) -> tuple[str, str]:
    """The customer and the agent's own number, of a setup frame, a webhook of a call, or the attributes of its task.

    Twilio's `from` placed the call. If the agent did, `direction` is outbound, outbound-api or outbound-dial, and the
    customer is `to`. A withheld number is "".
    """
    named = {name.lower(): str(value or "").strip() for name, value in fields.items()}
    began, answered = named.get("from", ""), named.get("to", "")
    outbound = named.get("direction", "").lower().startswith("outbound")
    customer, agent = (answered, began) if outbound else (began, answered)
    # Words without a scheme, such as "No Caller ID", and zeros are no address. A forwarded one may have our own number.
    known = re.search("[1-9:]", customer) and customer != agent
    return known_address(customer) if known else "", agent.removeprefix("whatsapp:")


def known_address(address: str) -> str:
    """An address without the prefix of WhatsApp. "" for a withheld one, as `anonymous` or `client:anonymous` does."""
    user = re.sub(r"^(sips?|client):|@.*", "", address, flags=re.IGNORECASE | re.DOTALL)
    return "" if user.lower() in WITHHELD else address.removeprefix("whatsapp:")


def has_number(address: str) -> bool:
    """Whether this is a phone number, that a person can be called or sent an SMS at."""
    return NUMBER.fullmatch(address) is not None and address not in WITHHELD
