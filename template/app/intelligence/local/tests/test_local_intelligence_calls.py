"""Calls whose turns the project's own model evaluates: signals, reactions, failures, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from app.capability import Capability
from app.intelligence.commands import replay_all
from app.intelligence.local import LocalIntelligence
from app.intelligence.local.evaluators import BUILD, Evaluator
from app.session import Session
from app.signals import NextBestResponse, Sentiment, Signal, save_summary, suggest
from kit import defaults
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, dial_app
from kit.scripted_model import scripted
from kit.voice_fixtures import Dial

YES = {"hears": "", "says": "Yes."}
EVALUATION = "^<conversation>"  # begins what the model is asked about a conversation
until = partial(wait_until, problem="the condition was not met")


class Recorder(SimpleNamespace):
    """Records signals and sessions, in place of agent/reactions.py."""

    def __init__(self) -> None:
        super().__init__(seen=[])
        for kind in BUILD:
            setattr(self, f"on_{kind}", self.record)

    async def record(self, signal: Signal, session: Session) -> None:
        self.seen.append((signal, session))

    @property
    def labels(self) -> list[str]:
        return [signal.label for signal, _ in self.seen if isinstance(signal, Sentiment)]


@pytest.fixture(autouse=True)
def reactions(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("app.intelligence.own_reactions", recorder)
    return recorder


@pytest.fixture(autouse=True)
def operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.config.OPERATORS", ["sentiment", "summary", "next_best_response"])


def intelligence_of(app: FastAPI) -> LocalIntelligence:
    return next(each for each in app.state.conversations.capabilities if isinstance(each, LocalIntelligence))


def local(**attributes: Any) -> list[type[LocalIntelligence]]:
    return [type("Local", (LocalIntelligence,), attributes)]


class Answers:
    """What the model answers to each evaluator, and what it was asked."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    async def ask(self, session: Session, evaluator: Evaluator, conversation: str) -> str:
        self.asked.append((evaluator.kind, conversation))
        if evaluator.kind not in self.answers:
            raise LookupError(evaluator.kind)
        return self.answers[evaluator.kind]

    def capabilities(self, **attributes: Any) -> list[type[LocalIntelligence]]:
        async def ask(_: LocalIntelligence, *asked: Any) -> str:
            return await self.ask(*asked)

        return local(ask=ask, **attributes)


async def evaluated(call: Call) -> None:
    await until(lambda: not intelligence_of(call.app).working)


async def test_each_turn_gives_signals(dial: Dial, reactions: Recorder) -> None:
    answers = Answers(sentiment="negative", next_best_response="Offer a refund.")
    call = await dial(YES, capabilities=answers.capabilities(), evaluate=True)
    await call.says("It broke.")
    await evaluated(call)
    found = {signal.kind: (signal.trigger, session) for signal, session in reactions.seen}
    during = ("COMMUNICATION", call.session)
    assert found == {"sentiment": during, "next_best_response": during}
    assert len({signal.id for signal, _ in reactions.seen}) == 2
    assert "Customer: It broke." in answers.asked[0][1]


async def test_the_projects_own_model_is_asked(dial: Dial, reactions: Recorder) -> None:
    judge = {"hears": f"{EVALUATION}[^$]*It broke", "says": "negative"}
    call = await dial(judge, YES, capabilities=local(), evaluate=True)
    assert (await call.says("It broke.")).text == "Yes."
    await evaluated(call)
    assert reactions.labels == ["negative"]
    assert "conversation" not in str(call.session.history), "the evaluation is no part of the conversation"


