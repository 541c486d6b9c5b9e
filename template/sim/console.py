"""The conversation in a terminal: who says what, how fast, and how it ended."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout
from pydantic_ai.models import Model
from rich.console import Console
from rich.text import Text

from app.main import create_app
from sim import world
from sim.call import Call, CallProblem, Turn, call
from sim.guard import offline

HELP = "/interrupt  speak over it · /dtmf 12#  press keys · /silence 5  say nothing · /drop  lose the socket · /hangup"


class Terminal:
    """Prints a call. `pace` 1 is the speed of a voice."""

    def __init__(self, pace: float = 1.0) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.pace = pace
        self.began = time.monotonic()

    def line(self, who: str, text: str, note: str = "", style: str = "") -> None:
        shown = Text.assemble((f"{who:>8}  ", f"bold {style}"), (text, ""), (f"  {note}" if note else "", "dim"))
        self.console.print(shown)

    def caller(self, text: str) -> None:
        self.line("caller", text, style="cyan")

    def agent(self, text: str, note: str = "") -> None:
        self.line("agent", text, note, style="green")

    def note(self, text: str) -> None:
        self.line("", text, style="dim")

    def reply(self, turn: Turn) -> None:
        """A reply as the caller heard it, with its times."""
        text = turn.text if turn.heard is None else f"{turn.heard} —"
        times = [f"first word {turn.first:.0f} ms"] if turn.first is not None else []
        times += [f"all {turn.total:.0f} ms"] if turn.total is not None else []
        times += [f"tools: {', '.join(turn.tools)}"] if turn.tools else []
        times += ["interrupted"] if turn.heard is not None else []
        self.agent(text, f"({', '.join(times)})")

    def summary(self, line: Call, model: str) -> None:
        first = [turn.first for turn in line.turns if turn.first is not None]
        middle = (
            f", first word {statistics.median(first):.0f} ms in the middle, {max(first):.0f} ms at worst"
            if first
            else ""
        )
        interrupted = sum(turn.heard is not None for turn in line.turns)
        if line.farewell:
            self.agent(line.farewell, "(spoken by Twilio)")
        self.note(
            f"{len(line.turns)} turns, {interrupted} interrupted, ended by the {line.ended_by or 'caller'}{middle}. "
            f"Answered by {model}."
        )


async def talk(model: Model | str | Sequence[Model | str], name: str, *, local: bool) -> int:
    """A conversation with whoever types. Returns the exit code: 1 when the agent was silent or sent nonsense."""
    models = [model] if isinstance(model, Model | str) else list(model)
    interactive = sys.stdin.isatty()
    refused: list[str] = []
    terminal = Terminal(pace=1.0 if interactive else 8.0)
    terminal.note(f"Answering: {name}. The caller, the phone network and Twilio are simulated; the app is yours.")
    terminal.note(HELP)
    try:
        async with AsyncExitStack() as stack:
            refused = stack.enter_context(offline()) if local else []
            line = await stack.enter_async_context(call(create_app(world.settings(), models), pace=terminal.pace))
            terminal.agent(line.greeting)
            async with typed(line, interactive) as lines:
                await converse(line, lines, terminal)
            if line.ended_by is None:
                await line.hangs_up()
    except CallProblem as problem:
        terminal.line("problem", str(problem), style="red")
        return 1
    terminal.summary(line, name)
    if refused:
        terminal.line("problem", f"something tried to reach {', '.join(sorted(set(refused)))}", style="red")
    return 1 if refused else 0


async def converse(line: Call, lines: AsyncIterator[str], terminal: Terminal) -> None:
    """Do what is typed until somebody hangs up. To type while the agent speaks is to speak over it."""
    reply: asyncio.Task[None] | None = None

    async def listen(turn: Turn) -> None:
        await line.hears_out(turn)
        while line.playback.remaining > 0:
            await asyncio.sleep(min(0.05, line.playback.remaining))
        terminal.reply(turn)
        if line.session.ending:
            await line.over()

    async for typed_line in lines:
        text = typed_line.strip()
        command, _, argument = text.partition(" ")
        if reply and not sys.stdin.isatty() and command != "/interrupt":
            await reply  # a file is typed faster than anybody speaks
        if line.ended_by:
            break
        speaking = reply is not None and not reply.done()
        if speaking and (command == "/interrupt" or not command.startswith("/")):
            await interrupt(line, reply, terminal, argument if command == "/interrupt" else "")
            reply = None
        if command == "/interrupt" and not speaking:
            heard = await line.interrupts()
            terminal.note(f"interrupted after {heard!r}")
        elif command == "/hangup":
            if reply:
                reply.cancel()
            await line.hangs_up()
            break
        elif command == "/drop":
            await line.drops()
            terminal.note("the WebSocket broke; Twilio asked the action route what to do")
            if line.ended_by:
                break
            terminal.agent(line.greeting, "(reconnected)")
        elif command == "/silence":
            await line.stays_silent(
                float(argument or 3) if argument.replace(".", "", 1).isdigit() or not argument else 3
            )
        elif command == "/dtmf" and argument and not line.listens_to_keys:
            terminal.note("nobody hears the keys on this call: TAC cannot take them; the manual path can")
        elif command == "/dtmf" and argument:
            terminal.caller(f"[{argument}]")
            reply = asyncio.create_task(listen(await line.presses(argument)))
        elif command.startswith("/") and command != "/interrupt":
            terminal.note(HELP)
        elif text and command != "/interrupt":
            terminal.caller(text)
            reply = asyncio.create_task(listen(await line.begins(text)))
    if reply and not reply.cancelled():
        await asyncio.wait([reply])
        if not reply.cancelled() and (error := reply.exception()):
            raise error


async def interrupt(line: Call, reply: asyncio.Task[None] | None, terminal: Terminal, after: str) -> None:
    """Speak over a running reply: now, or after the words that were named."""
    if reply:
        if after:
            await line.hears(after)
        elif not sys.stdin.isatty():
            await asyncio.sleep(2 / terminal.pace)  # a file would interrupt before the first word
        reply.cancel()
    await line.interrupts(after=after or None)
    terminal.reply(line.turns[-1])


@asynccontextmanager
async def typed(line: Call, interactive: bool) -> AsyncGenerator[AsyncIterator[str]]:
    """The lines that somebody types, or that stand in a file."""

    async def from_terminal() -> AsyncIterator[str]:
        def speaking() -> str:
            heard = line.playback.heard()
            return f" agent: {heard[-100:]}…" if line.playback.remaining > 0 else " your turn"

        session: PromptSession[str] = PromptSession(bottom_toolbar=speaking, refresh_interval=0.1)
        prompt: asyncio.Task[str] | None = None
        while not line.ended_by:
            prompt = prompt or asyncio.create_task(session.prompt_async("     you  "))
            done, _ = await asyncio.wait([prompt], timeout=0.2)
            if done:
                try:
                    yield prompt.result()
                except (EOFError, KeyboardInterrupt):
                    return
                prompt = None
        if prompt:
            prompt.cancel()

    async def from_file() -> AsyncIterator[str]:
        while text := await asyncio.to_thread(sys.stdin.readline):
            yield text

    if interactive:
        with patch_stdout(raw=True):
            yield from_terminal()
    else:
        yield from_file()


async def show(terminal: Terminal, line: Call, turn: Turn | None, until: str) -> None:
    """Watch one step of a scenario at the pace of a voice. `until` is where the caller will break in."""
    if turn is None:
        if not line.turns and not line.ended_by:
            terminal.agent(line.greeting)
        playback = line.playback
        while playback.remaining > 0 and not line.ended_by:
            await asyncio.sleep(0.05)
        return
    terminal.caller(turn.asked)
    if until:
        await line.hears(until)
        while until not in line.playback.heard():
            await asyncio.sleep(0.02)
        terminal.agent(f"{line.playback.heard()} —", "(the caller breaks in)")
        return
    await line.hears_out(turn)
    while line.playback.remaining > 0:
        await asyncio.sleep(0.05)
    terminal.reply(turn)
