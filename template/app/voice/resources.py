"""What calls need: the number's voice URL, and a channel that ConversationRelay feeds."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kit.setup.api import Record
from kit.setup.channel import Way
from kit.setup.plan import Check, Setup, webhook

PATH = "/twiml"
TIMEOUTS = {"inactive": 1, "closed": 5}  # minutes; the agent itself closes the conversation of a call that is over


class Calls(Way):
    one_way = ("PCI mode of voice is irreversible and for the whole account: setup never switches it on.",)

    def number(self, setup: Setup) -> Record:
        """A trunk or an application would take the calls away from the URL."""
        return {
            "voice_url": f"{setup.settings.public_url}{PATH}",
            "voice_method": "POST",
            "voice_application_sid": "",
            "trunk_sid": "",
        }

    def channels(self, setup: Setup, number: str) -> dict[str, Record]:
        """Never with capture rules: ConversationRelay feeds the conversation, and they would hear it a second time.

        Source: https://www.twilio.com/docs/conversations/orchestrator/concepts/ingestion
        """
        return {"VOICE": {"statusTimeouts": TIMEOUTS}}

    def kept(self, channel: str, existing: Record, wanted: Record) -> Record:
        return {name: value for name, value in existing.items() if name != "captureRules"}

    async def checks(self, setup: Setup) -> AsyncIterator[Check]:
        """The running server also says which conversation configuration its calls belong to."""
        form = {"CallSid": "CA" + "0" * 32, "AccountSid": setup.settings.account_sid, "Direction": "inbound"}
        async for check in webhook(setup, "number", PATH, form={**form, "From": "+15005550009", "To": "+15005550009"}):
            yield check
        wanted = setup.ids.get("conversation configuration")
        if wanted and (answer := setup.records.get(PATH)):
            named = f'conversationConfiguration="{wanted}"' in answer["text"]
            detail = f"The running server's TwiML does not name {wanted}: restart it with this .env."
            yield Check("number", "calls belong to this conversation configuration", named, "" if named else detail)


CHANNEL = Calls
