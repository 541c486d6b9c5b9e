"""What callers hear before a recording. Not legal advice."""

from __future__ import annotations

from collections.abc import Iterator

from app.compliance.recording.wording import wording
from kit.doctor.check import Context, check


@check(
    "REC001",
    hint=f"Have a lawyer read it, then write `reviewed: true` in {wording.file}.",
    docs="https://www.twilio.com/docs/voice/twiml/recording",
    until_set_up=True,
)
def wording_is_reviewed(context: Context) -> Iterator[str]:
    """A lawyer has read what callers hear before their call is recorded."""
    if languages := ", ".join(wording.unreviewed()):
        yield f"{wording.file}: no lawyer has read the sentences in {languages}, or one of them is the template's."
