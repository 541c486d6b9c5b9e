"""Limits of the owner's, on every channel and runtime: the agent off, and tokens of a conversation and of a day."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic_ai import messages as m

from app import Session
from app.brain import tokens_of
from app.limits import BLOCKS, OwnerLimits, bill
from app.registry import CAPABILITIES, RUNTIME
from app.session import dump_session, load_session
from app.turn import Turn
from kit import defaults
from kit.agent_app import build_app
from kit.conventions import drivers
from kit.testing import Begin, Talk

HUMAN = any(each.__module__.startswith("app.escalation") for each in CAPABILITIES)
LONG = "word " * 400


def busy(talk: Talk) -> str:
    phrase: str = talk.driver.phrases.BUSY
    return phrase


async def refused(talk: Talk, text: str) -> bool:
    """Whether this was answered without the model: with BUSY, or by words that lead to a human where there is one."""
    reply = await talk.says(text)
    assert "Yes." not in reply.text and "word word" not in reply.text and not reply.calls
    return busy(talk) in reply.text or (HUMAN and bool(reply.text.strip()))


async def test_the_tokens_of_a_conversation_end_it_with_words(begin: Begin, logged: Callable[[], str]) -> None:
    talk = await begin({"hears": "", "says": LONG}, call_tokens=100)
    assert "word word" in (await talk.says("Tell me everything")).text
    assert await refused(talk, "And more?")
    assert '"limit": "call_tokens"' in logged()


async def test_a_conversation_at_its_limit_goes_to_a_human_without_a_word() -> None:
    asked: list[tuple[str, str]] = []

    async def escalate(reason_code: str, summary: str) -> bool:
        asked.append((reason_code, summary))
        return True

    brain = build_app(call_tokens=100).state.brain
    session = Session("CA1", "", "", "en-US", brain.services.now, usage=[["openai", "gpt", {"output_tokens": 100}]])
    session.actions["escalate"] = escalate
    session.connection.apology = session.connection.busy = "Sorry."
    assert [token async for token in brain.reply(session, "And more?")] == []
    assert asked == [("call_tokens", "")] and session.turn and session.turn.stopped


async def test_tokens_below_the_limit_change_nothing(begin: Begin) -> None:
    talk = await begin(call_tokens=1_000_000, day_tokens=1_000_000)
    for _ in range(3):
        assert (await talk.says("Hello")).text.strip() == "Yes."


async def test_the_tokens_of_a_day_count_over_conversations(begin: Begin) -> None:
    talk = await begin({"hears": "", "says": LONG}, day_tokens=100)
    await talk.says("Tell me everything")
    limits: OwnerLimits = talk.app.state.brain.services.limits
    assert await refused(talk, "And more?")
    assert await limits.reached(0) == "day_tokens"


async def test_the_next_day_begins_anew_in_the_zone_of_the_owner() -> None:
    time = [datetime(2026, 3, 2, 22, 30, tzinfo=UTC)]
    services = build_app(now=lambda: time[0], day_tokens=100, time_zone="Europe/Berlin").state.brain.services
    assert await services.limits.reached(0) == ""
    services.limits.left -= 110
    assert await services.limits.reached(0) == "day_tokens"
    time[0] += timedelta(hours=1)
    assert await services.limits.reached(0) == "", "midnight in Berlin"


async def test_a_day_has_the_tokens_of_the_setting() -> None:
    limits = build_app(day_tokens=100).state.brain.services.limits
    used = 0
    while await limits.reached(0) == "":
        limits.left -= 1
        used += 1
    assert used == 100


async def test_workers_share_the_tokens_of_a_day() -> None:
    """Each takes a part of them at a time from the store."""
    first = build_app(day_tokens=1000).state.brain.services
    second = build_app(day_tokens=1000, store=first.store).state.brain.services
    used = 0
    while True:
        open_to = [each for each in (first, second) if await each.limits.reached(0) == ""]
        if not open_to:
            break
        for each in open_to:
            each.limits.left -= 25
            used += 25
    assert 1000 <= used <= 1000 + 2 * 25 + 2 * 1000 / BLOCKS


async def test_a_conversation_that_moves_to_another_worker_keeps_its_count() -> None:
    services = build_app(call_tokens=100).state.brain.services
    session = Session(
        "CA1", "", "", "en-US", services.now, usage=[["openai", "gpt", {"input_tokens": 60, "output_tokens": 40}]]
    )
    moved = load_session("CA1", json.loads(json.dumps(dump_session(session))), services.now)
    assert await services.limits.reached(tokens_of(moved.usage)) == "call_tokens"


def test_tokens_of_both_directions_are_counted() -> None:
    rows: list[list[Any]] = [["", "gpt", {}], ["", "gpt", {"input_tokens": 3}], ["", "gpt", {"output_tokens": 4}]]
    assert tokens_of(rows) == 7


async def test_zero_is_no_limit() -> None:
    services = build_app().state.brain.services
    session = Session(
        "CA1", "", "", "en-US", services.now, usage=[["openai", "gpt", {"input_tokens": 10**9, "output_tokens": 0}]]
    )
    assert await services.limits.reached(tokens_of(session.usage)) == ""


async def test_the_bill_has_tokens_by_model_and_money_where_prices_are_known() -> None:
    usage: list[list[Any]] = [
        ["openai", "gpt-4o-mini", {"input_tokens": 1000, "output_tokens": 100}],
        ["openai", "gpt-4o-mini", {"input_tokens": 1000, "output_tokens": 0}],
        ["anthropic", "claude-haiku-4-5", {"input_tokens": 1000, "output_tokens": 0}],
    ]
    billed = await bill(usage)
    assert billed["tokens"] == {"gpt-4o-mini": [2000, 100], "claude-haiku-4-5": [1000, 0]}
    assert billed["usd"] == pytest.approx(0.00036 + 0.001) and billed["estimated"] is False
    assert (await bill([*usage, ["openai", "unheard-of", {"input_tokens": 1, "output_tokens": 1}]]))["usd"] is None
    assert await bill([]) == {"tokens": {}, "usd": 0, "estimated": False}


def test_a_model_that_reports_no_tokens_is_estimated() -> None:
    turn = Turn("Tell me")
    turn.record = [m.ModelResponse([m.TextPart("x" * 400)], model_name="silent", run_id=turn.run_id)]
    ((provider, model, used),) = turn.usage("i" * 800)
    assert (provider, model) == ("", "silent") and used["input_tokens"] >= 200 and used["output_tokens"] >= 100


def test_a_turn_that_was_cut_off_before_its_record_is_estimated() -> None:
    turn = Turn("Tell me", spoken_text="x" * 400)
    assert turn.usage("i" * 800)[0][2]["output_tokens"] == 100
    assert Turn("Tell me").usage("i") == []


async def test_the_end_of_a_conversation_is_logged_with_its_cost(begin: Begin, logged: Callable[[], str]) -> None:
    talk = await begin({"hears": "", "says": LONG})
    await talk.says("Tell me everything")
    session = await talk.session()
    await talk.ends()
    billed = await bill(session.usage)
    lines = [json.loads(line) for line in logged().splitlines() if '"call.ended"' in line or '"text.ended"' in line]
    for line in lines:  # a text conversation may go on
        assert {"tokens", "usd", "estimated"} <= set(line) and line["tokens"] == billed["tokens"]
    assert sum(answered for _, answered in billed["tokens"].values()) >= 30
    assert lines or not session.connection.spoken


@pytest.mark.skipif(RUNTIME.__name__ not in ("Strands", "VoiceLive"), reason="its script counts words")
async def test_tokens_that_a_service_reports_are_counted(begin: Begin) -> None:
    talk = await begin()
    await talk.says("Hello")
    ((provider, _, used),) = (await talk.session()).usage
    assert provider in ("bedrock", "azure_voice_live") and used == {"input_tokens": 70, "output_tokens": 30}


@pytest.mark.skipif("messaging" not in drivers(), reason="calls only")
async def test_off_answers_no_text_with_the_model(reach: Callable[..., Any]) -> None:
    texter = await reach({"hears": "", "says": "Yes."}, off=True)
    await texter.posts(texter.writes("Hello"))
    text = await texter.reads()
    assert text.strip() and "Yes." not in text and (drivers()["messaging"].phrases.BUSY in text or HUMAN)


def test_the_settings_are_off_by_default() -> None:
    settings = defaults.settings()
    names = ("off", "max_calls", "caller_calls", "call_tokens", "day_tokens")
    assert not any(getattr(settings, name, 0) for name in names)
