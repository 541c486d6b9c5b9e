"""`agent doctor`, for people and for scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kit.doctor.check import Check, Finding, Report


CORE = [f"kit.doctor.{subject}" for subject in ("project", "environment", "model", "endpoint", "account")]


def doctor(
    question: Annotated[
        list[str] | None, typer.Argument(metavar="[explain CODE]", help="Say what a code means, as in explain ENV001.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask Twilio, the public address and the model too. Changes nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what would keep the agent silent. Exits with 1 when something is wrong."""
    from app.log import configure_logging
    from kit.conventions import check_modules
    from kit.doctor.check import Context, examine, load_checks

    configure_logging("critical")
    checks = load_checks([*CORE, *check_modules()])
    if question:
        explain(question, checks, as_json)
        return
    chosen = [check for check in checks if live or not check.live]
    report = asyncio.run(examine(Context(Path.cwd()), chosen))
    typer.echo(as_text(report, live)) if not as_json else typer.echo(as_data(report))
    raise typer.Exit(1 if report.findings else 0)


def explain(question: Sequence[str], checks: Sequence[Check], as_json: bool) -> None:
    """What a code means. Exits with 2 for one that this project has not."""
    code = question[-1].upper()
    found = [check for check in checks if check.code == code]
    if len(question) != 2 or question[0] != "explain" or not found:
        known = ", ".join(dict.fromkeys(check.code for check in checks))
        typer.secho(f"Write: agent doctor explain CODE. This project's codes: {known}.", fg="red", err=True)
        raise typer.Exit(2)
    told = {"code": code, "title": found[0].title, "hint": found[0].hint, "docs": found[0].docs, "live": found[0].live}
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{code}  {told['title']}")
    typer.echo(f"Otherwise: {told['hint']}")
    typer.echo(f"Checked {'with --live' if told['live'] else 'always, offline'}. {told['docs']}")


def as_text(report: Report, live: bool) -> str:
    """One line for a finding, then its fix and where to read on."""
    lines = [line for finding in report.findings for line in told(finding)]
    made, wrong = len(set(report.checked)), len(report.findings)
    lines.append(f"{made} checks, {wrong or 'nothing'} wrong.")
    if report.skipped:
        lines.append(f"Not checked because of that: {', '.join(report.skipped)}.")
    if not live:
        lines.append("Twilio, the public address and the model were not asked: agent doctor --live.")
    return "\n".join(lines)


def told(finding: Finding) -> list[str]:
    return [
        f"{typer.style(finding.code, fg='red')}  {finding.message}",
        f"        {finding.hint}",
        f"        {finding.docs}",
    ]


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
