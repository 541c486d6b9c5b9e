"""The do-not-call list. Not legal advice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from app.compliance.tcpa import MAX_LIST_AGE
from app.compliance.tcpa.lists import DoNotCallList
from kit.doctor.check import Context, check

REGISTRY = "https://telemarketing.donotcall.gov/"


@check(
    "TCP001",
    hint="Download the list, write # as of and its day into the first line, and name it in AGENT_DO_NOT_CALL_FILE.",
    docs=REGISTRY,
    requires=("ENV001",),
)
def list_is_recent(context: Context) -> Iterator[str]:
    """The do-not-call list is there, and recent."""
    path = context.settings.do_not_call_file
    age = DoNotCallList(path and context.root / path).age(datetime.now(UTC))
    if age is None:
        yield "AGENT_DO_NOT_CALL_FILE names no list with its day: no call that sells something is allowed."
    elif not 0 <= age <= MAX_LIST_AGE:
        yield f"The do-not-call list is {age} days old, and {MAX_LIST_AGE} are allowed: no call that sells is allowed."
