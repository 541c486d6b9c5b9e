"""What the simulated account does for phone calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cloud.account import Cloud
from sim.cloud.call_queue import CallQueue

if TYPE_CHECKING:
    from sim.call import Call
    from sim.twiml import Queue


class PhoneCloud(Cloud):
    taskrouter: CallQueue

    def __init__(self, pace: float = 1000.0) -> None:
        super().__init__(pace, CallQueue(pace=pace))

    async def connected(self, call: Call) -> None:
        """ConversationRelay has connected a call."""
        self.flex.subscriber = call.post_form
        if configuration := call.attribute("conversationConfiguration", ""):
            self.conversations.begin(configuration, "VOICE", call.sid, call.caller, call.called)

    async def queued(self, call: Call, queue: Queue) -> None:
        """A call has come into the queue of a workflow."""
        await self.taskrouter.enqueue(call, queue)

    def conversation_of(self, call: Call) -> str:
        """The id of the conversation that a call is."""
        return str(self.conversations.of(call.sid)["id"])
