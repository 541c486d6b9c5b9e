"""`agent call`: a call in the terminal, with the latency of every reply and how the call ended."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from app.main import create_app
from kit import defaults, tool_command, tool_failures
from kit.caller import Call, CallTurn, dial_app
from kit.network_guard import offline
from kit.simulated_twilio.account import SimulatedAccount
from kit.terminal import Terminal, typed_lines

COMMANDS = f"""\
/interrupt     speak over the agent; with words behind it, after these
/dtmf 12#      press keys
/silence 5     say nothing for 5 seconds
/drop          lose the WebSocket
{tool_command.HELP}
/hangup        put the phone down, like Ctrl-D"""
HELP = f"To type while the agent speaks is to speak over it. Also:\n{COMMANDS}"
IN_MENU = "Twilio asks for a key: /dtmf 1 presses one, and /silence presses none."
IN_PAY = "Twilio takes a card: /dtmf 1 stands for one, and /dtmf * cancels."


class Screen(Terminal):
    """Prints a call."""

    printed = 0  # how many remarks of the agent

    def caller(self, text: str) -> None:
        self.line("caller", text, style="cyan")

    def reply(self, turn: CallTurn) -> None:
        """A reply as far as the caller heard it, with its latency and tools."""
        text = turn.text.strip() if turn.heard_text is None else f"{turn.heard_text} —".lstrip()
        notes = [f"first word {turn.first:.0f} ms"] if turn.first is not None else []
        notes += [f"all {turn.total:.0f} ms"] if turn.total is not None and turn.heard_text is None else []
        notes += [f"tools: {', '.join(turn.tools)}"] if turn.tools else []
        notes += ["cut off"] if turn.heard_text is not None else []
        self.agent(text, ", ".join(notes))

    def remarks(self, call: Call) -> None:
        """What the agent has said between two turns, and has not been printed."""
        for remark in call.remarks[self.printed :]:
            self.agent(remark, "between two turns")
        self.printed = len(call.remarks)

    def summary(self, call: Call, model: str) -> None:
        self.remarks(call)
        if call.task is not None:
            why = call.task.get("reason_code", "no reason given")
            self.note(f"-> queue (workflow {call.workflow}): {why}")
        if call.farewell:
            self.agent(call.farewell, "spoken by Twilio")
        turns, cut_off = len(call.turns), sum(turn.heard_text is not None for turn in call.turns)
        count = f"{turns} turn{'s' * (turns != 1)}{f', {cut_off} cut off' * bool(cut_off)}"
        self.note(f"{count}. {call.ending}")
        if first := [turn.first for turn in call.turns if turn.first is not None]:
            self.note(f"First word after {statistics.median(first):.0f} ms (median), {max(first):.0f} ms at worst.")
        self.note(f"Answered by {model}.")

    def answered(self, call: Call) -> str:
        """The models that answered: the first, its fallback, both or none."""
        models = sorted({name for turn in call.turns for name in turn.models})
        return ", ".join(models) or "no model: the log says why"


async def talk(models: Sequence[Any], name: str, *, local: bool, **parties: str) -> int:
    """A call from the keyboard or a pipe. Returns the exit code: 1 if the agent was silent or sent a wrong frame.

    `parties` are those of `kit.caller.caller_on`, as in direction="outbound".
    """
    interactive = sys.stdin.isatty()
    refused: list[str] = []
    terminal = Screen(pace=1.0 if interactive else 8.0)
    terminal.note(f"Answering: {name}. The caller, the phone network and Twilio are simulated; the app is yours.")
    terminal.note("Type what the caller says; /help shows what else a caller can do.")
    try:
        async with AsyncExitStack() as stack:
            refused = stack.enter_context(offline()) if local else []
            account, settings = SimulatedAccount(terminal.pace), defaults.settings()
            app = create_app(settings, models, transport=account.transport)
            stack.push_async_callback(tool_command.answer_by_script(app, settings).close)
            stack.enter_context(tool_failures.shown(terminal.problem, app.state.brain.tools))
            if local:
                terminal.note(tool_command.hint(app.state.brain.tools))
            call = await stack.enter_async_context(dial_app(app, pace=terminal.pace, account=account, **parties))
            if call.opening:
                terminal.agent(call.opening, "spoken by Twilio")
            if call.relay:
                terminal.agent(call.greeting)
            await TerminalCall(call, terminal, interactive).run()
            if call.ended_by is None:
                await call.hangs_up()
    except defaults.Problem as problem:
        terminal.problem(str(problem))
        return 1
    terminal.summary(call, name if local else terminal.answered(call))
    if refused:
        terminal.problem(f"the app tried to reach {', '.join(sorted(set(refused)))}")
    return 1 if refused else 0


class TerminalCall:
    """Runs the typed lines as speech or commands, and prints the replies, until one side hangs up."""

    def __init__(self, call: Call, terminal: Screen, interactive: bool) -> None:
        self.call = call
        self.terminal = terminal
        self.interactive = interactive
        self.reply: asyncio.Task[None] | None = None

    async def run(self) -> None:
        async with typed_lines(
            "     you  ", "/hangup", self.is_over, bottom_toolbar=self.toolbar, refresh_interval=0.1
        ) as lines:
            async for text in lines:
                if not (self.interactive or text.startswith("/interrupt")):
                    await self.catch_up()
                if self.is_over():
                    break
                await self.obey(text)
        if self.reply:
            await self.reply

    def toolbar(self) -> str:
        """The text as it is spoken."""
        width = os.get_terminal_size().columns - 12
        heard = self.call.playback.heard()[-width:]
        return f"   agent  {heard}" if self.call.playback.remaining > 0 else "          Your turn. Ctrl-D hangs up."

    async def catch_up(self) -> None:
        """Wait for the end of the reply: a pipe delivers lines faster than speech."""
        if self.reply:
            await self.reply
        await wait_until_spoken(self.call)

    def is_over(self) -> bool:
        """One side has hung up, the call is in a queue, or the reply has failed."""
        broken = self.reply and self.reply.done() and not self.reply.cancelled() and self.reply.exception()
        return bool(self.call.ended_by or self.call.queue or self.call.dialed or broken)

    @property
    def speaking(self) -> bool:
        return self.reply is not None and not self.reply.done() or self.call.playback.remaining > 0

    async def obey(self, text: str) -> None:
        command, _, argument = text.partition(" ")
        match command, argument.strip():
            case "", _:
                pass
            case "/interrupt", after:
                await self.interrupt(after)
            case "/dtmf", digits if re.fullmatch(r"[0-9*#]+", digits):
                await self.press(digits)
            case "/tool", typed:
                await self.call_tool(typed)
            case "/silence", seconds if re.fullmatch(r"\d{0,3}(\.\d+)?", seconds):
                await (self.choose() if self.call.gather else self.stay_silent(float(seconds or 3)))
            case "/drop", "":
                await self.drop()
            case "/hangup", "":
                self.cut_off()
                await self.call.hangs_up()
            case "/help", _:
                self.terminal.note(HELP)
            case "/dtmf", wrong:
                self.terminal.note(f"Not pressed: /dtmf takes keys (0 to 9, * and #), as in /dtmf 12#, not {wrong!r}.")
            case "/silence", wrong:
                self.terminal.note(f"Not silent: /silence takes seconds (0 to 999), as in /silence 5, not {wrong!r}.")
            case "/drop" | "/hangup", wrong:
                self.terminal.note(f"Not done: {command} stands alone, without {wrong!r}.")
            case _ if command.startswith("/"):
                self.terminal.note(f"There is no command {command}. There are:\n{COMMANDS}")
            case _:
                await self.say(text)

    async def say(self, text: str) -> None:
        if self.call.payment or self.call.gather:
            self.terminal.note(IN_PAY if self.call.payment else IN_MENU)
            return
        if self.speaking:
            await self.interrupt()
        self.terminal.caller(text)
        self.listen_to(await self.call.begins(text))

    async def call_tool(self, typed: str) -> None:
        try:
            text = await tool_command.user_text(self.call.app, self.call.session, typed)
        except ValueError as error:
            self.terminal.note(str(error))
        else:
            await self.say(text)

    async def pay(self, digits: str) -> None:
        """In <Pay>, the star key cancels, and anything else stands for a card that is charged."""
        self.terminal.caller("[*]" if "*" in digits else "[a card]")
        await self.call.account.simulate(
            self.call, {"pay": "caller-interrupted-with-star" if "*" in digits else "success"}
        )
        if self.call.ended_by is None:
            self.terminal.agent(self.call.greeting, "connected again")

    async def choose(self, key: str = "") -> None:
        """A key in a menu that Twilio speaks, or none."""
        self.terminal.caller(f"[{key or 'no key'}]")
        said = len(self.call.farewell)
        await self.call.chooses(key)
        if self.call.gather:
            self.terminal.agent(self.call.farewell[said:].strip(), "spoken by Twilio")

    async def stay_silent(self, seconds: float) -> None:
        """Say nothing, and print what the agent says meanwhile."""
        self.terminal.caller(f"[silent for {seconds:g} s]")
        await self.call.stays_silent(seconds)
        self.terminal.remarks(self.call)

    async def press(self, digits: str) -> None:
        if self.call.gather:
            await self.choose(digits[0])
            return
        if self.call.payment:
            await self.pay(digits)
            return
        if not self.call.listens_to_keys:
            self.terminal.note("This call has no dtmfDetection: TAC does not support it, the manual path does.")
            return
        if self.speaking:
            await self.interrupt()
        self.terminal.caller(f"[{digits}]")
        self.listen_to(await self.call.types(digits))

    async def interrupt(self, after: str = "") -> None:
        """Interrupt the agent: at once, or when `after` has been spoken."""
        if not self.speaking:
            self.terminal.note("The agent is not speaking.")
            return
        if after:
            try:
                await self.call.hears(after)
                while after not in self.call.playback.heard():
                    await asyncio.sleep(0.02)
            except defaults.Problem as problem:
                self.terminal.note(f"Not interrupted: {problem}.")
                return
        elif not self.interactive:
            await asyncio.sleep(2 / self.terminal.pace)  # a pipe would interrupt before the first word
        if self.reply:
            self.reply.cancel()
            self.reply = None
        turn = self.call.turn
        heard = await self.call.interrupts(after=after or None)
        if turn:
            self.terminal.reply(turn)
        elif heard != self.call.greeting:
            self.terminal.note(
                f"The greeting was cut off after {heard!r}." if heard else "You did not let it greet you."
            )

    async def drop(self) -> None:
        if self.call.payment or self.call.gather:
            self.terminal.note("Not dropped: Twilio has the call, without a WebSocket.")
            return
        self.cut_off()
        await self.call.drops()
        self.terminal.note("The WebSocket broke. Twilio asked the action route what to do.")
        if self.call.gather:
            self.at_twilio()
        elif self.call.ended_by is None:
            self.terminal.agent(self.call.greeting, "connected again")

    def at_twilio(self) -> None:
        self.terminal.agent(self.call.farewell, "spoken by Twilio")
        self.terminal.note(IN_PAY if self.call.payment else IN_MENU)

    def cut_off(self) -> None:
        """Print the part of the reply that was heard before the connection ended."""
        if self.reply and not self.reply.done():
            self.reply.cancel()
            turn = self.call.turns[-1]
            turn.heard_text = turn.playback.heard()
            self.terminal.reply(turn)
        self.reply = None

    def listen_to(self, turn: CallTurn) -> None:
        self.reply = asyncio.create_task(self.hear_reply(turn))

    async def hear_reply(self, turn: CallTurn) -> None:
        await self.call.hears_reply(turn)
        await wait_until_spoken(self.call)
        self.terminal.reply(turn)
        if self.call.session.ending:
            await self.call.wait_for_end()
        if self.call.payment or self.call.gather:
            self.at_twilio()


async def wait_until_spoken(call: Call) -> None:
    """Wait until the text that the agent has sent so far has been spoken."""
    while (remaining := call.playback.remaining) > 0:
        await asyncio.sleep(min(0.05, remaining))
