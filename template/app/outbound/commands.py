"""`dial`, `ledger` and `do-not-call`: they need production's database and secrets, and run as `python -m app`."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from app.environment import exit_on_settings_error, load

T = TypeVar("T")
Number = Annotated[str, typer.Argument(help="A phone number such as +15005550006.")]


def dial(
    contacts: Annotated[Path, typer.Argument(help="A CSV file; docs/outbound.md lists its columns.")],
    campaign: Annotated[str, typer.Option(help="Each person is called once in it. By default the file's name.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Place no call, and say for each contact why or why not.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write a line for each contact to this CSV file.")] = None,
) -> None:
    """Call the people of a file, each through the gate. Run it again after a crash: it repeats no call.

    Exits with 1 when a call failed or its outcome is unclear, with 2 for a wrong file or setting.
    """
    from app.outbound.contacts import ContactsError, read, write_report
    from app.outbound.dialer import Result

    own = settings("No call was placed.")
    try:
        people = read(contacts)
        if report:
            write_report(report, [])  # now, rather than after the calls
    except (ContactsError, OSError) as error:
        fail(str(error), 2)
    results: list[Result] = asyncio.run(calls(own, people, campaign or contacts.stem, dry_run))
    pairs = list(enumerate(zip(results, people, strict=True), start=2))
    if report:
        write_report(report, [result.row(number, contact) for number, (result, contact) in pairs])
    for number, (result, contact) in pairs:
        if dry_run or result.result != "called":
            name = f"row {number}{f' ({contact.id})' if contact.id else ''}"
            why = ": ".join(filter(None, [result.gate, result.reason]))
            typer.echo(f"{name}: {result.result}{f' ({why})' if why else ''}")
    counts = Counter(result.result for result in results)
    typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
    if counts["failed"] or counts["unclear"]:
        raise typer.Exit(1)


async def calls(own: Any, people: list[Any], campaign: str, dry_run: bool) -> list[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from app.outbound.dialer import Dialer, Result

    dialer, results = Dialer.build(services_of(own)), []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            for contact in progress.track(people, description="Checking" if dry_run else "Calling"):
                if dry_run:
                    verdict = await dialer.would_call(contact, campaign)
                    results.append(Result("would call" if verdict.allowed else "would not call", *verdict[1:]))
                else:
                    results.append(await dialer.call(contact, campaign))
    finally:
        await dialer.close()
    return results


def ledger() -> None:
    """Follow the chain of the ledger, and recompute every verdict. Exits with 1 when something does not fit.

    Keep the last line elsewhere: a later one that lacks it shows that the end was cut off.
    """
    found = run(settings(), lambda ledger: ledger.verify())
    for problem in found.problems:
        typer.secho(problem, fg="red", err=True)
    typer.echo(f"{found.count} entries, {found.verdicts} verdicts recomputed.")
    typer.echo(f"Head: {found.count} {found.mac}")
    raise typer.Exit(1 if found.problems else 0)


def do_not_call(
    number: Number,
    lift: Annotated[bool, typer.Option("--lift", help="Take it off again; a new consent is needed too.")] = False,
) -> None:
    """Put a number on the own do-not-call list, for five years."""
    check(number)
    if not lift:
        run(settings("Nothing was changed."), lambda ledger: ledger.suppress(number, "by hand"))
        typer.echo("It will not be called.")
    elif run(settings("Nothing was changed."), lambda ledger: ledger.lift(number)):
        typer.echo("It is off the list. A consent from before does not count any more.")
    else:
        typer.echo("It is not on the list.")


def erase_calls(number: Number) -> None:
    """Make a person unrecognizable in the ledger: the key is destroyed, the chain stays. This cannot be undone."""
    check(number)
    tombstone = run(settings("Nothing was erased."), lambda ledger: ledger.erase(number))
    if tombstone is None:
        typer.echo("The ledger does not know this number.")
        return
    typer.echo(f"Erased: entry {tombstone} is the tombstone.")
    typer.echo("Kept for five years: a keyed hash on the do-not-call list, so that the number is not called again.")


def check(number: str) -> None:
    if not re.fullmatch(r"\+[1-9]\d{6,14}", number):
        fail(f"{number!r} is no phone number. Write + and the country code, as in +15005550006.", 2)


def settings(*hint: str) -> Any:
    """Exits with 2 and `hint` for settings that are missing or wrong, and for a database that is not shared."""
    from app.database import parse_url
    from app.log import configure_logging
    from app.outbound.ledger import unfit_database

    configure_logging("error")
    with exit_on_settings_error(*hint):
        own: Any = load(require_model_keys=False)
    if parse_url(own.database_url.get_secret_value()).database in (None, "", ":memory:"):
        fail("DATABASE_URL is in memory, and its ledger would be gone. Write the address of a database.", 2)
    for problem in unfit_database(own):
        fail(problem, 2)
    return own


def services_of(own: Any) -> Any:
    from app.capability import Services
    from app.registry import PARTS
    from app.store import InProcess

    return Services(own, InProcess(), lambda: datetime.now(UTC), parts=PARTS)


def run(own: Any, work: Callable[[Any], Awaitable[T]]) -> T:
    from sqlalchemy.exc import SQLAlchemyError

    from app.database import SchemaError
    from app.outbound.ledger import Ledger

    async def start() -> T:
        ledger = Ledger.build(own, lambda: datetime.now(UTC))
        try:
            return await work(ledger)
        except (OSError, SQLAlchemyError, SchemaError) as error:  # its text may quote the number
            fail(f"The database of DATABASE_URL does not answer ({type(error).__name__}).")
        finally:
            await ledger.close()

    return asyncio.run(start())


def fail(text: str, code: int = 1) -> NoReturn:
    typer.secho(text, fg="red", err=True)
    raise typer.Exit(code)


COMMANDS = [dial, ledger, do_not_call, erase_calls]
