"""Signals: from a webhook to a session, to a reaction, and to the file of failed signals."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from typer.testing import CliRunner

from app.capability import Capability, Services
from app.intelligence.reactions import FailedSignals
from app.intelligence.twilio import TwilioIntelligence
from app.intelligence.twilio.payload import TWILIO_OPERATORS, Result, signal_of
from app.registry import CAPABILITIES
from app.session import Session, SessionStore, this_session
from app.signals import (
    Custom,
    NextBestResponse,
    ScriptAdherence,
    Sentiment,
    Signal,
    Summary,
    alert,
    set_flag,
    suggest,
)
from app.store import InProcess
from kit import cli, defaults
from kit.activity import wait_until
from kit.local_server import serve
from kit.plugin import Begin, Talk, silence_logs
from kit.simulated_twilio import intelligence as fake

YES = {"hears": "", "says": "Yes."}
until = partial(wait_until, problem="the condition was not met")
OTHER = "intelligence_configuration_" + "9" * 26


class Recorder(SimpleNamespace):
    """Records signals and sessions, in place of agent/reactions.py."""

    def __init__(self) -> None:
        super().__init__(seen=[])
        for kind in ("sentiment", "summary", "script_adherence", "next_best_response", "custom"):
            setattr(self, f"on_{kind}", self.record)

    async def record(self, signal: Signal, session: Session) -> None:
        self.seen.append((signal, session))

    @property
    def signals(self) -> list[Any]:
        return [signal for signal, _ in self.seen]


@pytest.fixture(autouse=True)
def reactions(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("app.intelligence.own_reactions", recorder)
    return recorder


def with_intelligence(**attributes: Any) -> list[type[Capability]]:
    """The capabilities of the project, with other timeouts of TwilioIntelligence."""
    changed = type("TwilioIntelligence", (TwilioIntelligence,), attributes)
    return [changed if capability is TwilioIntelligence else capability for capability in CAPABILITIES]


@pytest.fixture
def failed_file(tmp_path: Path) -> Path:
    """The file of failed signals."""
    return tmp_path / "failed.jsonl"


@pytest.fixture
async def talk(begin: Begin, failed_file: Path) -> Talk:
    talk = await begin(YES, failed_signals=failed_file)
    await talk.says("Hello")
    return talk


@pytest.fixture
def party(talk: Talk) -> Any:
    """The simulated caller, or author of messages."""
    return talk.party


async def simulate(party: Any, **event: Any) -> None:
    await party.account.simulate(party, {"intelligence": event})


def body_of(party: Any, **event: Any) -> dict[str, Any]:
    body: dict[str, Any] = party.account.intelligence.rule_execution(party, event)
    return body


async def sends(party: Any, body: dict[str, Any], token: str | None = "once") -> int:
    return int((await party.post_json(fake.PATH, body, token)).status_code)


def text(failed_file: Path) -> str:
    return failed_file.read_text(encoding="utf-8") if failed_file.is_file() else ""


def mode(failed_file: Path) -> int:
    return stat.S_IMODE(failed_file.stat().st_mode)


async def soon() -> None:
    """Let every task that is ready go on. With a store in this process, a signal that was received needs no more."""
    for _ in range(50):
        await asyncio.sleep(0)


# --- payload → signal ------------------------------------------------------------------------------------------

ID = {kind: id for id, kind in TWILIO_OPERATORS.items()}
RESULTS: dict[str, tuple[dict[str, Any], Any, Signal]] = {
    "a label": ({"id": ID["sentiment"]}, {"label": "Negative"}, Sentiment(label="negative")),
    "a name only": ({"displayName": "Sentiment"}, {"label": "mixed"}, Sentiment(label="mixed")),
    "an older name": ({"friendlyName": "script-adherence"}, {"categories": []}, ScriptAdherence(failed=[])),
    "a text": ({"id": ID["summary"]}, {"text": " All good. "}, Summary(text="All good.")),
    "a text as TAC expects it": ({"id": ID["summary"]}, {"result": "All good."}, Summary(text="All good.")),
    "a text in JSON": ({"id": ID["summary"]}, {"payload": '{"summary": "All good."}'}, Summary(text="All good.")),
    "a bare text": ({"id": ID["next_best_response"]}, "Offer a refund.", NextBestResponse(text="Offer a refund.")),
    "criteria": (
        {"id": ID["script_adherence"], "displayName": "Called otherwise"},
        {
            "categories": [
                {"category_key": "a", "criteria": [{"criteria_key": "greeting", "criteria_met": "Failed"}]},
                {"category_key": "b", "criteria": [{"criteria_key": "name", "criteria_met": "Succeeded"}]},
                {"category_key": "b", "criteria": [{"criteria_key": "fee", "criteria_met": "Not applicable"}]},
                {"category_key": "c", "criteria": [{"criteria_key": "notice", "criteria_met": "Failed"}, None]},
                {"category_key": "d"},
            ]
        },
        ScriptAdherence(failed=["greeting", "notice"]),
    ),
    "parameters that are not texts": (
        {"id": ID["sentiment"], "parameters": {"depth": 3, "topics": ["a"]}, "version": "7"},
        {"label": "neutral"},
        Sentiment(label="neutral"),
    ),
    "an operator of your own": ({"displayName": "Churn"}, {"risk": 3}, Custom(name="Churn", result={"risk": 3})),
    "entities": (
        {"displayName": "Names"},
        {"entities": [{"label": "PERSON", "text": "Ada"}]},
        Custom(name="Names", result={"entities": [{"label": "PERSON", "text": "Ada"}]}),
    ),
    "an unnamed operator": (
        {"id": "intelligence_operator_1"},
        None,
        Custom(name="intelligence_operator_1", result=None),
    ),
    "a known operator with another shape": (
        {"displayName": "Sentiment"},
        {"score": 1},
        Custom(name="Sentiment", result={"score": 1}),
    ),
    "invalid JSON": (
        {"displayName": "Mine"},
        {"payload": "{"},
        Custom(name="Mine", result={"payload": "{"}),
    ),
}


@pytest.mark.parametrize(("operator", "result", "signal"), RESULTS.values(), ids=RESULTS.keys())
def test_every_shape_of_a_result_becomes_a_signal(operator: dict[str, Any], result: Any, signal: Signal) -> None:
    assert signal_of(Result.model_validate({"operator": operator, "result": result})) == signal


def test_a_signal_has_its_trigger() -> None:
    raw = {"id": "R1", "operator": {}, "executionDetails": {"trigger": {"on": "CONVERSATION_END"}}}
    signal = signal_of(Result.model_validate(raw))
    assert (signal.id, signal.trigger) == ("R1", "CONVERSATION_END")
    for details in (None, {"trigger": None}, "?"):
        assert signal_of(Result.model_validate({**raw, "executionDetails": details})).trigger == ""


# --- webhook → session -----------------------------------------------------------------------------------------


async def test_a_signal_reaches_its_session(talk: Talk, reactions: Recorder) -> None:
    await simulate(talk.party, sentiment="negative")
    ((signal, session),) = reactions.seen
    assert (signal.label, session.id, session.caller) == ("negative", (await talk.session()).id, defaults.CALLER)


async def test_every_result_of_a_rule_is_a_signal(party: Any, reactions: Recorder) -> None:
    await simulate(
        party,
        sentiment="positive",
        script_adherence={"failed": ["greeting"], "met": ["name"]},
        custom={"name": "Churn", "result": {"risk": 3}},
    )
    found = {signal.kind: signal for signal in reactions.signals}
    assert sorted(found) == ["custom", "script_adherence", "sentiment"]
    assert found["script_adherence"].failed == ["greeting"] and found["custom"].result == {"risk": 3}


async def test_signals_keep_their_order(party: Any, reactions: Recorder) -> None:
    for label in ("positive", "neutral", "negative"):
        assert await sends(party, body_of(party, sentiment=label), label) == 200
    await until(lambda: len(reactions.seen) == 3)
    assert [signal.label for signal in reactions.signals] == ["positive", "neutral", "negative"]


async def test_another_conversation_is_ignored(party: Any, reactions: Recorder, logged: Callable[[], str]) -> None:
    await simulate(party, sentiment="negative", conversation="other")
    await until(lambda: "another conversation" in logged())
    assert reactions.seen == []


async def test_another_configuration_is_ignored(party: Any, reactions: Recorder, logged: Callable[[], str]) -> None:
    body = body_of(party, sentiment="negative")
    body["intelligenceConfiguration"]["id"] = OTHER
    assert await sends(party, body) == 200
    await until(lambda: "another configuration" in logged())
    assert reactions.seen == []


async def test_a_repeated_webhook_is_ignored(party: Any, reactions: Recorder) -> None:
    await simulate(party, sentiment="negative", repeat=3)
    assert len(reactions.seen) == 1
    await simulate(party, sentiment="negative")
    assert len(reactions.seen) == 2


async def test_a_repetition_without_a_token_is_detected(
    party: Any, reactions: Recorder, logged: Callable[[], str]
) -> None:
    first, second = body_of(party, sentiment="negative"), body_of(party, sentiment="negative")
    for body in (first, first, second):
        await sends(party, body, token=None)
    await until(lambda: len(reactions.seen) == 2 and "seen before" in logged())
    await soon()
    assert len(reactions.seen) == 2


async def test_only_twilio_can_send_signals(party: Any, reactions: Recorder) -> None:
    content = json.dumps(body_of(party, sentiment="negative")).encode()
    async with httpx2.AsyncClient(verify=False, trust_env=False) as http:
        for headers in ({}, {"X-Twilio-Signature": "bm9ib2R5"}):
            answer = await http.post(
                f"http://{party.address}{fake.PATH}",
                content=content,
                headers={"Content-Type": "application/json", **headers},
            )
            assert answer.status_code == 403
    await soon()
    assert reactions.seen == []


@pytest.mark.parametrize(
    "body",
    [{}, {"operatorResults": []}, {"intelligenceConfiguration": "x", "operatorResults": "Ada"}],
    ids=["empty", "half", "wrong"],
)
async def test_an_invalid_payload_is_logged_without_its_values(
    party: Any, body: dict[str, Any], logged: Callable[[], str]
) -> None:
    assert await sends(party, body) == 200
    await until(lambda: "signals.unreadable" in logged())
    assert "intelligenceConfiguration" in logged() and "Ada" not in logged()


async def test_an_invalid_result_does_not_discard_the_others(party: Any, reactions: Recorder) -> None:
    body = body_of(party, sentiment="negative")
    body["operatorResults"] = ["?", {"operator": None}, *body["operatorResults"]]
    await sends(party, body)
    await until(lambda: reactions.seen)


async def test_a_signal_without_a_reaction_is_ignored(party: Any, reactions: Recorder) -> None:
    del reactions.on_sentiment
    await simulate(party, sentiment="negative")
    await simulate(party, next_best_response="Offer a refund.")
    assert len(reactions.seen) == 1


# --- slow reactions ----------------------------------------------------------------------------------------------


async def test_a_reaction_ends_after_its_timeout(begin: Begin, reactions: Recorder, failed_file: Path) -> None:
    reactions.on_sentiment = lambda signal, session: asyncio.Event().wait()
    talk = await begin(YES, failed_signals=failed_file, capabilities=with_intelligence(reaction_timeout=0.02))
    await talk.says("Hello")
    await sends(talk.party, body_of(talk.party, sentiment="negative"))
    await until(lambda: text(failed_file))
    await simulate(talk.party, summary="All good.")
    assert "TimeoutError" in text(failed_file) and len(reactions.seen) == 1


async def test_a_text_conversation_has_signals_too(reactions: Recorder) -> None:
    store, id = InProcess(), "conv_conversation_" + "1" * 26
    capability = TwilioIntelligence.build(Services(defaults.settings(), store, lambda: datetime.now(UTC)))
    session = Session(id, defaults.CALLER, defaults.CALLED, "en-US", now=lambda: datetime.now(UTC))
    session.connection.spoken = False
    await capability.on_start(session)
    await soon()
    session.connection.open = False  # as it is when a message has been answered
    await store.put(f"conversation:{id}", id, 60)
    await SessionStore(store, session.now).save(session, 60)
    found = {"id": "R1", "operator": {"displayName": "Sentiment"}, "result": {"label": "negative"}}
    configuration = {"id": defaults.settings().intelligence_configuration_id}  # type: ignore[attr-defined]
    body = {"conversationId": id, "intelligenceConfiguration": configuration, "operatorResults": [found]}
    await capability._receive(body, "once")
    await until(lambda: reactions.seen)
    assert reactions.seen[0][1].caller == defaults.CALLER


# --- failed reactions --------------------------------------------------------------------------------------------


def broken(signal: Signal, session: Session) -> Awaitable[None]:
    session.state["touched"] = True
    raise KeyError(session.caller)


async def fail(party: Any, reactions: Recorder, **event: Any) -> None:
    """Let the reaction to one event fail."""
    reactions.on_sentiment = broken
    with pytest.raises(ValueError, match="a reaction of agent/reactions.py failed"):
        await simulate(party, **event)
    reactions.on_sentiment = reactions.record


async def test_a_file_that_is_not_writable_is_logged_at_startup(
    begin: Begin, tmp_path: Path, logged: Callable[[], str]
) -> None:
    talk = await begin(YES, failed_signals=tmp_path / "missing" / "failed.jsonl")
    assert "failed_signals.not_writable" in logged() and "AGENT_FAILED_SIGNALS" in logged()
    assert (await talk.says("Hello")).text == "Yes."


# --- agent replay ------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(environment: pytest.MonkeyPatch, failed_file: Path) -> None:
    environment.setenv("AGENT_FAILED_SIGNALS", str(failed_file))


def replay() -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["replay"])
    silence_logs()
    return result.exit_code, result.output


async def replayed() -> tuple[int, str]:
    return await asyncio.to_thread(replay)


async def test_a_failed_signal_is_kept_and_replayed(
    failing: None, talk: Talk, reactions: Recorder, failed_file: Path, logged: Callable[[], str]
) -> None:
    await fail(talk.party, reactions, sentiment="negative")
    (line,) = map(json.loads, text(failed_file).splitlines())
    assert line["reason"].startswith("KeyError") and line["session"]["caller"] == defaults.CALLER
    assert mode(failed_file) == 0o600 and "reaction.failed" in logged() and defaults.CALLER[1:] not in logged()
    code, said = await replayed()
    assert code == 0 and f"ok   sentiment for {line['session']['id']}" in said and defaults.CALLER not in said
    ((signal, session),) = reactions.seen
    assert (signal.label, session.caller) == ("negative", defaults.CALLER)


async def test_a_signal_that_fails_again_is_kept_again(
    failing: None, party: Any, reactions: Recorder, failed_file: Path
) -> None:
    await fail(party, reactions, sentiment="negative")
    reactions.on_sentiment = broken
    code, said = await replayed()
    assert code == 1 and "FAIL sentiment" in said and "KeyError" in said and "1 of 1 failed again" in said
    assert len(text(failed_file).splitlines()) == 1


@pytest.mark.parametrize("entry_point", ["kit.cli", "app.__main__"])
def test_replay_is_a_command_of_agent_and_of_the_server(failing: None, failed_file: Path, entry_point: str) -> None:
    result = CliRunner().invoke(import_module(entry_point).app, ["replay"])
    silence_logs()
    assert (result.exit_code, result.output) == (0, f"{failed_file} holds no failed signal.\n")


async def test_an_interrupted_replay_loses_no_signal(failed_file: Path) -> None:
    failed, now = FailedSignals(failed_file), datetime.now(UTC)
    failed.add({"at": now.isoformat(), "number": 1})
    assert len(list(failed.take_all(now))) == 1
    failed.add({"at": now.isoformat(), "number": 2})
    assert sorted(line["number"] for line in failed.take_all(now)) == [1, 2]
    failed.delete_taken()
    assert list(failed.take_all(now)) == [] and list(failed_file.parent.iterdir()) == []


def test_a_failed_signal_is_deleted_after_a_week(failed_file: Path) -> None:
    failed, now = FailedSignals(failed_file), datetime.now(UTC)
    failed.add({"at": (now - timedelta(days=8)).isoformat()})
    failed.add({"at": (now - timedelta(days=6)).isoformat()})
    assert len(list(failed.take_all(now))) == 1


def test_an_incomplete_line_does_not_discard_the_others(failed_file: Path) -> None:
    failed, now = FailedSignals(failed_file), datetime.now(UTC)
    failed.add({"at": now.isoformat()})
    with failed_file.open("a") as file:
        file.write('{"at": "20')
    assert len(list(failed.take_all(now))) == 1


# --- alerts ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def pager(status: int = 200) -> AsyncGenerator[tuple[str, list[dict[str, Any]]]]:
    """A server for alerts: its URL, and the alerts that it has received."""
    app = FastAPI()
    received: list[dict[str, Any]] = []

    async def take(request: Request) -> Response:
        received.append(await request.json())
        return Response(status_code=status)

    app.add_route("/secret-path", take, methods=["POST"])
    async with serve(app) as address:
        yield f"http://{address}/secret-path", received


async def test_an_alert_has_the_ids_and_the_reason_only(
    begin: Begin, reactions: Recorder, logged: Callable[[], str]
) -> None:
    reactions.on_sentiment = lambda signal, session: alert(session, "unhappy")
    async with pager() as (url, received):
        talk = await begin(YES, alert_url=url)
        await talk.says("Hello")
        await simulate(talk.party, sentiment="negative")
    (body,) = received
    assert (body["reason"], body["id"]) == ("unhappy", (await talk.session()).id)
    assert set(body) == {"reason", "id", "conversationId", "at"} and "secret-path" not in logged()


async def test_a_signal_is_kept_when_its_alert_fails(begin: Begin, reactions: Recorder, failed_file: Path) -> None:
    reactions.on_sentiment = lambda signal, session: alert(session, "unhappy")
    async with pager(status=500) as (url, _):
        talk = await begin(YES, alert_url=url, failed_signals=failed_file)
        await talk.says("Hello")
        with pytest.raises(ValueError, match="failed"):
            await simulate(talk.party, sentiment="negative")
    assert "HTTPStatusError" in text(failed_file)


async def test_an_alert_without_an_address_is_logged(
    party: Any, reactions: Recorder, logged: Callable[[], str]
) -> None:
    reactions.on_sentiment = lambda signal, session: alert(session, "unhappy")
    await simulate(party, sentiment="negative")
    assert '"alert"' in logged() and "unhappy" in logged()


async def test_no_result_is_logged(talk: Talk, logged: Callable[[], str]) -> None:
    await simulate(talk.party, summary="Ada wants a refund", custom={"name": "Names", "result": {"entities": ["Ada"]}})
    await talk.ends()
    assert "signal.handled" in logged() and "Ada" not in logged() and defaults.CALLER[1:] not in logged()


async def flags() -> str:
    """Look at the flags."""
    return ", ".join(this_session().state.get("flags", []))


async def test_state_and_guidance_of_a_reaction_are_used_in_the_next_turn(
    begin: Begin, reactions: Recorder, failed_file: Path
) -> None:
    async def advise(signal: NextBestResponse, session: Session) -> None:
        suggest(session, signal.text)

    async def flag(signal: Custom, session: Session) -> None:
        set_flag(session, f"flag {len(session.state.get('flags', []))}")

    reactions.on_next_best_response, reactions.on_custom = advise, flag
    look = {"hears": "flags", "calls": {"flags": {}}, "then": "{result}"}
    talk = await begin(look, YES, tools=[flags], failed_signals=failed_file)
    await talk.says("Hello")
    await simulate(talk.party, next_best_response="Offer a refund.")
    await simulate(talk.party, custom={"name": "Own", "result": 1})
    assert (await talk.says("Which flags?")).text == "flag 0"
    assert "Offer a refund." in await talk.instructions()
    await simulate(talk.party, custom={"name": "Own", "result": 2})
    assert (await talk.says("Which flags?")).text == "flag 0, flag 1"
    assert await talk.history_text() and "hello" in await talk.history_text()
