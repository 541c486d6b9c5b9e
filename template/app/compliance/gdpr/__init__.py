"""GDPR: what the project and its Twilio account hold of a person can be exported and erased.

Not legal advice. The articles 15, 17 and 20 of Regulation (EU) 2016/679 are the reason
(https://eur-lex.europa.eu/eli/reg/2016/679/oj). What is deleted by which request stands in Twilio's documentation of
each resource, read in November 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from twilio.rest import Client

from app.capability import Services
from app.compliance.gdpr.source import Item, Person, Source, fields_of
from app.twilio_http import Http
from app.twilio_pages import pages

REQUEST_TIMEOUT = 15.0  # seconds
LIVE = ("queued", "ringing", "in-progress")  # the statuses of a call that is not over
CHANNELS = ("", "whatsapp:", "rcs:")  # prefixes of a number in Messaging


class AccountData(Source):
    """Calls, their recordings with transcriptions, and messages, with the Auth Token, which every project has.

    A voicemail is a recording of its call. All of the account counts: a person asks its owner, not one agent.
    """

    name = "calls and messages"

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    def build(cls, services: Services) -> Self:
        settings = services.settings
        http = Http(services.transport, REQUEST_TIMEOUT, services.settings)
        return cls(Client(settings.account_sid, settings.auth_token.get_secret_value(), http_client=http))

    async def close(self) -> None:
        await self.client.http_client.close()

    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        if person.kind != "phone":  # calls and messages have no other address of a person
            return []
        items: list[Item] = []
        for call in await both_ways(self.client.calls, person.value):
            items += await self._of_call(call)
        for prefix in CHANNELS:
            for message in await both_ways(self.client.messages, f"{prefix}{person.value}"):
                data = fields_of(message, "from_", "to", "body", "direction", "status", "date_sent", "num_media")
                items.append(Item("messages", message.sid, data, self.client.messages(message.sid).delete_async))
        return items

    async def _of_call(self, call: Any) -> list[Item]:
        items = await self._transcripts(call.sid)
        for recording in await pages(self.client.recordings, call_sid=call.sid):
            items += await self._transcripts(recording.sid)
            one = self.client.recordings(recording.sid)
            for text in await pages(one.transcriptions):
                data = fields_of(text, "transcription_text", "status", "date_created")
                items.append(Item("transcriptions", text.sid, data, one.transcriptions(text.sid).delete_async))
            data = fields_of(recording, "call_sid", "status", "source", "duration", "start_time", "media_url")
            items.append(Item("recordings", recording.sid, data, one.delete_async))
        data = fields_of(call, "_from", "to", "direction", "status", "start_time", "end_time", "duration")
        delete = self.client.calls(call.sid).delete_async
        items.append(Item("calls", call.sid, data, delete, finds_others=True, in_progress=call.status in LIVE))
        return items

    async def _transcripts(self, source: str) -> list[Item]:
        """Transcripts of Conversation Intelligence v2, of a call or a recording."""
        items = []
        for found in await pages(self.client.intelligence.v2.transcripts, source_sid=source):
            one = self.client.intelligence.v2.transcripts(found.sid)
            said = [fields_of(each, "transcript") for each in await pages(one.sentences)]
            items.append(Item("transcripts", found.sid, {"source": source, "sentences": said}, one.delete_async))
        return items


async def both_ways(resource: Any, address: str) -> list[Any]:
    """The records from an address and those to it."""
    return [*await pages(resource, from_=address), *await pages(resource, to=address)]
