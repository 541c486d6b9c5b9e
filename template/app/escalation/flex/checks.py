"""Conversations in writing on the way to a human, in Flex."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.escalation.checks import found
from kit.doctor.check import Examined, check, listed, masked

INTERACTIONS = "https://www.twilio.com/docs/flex/developer/conversations/interactions-api/interactions"


@check(
    "WRI001",
    fix="Copy the SID of the workspace that has the workflow into TWILIO_WORKSPACE_SID.",
    docs=INTERACTIONS,
    live=True,
    needs=("ESC003",),
)
async def same(examined: Examined) -> AsyncIterator[str]:
    """The workflow belongs to the workspace that takes messages."""
    known = (await found(examined)).workspace.sid
    if known != examined.settings.workspace_sid:
        wanted = masked(examined.settings.workspace_sid)
        yield f"The workflow belongs to {masked(known)}, not to {wanted}: Flex refuses it."


@check(
    "WRI002",
    fix="Write a task channel of the workspace into AGENT_TASK_CHANNEL, or create that one.",
    docs="https://www.twilio.com/docs/taskrouter/api/task-channel",
    live=True,
    needs=("WRI001",),
)
async def channel(examined: Examined) -> AsyncIterator[str]:
    """The workspace has the task channel that messages take."""
    workspace = examined.account.taskrouter.v1.workspaces(examined.settings.workspace_sid)
    known = sorted(str(each.unique_name) for each in await listed(workspace.task_channels))
    if examined.settings.task_channel not in known:
        others = ", ".join(known) or "none"
        yield f"The workspace has no task channel {examined.settings.task_channel}; it has {others}."
