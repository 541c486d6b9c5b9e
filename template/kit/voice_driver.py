"""A scenario played as a phone call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from app.session import Session
from kit.caller import Call, Turn, caller_on
from kit.console import Screen, played
from kit.driver import Driver, Reply
from kit.simulated_twilio.account import SimulatedAccount

if TYPE_CHECKING:
    from kit.scenario import Given, Step


class VoiceDriver(Driver):
    """From ringing to hanging up."""

    channel = "voice"

    def __init__(self, line: Call, screen: Screen | None) -> None:
        self.line = self.somebody = line
        self.screen = screen

    @classmethod
    @asynccontextmanager
    async def begins(
        cls, app: FastAPI, address: str, given: Given, account: SimulatedAccount, pace: float, watch: bool
    ) -> AsyncGenerator[VoiceDriver]:
        dialled = caller_on(app, address, pace=pace, caller=given.caller, called=given.called, account=account)
        async with dialled as line:
            player = cls(line, Screen() if watch else None)
            yield player
        player.ended_by, player.handoff, player.task = line.ended_by, line.handoff, line.task
        player.remarks = " ".join([*line.remarks, line.farewell])

    async def takes(self, step: Step) -> Reply:
        turn = await self._does(step)
        if self.screen:
            await self._shows(self.screen, turn, step.interrupt_after or step.hangup_after or "")
        if step.hangup_after is not None:
            await self.line.hears(step.hangup_after)
            await self.line.hangs_up()
        elif step.interrupt_after is not None:
            await self.line.interrupts(after=step.interrupt_after)
        elif turn:
            await self.line.hears_out(turn)
            if self.line.session.ending:
                await self.line.over()
        return Reply(turn.text, turn.first, turn.tools) if turn else Reply(self.line.greeting)

    async def ends(self) -> None:
        await self.line.hangs_up()

    async def session(self) -> Session:
        session: Session = self.line.session
        return session

    async def _does(self, step: Step) -> Turn | None:
        """Let the caller take a step. Returns the reply, if the step asks for one."""
        if step.caller is not None:
            return await self.line.begins(step.caller)
        if step.dtmf is not None:
            return await self.line.types(step.dtmf)
        if step.silence is not None:
            await self.line.stays_silent(step.silence)
        elif step.drop:
            await self.line.drops()
        elif step.hangup:
            await self.line.hangs_up()
        elif step.twilio:
            await self.line.account.happens(self.line, step.twilio)
        return None

    async def _shows(self, screen: Screen, turn: Turn | None, until: str) -> None:
        """One step at the pace of a voice. `until` is where the caller will break in."""
        line = self.line
        if turn is None:
            if not line.turns and not line.ended_by:
                screen.agent(line.greeting)
            if not line.ended_by:
                await played(line)
            return
        screen.caller(turn.user_text)
        if until:
            await line.hears(until)
            while until not in line.playback.heard():
                await asyncio.sleep(0.02)
            heard, phrase, _ = line.playback.text.partition(until)
            screen.agent(f"{heard}{phrase} —", "the caller breaks in")
            return
        await line.hears_out(turn)
        await played(line)
        screen.reply(turn)
