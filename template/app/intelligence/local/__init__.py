"""Evaluators in this process: the project's own model judges a conversation, and no other service sees it.

For regulations under which Conversation Intelligence may not be used. Each operator has an evaluator; each result is a
signal for `agent/reactions.py`, as one of Twilio's is.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import structlog
from pydantic import Field
from pydantic_ai import messages as m

import agent
from app import config
from app.capability import Background, Services
from app.intelligence import Intelligence, IntelligenceSettings
from app.intelligence.local.evaluators import ENDING, MAX_ANSWER, Evaluator, evaluators, transcript
from app.runtimes import safe_error_text
from app.session import Session
from app.signals import AnySignal
from app.turn import Turn

log = structlog.get_logger()

DURING = "COMMUNICATION"


class LocalIntelligenceSettings(IntelligenceSettings):
    evaluate: bool = Field(
        True,
        alias="AGENT_EVALUATORS",
        examples=[False],  # a script answers there
        description="Write true or false: whether conversations are evaluated.",
    )


class LocalIntelligence(Intelligence):
    """Evaluates each turn while it is answered, and the conversation after its end.

    An evaluation that fails, or takes longer than `evaluation_timeout` seconds, is logged and gives no signal.
    `shutdown_timeout` is how many seconds evaluations may take when the server stops.
    """

    settings = LocalIntelligenceSettings
    spoken_only = True
    evaluation_timeout = 20.0
    shutdown_timeout = 8.0

    def __init__(self, services: Services, reactions: Any) -> None:
        super().__init__(services, reactions)
        settings: LocalIntelligenceSettings = services.settings
        self.enabled = settings.evaluate
        self.evaluators: list[Evaluator] = []
        for found in evaluators(config.OPERATORS, Path(agent.__path__[0])):
            if isinstance(found, Evaluator):
                self.evaluators.append(found)
            elif self.enabled:
                log.warning("evaluator.left_out", problem=str(found))
        self._evaluating = Background()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # keep the turns in order

    @property
    def working(self) -> bool:
        return bool(self._evaluating)

    async def context(self, session: Session, text: str) -> str | None:
        """Starts the evaluation of this turn, and adds nothing to the instructions."""
        if self.enabled:
            self._evaluating.start(self._evaluate(session, text, DURING))
        return None

    async def on_end(self, session: Session) -> None:
        asked = any(isinstance(part, m.UserPromptPart) for message in session.history for part in message.parts)
        if self.enabled and asked:
            self._evaluating.start(self._evaluate(session, "", ENDING))

    async def close(self) -> None:
        if late := await self._evaluating.finish(self.shutdown_timeout):
            log.error("evaluation.cut_off", count=late)

    async def _evaluate(self, session: Session, text: str, trigger: str) -> None:
        chosen = [each for each in self.evaluators if each.at_end == (trigger == ENDING)]
        conversation = self.services.filtered(transcript(session, text))  # before the next turn changes the history
        lock = self._locks.setdefault(session.id, asyncio.Lock())
        async with lock:
            signals = await asyncio.gather(*(self.signal(session, each, text, conversation) for each in chosen))
            for signal in filter(None, signals):
                marked: Any = signal.model_copy(update={"id": uuid4().hex, "trigger": trigger})
                self.services.count("signal", kind=marked.kind, outcome="received")
                try:
                    await self.react(marked, session)
                except Exception:
                    log.exception("signals.failed", session=session.id)

    async def signal(self, session: Session, evaluator: Evaluator, text: str, conversation: str) -> AnySignal | None:
        if signal := evaluator.at_once(text):
            return signal
        try:
            async with asyncio.timeout(self.evaluation_timeout):
                answer = await self.ask(session, evaluator, conversation)
        except Exception as error:
            log.warning("evaluator.failed", session=session.id, kind=evaluator.kind, error=safe_error_text(error))
            self.services.count("signal", kind=evaluator.kind, outcome="not_evaluated")
            return None
        signal = evaluator.read(answer.strip()[:MAX_ANSWER])
        if signal is None:
            log.warning("evaluator.unreadable", session=session.id, kind=evaluator.kind)
            self.services.count("signal", kind=evaluator.kind, outcome="not_evaluated")
        return signal

    async def ask(self, session: Session, evaluator: Evaluator, conversation: str) -> str:
        """The model's answer, filtered as its replies are. Raises when no model could answer."""
        if self.services.runtime is None:
            raise LookupError("the server has no runtime")
        turn = Turn(conversation, [])
        async with aclosing(self.services.runtime.answer(session, turn, evaluator.instructions, [])) as tokens:
            return str(self.services.filtered("".join([token async for token in tokens])))
