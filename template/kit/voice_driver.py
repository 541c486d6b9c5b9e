"""The driver of phone calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import FastAPI

from app.config import FIRST_LANGUAGE
from app.session import Session
from kit.caller import Call, CallTurn, caller_on
from kit.driver import Driver, Reply
from kit.scenario_file import Given, Step
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_console import Screen, wait_until_spoken


class VoiceDriver(Driver):
    """A scenario from ringing to hanging up."""

    channel = "voice"

    def __init__(self, call: Call, screen: Screen | None) -> None:
        self.call = self.party = call
        self.screen = screen

    @classmethod
    @asynccontextmanager
    async def begins(
        cls, app: FastAPI, address: str, given: Given, account: SimulatedAccount, pace: float, watch: bool
    ) -> AsyncGenerator[VoiceDriver]:
        parties = {"caller": given.caller, "called": given.called, "direction": given.direction}
        parties["answered_by"] = given.answered_by
        async with caller_on(app, address, pace=pace, account=account, **parties) as call:
            driver = cls(call, Screen() if watch else None)
            yield driver
        driver.ended_by, driver.handoff, driver.task = call.ended_by, call.handoff, call.task
        driver.hung_up_in = call.hung_up_in
        driver.remarks = " ".join([call.opening, *call.remarks, call.farewell]).strip()

    async def takes(self, step: Step) -> Reply:
        """The reply is that of a turn, the greeting of a connection, or what was said between two turns."""
        call = self.call
        remarks, farewell, relay = len(call.remarks), len(call.farewell), call.relay
        turn = await self._act(step)
        if self.screen:
            await self._show(self.screen, turn, step.interrupt_after or step.hangup_after or "")
        if step.hangup_after is not None:
            await self.call.hears(step.hangup_after)
            await self.call.hangs_up()
        elif step.interrupt_after is not None:
            await self.call.interrupts(after=step.interrupt_after)
        elif turn:
            await self.call.hears_reply(turn)
            if self.call.session.ending:
                await self.call.wait_for_end()
        if turn:
            return Reply(turn.text, turn.first, turn.calls)
        connected = (step.answer or step.drop or call.relay is not relay) and not call.ended_by
        between = [call.opening if step.answer else "", *call.remarks[remarks:], call.farewell[farewell:].strip()]
        return Reply(" ".join(filter(None, [*between, call.greeting if connected else ""])))

    async def ends(self) -> None:
        await self.call.hangs_up()

    async def session(self) -> Session:
        call = self.call
        if call.session is None:  # an answering machine: the agent has not spoken
            return Session(call.sid, call.caller, call.called, FIRST_LANGUAGE, now=lambda: datetime.now(UTC))
        session: Session = call.session
        return session

    async def _act(self, step: Step) -> CallTurn | None:
        """Take a step. Returns the turn that it begins, or None."""
        if step.caller is not None:
            return await self.call.begins(step.caller)
        if self.call.gather and (step.dtmf is not None or step.silence is not None):
            await self.call.chooses(step.dtmf or "")
        elif step.dtmf is not None:
            return await self.call.types(step.dtmf)
        elif step.silence is not None:
            await self.call.stays_silent(step.silence)
        elif step.drop:
            await self.call.drops()
        elif step.hangup:
            await self.call.hangs_up()
        elif step.twilio:
            await self.call.account.simulate(self.call, step.twilio)
        return None

    async def _show(self, screen: Screen, turn: CallTurn | None, until: str) -> None:
        """Print one step at the pace of a voice. `until` are the words after which the caller interrupts."""
        call = self.call
        if turn is None:
            if not call.turns and not call.ended_by:
                screen.agent(call.greeting)
            if not call.ended_by:
                await wait_until_spoken(call)
            return
        screen.caller(turn.user_text)
        if until:
            await call.hears(until)
            while until not in call.playback.heard():
                await asyncio.sleep(0.02)
            heard, phrase, _ = call.playback.text.partition(until)
            screen.agent(f"{heard}{phrase} —", "interrupted")
            return
        await call.hears_reply(turn)
        await wait_until_spoken(call)
        screen.reply(turn)
