"""Silence of a caller: the agent asks whether the caller is still there, and hangs up when no answer comes.

It counts from the end of playback, which `speaker-events` report; until one comes, the length of the text tells.
It does not count while a model or tool works, caller or agent speaks, or a human, menu, payment or queue has the call.
"""

from __future__ import annotations

import asyncio
from unicodedata import east_asian_width

import structlog
from pydantic import Field

from app.capability import Capability, Services, run_hooks
from app.history import has_words
from app.session import Session
from app.settings import Settings

log = structlog.get_logger()

CHARACTERS_PER_SECOND = 15.0  # of speech, about 150 English words a minute; a wide character counts as three


class VoiceSettings(Settings):
    max_calls: int = Field(0, alias="AGENT_MAX_CALLS", ge=0, description="Write how many, or 0 for no limit.")
    caller_calls: int = Field(
        0, alias="AGENT_CALLER_CALLS", ge=0, description="Write how many an hour, or 0 for no limit."
    )
    silence: float = Field(
        15, alias="AGENT_SILENCE", ge=0, le=600, description="Write how many seconds, up to 600, or 0 for never."
    )


class Silence:
    """The silence of one connection. It began at `until`, in seconds of the event loop; `limit` is AGENT_SILENCE."""

    def __init__(self, services: Services) -> None:
        self.services, self.limit = services, float(services.settings.silence)
        self.time = asyncio.get_running_loop().time
        self.until = self.reported = self.time()
        self.speaking = self.talking = self.asked = False  # the agent, the caller; the question
        self.watching: asyncio.Task[None] | None = None

    def begin(self, session: Session) -> None:
        self.stop()
        self.watching = asyncio.create_task(self._watch(session)) if self.limit else None

    def stop(self) -> None:
        if self.watching and self.watching is not asyncio.current_task():
            self.watching.cancel()

    def on_frame(self, type: object, name: object, value: object, transcript: object) -> None:
        """A frame of Twilio's: words or keys of the caller, who speaks, or text that was played. Noise is silence."""
        if transcript is not None and not has_words(str(transcript)):
            return
        now = self.time()
        if type in ("prompt", "dtmf", "interrupt"):
            self.until, self.speaking, self.talking, self.asked = now, False, False, False
        elif name == "agentSpeaking":
            self.speaking, self.until, self.reported = value == "on", now, now
        elif name in ("clientSpeaking", "tokensPlayed"):
            self.talking, self.until = (name, value) == ("clientSpeaking", "on"), max(self.until, now)

    def agent_says(self, text: str = "", audio: float = 0.0) -> None:
        """Words outside of a turn, or `audio` seconds: they follow what is being played."""
        self.until = max(self.until, self.time()) + audio + duration(text)

    async def _silent(self, session: Session) -> float:
        """For how many seconds neither caller nor agent has said or done anything."""
        turn, now, hook = session.turn, self.time(), Capability.is_with_human
        busy = session.connection.turn_is_open or self.speaking or self.talking or session.ending
        busy = busy or any(not tool.done() for tool in (turn.tools if turn else {}).values())
        if busy or any(await run_hooks(self.services.capabilities, hook, session, timeout=self.services.timeouts.hook)):
            self.until = max(self.until, now)
        elif turn and turn.ended and turn.heard_text is None and self.reported <= turn.ended:
            return now - max(self.until, turn.ended + duration(turn.spoken_text))
        return now - self.until

    async def _watch(self, session: Session) -> None:
        connection = session.connection
        while connection.open and session.connection is connection:
            if (silent := await self._silent(session)) < self.limit:
                await asyncio.sleep(min(self.limit, self.limit - silent))
                continue
            outcome = "ended" if self.asked else "asked"
            log.info("caller.silent", call=session.id, outcome=outcome)
            self.services.count("silence", outcome=outcome)
            try:
                if self.asked:  # GOODBYE follows in the TwiML
                    return await session.end({"reasonCode": "caller_silent"})
                self.asked = True
                await session.say(connection.still_there)
            except Exception as error:
                log.warning("silence.not_broken", call=session.id, error=type(error).__name__)
                return


def duration(text: str) -> float:
    """About how many seconds it takes to say this."""
    return sum(3 if east_asian_width(each) in "WF" else 1 for each in text) / CHARACTERS_PER_SECOND