class Censor(Capability):
    """Filters texts, as a capability of a regulation does."""

    def filter_user_text(self, session: Session, text: str) -> str:
        return text

    def filter_data(self, value: Any) -> Any:
        return value.replace("secret", "***") if isinstance(value, str) else value

    def filter_tokens(self, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        return tokens


async def test_capabilities_filter_what_evaluators_see_and_find(dial: Dial, reactions: Recorder) -> None:
    seen: list[str] = []

    async def spied(self: LocalIntelligence, session: Session, evaluator: Evaluator, conversation: str) -> str:
        seen.append(conversation)
        return await LocalIntelligence.ask(self, session, evaluator, conversation)

    judge = {"hears": EVALUATION, "says": "Say the secret."}
    call = await dial(judge, YES, capabilities=[Censor, *local(ask=spied)], evaluate=True)
    await call.says("My secret.")
    await evaluated(call)
    (found,) = [signal.text for signal, _ in reactions.seen if isinstance(signal, NextBestResponse)]
    assert found == "Say the ***." and all("My ***." in each and "secret" not in each for each in seen)


async def test_the_next_model_is_asked_when_one_fails(dial: Dial, reactions: Recorder) -> None:
    first, second = scripted({"fails": True}), scripted({"hears": EVALUATION, "says": "positive"}, YES)
    call = await dial(models=[first, second], capabilities=local(), evaluate=True)
    await call.says("Lovely.")
    await evaluated(call)
    assert reactions.labels == ["positive"]


async def test_evaluators_can_be_switched_off(dial: Dial, reactions: Recorder) -> None:
    answers = Answers(sentiment="negative")
    call = await dial(YES, capabilities=answers.capabilities(), evaluate=False)
    await call.says("You will hear from my lawyer.")
    await call.hangs_up()
    await evaluated(call)
    assert answers.asked == [] and reactions.seen == []


async def test_a_word_that_escalates_is_negative_without_a_model(dial: Dial, reactions: Recorder) -> None:
    answers = Answers(sentiment="positive")
    call = await dial(YES, capabilities=answers.capabilities(), evaluate=True)
    await call.says("You will hear from my lawyer.")
    await evaluated(call)
    assert reactions.labels == ["negative"] and "sentiment" not in [kind for kind, _ in answers.asked]
    await call.says("Good morning.")
    await evaluated(call)
    assert reactions.labels == ["negative", "positive"]


async def test_a_summary_comes_after_the_end(dial: Dial, reactions: Recorder) -> None:
    saved: list[tuple[str, str]] = []

    async def save(text: str) -> bool:
        saved.append((text, "kept"))
        return True

    reactions.on_summary = lambda signal, session: save_summary(session, signal.text)
    answers = Answers(sentiment="neutral", next_best_response="x", summary="Wants a refund.")
    capabilities = answers.capabilities(actions=lambda self, session: {"save_summary": save})
    call = await dial(YES, capabilities=capabilities, evaluate=True)
    await call.says("I want my money back.")
    await evaluated(call)
    assert "summary" not in [kind for kind, _ in answers.asked]
    await call.hangs_up()
    await until(lambda: saved)
    assert saved == [("Wants a refund.", "kept")]
    assert "Customer: I want my money back.\nAgent: Yes." in dict(answers.asked)["summary"]


async def test_a_call_without_a_word_is_not_summarized(dial: Dial) -> None:
    answers = Answers(summary="Nothing.")
    call = await dial(YES, capabilities=answers.capabilities(), evaluate=True)
    await call.hangs_up()
    await evaluated(call)
    assert answers.asked == []


async def test_an_evaluation_that_fails_or_hangs_delays_no_answer(
    dial: Dial, reactions: Recorder, logged: Callable[[], str]
) -> None:
    async def hang(*_: Any) -> str:
        await asyncio.Event().wait()
        return ""

    call = await dial(YES, capabilities=local(ask=hang, evaluation_timeout=0.02), evaluate=True)
    assert (await call.says("It broke.")).text == "Yes."
    await evaluated(call)
    assert reactions.seen == [] and "evaluator.failed" in logged() and "It broke" not in logged()


async def test_an_unreadable_answer_is_logged_without_its_words(
    dial: Dial, reactions: Recorder, logged: Callable[[], str]
) -> None:
    answers = Answers(sentiment="Ada is cross", next_best_response="")
    call = await dial(YES, capabilities=answers.capabilities(), evaluate=True)
    await call.says("It broke.")
    await evaluated(call)
    assert reactions.seen == [] and logged().count("evaluator.unreadable") == 2 and "Ada" not in logged()


async def test_results_of_turns_keep_their_order(dial: Dial, reactions: Recorder) -> None:
    delays = iter([0.1, 0.0])

    async def ask(_: Any, session: Session, evaluator: Evaluator, conversation: str) -> str:
        if evaluator.kind != "sentiment":
            return ""
        await asyncio.sleep(next(delays))
        return "negative" if "second" in conversation else "positive"

    call = await dial(YES, capabilities=local(ask=ask), evaluate=True)
    await call.says("The first.")
    await call.says("The second.")
    await evaluated(call)
    assert reactions.labels == ["positive", "negative"]


async def test_a_reaction_guides_the_next_turn(dial: Dial, reactions: Recorder) -> None:
    async def advise(signal: NextBestResponse, session: Session) -> None:
        suggest(session, signal.text)

    reactions.on_next_best_response = advise
    answers = Answers(sentiment="neutral", next_best_response="Offer a refund.")
    call = await dial(YES, capabilities=answers.capabilities(), evaluate=True)
    await call.says("It broke.")
    await evaluated(call)
    await call.says("And now?")
    assert call.session.turn and "Offer a refund." in str(call.session.turn.messages[0])


async def test_a_failed_reaction_is_kept_and_replayed(dial: Dial, reactions: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "failed.jsonl"

    async def broken(signal: Signal, session: Session) -> None:
        raise KeyError

    reactions.on_sentiment = broken
    answers = Answers(sentiment="negative", next_best_response="x")
    call = await dial(YES, capabilities=answers.capabilities(), evaluate=True, failed_signals=file)
    await call.says("It broke.")
    await evaluated(call)
    assert file.stat().st_mode & 0o777 == 0o600 and len(file.read_text().splitlines()) == 1
    reactions.on_sentiment = reactions.record
    assert await replay_all(intelligence_of(call.app).services) == 0
    assert reactions.labels == ["negative"] and reactions.seen[-1][1].caller == defaults.CALLER


async def test_a_server_that_stops_cuts_evaluations_off(logged: Callable[[], str]) -> None:
    async def hang(*_: Any) -> str:
        await asyncio.Event().wait()
        return ""

    app = build_app(YES, capabilities=local(ask=hang, shutdown_timeout=0.02), evaluate=True)
    async with asyncio.timeout(30), dial_app(app, account=app.state.account) as call:
        await call.says("It broke.")
    assert "evaluation.cut_off" in logged()
