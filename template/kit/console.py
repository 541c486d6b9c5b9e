"""A call in a terminal: who says what, how fast, and how it ended."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

from app.main import create_app
from kit import defaults
from kit.caller import Call, CallProblem, Turn, call
from kit.network_guard import offline
from kit.simulated_twilio.account import SimulatedAccount
from kit.terminal import Terminal, piped

HELP = """\
To type while the agent speaks is to speak over it. Also:
/interrupt     speak over the agent; with words behind it, after these
/dtmf 12#      press keys
/silence 5     say nothing for 5 seconds
/drop          lose the WebSocket
/hangup        put the phone down, like Ctrl-D"""


class Screen(Terminal):
    """Prints a call. `pace` 1 is the speed of a voice."""

    def caller(self, text: str) -> None:
        self.line("caller", text, style="cyan")

    def reply(self, turn: Turn) -> None:
        """A reply as the caller heard it, with its times."""
        text = turn.text.strip() if turn.heard_text is None else f"{turn.heard_text} —".lstrip()
        notes = [f"first word {turn.first:.0f} ms"] if turn.first is not None else []
        notes += [f"all {turn.total:.0f} ms"] if turn.total is not None and turn.heard_text is None else []
        notes += [f"tools: {', '.join(turn.tools)}"] if turn.tools else []
        notes += ["cut off"] if turn.heard_text is not None else []
        self.agent(text, ", ".join(notes))

    def summary(self, line: Call, model: str) -> None:
        for remark in line.remarks:
            self.agent(remark, "between two turns")
        if line.task is not None:
            why = line.task.get("reason_code", "no reason given")
            self.note(f"-> queue (workflow {line.workflow}): {why}")
        if line.farewell:
            self.agent(line.farewell, "spoken by Twilio")
        turns, cut_off = len(line.turns), sum(turn.heard_text is not None for turn in line.turns)
        count = f"{turns} turn{'s' * (turns != 1)}{f', {cut_off} cut off' * bool(cut_off)}"
        self.note(f"{count}. The {line.ended_by or 'caller'} ended the call.")
        if first := [turn.first for turn in line.turns if turn.first is not None]:
            self.note(f"First word after {statistics.median(first):.0f} ms (median), {max(first):.0f} ms at worst.")
        self.note(f"Answered by {model}.")

    def answered(self, line: Call) -> str:
        """Who really answered: the first model, its fallback, or neither."""
        models = sorted({name for turn in line.turns for name in turn.models})
        return ", ".join(models) or "no model: the log says why"


async def talk(models: Sequence[Any], name: str, *, local: bool) -> int:
    """A conversation with whoever types. Returns the exit code: 1 when the agent was silent or sent nonsense."""
    interactive = sys.stdin.isatty()
    refused: list[str] = []
    terminal = Screen(pace=1.0 if interactive else 8.0)
    terminal.note(f"Answering: {name}. The caller, the phone network and Twilio are simulated; the app is yours.")
    terminal.note("Type what the caller says; /help shows what else a caller can do.")
    try:
        async with AsyncExitStack() as stack:
            refused = stack.enter_context(offline()) if local else []
            account = SimulatedAccount(terminal.pace)
            app = create_app(defaults.settings(), models, transport=account.transport)
            line = await stack.enter_async_context(call(app, pace=terminal.pace, account=account))
            terminal.agent(line.greeting)
            await Conversation(line, terminal, interactive).run()
            if line.ended_by is None:
                await line.hangs_up()
    except CallProblem as problem:
        terminal.problem(str(problem))
        return 1
    terminal.summary(line, name if local else terminal.answered(line))
    if refused:
        terminal.problem(f"something tried to reach {', '.join(sorted(set(refused)))}")
    return 1 if refused else 0


class Conversation:
    """Does what is typed and shows what is heard, until somebody hangs up."""

    def __init__(self, line: Call, terminal: Screen, interactive: bool) -> None:
        self.line = line
        self.terminal = terminal
        self.interactive = interactive
        self.reply: asyncio.Task[None] | None = None

    async def run(self) -> None:
        async with typed(self.line, self.over) if self.interactive else piped() as lines:
            async for text in lines:
                if not (self.interactive or text.startswith("/interrupt")):
                    await self.catch_up()
                if self.over():
                    break
                await self.obey(text)
        if self.reply:
            await self.reply

    async def catch_up(self) -> None:
        """A file is typed faster than anybody speaks."""
        if self.reply:
            await self.reply
        await played(self.line)

    def over(self) -> bool:
        """Somebody has hung up, or something is wrong with the reply."""
        broken = self.reply and self.reply.done() and not self.reply.cancelled() and self.reply.exception()
        return bool(self.line.ended_by or self.line.queue or broken)

    @property
    def speaking(self) -> bool:
        return self.reply is not None and not self.reply.done() or self.line.playback.remaining > 0

    async def obey(self, text: str) -> None:
        command, _, argument = text.partition(" ")
        match command, argument.strip():
            case "", _:
                pass
            case "/interrupt", after:
                await self.interrupt(after)
            case "/dtmf", digits if re.fullmatch(r"[0-9*#]+", digits):
                await self.press(digits)
            case "/silence", seconds if re.fullmatch(r"\d{0,3}(\.\d+)?", seconds):
                await self.line.stays_silent(float(seconds or 3))
            case "/drop", "":
                await self.drop()
            case "/hangup", "":
                self.cut_off()
                await self.line.hangs_up()
            case _ if command.startswith("/"):
                for hint in HELP.splitlines():
                    self.terminal.note(hint)
            case _:
                await self.say(text)

    async def say(self, text: str) -> None:
        if self.speaking:
            await self.interrupt()
        self.terminal.caller(text)
        self.listen_to(await self.line.begins(text))

    async def press(self, digits: str) -> None:
        if not self.line.listens_to_keys:
            self.terminal.note("Nobody hears keys on this call: TAC cannot take them, the manual path can.")
            return
        if self.speaking:
            await self.interrupt()
        self.terminal.caller(f"[{digits}]")
        self.listen_to(await self.line.types(digits))

    async def interrupt(self, after: str = "") -> None:
        """Speak over the agent: now, or after the words that are named."""
        if not self.speaking:
            self.terminal.note("The agent is not speaking.")
            return
        if after:
            try:
                await self.line.hears(after)
                while after not in self.line.playback.heard():
                    await asyncio.sleep(0.02)
            except CallProblem as problem:
                self.terminal.note(f"Not interrupted: {problem}.")
                return
        elif not self.interactive:
            await asyncio.sleep(2 / self.terminal.pace)  # a file would interrupt before the first word
        if self.reply:
            self.reply.cancel()
            self.reply = None
        turn = self.line.turn
        heard = await self.line.interrupts(after=after or None)
        if turn:
            self.terminal.reply(turn)
        elif heard != self.line.greeting:
            self.terminal.note(
                f"The greeting was cut off after {heard!r}." if heard else "You did not let it greet you."
            )

    async def drop(self) -> None:
        self.cut_off()
        await self.line.drops()
        self.terminal.note("The WebSocket broke. Twilio asked the action route what to do.")
        if self.line.ended_by is None:
            self.terminal.agent(self.line.greeting, "connected again")

    def cut_off(self) -> None:
        """Show how far a reply got that nobody hears any more."""
        if self.reply and not self.reply.done():
            self.reply.cancel()
            turn = self.line.turns[-1]
            turn.heard_text = turn.playback.heard()
            self.terminal.reply(turn)
        self.reply = None

    def listen_to(self, turn: Turn) -> None:
        self.reply = asyncio.create_task(self.hear_out(turn))

    async def hear_out(self, turn: Turn) -> None:
        await self.line.hears_out(turn)
        await played(self.line)
        self.terminal.reply(turn)
        if self.line.session.ending:
            await self.line.over()


async def played(line: Call) -> None:
    """Wait until what the agent has sent so far has been spoken."""
    while (remaining := line.playback.remaining) > 0:
        await asyncio.sleep(min(0.05, remaining))


@asynccontextmanager
async def typed(line: Call, over: Callable[[], bool]) -> AsyncGenerator[AsyncIterator[str]]:
    """The lines that somebody types, with the agent's words as they are spoken below."""
    entered: asyncio.Queue[str] = asyncio.Queue()

    def toolbar() -> str:
        width = os.get_terminal_size().columns - 12
        heard = line.playback.heard()[-width:]
        return f"   agent  {heard}" if line.playback.remaining > 0 else "          Your turn. Ctrl-D hangs up."

    async def enter() -> None:
        session: PromptSession[str] = PromptSession(bottom_toolbar=toolbar, refresh_interval=0.1, erase_when_done=True)
        try:
            while True:
                entered.put_nowait((await session.prompt_async("     you  ")).strip())
        except (EOFError, KeyboardInterrupt):
            entered.put_nowait("/hangup")

    async def lines() -> AsyncIterator[str]:
        while not over():
            if entered.empty():
                await asyncio.sleep(0.05)
            else:
                yield entered.get_nowait()

    with patch_stdout(raw=True):
        entering = asyncio.create_task(enter())
        try:
            yield lines()
        finally:
            entering.cancel()
            await asyncio.wait([entering])
