"""Chat in the account: a service of Conversations (classic), its bridge to the conversation configuration, timeouts.

Source: https://www.twilio.com/docs/conversations/orchestrator/guides/classic-bridge, 2026-11-29
"""

from __future__ import annotations

from typing import Any

from app.messaging.resources import TIMEOUTS
from app.orchestrator.resources import ConversationConfiguration
from kit.setup.api import Record
from kit.setup.number import ChannelSetup
from kit.setup.resource import UNKNOWN_UNTIL_APPLY, Resource, SetupContext

SERVICES = "https://conversations.twilio.com/v1/Services"
BRIDGE = "conversationsV1Bridge"


class ChatSetup(ChannelSetup):
    def channel_settings(self, setup: SetupContext, number: str) -> dict[str, Record]:
        """No capture rule: the bridge brings the messages. Only a conversation that is closed is remembered."""
        return {"CHAT": {"statusTimeouts": TIMEOUTS}}


class ChatService(Resource):
    """Of several configurations, one may be bridged to a service."""

    kind = "chat service"
    requires = ("conversation configuration",)
    variable = "TWILIO_CONVERSATIONS_SERVICE_SID"
    one_way = ("A chat service is deleted with every chat in it: undo deletes a service that setup has created.",)

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{SERVICES}/{id}")

    async def search(self) -> Record | None:
        """The service that the configuration has already, or the one with our name."""
        configuration = self.setup.records.get(ConversationConfiguration.kind) or {}
        if bridged := (configuration.get(BRIDGE) or {}).get("serviceId"):
            return await self.fetch(bridged)
        found = await self.api.list_all(SERVICES, "services")
        return next((each for each in found if each.get("friendly_name") == self.setup.name), None)

    async def wanted_fields(self, existing: Record | None) -> Record:
        """An existing service is used unchanged."""
        return {} if existing else {"friendly_name": self.setup.name}

    async def create(self, wanted: Record) -> str:
        return self.id_of(await self.api.post_form(SERVICES, {"FriendlyName": wanted["friendly_name"]}))

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{SERVICES}/{id}")


class ChatBridge(Resource):
    """The conversation configuration names the chat service."""

    kind = "chat bridge"
    requires = (ConversationConfiguration.kind, ChatService.kind)

    def __init__(self, setup: Any, key: str = "") -> None:
        super().__init__(setup, key)
        self.configuration = ConversationConfiguration(setup)

    async def read(self) -> Record | None:
        """Never None: without a conversation configuration, one without a bridge."""
        id = self.setup.ids[ConversationConfiguration.kind]
        found = await self.fetch(id) if id != UNKNOWN_UNTIL_APPLY else None
        return found or {"id": UNKNOWN_UNTIL_APPLY, BRIDGE: None}

    async def fetch(self, id: str) -> Record | None:
        return await self.configuration.fetch(id)

    async def wanted_fields(self, existing: Record | None) -> Record:
        return {BRIDGE: {"serviceId": self.setup.ids[ChatService.kind]}}

    async def change(self, id: str, fields: Record) -> str:
        return await self.configuration.change(id, fields)


CHANNEL = ChatSetup
RESOURCES = [ChatService, ChatBridge]
