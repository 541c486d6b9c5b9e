"""The command `agent doctor`."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.log import configure_logging
from kit.doctor.check import Check, Context, Report, answers_file, examine, load_checks

CORE = [f"kit.doctor.{subject}" for subject in ("project", "update", "environment", "model", "endpoint", "account")]
NOT_SET_UP = 3  # exit code
OF_AN_UPDATE = ("PRJ001", "PRJ010", "PRJ011", "PRJ012", "PRJ013")


def doctor(
    question: Annotated[
        list[str] | None, typer.Argument(metavar="[explain CODE]", help="Say what a code means, as in explain ENV001.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask Twilio, the public address and the model too. Changes nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="List what is fine, too.")] = False,
    before: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Check only whether files of yours are in the way of an update to it."),
    ] = None,
) -> None:
    """Find mistakes that would keep the agent silent. Exits with 1 when it finds one, else with 3 while something is
    not set up yet, and with 0 when all is well."""
    configure_logging("critical")
    checks = load_checks([*CORE, *modules_of_app()])
    if question:
        explain(question, checks, as_json)
        return
    if wrong := [each for each in before or [] if "=" not in each]:
        typer.secho(f"--before {wrong[0]}: write NAME=VALUE, as in --before level=3.", fg="red", err=True)
        raise typer.Exit(2)
    chosen = [check for check in checks if (check.code in OF_AN_UPDATE if before else live or not check.live)]
    report = asyncio.run(examine(Context(Path.cwd(), before=before or ()), chosen))
    note = "" if live else "Twilio, the public address and the model got no request: agent doctor --live."
    note = f"Then: {update_command(before)}" if before else note
    typer.echo(as_data(report) if as_json else as_text(report, note, chosen if verbose else ()))
    kinds = {finding.kind for finding in report.findings}
    raise typer.Exit(1 if "wrong" in kinds else NOT_SET_UP if kinds else 0)


def modules_of_app() -> list[str]:
    """The modules with checks in app/; none if the app cannot be imported, which PRJ004 explains."""
    try:
        from kit.conventions import check_modules

        return check_modules()
    except Exception:
        return []


def explain(question: Sequence[str], checks: Sequence[Check], as_json: bool) -> None:
    """Print the meaning of a code. Exits with 2 for an unknown one."""
    code = question[-1].upper()
    found = [check for check in checks if check.code == code]
    if len(question) != 2 or question[0] != "explain" or not found:
        codes = ", ".join(dict.fromkeys(check.code for check in checks))
        typer.secho(f"Write: agent doctor explain CODE. This project's codes: {codes}.", fg="red", err=True)
        raise typer.Exit(2)
    check = found[0]
    if as_json:
        fields = {"code": code, "title": check.title, "hint": check.hint, "docs": check.docs, "live": check.live}
        typer.echo(json.dumps(fields, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{code}  {check.title}")
    typer.echo(f"Otherwise: {check.hint}")
    typer.echo(f"Checked {'with --live' if check.live else 'always, offline'}. {check.docs}")


def update_command(answers: Sequence[str]) -> str:
    """The command that answers so, on the release of the template that the project has."""
    named = [] if (file := answers_file()) == ".copier-answers.yml" else ["-a", file]
    given = [part for answer in answers for part in ("-d", answer)]
    return shlex.join(["uvx", "copier", "update", *named, "--vcs-ref=:current:", "--defaults", *given])


def as_text(report: Report, note: str, listed: Sequence[Check] = ()) -> str:
    """What is wrong, each with its fix and where to read on; then what is not set up yet. `note` is the last line.

    Of `listed`, the checks that found nothing come first.
    """
    lines = []
    for check in listed:
        if check.code not in report.failed:
            lines.append(f"{typer.style(check.code, fg='green')}  fine: {check.title}")
    wrong = [finding for finding in report.findings if finding.kind == "wrong"]
    for finding in wrong:
        title = f"{typer.style(finding.code, fg='red')}  {finding.message}"
        lines += [title, f"        {finding.hint}", f"        {finding.docs}"]
    missing = [finding for finding in report.findings if finding.kind != "wrong"]
    if missing:
        lines.append("Not set up yet:")
    for number, finding in enumerate(missing, start=1):
        lines.append(f"{typer.style(finding.code, fg='yellow')}  {finding.message}")
        if number == len(missing) or missing[number].code != finding.code:
            lines.append(f"        {finding.hint} {finding.docs}")
    made = len(set(report.checked))
    lines.append(f"{made} checks, {len(wrong) or 'nothing'} wrong{f', {len(missing)} not set up yet' * bool(missing)}.")
    if report.skipped:
        lines.append(f"Not checked because of that: {', '.join(report.skipped)}.")
    return "\n".join([*lines, *([note] if note else [])])


def as_data(report: Report) -> str:
    return json.dumps(
        {
            "findings": [asdict(finding) for finding in report.findings],
            "checked": list(dict.fromkeys(report.checked)),
            "skipped": report.skipped,
        },
        indent=2,
        ensure_ascii=False,
    )
