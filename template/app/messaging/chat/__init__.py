"""Chat: customers write in an application of yours, through a service of Conversations (classic).

The service is bridged to the conversation configuration, without which no chat reaches Conversation Orchestrator.
Source: https://www.twilio.com/docs/conversations/orchestrator/guides/classic-bridge, 2026-11-29
"""

from __future__ import annotations

from pydantic import Field

from app.settings import Settings


class ChatSettings(Settings):
    conversations_service_sid: str | None = Field(
        None,
        alias="TWILIO_CONVERSATIONS_SERVICE_SID",
        pattern="^IS[0-9a-f]{32}$",
        description="Copy the SID of your service of Conversations (classic), IS and 32 characters, or leave it out.",
    )


class Chat:
    """Settings of chats, whose messages `Messaging` answers as it does all others."""

    settings = ChatSettings
