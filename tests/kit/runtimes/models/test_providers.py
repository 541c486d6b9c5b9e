"""Each provider's real client against its wire format: words, tools, and failures before and after the first word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import pytest

from app import Session
from app.brain import Brain
from app.capability import Services
from app.runtimes.models import Models
from app.store import InProcess
from kit import defaults
from kit.scripted_model import scripted
from kit.testing import Begin
from tests.kit.runtimes.failover import BOOK, WAIT
from tests.kit.runtimes.providers import (
    CUT,
    END,
    FILTERED,
    FOREVER,
    OVERLOADED,
    PROVIDERS,
    THOUGHT,
    Answer,
    Anthropic,
    OpenAI,
    Provider,
    Refusal,
)


def installed(kind: type[Provider]) -> bool:
    try:
        return find_spec(kind.extra) is not None
    except ModuleNotFoundError:
        return False


class Agent:
    """A brain whose first model is a provider's; `booked` has the arguments of its tool."""

    def __init__(self, provider: Provider, fallback: bool, deadline: float) -> None:
        self.provider = provider
        self.booked: list[str] = []
        self.fallback = scripted({"says": "From the second.", "then": "From the second."})

        async def book(day: str) -> str:
            """Book a table."""
            self.booked.append(day)
            return "booked"

        models = [provider.model, *([self.fallback] if fallback else [])]
        services = Services(defaults.settings(), InProcess(), lambda: datetime.now(UTC))
        self.brain = Brain(Models(models, deadline), "Be brief.", [book], services, deadline)
        self.session = Session("CA1", "", "", "en-US", services.now)
        self.session.connection.apology = "Sorry."

    async def says(self, text: str) -> str:
        return "".join([token async for token in self.brain.reply(self.session, text)])


Meet = Callable[..., Awaitable[Agent]]


