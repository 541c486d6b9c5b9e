"""The failures of a provider's real client, for runtimes with a tool loop of another framework."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from app import Session
from app.brain import Brain
from app.capability import Services
from app.registry import RUNTIME
from app.store import InProcess
from kit import defaults
from tests.kit.runtimes.providers import (
    CUT,
    END,
    FILTERED,
    FOREVER,
    OVERLOADED,
    THOUGHT,
    Answer,
    Call,
    Provider,
    Refusal,
)

WAIT = {"retry-after": "30", "retry-after-ms": "30000"}
BOOK = Call("book", {"day": "Monday"})
FAILURES: dict[str, Answer] = {
    "429": Refusal(429, WAIT, "rate_limit_error"),
    "500": Refusal(500),
    "overload": Refusal(503, WAIT, "overloaded_error"),
    "content filter": Refusal(400, {}, "content_filter"),
    "a cut instead of an answer": [CUT],
    "a cut before the first word": ["", CUT],
    "a cut in thoughts": [THOUGHT, CUT],
    "a cut in a call": [BOOK, CUT],
    "an empty body": [END],
    "an end after thoughts": [THOUGHT, END],
    "an end in a call": [BOOK, END],
    "an overload in the stream": ["", OVERLOADED],
    "an overload in a call": [BOOK, OVERLOADED],
    "filtered without a word": [FILTERED],
    "an empty answer": [""],
    "blank words": [" ", "\n", CUT],
}


class RealClients:
    """The tests; a runtime's own tests derive from it. Both models are the same kind of provider."""

    kind: type[Provider]

    def models(self, first: Provider, second: Provider, deadline: float) -> Sequence[Any]:
        """The clients of both, as the runtime builds them."""
        raise NotImplementedError

    @pytest.fixture
    async def stack(self) -> AsyncGenerator[AsyncExitStack]:
        async with AsyncExitStack() as stack:
            yield stack

    async def meet(self, stack: AsyncExitStack, *answers: Answer, deadline: float = 20.0) -> tuple[Any, Provider]:
        first, second = self.kind(*answers), self.kind(["From the ", "second."])
        for provider in (first, second):
            await stack.enter_async_context(provider)
        self.booked: list[str] = []

        async def book(day: str) -> str:
            """Book a table."""
            self.booked.append(day)
            return "booked"

        services = Services(defaults.settings(), InProcess(), lambda: datetime.now(UTC))
        runtime = RUNTIME.build(defaults.settings(deadline=deadline), list(self.models(first, second, deadline)))
        stack.push_async_callback(runtime.close)
        brain = Brain(runtime, "Be brief.", [book], services, deadline)
        session = Session("CA1", "", "", "en-US", services.now)
        session.connection.apology = "Sorry."

        async def says(text: str) -> str:
            async with asyncio.timeout(10):
                return "".join([token async for token in brain.reply(session, text)])

        return says, first

    async def test_words_arrive_and_a_tool_runs(self, stack: AsyncExitStack) -> None:
        says, first = await self.meet(stack, ["Let ", "me see. ", BOOK], ["It ", "is booked."])
        assert await says("Book it") == "Let me see. It is booked."
        assert self.booked == ["Monday"] and len(first.requests) == 2

    @pytest.mark.parametrize("failure", FAILURES)
    async def test_until_a_word_was_spoken_the_next_model_answers(self, stack: AsyncExitStack, failure: str) -> None:
        says, first = await self.meet(stack, FAILURES[failure])
        assert (await says("Hello")).strip() == "From the second."
        assert len(first.requests) == 1 and self.booked == []

    @pytest.mark.parametrize("failure", ["429", "500", "a cut before the first word", "an overload in the stream"])
    async def test_a_failure_after_a_tool_is_answered_by_the_next_model(
        self, stack: AsyncExitStack, failure: str
    ) -> None:
        says, first = await self.meet(stack, [BOOK], FAILURES[failure])
        assert await says("Book it") == "From the second."
        assert self.booked == ["Monday"] and len(first.requests) == 2

    @pytest.mark.parametrize("silence", [[FOREVER], [0.0, FOREVER], ["", FOREVER]], ids=["hang", "headers", "begun"])
    async def test_a_silent_model_is_given_up_at_the_deadline(self, stack: AsyncExitStack, silence: Answer) -> None:
        says, first = await self.meet(stack, silence, deadline=1.0)
        assert await says("Hello") == "From the second."
        assert len(first.requests) == 1

    async def test_an_empty_answer_after_words_and_a_tool_is_no_failure(self, stack: AsyncExitStack) -> None:
        says, first = await self.meet(stack, ["Done. ", BOOK], [""])
        assert (await says("Book it")).strip() == "Done."
        assert len(first.requests) == 2

    @pytest.mark.parametrize("end", [CUT, OVERLOADED, END])
    async def test_a_failure_after_the_first_word_is_apologised_for(self, stack: AsyncExitStack, end: str) -> None:
        says, first = await self.meet(stack, ["One ", "two", 0.1, end])
        assert await says("Count") == "One two Sorry."
        assert len(first.requests) == 1
