"""What messages need: rules that capture them, a webhook that tells of them, and no second answer from the number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kit.setup.api import Record
from kit.setup.channel import Way
from kit.setup.plan import Check, Setup, webhook

PATH = "/webhooks/conversations"
TIMEOUTS = {"inactive": 10, "closed": 60}  # minutes


class Messages(Way):
    def number(self, setup: Setup) -> Record:
        """The number's own webhook would send a second answer."""
        return {"sms_url": "", "sms_application_sid": ""}

    def channels(self, setup: Setup, number: str) -> dict[str, Record]:
        """One direction: what we write is in the conversation anyway."""
        addresses = {"SMS": number}
        if whatsapp := setup.value("TWILIO_WHATSAPP_NUMBER"):
            addresses["WHATSAPP"] = f"whatsapp:{whatsapp.removeprefix('whatsapp:')}"
        if rcs := setup.value("TWILIO_RCS_SENDER_ID"):
            addresses["RCS"] = f"rcs:{rcs.removeprefix('rcs:')}"
        return {
            channel: {"captureRules": [{"from": "*", "to": address}], "statusTimeouts": TIMEOUTS}
            for channel, address in addresses.items()
        }

    def kept(self, channel: str, existing: Record, wanted: Record) -> Record:
        """Ours is added to the rules that are there: taking one away would stop what it captures."""
        rules = list(existing.get("captureRules") or [])
        known = [(rule.get("from"), rule.get("to")) for rule in rules]
        missing = [rule for rule in wanted["captureRules"] if (rule["from"], rule["to"]) not in known]
        return {**existing, "captureRules": [*rules, *missing]}

    def callbacks(self, setup: Setup) -> Sequence[str]:
        return [f"{setup.settings.public_url}{PATH}"]

    def checks(self, setup: Setup) -> AsyncIterator[Check]:
        return webhook(setup, "conversation configuration", PATH, body={"eventType": "SETUP_VERIFY", "data": {}})


CHANNEL = Messages
