"""Voice in the account: fields of the phone number, VOICE in the conversation configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kit.setup.api import Record
from kit.setup.number import ChannelSetup
from kit.setup.resource import Proof, SetupContext
from kit.setup.verify import webhook_proofs

PATH = "/twiml"
TIMEOUTS = {"inactive": 1, "closed": 5}  # minutes; the agent itself closes the conversation of a call that is over


class VoiceSetup(ChannelSetup):
    one_way = ("PCI mode of voice is irreversible and for the whole account: setup never switches it on.",)

    def number_fields(self, setup: SetupContext) -> Record:
        """A trunk or an application would override the voice URL."""
        return {
            "voice_url": f"{setup.settings.public_url}{PATH}",
            "voice_method": "POST",
            "voice_application_sid": "",
            "trunk_sid": "",
        }

    def channel_settings(self, setup: SetupContext, number: str) -> dict[str, Record]:
        """No capture rules: ConversationRelay feeds the conversation, and speech would be transcribed twice.

        Source: https://www.twilio.com/docs/conversations/orchestrator/concepts/ingestion
        """
        return {"VOICE": {"statusTimeouts": TIMEOUTS}}

    def merge_channel(self, existing: Record, wanted: Record) -> Record:
        return {name: value for name, value in existing.items() if name != "captureRules"}

    async def proofs(self, setup: SetupContext) -> AsyncIterator[Proof]:
        """The TwiML of the running server must name the conversation configuration."""
        form = {"CallSid": "CA" + "0" * 32, "AccountSid": setup.settings.account_sid, "Direction": "inbound"}
        async for proof in webhook_proofs(
            setup, "number", PATH, form={**form, "From": "+15005550009", "To": "+15005550009"}
        ):
            yield proof
        wanted = setup.ids.get("conversation configuration")
        if wanted and (answer := setup.records.get(PATH)):
            named = f'conversationConfiguration="{wanted}"' in answer["text"]
            detail = f"The running server's TwiML does not name {wanted}: restart it with this .env."
            yield Proof("number", "calls belong to this conversation configuration", named, "" if named else detail)


CHANNEL = VoiceSetup
