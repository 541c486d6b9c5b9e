"""What is said before the right person is confirmed. Not legal advice."""

from __future__ import annotations

from collections.abc import Iterator

from app.compliance.fdcpa import sentences
from app.compliance.fdcpa.debt_calls.words import is_about_debt
from app.outbound.phrases import phrases
from kit.doctor.check import Context, check

RULES = "https://www.ecfr.gov/current/title-12/chapter-X/part-1006"
BEFORE = ("INTRODUCTION", "OPT_OUT", "MOMENT", "VOICEMAIL")


@check(
    "FDC001",
    hint="Write async def is_right_person(number, detail) -> bool into agent/outbound.py, which asks your system.",
    docs=RULES,
)
def person_is_checked(context: Context) -> Iterator[str]:
    """Your code decides who the right person is."""
    if not hasattr(sentences.own, "is_right_person"):
        yield f"{sentences.file} has no is_right_person: the model decides who is told about a debt."


@check("FDC002", hint="Leave the reason out: the agent says it once the person is confirmed.", docs=RULES)
def words_are_silent(context: Context) -> Iterator[str]:
    """No sentence before the person is confirmed says that the call is about a debt."""
    more = sentences.WORDS_AFTER
    for name in BEFORE:
        if is_about_debt(getattr(phrases, name), more):
            yield f"{phrases.file}: {name} says that the call is about money."
    if is_about_debt(str(sentences.LIMITED_CONTENT), more):
        yield f"{sentences.file}: LIMITED_CONTENT says that the call is about money."


@check("FDC003", hint="Take another name: a message may not say that you collect.", docs=RULES, requires=("ENV001",))
def name_is_silent(context: Context) -> Iterator[str]:
    """The name of the business does not say that it collects debts."""
    if is_about_debt(context.settings.business_name):
        yield "AGENT_BUSINESS_NAME says that you collect debts."
