"""Transfer of calls: announcements in the queue, and the assignment callback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from app import config
from app.escalation.checks import WEBHOOK, place
from app.escalation.enqueue import enqueue_twiml, no_worker_twiml, wait_twiml
from app.escalation.handoff import handoff
from app.escalation.record import Payload
from app.escalation.resources import FLEX
from kit.doctor.check import Context, check, safe_url
from kit.twiml import TwimlError, read

WAYS_OUT = ("voicemail", "callback")


@check(
    "QUE001",
    hint="Correct agent/handoff.py.",
    docs="https://www.twilio.com/docs/voice/twiml/enqueue",
    requires=("ENV001",),
)
def announcements_valid(context: Context) -> Iterator[str]:
    """A caller in the queue hears an announcement, and another one when no worker accepts."""
    settings = context.settings
    for name, document in {
        "CONNECTING": enqueue_twiml(settings.public_url, settings.workflow_sid, Payload(reason_code="x"), 60),
        "WAITING": wait_twiml(),
        "NO_WORKER": no_worker_twiml(settings.public_url, handoff.WAY_OUT),
    }.items():
        try:
            read(document)
        except TwimlError as error:
            yield f"agent/handoff.py, {name}: {str(error).splitlines()[0]}"
    for name in ("CONNECTING", "WAITING", "NO_WORKER", "MESSAGE", "CALL_BACK", "CALL_AGAIN"):
        if not getattr(handoff, name).strip():
            yield f"{name} of agent/handoff.py is empty: callers hear silence."
    if handoff.MUSIC and not handoff.MUSIC.startswith("https://"):
        yield f"MUSIC of agent/handoff.py is {handoff.MUSIC!r}, which Twilio cannot fetch: write an https address."
    if handoff.WAY_OUT not in WAYS_OUT:
        yield f"WAY_OUT of agent/handoff.py is {handoff.WAY_OUT!r}: write {' or '.join(WAYS_OUT)}."
    if handoff.WAY_OUT == "voicemail" and not config.VOICEMAIL:
        yield "WAY_OUT of agent/handoff.py is 'voicemail', which the regulations bar here: write callback."


@check(
    "QUE002",
    hint="Empty the workflow's assignment callback with Flex; else write PUBLIC_URL/webhooks/taskrouter/assignment.",
    docs="https://www.twilio.com/docs/taskrouter/handle-assignment-callbacks",
    live=True,
    requires=("ESC003",),
)
async def assignment_callback_is_ours(context: Context) -> AsyncIterator[str]:
    """An accepted call is connected by Flex or by this server."""
    found = await place(context)
    url, wanted = found.workflow.assignment_callback_url, f"{context.settings.public_url}{WEBHOOK}/assignment"
    if not url and found.workspace.friendly_name != FLEX:
        yield f"Without Flex, the workflow needs the assignment callback {wanted}, and has none: accepted calls wait."
    elif url and url != wanted:
        yield f"The assignment callback of the workflow is {safe_url(url)}, not {wanted}."
