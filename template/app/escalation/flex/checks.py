"""Transfer of text conversations: the workspace of Flex."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.escalation.checks import place
from kit.doctor.check import Context, check, list_records, masked, region_check

INTERACTIONS = "https://www.twilio.com/docs/flex/developer/conversations/interactions-api/interactions"


has_region = region_check("WRI003", "flex-api", "Flex")


@check(
    "WRI001",
    hint="Copy the SID of the workspace that has the workflow into TWILIO_WORKSPACE_SID.",
    docs=INTERACTIONS,
    live=True,
    requires=("ESC003",),
)
async def workspace_has_workflow(context: Context) -> AsyncIterator[str]:
    """The workflow belongs to the workspace that takes messages."""
    sid, configured = (await place(context)).workspace.sid, context.settings.workspace_sid
    if sid != configured:
        yield f"The workflow belongs to {masked(sid)}, not to {masked(configured)}: Flex refuses it."


@check(
    "WRI002",
    hint="Write a task channel of the workspace into AGENT_TASK_CHANNEL, or create that one.",
    docs="https://www.twilio.com/docs/taskrouter/api/task-channel",
    live=True,
    requires=("WRI001",),
)
async def task_channel_exists(context: Context) -> AsyncIterator[str]:
    """The workspace has the task channel that messages take."""
    workspace = context.account.taskrouter.v1.workspaces(context.settings.workspace_sid)
    names = sorted(str(each.unique_name) for each in await list_records(workspace.task_channels))
    if context.settings.task_channel not in names:
        others = ", ".join(names) or "none"
        yield f"The workspace has no task channel {context.settings.task_channel}; it has {others}."
