"""The wording of the disclosure, and its proof. Not legal advice."""

from __future__ import annotations

from collections.abc import Iterator

from app import config
from app.compliance.disclosure import IS_HIPAA
from app.compliance.disclosure.wording import wording
from kit.doctor.check import Context, check

AI_ACT = "https://artificialintelligenceact.eu/article/50/"
AB_3030 = "https://leginfo.legislature.ca.gov/faces/billNavClient.xhtml?bill_id=202320240AB3030"


@check(
    "DIS001",
    hint=f"Have a lawyer read it, then write `reviewed: true` in {wording.file}.",
    docs=AI_ACT,
    until_set_up=True,
)
def wording_is_reviewed(context: Context) -> Iterator[str]:
    """A lawyer has read how the agent says that it is an AI."""
    if languages := ", ".join(wording.unreviewed()):
        yield f"{wording.file}: no lawyer has read the sentences in {languages}, or one of them is the template's."


@check(
    "DIS002",
    hint=f"Write it as `person` in {wording.file}. Other practices than clinics may not need it.",
    docs=AB_3030,
    until_set_up=True,
)
def human_is_named(context: Context) -> Iterator[str]:
    """Patients hear how they reach a human."""
    if IS_HIPAA and not wording.sentence(config.FIRST_LANGUAGE, "person"):
        yield f"{wording.file} does not say in {config.FIRST_LANGUAGE} how a patient reaches a human."


@check("DIS003", hint="Set LOG_LEVEL to info or debug.", docs=AI_ACT, requires=("ENV001",))
def proof_is_logged(context: Context) -> Iterator[str]:
    """The log keeps that callers have heard the disclosure."""
    if context.settings.log_level not in ("debug", "info"):
        yield f"LOG_LEVEL={context.settings.log_level} leaves disclosure.said and disclosure.heard out of the log."
