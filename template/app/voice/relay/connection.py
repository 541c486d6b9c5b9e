"""The WebSocket of one call: frames in, tokens out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import structlog
from fastapi import WebSocket, WebSocketDisconnect

import app.voice.relay.frames as frames
from app import config
from app.connection import parties
from app.history import has_words
from app.voice import PhoneConnection
from app.voice.calls import CallRefused, Calls

log = structlog.get_logger()

AUDIO = 60.0  # seconds that an audio file may take
KEYPAD_PAUSE = 2.0  # seconds without a key after which the digits are taken as complete
GOODBYE_TIMEOUT = 15.0  # seconds in which a caller who interrupted the goodbye may say something


class RelayConnection(PhoneConnection):
    """A ConversationRelay session. At most one turn runs at a time."""

    def __init__(self, websocket: WebSocket, calls: Calls, account_sid: str) -> None:
        super().__init__(calls.services)
        self.websocket = websocket
        self.calls = calls
        self.account_sid = account_sid
        self.turn: asyncio.Task[None] | None = None
        self.keypad: asyncio.Task[None] | None = None
        self.ending: asyncio.Task[None] | None = None
        self.digits = ""
        self.hash_time = float("-inf")  # of the last #
        self.turn_is_open = False
        self.end_frame: frames.End | None = None

    async def serve(self) -> None:
        """Read frames until the caller or Twilio hangs up. An unreadable frame is logged and skipped."""
        try:
            while True:
                message = await self.before_deadline(self.websocket.receive())
                if message["type"] == "websocket.disconnect":
                    break
                try:
                    await self.handle(frames.read(message.get("text") or ""))
                except ValueError as error:
                    reason = str(error) if isinstance(error, frames.Unreadable) else type(error).__name__
                    log.warning("frame.ignored", reason=reason)
        except (WebSocketDisconnect, CallRefused) as end:
            log.warning("connection.closed", reason=str(end))
            with suppress(WebSocketDisconnect, RuntimeError):
                await self.websocket.close(1008, "call refused")
        finally:
            self.silence.stop()
            await self.stop_tasks()
            if self.session and self.session.connection is self:
                self.calls.on_disconnect(self.session)

    async def handle(self, frame: frames.Frame) -> None:
        self.silence.on_frame(frame.type, *(getattr(frame, each, None) for each in ("name", "value", "voice_prompt")))
        if isinstance(frame, frames.Setup):
            await self.begin(frame)
        elif self.session is None:
            raise frames.Unreadable(f"{type(frame).__name__} came before setup")
        elif isinstance(frame, frames.Prompt):
            self.session.hearing = "" if frame.last else self.session.filtered(frame.voice_prompt)
            if has_words(frame.voice_prompt):
                await self.reconsider_end()
                if frame.last:
                    await self.answer(frame.voice_prompt)
        elif isinstance(frame, frames.Dtmf):
            await self.press(frame.digit)
        elif isinstance(frame, frames.Interrupt):
            heard = frame.utterance_until_interrupt
            if self.session.turn is None or self.session.turn.is_cut_by(heard):
                await self.stop_tasks(self.turn)  # keys that were pressed before still count
            await self.calls.on_heard(self.session, heard, True)
            await self.reconsider_end()
        elif isinstance(frame, frames.Info) and frame.name == "tokensPlayed":
            await self.calls.on_heard(self.session, str(frame.value), False)
        elif isinstance(frame, frames.Error):
            reason = frame.description.partition("{")[0]  # the rest quotes the agent
            log.error("twilio.error", call=self.session.id, description=reason)

    async def begin(self, setup: frames.Setup) -> None:
        """A second setup on the same socket changes nothing."""
        if self.session:
            return
        if setup.account_sid != self.account_sid:
            raise CallRefused("setup names another account")
        caller, called = parties(setup.model_dump(by_alias=True))
        parameters = await self.calls.admit(setup.call_sid, setup.custom_parameters)
        self.session = await self.calls.start(
            setup.call_sid,
            caller=caller,
            called=called,
            connection=self,
            parameters=parameters,
        )
        self.silence.agent_says(self.session.greeting)
        self.silence.begin(self.session)
        if self.session.language != config.FIRST_LANGUAGE:  # a call that came back: its TwiML is that of a new one
            await self.send(language(self.session.language))

    async def answer(self, text: str) -> None:
        await self.stop_tasks()
        keyed = not text
        if keys := self.digits.rstrip("#") or self.digits[:1]:
            text, self.digits = f"(The caller pressed {' '.join(keys)} on the keypad.) {text}".strip(), ""
        self.turn_is_open = True
        assert self.session
        self.turn = asyncio.create_task(self.speak(self.calls.reply(self.session, text)))
        if self.session.turn:
            self.session.turn.keyed = keyed

    async def speak(self, reply: AsyncGenerator[str]) -> None:
        async with aclosing(reply):
            async for token in reply:
                await self.send(frames.Text(token=token))
        await self.close_turn()
        await self.send_end()

    async def stop_tasks(self, *tasks: asyncio.Task[None] | None) -> None:
        """Cancel these tasks, or all of them, and close the open turn before anything else is sent."""
        for task in tasks or (self.turn, self.keypad, self.ending):
            if task and not task.done() and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait([task])
        await self.close_turn()

    async def close_turn(self) -> None:
        """Send `last: true`: without it Twilio waits for more tokens."""
        if self.turn_is_open:
            self.turn_is_open = False
            await self.send(frames.Text(token="", last=True))

    async def press(self, digit: str) -> None:
        """Collect digits until # or a pause; together they are one turn. A further # belongs to the one before."""
        last, now = self.hash_time, asyncio.get_running_loop().time()
        if digit == "#":
            self.hash_time = now
            if not self.digits and now < last + KEYPAD_PAUSE:
                return
        await self.stop_tasks()
        self.digits += digit
        self.keypad = asyncio.create_task(self.finish_digits(0 if digit == "#" else KEYPAD_PAUSE))

    async def finish_digits(self, pause: float) -> None:
        await asyncio.sleep(pause)
        await self.answer("")

    async def send(self, frame: frames.Sent) -> None:
        """Send a frame, unless the WebSocket is closed."""
        if not self.open:
            return
        try:
            await self.websocket.send_text(frame.model_dump_json(by_alias=True, exclude_none=True))
        except (WebSocketDisconnect, RuntimeError):
            self.open = False

    async def say(self, text: str, interruptible: bool = True) -> None:
        frame = frames.Text(token=text, last=not self.turn_is_open)
        await self.send(frame if interruptible else frame.model_copy(update={"interruptible": False}))
        self.silence.agent_says(text)

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        assert self.session
        self.session.ending = True
        data = None if handoff is None else json.dumps(self.session.filtered(dict(handoff)))
        self.end_frame = frames.End(handoff_data=data)
        if not self.turn_is_open:
            await self.send_end()

    async def reconsider_end(self) -> None:
        """The goodbye was interrupted, perhaps by a noise: wait for a prompt, and end the call without one."""
        if self.end_frame and not self.turn_is_open:
            await self.stop_tasks(self.ending)
            self.ending = asyncio.create_task(self.end_later())

    async def end_later(self) -> None:
        await asyncio.sleep(GOODBYE_TIMEOUT)
        await self.send_end()

    async def send_end(self) -> None:
        """Send the pending `end` frame, unless the caller has spoken over the goodbye."""
        frame, self.end_frame = self.end_frame, None
        if self.session and self.session.ending and frame:
            await self.send(frame)

    async def play(self, source: str, loop: int = 1) -> None:
        await self.send(frames.Play(source=source, loop=loop))
        self.silence.agent_says(audio=AUDIO)

    async def send_digits(self, digits: str) -> None:
        await self.send(frames.SendDigits(digits=digits))

    async def switch_language(self, code: str) -> None:
        if code not in config.LANGUAGES:
            raise ValueError(
                f"{code} is not one of {', '.join(config.LANGUAGES)}: add it to the languages of the project"
            )
        assert self.session
        self.session.language = code
        await self.send(language(code))


def language(code: str) -> frames.Language:
    return frames.Language(tts_language=code, transcription_language=code)
