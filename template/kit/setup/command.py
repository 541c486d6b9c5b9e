"""`agent setup`: plan, apply, verify, undo."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.environment import SettingsError, problems_in
from app.log import configure_logging
from kit.defaults import exit_on_wrong_settings
from kit.dev.addresses import put_back_leftovers
from kit.setup.api import Api, SetupError, SetupSettings
from kit.setup.apply import apply, plan
from kit.setup.env_file import EnvFile
from kit.setup.journal import FILE, Journal
from kit.setup.resource import Choices, SetupContext, Step
from kit.setup.simulated import simulated_setup
from kit.setup.undo import undo
from kit.setup.verify import verify

MAX_VALUE_LENGTH = 200  # characters of a value that is shown
DONE = "Done. Start `agent serve` with this .env, then run `agent setup verify`."
APPLIED_SIMULATED = "That was a rehearsal: the account was simulated, and this project's .env is as it was."

setup = typer.Typer(help="Put the Twilio account in order for this project, prove it, take it back. It buys nothing.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Simulated = Annotated[
    bool, typer.Option("--simulated", help="With an account that is simulated, and forgotten afterwards.")
]
FLAGS = {  # option of plan and apply, also `flag` of a resource: its help
    "number": "The phone number, as in +15005550001; one that the account has.",
    "name": "Name of new resources: small letters, digits and hyphens.",
    "store": "An existing memory store (mem_store_...).",
    "configuration": "An existing conversation configuration.",
    "intelligence": "An existing intelligence configuration.",
    "operator": "The operator of your own, by id.",
    "workspace": "An existing workspace, by SID or name, or 'a new one'.",
    "grouping": "conversationGroupingType of a new conversation configuration. For ever.",
}


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of FLAGS. Its parameter `flags` has those that were given."""

    def run(**options: Any) -> None:
        flags = {name: value for name in FLAGS if (value := options.pop(name, ""))}
        name = flags.get("name", "agent")
        if not re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", name):
            typer.secho(f"--name: {name!r} must have 1 to 32 small letters, digits and hyphens.", fg="red", err=True)
            raise typer.Exit(2)
        command(flags=flags, **options)

    known = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [each for each in known if each.name != "flags"]
    for name, text in FLAGS.items():
        option = Annotated[str, typer.Option(help=text)]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default="", annotation=option))
    described: Any = run  # typer reads signature, annotations, name and docstring
    described.__signature__ = inspect.Signature(parameters)
    described.__annotations__ = {each.name: each.annotation for each in parameters}
    described.__name__, described.__doc__ = command.__name__, command.__doc__
    return run


@setup.callback(invoke_without_command=True)
@with_flags
def default(
    context: typer.Context, flags: Mapping[str, str], as_json: Json = False, simulated: Simulated = False
) -> None:
    """Without a subcommand: plan."""
    if context.invoked_subcommand is None:
        show_plan(flags, as_json, simulated)
    elif flags or as_json or simulated:  # typer would ignore them, --simulated too
        typer.secho(f"Write the options after {context.invoked_subcommand}. Nothing was changed.", fg="red", err=True)
        raise typer.Exit(2)


@setup.command("plan")
@with_flags
def plan_command(flags: Mapping[str, str], as_json: Json = False, simulated: Simulated = False) -> None:
    """Show the resources that apply would create and change. Changes nothing."""
    show_plan(flags, as_json, simulated)


def show_plan(flags: Mapping[str, str], as_json: bool, simulated: bool) -> None:
    async def work(own: SetupContext) -> int:
        steps = await plan(own)
        typer.echo(json.dumps(as_record(own, steps), indent=2) if as_json else "\n".join(as_text(own, steps)))
        return 0

    run(work, flags, simulated, quiet=as_json)


@setup.command("apply")
@with_flags
def apply_command(
    flags: Mapping[str, str], as_json: Json = False, yes: Yes = False, simulated: Simulated = False
) -> None:
    """Create and change the resources, after a typed yes. Can be run again at any time; resumes when interrupted."""

    async def work(own: SetupContext) -> int:
        await put_back_leftovers(own, say_nothing if as_json else say)
        steps = await plan(own)
        if not as_json:
            typer.echo("\n".join(as_text(own, steps)))
        changes = [step for step in steps if step.action != "keep"]
        if changes and not (yes or simulated) and not confirmed("Make it so?", as_json):
            return 1
        done = await apply(own, say_nothing if as_json else say)
        if as_json:
            typer.echo(json.dumps({**as_record(own, done), "applied": True}, indent=2))
        elif changes:
            typer.echo(APPLIED_SIMULATED if simulated else DONE)
        return 0

    run(work, flags, simulated, quiet=as_json)


@setup.command("verify")
def verify_command(as_json: Json = False, simulated: Simulated = False) -> None:
    """Verify the resources and the webhooks, while `agent serve` runs. Exits with 1 when a proof fails."""

    async def work(own: SetupContext) -> int:
        if simulated:
            await apply(own, say_nothing)
        checks = await verify(own)
        ok = all(check.ok for check in checks)
        if as_json:
            proofs = [vars(check) for check in checks]
            typer.echo(json.dumps({"account": own.settings.account_sid, "ok": ok, "checks": proofs}, indent=2))
            return 0 if ok else 1
        for check in checks:
            mark, color = ("ok  ", "green") if check.ok else ("FAIL", "red")
            typer.secho(f"{mark} {check.resource}: {check.check}", fg=color)
            if check.detail:
                typer.echo(f"     {check.detail}")
        typer.echo(f"{sum(check.ok for check in checks)} of {len(checks)} proved.")
        return 0 if ok else 1

    run(work, {}, simulated, quiet=as_json)


