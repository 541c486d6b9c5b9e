"""The words of outbound calls, and their ledger. Not legal advice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

from app.database import has_begun
from app.outbound.ledger import Ledger, unfit_database
from app.outbound.phrases import phrases
from kit.doctor.check import Context, check, reason

RULES = "https://www.ecfr.gov/current/title-47/chapter-I/subchapter-B/part-64/subpart-L/section-64.1200"


@check(
    "OUT001",
    hint="Say in INTRODUCTION why you call, have a lawyer read all sentences, and write REVIEWED = True there.",
    docs=RULES,
)
def words_are_reviewed(context: Context) -> Iterator[str]:
    """A lawyer has read what people hear in outbound calls."""
    if phrases.REVIEWED is not True:
        yield f"{phrases.file}: no lawyer has read its sentences (REVIEWED is not True)."


@check("OUT002", hint="Put the address of a PostgreSQL database into DATABASE_URL.", docs=RULES, requires=("ENV001",))
def ledger_is_shared(context: Context) -> Iterator[str]:
    """All servers that dial share one ledger."""
    yield from unfit_database(context.settings)


@check(
    "OUT003",
    hint="Stop dialing, keep the database as it is, and run agent ledger: it names every problem.",
    docs=RULES,
    live=True,
    requires=("DBM002",),
)
async def ledger_holds(context: Context) -> AsyncIterator[str]:
    """Every verdict of the ledger follows from its inputs."""
    if not has_begun(context.settings.database_url.get_secret_value()):
        return  # no call yet
    ledger = Ledger.build(context.settings, lambda: datetime.now(UTC))
    try:
        found = await ledger.verify()
    except Exception as error:
        yield f"The ledger cannot be read ({reason(error)}): no call is allowed."
    else:
        if found.problems:
            yield f"The ledger is broken: {found.problems[0]}; {len(found.problems)} problems in all."
    finally:
        await ledger.close()