@pytest.fixture(params=[kind for kind in PROVIDERS if installed(kind)], ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def meet(kind: type[Provider], monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Meet]:
    async with AsyncExitStack() as stack:

        async def meet(*answers: Answer, fallback: bool = True, deadline: float = 20.0) -> Agent:
            provider = await stack.enter_async_context(kind(*answers))
            for name, value in provider.environment().items():
                monkeypatch.setenv(name, value)
            agent = Agent(provider, fallback, deadline)
            if kind.keeps_alive:
                model = agent.brain.runtime.model  # type: ignore[attr-defined]
                stack.callback(lambda: getattr(model, "models", [model])[0].wrapped.client.close())
            return agent

        yield meet


async def test_words_arrive_as_they_are_sent_and_a_tool_runs(meet: Meet) -> None:
    agent = await meet(["Let ", "me see. ", BOOK], ["It ", "is booked."])
    assert await agent.says("Book it") == "Let me see. It is booked."
    assert agent.booked == ["Monday"] and len(agent.provider.requests) == 2


def refusals(kind: type[Provider]) -> dict[str, Answer]:
    return {
        "429": Refusal(429, WAIT, "rate_limit_error"),
        "429 without Retry-After": Refusal(429, {}, "rate_limit_error"),
        "500": Refusal(500),
        "502": Refusal(502),
        "overload": Refusal(kind.overload, WAIT, "overloaded_error"),
        "content filter": Refusal(400, {}, "content_filter"),
        "a key that is wrong": Refusal(401, {}, "authentication_error"),
        "no such model": Refusal(404, {}, "not_found_error"),
        "a cut instead of an answer": [CUT],
        "a cut after headers": [0.0, CUT],
        "a cut before the first word": ["", CUT],
        "a cut in thoughts": [THOUGHT, CUT],
        "a cut in a call": [BOOK, CUT],
        "an empty body": [END],
        "an end before the first word": ["", END],
        "an end after thoughts": [THOUGHT, END],
        "an overload in the stream": ["", OVERLOADED],
        "an overload after thoughts": [THOUGHT, OVERLOADED],
        "an overload in a call": [BOOK, OVERLOADED],
        "filtered without a word": [FILTERED],
        "an empty answer": [""],
        "blank words": [" ", "\n", CUT],
    }


REFUSALS = list(refusals(Provider))


@pytest.mark.parametrize("failure", REFUSALS)
async def test_until_a_word_was_spoken_the_fallback_answers_at_once(
    meet: Meet, kind: type[Provider], failure: str
) -> None:
    if "thoughts" in failure and not kind.thinks:
        pytest.skip("its API sends no thoughts")
    agent = await meet(refusals(kind)[failure])
    async with asyncio.timeout(8):
        assert (await agent.says("Hello")).strip() == "From the second."
    assert len(agent.provider.requests) == 1 and agent.booked == []


@pytest.mark.parametrize("failure", ["429", "500", "a cut before the first word", "an overload in the stream"])
async def test_a_failure_after_a_tool_is_answered_by_the_fallback(
    meet: Meet, kind: type[Provider], failure: str
) -> None:
    agent = await meet([BOOK], refusals(kind)[failure])
    async with asyncio.timeout(8):
        assert await agent.says("Book it") == "From the second."
    assert agent.booked == ["Monday"] and len(agent.provider.requests) == 2


@pytest.mark.parametrize("silence", [[FOREVER], [0.0, FOREVER], ["", FOREVER]], ids=["hang", "headers", "begun"])
async def test_a_silent_model_is_given_up_at_the_deadline(meet: Meet, silence: Answer) -> None:
    agent = await meet(silence, deadline=0.7)
    async with asyncio.timeout(8):
        assert await agent.says("Hello") == "From the second."
    assert len(agent.provider.requests) == 1


async def test_a_slow_first_word_within_the_deadline_is_waited_for(meet: Meet) -> None:
    agent = await meet(["", 0.7, "Yes."], deadline=6.0)
    assert await agent.says("Hello") == "Yes."


async def test_every_failure_is_logged_without_its_text(
    meet: Meet, kind: type[Provider], logged: Callable[[], str]
) -> None:
    agent = await meet(refusals(kind)["429"])
    await agent.says("Hello")
    assert logged().count("model.failed") == 1 and "Ada" not in logged()


@pytest.mark.skipif(not (installed(OpenAI) and installed(Anthropic)), reason="the project has neither client")
async def test_two_providers_stand_in_for_each_other_in_a_conversation(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        OpenAI(Refusal(429, WAIT, "rate_limit_error"), ["", CUT], [BOOK], Refusal(500), ["Yes."]) as first,
        Anthropic(["From the second."], ["Again."], ["It is booked."]) as second,
    ):
        for name, value in {**first.environment(), **second.environment()}.items():
            monkeypatch.setenv(name, value)

        async def book(day: str) -> str:
            """Book a table."""
            return "booked"

        talk = await begin(models=[OpenAI.model, Anthropic.model], tools=[book], deadline=20.0)
        assert (await talk.says("One")).text == "From the second."
        assert (await talk.says("Two")).text == "Again."
        booked = await talk.says("Book it")
        assert (booked.tools, booked.text) == (["book"], "It is booked.")
        assert (await talk.says("Four")).text == "Yes."
        assert "booked" in json.dumps(first.requests[-1]) and len(second.requests) == 3


@pytest.mark.parametrize("end", [CUT, OVERLOADED, END, FILTERED])
async def test_a_failure_after_the_first_word_is_apologised_for_and_nothing_is_said_twice(meet: Meet, end: str) -> None:
    agent = await meet(["One ", "two", 0.1, end])
    async with asyncio.timeout(8):
        assert await agent.says("Count") == "One two Sorry."
    assert len(agent.provider.requests) == 1


@pytest.mark.parametrize("failure", ["429", "500", "overload", "a cut before the first word"])
async def test_without_a_fallback_retries_end_at_the_deadline(meet: Meet, kind: type[Provider], failure: str) -> None:
    agent = await meet(refusals(kind)[failure], fallback=False, deadline=1.0)
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert (await agent.says("Hello")).strip() == "Sorry."
    assert loop.time() - start < 4


async def test_without_a_fallback_the_client_asks_once_more(meet: Meet, kind: type[Provider]) -> None:
    agent = await meet(refusals(kind)["500"], ["Yes."], fallback=False, deadline=20.0)
    assert await agent.says("Hello") == ("Yes." if kind.asks_again else "Sorry.")


async def test_the_next_turn_works_after_a_failure(meet: Meet) -> None:
    agent = await meet(["One ", CUT], ["Yes."])
    assert (await agent.says("Count")).endswith("Sorry.")
    assert await agent.says("Again") == "Yes."
