"""What a conversation counts, on each channel."""

from __future__ import annotations

from typing import Any

import pytest

from kit.activity import wait_until
from kit.testing import Begin
from tests.kit.counting import Counted


async def test_a_model_that_fails_is_an_apology(begin: Begin) -> None:
    counted = Counted()
    talk = await begin({"hears": "", "breaks_off": True, "says": "No"}, capabilities=counted.capabilities())
    await talk.says("Hello")
    assert counted.of("apology") == [()]


async def test_an_answered_turn_is_neither_an_apology_nor_lost(begin: Begin) -> None:
    counted = Counted()
    talk = await begin(capabilities=counted.capabilities())
    await talk.says("Hello")
    await talk.ends()
    assert counted.of("apology") == counted.of("turn_lost") == []


async def test_a_look_up_is_counted_with_what_it_found(begin: Begin) -> None:
    pytest.importorskip("app.memory", reason="the project has no memory")
    counted = Counted()
    talk = await begin(capabilities=counted.capabilities())
    await talk.says("Hello")
    await wait_until(lambda: len(counted.of("memory_request")) > 1, "the look-up did not end")
    assert [outcome for outcome, request in counted.of("memory_request") if outcome != "late"] == ["started", "empty"]


async def test_a_request_that_fails_is_counted_by_its_name(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pytest.importorskip("app.memory", reason="the project has no memory")

    async def fail(*_: Any) -> None:
        raise ConnectionError

    counted = Counted()
    talk = await begin(capabilities=counted.capabilities())
    (found,) = (each for each in talk.app.state.conversations.capabilities if isinstance(each, memory.Memory))
    monkeypatch.setattr(found.backend, "find_profile", fail)
    session = await talk.session()
    lookup = memory.Lookup(session, memory.Identity("phone", session.caller))
    assert await found._recall(lookup, "tea") == memory.UNAVAILABLE
    await found._look_up(lookup)
    failed = [facts for facts in counted.of("memory_request") if facts[0] == "failed"]
    assert failed == [("failed", "recall"), ("failed", "look_up")]


async def test_a_signal_is_counted_with_what_came_of_it(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    intelligence = pytest.importorskip("app.intelligence", reason="the project has no signals")
    signals = pytest.importorskip("app.signals")
    counted = Counted()
    talk = await begin(capabilities=counted.capabilities())
    capabilities = talk.app.state.conversations.capabilities
    (found,) = (each for each in capabilities if isinstance(each, intelligence.Intelligence))

    async def handle(signal: Any, session: Any) -> None:
        if signal.label == "negative":
            raise ValueError(signal.label)

    class Reactions:
        on_sentiment = staticmethod(handle)

    monkeypatch.setattr(found.reactions, "module", Reactions)
    session = await talk.session()
    for signal in (signals.Sentiment(label="positive"), signals.Sentiment(label="negative"), signals.Summary(text="")):
        await found.react(signal, session)
    assert counted.of("signal") == [("sentiment", "acted"), ("sentiment", "failed"), ("summary", "ignored")]


async def test_a_hand_off_is_counted_by_its_states(begin: Begin) -> None:
    pytest.importorskip("app.escalation", reason="the project has no hand-off")
    counted = Counted()
    talk = await begin(
        {"hears": "", "calls": {"transfer_to_human": {"reason": "caller_asked"}}}, capabilities=counted.capabilities()
    )
    await talk.says("A person, please")
    await wait_until(lambda: "queued" in [outcome for _, outcome in counted.of("handoff")], "no call is in the queue")
    assert [outcome for _, outcome in counted.of("handoff")][:3] == ["requested", "briefing", "queued"]
    assert len({channel for channel, _ in counted.of("handoff")}) == 1
