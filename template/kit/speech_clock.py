"""The clock of speech: how much of a reply the caller has heard."""

from __future__ import annotations

import time
from collections.abc import Callable

CHARACTERS_PER_SECOND = 15.0  # about 150 English words a minute


class Playback:
    """One utterance: text is added as the agent sends it, and spoken at the pace of a voice."""

    def __init__(self, pace: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = CHARACTERS_PER_SECOND * pace
        self.clock = clock
        self.text = ""
        self.spoken = 0.0
        self.started = self.seen = clock()
        self.interrupted = False

    def say(self, token: str) -> None:
        self.advance()
        if not self.text:
            self.started = self.clock()
        self.text += token

    def advance(self) -> None:
        now = self.clock()
        self.spoken = min(float(len(self.text)), self.spoken + (now - self.seen) * self.rate)
        self.seen = now

    def heard(self) -> str:
        """The whole words that have been spoken so far."""
        self.advance()
        position = int(self.spoken)
        if position >= len(self.text):
            return self.text.rstrip()
        spoken, rest = self.text[:position], self.text[position:]
        if spoken[-1:].isalnum() and rest[:1].isalnum() and " " in self.text:
            spoken = spoken.rpartition(" ")[0]  # in the middle of a word
        return spoken.rstrip()

    def heard_until(self, phrase: str) -> str:
        """The text up to the end of `phrase`, as if it had just been spoken. Raises ValueError if the text lacks it."""
        self.spoken = float(self.text.index(phrase) + len(phrase))
        return self.text[: int(self.spoken)]

    @property
    def remaining(self) -> float:
        """Seconds of speech left."""
        self.advance()
        return 0.0 if self.interrupted else (len(self.text) - self.spoken) / self.rate

    @property
    def elapsed_ms(self) -> int:
        return int(1000 * self.spoken / self.rate)
