"""The driver of text conversations. A message without a reply raises Problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic_ai import messages as m

from app.session import Session
from kit.driver import Driver, Reply
from kit.scenario_file import Given, Step
from kit.simulated_twilio.account import SimulatedAccount
from kit.terminal import Terminal
from kit.texter import Texter, texter_on
from kit.tool_calls import calls_in

FIRST_MESSAGE = "Hello! This is a reminder. You can answer it."  # of the agent, with `direction: outbound`


class TextDriver(Driver):
    """A scenario that is a text conversation: `caller` is a message, `silence` a pause."""

    channel = "messaging"
    unsupported = frozenset(
        {"answer", "dtmf", "drop", "hangup", "interrupt_after", "hangup_after", "ended_by", "handoff"}
    )

    party: Texter

    def __init__(self, party: Texter, pace: float, terminal: Terminal | None) -> None:
        self.party = party
        self.pace = pace
        self.terminal = terminal

    @classmethod
    def settings(cls, given: Given) -> dict[str, Any]:
        return {**super().settings(given), "phone_number": given.called}

    @classmethod
    @asynccontextmanager
    async def begins(
        cls, app: FastAPI, address: str, given: Given, account: SimulatedAccount, pace: float, watch: bool
    ) -> AsyncGenerator[TextDriver]:
        async with texter_on(app, address, account, author=given.caller) as party:
            driver = cls(party, pace, Terminal() if watch else None)
            if given.direction == "outbound":
                await party.is_written_to(FIRST_MESSAGE)
            yield driver
        driver.remarks = " ".join([driver.remarks, *party.unread(whole=True)])

    async def takes(self, step: Step) -> Reply:
        if step.caller is not None:
            return await self._write(step.caller)
        if step.silence is not None:
            await asyncio.sleep(step.silence / self.pace)
        elif step.twilio:
            await self.party.account.simulate(self.party, step.twilio)
        await self.party.wait_for_app()
        between = " ".join(self.party.unread(whole=True))
        self.remarks = f"{self.remarks} {between}".strip()
        return Reply(between)

    async def ends(self) -> None:
        await self.party.closes()
        await self.party.wait_for_app()

    async def session(self) -> Session:
        return await self.party.session()

    async def _write(self, text: str) -> Reply:
        before = await self._exchange()
        began = time.monotonic()
        await self.party.posts(self.party.writes(text))
        first = await self.party.reads(whole=True)
        took = 1000 * (time.monotonic() - began)
        await self.party.wait_for_app()
        introduction, answer = self.party.split("\n".join([first, *self.party.unread(whole=True)]))
        exchange = await self._exchange()
        reply = Reply(answer, took, calls_in(exchange[len(before) if exchange[:1] == before[:1] else 0 :]))
        reply.introduction = introduction
        if self.terminal:
            tools = f", tools: {', '.join(reply.tools)}" if reply.tools else ""
            self.terminal.line("customer", text, style="cyan")
            self.terminal.agent(f"{introduction} {answer}".strip(), f"{took:.0f} ms{tools}")
        return reply

    async def _exchange(self) -> list[m.ModelMessage]:
        """The last text of the customer that the model got, and what followed. Older messages may have been dropped."""
        history = (await self.session()).history
        prompts = [number for number, message in enumerate(history) if is_prompt(message)]
        return history[prompts[-1] :] if prompts else []


def is_prompt(message: m.ModelMessage) -> bool:
    return any(isinstance(part, m.UserPromptPart) for part in message.parts)