@setup.command("undo")
def undo_command(as_json: Json = False, yes: Yes = False, simulated: Simulated = False) -> None:
    """Restore changed fields and delete created resources, in reverse order; a memory store with its contents."""

    async def work(own: SetupContext) -> int:
        if simulated:
            await apply(own, say_nothing)
        await put_back_leftovers(own, say_nothing if as_json else say)
        journal = own.journal
        if not (journal.entries or journal.env):
            typer.echo(
                json.dumps({"account": own.settings.account_sid, "steps": []}) if as_json else "Nothing to undo."
            )
            return 0
        for key, entry in [] if as_json else reversed(journal.entries.items()):
            for id in entry.get("created", []):
                typer.echo(f"  - delete  {key} {id}")
            if entry.get("before"):
                typer.echo(f"  ~ restore {key}: {', '.join(entry['before'])}")
        if not (yes or simulated) and not confirmed("Take it back? What is deleted is gone.", as_json):
            return 1
        steps = await undo(own, say_nothing if as_json else say)
        if as_json:
            typer.echo(json.dumps({"account": own.settings.account_sid, "steps": steps}, indent=2))
        return 0

    run(work, {}, simulated, quiet=as_json)


# --- running a command -----------------------------------------------------------------------------------------------


def run(
    work: Callable[[SetupContext], Coroutine[Any, Any, int]], given: Mapping[str, str], simulated: bool, quiet: bool
) -> None:
    """Run a command. Exit code 1: Twilio rejected a request; 2: a flag or setting is wrong."""

    async def with_account() -> int:
        async with simulated_setup(given) if simulated else account_setup(given, quiet) as own:
            return await work(own)

    configure_logging("critical")
    try:
        with exit_on_wrong_settings("Nothing was changed."):
            code = asyncio.run(with_account())
    except SetupError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(error.code) from None
    raise typer.Exit(code)


@asynccontextmanager
async def account_setup(given: Mapping[str, str], quiet: bool) -> AsyncIterator[SetupContext]:
    settings = load()
    journal = Journal(Path(FILE), settings.account_sid)
    asked = None if quiet or not is_interactive() else ask
    choices = Choices(dict(given), dict(journal.choices), asked)
    api = Api(settings)
    try:
        yield SetupContext(settings, api, journal, EnvFile(Path(".env")), choices)
    finally:
        await api.close()


def load() -> SetupSettings:
    """Settings of setup: credentials of the account and PUBLIC_URL. Raises SettingsError."""
    try:
        return SetupSettings()
    except ValidationError as errors:
        raise SettingsError(problems_in(errors, SetupSettings)) from None


async def ask(question: str, options: Sequence[tuple[str, str]]) -> str:
    """Let the user choose. Raises SetupError when the user cancels."""
    import questionary

    choices = [questionary.Choice(label, value) for label, value in options]
    answer = await questionary.select(question, choices=choices).ask_async()
    if answer is None:
        raise SetupError("Nothing was changed.")
    return str(answer)


def confirmed(question: str, as_json: bool) -> bool:
    """True after a typed "yes". Never asks with --json or without a terminal."""
    if as_json or not is_interactive():
        typer.secho("Nothing was changed: add --yes where there is no terminal.", fg="red", err=True)
        return False
    if typer.prompt(f"{question} Type yes", default="", show_default=False).strip().lower() == "yes":
        return True
    typer.echo("Nothing was changed.")
    return False


def is_interactive() -> bool:
    return sys.stdin.isatty()


def say(text: str) -> None:
    typer.echo(text)


def say_nothing(text: str) -> None: ...


# --- output --------------------------------------------------------------------------------------------------------

MARKS = {"create": ("+", "green"), "change": ("~", "yellow"), "keep": ("=", None)}


def as_record(own: SetupContext, steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "account": own.settings.account_sid,
        "steps": [step.json() for step in steps],
        "changes": sum(step.action != "keep" for step in steps),
    }


def as_text(own: SetupContext, steps: Sequence[Step]) -> list[str]:
    """The plan, in the order of apply."""
    lines = [f"Account {own.settings.account_sid}, server {own.settings.public_url}"]
    for step in steps:
        mark, color = MARKS[step.action]
        record = step.json()
        title = f"{mark} {step.action:<6} {step.resource.key} {record['id'] or ''}".rstrip()
        lines.append(typer.style(title, fg=color))
        for change in record["changes"]:
            before = "" if step.action == "create" else f"{shortened(change['before'])} -> "
            lines.append(f"    {change['field']}: {before}{shortened(change['after'])}")
        lines += [f"    note: {note}" for note in record["notes"]]
        lines += [f"    one way: {note}" for note in record["one_way"]]
    count = sum(step.action != "keep" for step in steps)
    lines.append(f"{count} of {len(steps)} to do: agent setup apply." if count else "Nothing to do.")
    return lines


def shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}..."
