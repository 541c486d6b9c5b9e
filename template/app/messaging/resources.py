"""Messaging in the account: capture rules, status callback, no webhook of the number itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kit.setup.api import Record
from kit.setup.number import ChannelSetup
from kit.setup.resource import Proof, SetupContext
from kit.setup.verify import webhook_proofs

PATH = "/webhooks/conversations"
TIMEOUTS = {"inactive": 10, "closed": 60}  # minutes


class MessagingSetup(ChannelSetup):
    def number_fields(self, setup: SetupContext) -> Record:
        """The number's own webhook would send a second reply."""
        return {"sms_url": "", "sms_application_sid": ""}

    def channel_settings(self, setup: SetupContext, number: str) -> dict[str, Record]:
        """Inbound only: replies are written to the conversation directly."""
        addresses = {"SMS": number}
        if whatsapp := setup.value("TWILIO_WHATSAPP_NUMBER"):
            addresses["WHATSAPP"] = f"whatsapp:{whatsapp.removeprefix('whatsapp:')}"
        if rcs := setup.value("TWILIO_RCS_SENDER_ID"):
            addresses["RCS"] = f"rcs:{rcs.removeprefix('rcs:')}"
        return {
            channel: {"captureRules": [{"from": "*", "to": address}], "statusTimeouts": TIMEOUTS}
            for channel, address in addresses.items()
        }

    def merge_channel(self, existing: Record, wanted: Record) -> Record:
        """Add our rules to the existing ones; removing one would stop its capture."""
        rules = list(existing.get("captureRules") or [])
        pairs = [(rule.get("from"), rule.get("to")) for rule in rules]
        missing = [rule for rule in wanted["captureRules"] if (rule["from"], rule["to"]) not in pairs]
        return {**existing, "captureRules": [*rules, *missing]}

    def status_callbacks(self, setup: SetupContext) -> Sequence[str]:
        return [f"{setup.settings.public_url}{PATH}"]

    def proofs(self, setup: SetupContext) -> AsyncIterator[Proof]:
        return webhook_proofs(setup, "conversation configuration", PATH, body={"eventType": "SETUP_VERIFY", "data": {}})


CHANNEL = MessagingSetup
