"""A scenario played in writing. A message without an answer is a problem, whatever the scenario expects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from pydantic_ai import messages as m

from app.session import Session
from kit.driver import Driver, Reply
from kit.simulated_twilio.account import SimulatedAccount
from kit.terminal import Terminal
from kit.texter import Texter, texter_on

if TYPE_CHECKING:
    from kit.scenario import Given, Step


class TextDriver(Driver):
    """`caller` writes, `silence` is a pause."""

    channel = "messaging"
    cannot = frozenset({"answer", "dtmf", "drop", "hangup", "interrupt_after", "hangup_after", "ended_by", "handoff"})

    somebody: Texter

    def __init__(self, somebody: Texter, pace: float, terminal: Terminal | None) -> None:
        self.somebody = somebody
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
        async with texter_on(app, address, account, author=given.caller) as somebody:
            player = cls(somebody, pace, Terminal() if watch else None)
            yield player
        player.remarks = " ".join([player.remarks, *somebody.unread()])

    async def takes(self, step: Step) -> Reply:
        if step.caller is not None:
            return await self._writes(step.caller)
        if step.silence is not None:
            await asyncio.sleep(step.silence / self.pace)
        elif step.twilio:
            await self.somebody.account.happens(self.somebody, step.twilio)
        await self.somebody.settles()
        between = " ".join(self.somebody.unread())
        self.remarks = f"{self.remarks} {between}".strip()
        return Reply(between)

    async def ends(self) -> None:
        await self.somebody.closes()
        await self.somebody.settles()

    async def session(self) -> Session:
        return await self.somebody.session()

    async def _writes(self, text: str) -> Reply:
        before = await self._exchanged()
        began = time.monotonic()
        await self.somebody.posts(self.somebody.writes(text))
        first = await self.somebody.reads()
        took = 1000 * (time.monotonic() - began)
        await self.somebody.settles()
        answer = "\n".join([first, *self.somebody.unread()])
        parts = [part for message in (await self._exchanged())[len(before) :] for part in message.parts]
        reply = Reply(answer, took, [part.tool_name for part in parts if isinstance(part, m.ToolCallPart)])
        if self.terminal:
            tools = f", tools: {', '.join(reply.tools)}" if reply.tools else ""
            self.terminal.line("customer", text, style="cyan")
            self.terminal.agent(answer, f"{took:.0f} ms{tools}")
        return reply

    async def _exchanged(self) -> list[m.ModelMessage]:
        return (await self.session()).history
