"""What a conversation is carried by, as far as every project has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class NotOffered(Exception):
    """This line cannot do that."""


class Line:
    """The way to the person. What carries conversations overrides it; the rest says so by raising NotOffered."""

    open = True
    spoken = False  # or in writing
    hold = ""  # said while a model or a tool takes long; in writing there is no silence to fill
    apology = ""  # when no model could answer
    turn_is_open = False  # the agent's words are being sent

    async def say(self, text: str) -> None:
        """Say something at once, between the agent's turns or after the words that are being sent."""
        raise NotOffered("say")

    async def say_last(self, text: str) -> None:
        """Say something in this turn, after what has been said in it."""
        await self.say(text)

    async def keep(self, state: Mapping[str, Any], guidance: Sequence[str] | None) -> None:
        """Have a conversation in writing know this from its next message on. None leaves the guidance as it is."""
        raise NotOffered("keep")

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """Leave: after the words of this turn, or at once when the agent is silent.

        `handoff` is for whoever goes on with the conversation.
        """
        raise NotOffered("end")
