"""Conversations of Conversation Orchestrator with all that was said and written, and their operator results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from twilio.rest import Client

from app.capability import Services
from app.compliance.gdpr.source import Item, Person, Source, fields_of
from app.twilio_api import list_all, twilio_client


class OrchestratorData(Source):
    """Twilio lists conversations by no address: every one is looked through for the person."""

    name = "conversations"

    def __init__(self, client: Client) -> None:
        self.client = client
        self.api = client.conversations.v2
        self.results = client.intelligence.v3.operator_results

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(twilio_client(services.settings, services.transport, 15.0))

    async def close(self) -> None:
        await self.client.http_client.close()

    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        calls = {item.id for item in found if item.kind == "calls"}
        items = []
        for conversation in await list_all(self.api.conversations):
            participants = await list_all(self.api.participants(conversation.id))
            addresses = [each for participant in participants for each in addresses_of(participant)]
            if any(person.has(str(each.get("address"))) or each.get("channelId") in calls for each in addresses):
                items += await self._of_conversation(conversation)
        return items

    async def _of_conversation(self, conversation: Any) -> list[Item]:
        items = []
        for result in await list_all(self.results, conversation_id=conversation.id):
            if result.conversation_id != conversation.id:  # the filter lets results of other conversations through
                continue
            delete = self.client.intelligence.v3.operator_results(result.id).delete_async
            items.append(Item("operator results", result.id, fields_of(result, "operator", "result"), delete))
        said = await list_all(self.api.communications(conversation.id))
        data = {
            "status": conversation.status,
            "communications": [fields_of(each, "author", "content", "created_at") for each in said],
        }
        delete = self.api.conversations(conversation.id).delete_async
        items.append(Item("conversations", conversation.id, data, delete, finds_others=True))
        return items


def addresses_of(participant: Any) -> list[dict[str, Any]]:
    return [each for each in participant.addresses or [] if isinstance(each, dict)]
