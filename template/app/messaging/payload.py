"""Webhook payloads of Conversation Orchestrator: the fields that the messaging channel reads.

Source: https://www.twilio.com/docs/conversations/orchestrator/webhooks and tac.models.conversation of
twilio-agent-connect 2.5. Other fields may be missing.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

EARLIEST = datetime.min.replace(tzinfo=UTC)


class Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Author(Part):
    """`address` is E.164 with SMS, and has a prefix such as `whatsapp:` elsewhere; chat has names."""

    address: str
    channel: str
    participant_id: str | None = None


class Content(Part):
    """TRANSCRIPTION is speech. A picture comes without `text`."""

    type: str = "TEXT"
    text: str | None = None


class Message(Part):
    """The data of COMMUNICATION_CREATED. `channel_id` names the thread of a chat."""

    id: str
    conversation_id: str
    author: Author
    content: Content | None = None
    channel_id: str | None = None
    created_at: str | None = None

    @property
    def text(self) -> str:
        return (self.content and self.content.text or "").strip()

    @property
    def written(self) -> datetime:
        """The time of writing, EARLIEST when it cannot be parsed."""
        try:
            at = datetime.fromisoformat(self.created_at or "")
        except ValueError:
            return EARLIEST
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class Change(Part):
    """The data of CONVERSATION_UPDATED. There is no event for an end: CLOSED is a status."""

    id: str
    status: str | None = None


def bare(address: str) -> str:
    """An address without its channel prefix: +15005550006 for `whatsapp:+15005550006`."""
    return address.removeprefix("whatsapp:").removeprefix("rcs:")
