"""Transfer of a call to a human: triggers, announcements, the queue, and no available worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from twilio.rest.taskrouter.v1.workspace.task import TaskInstance
from twilio.rest.taskrouter.v1.workspace.task_queue import TaskQueueInstance
from twilio.rest.taskrouter.v1.workspace.workflow import WorkflowInstance

from app import config
from app.connection import Connection
from app.escalation import failures, routing
from app.escalation.enqueue import wait_twiml
from app.escalation.handoff import handoff
from app.escalation.record import FINAL_STATES, MAX_SUMMARY, Payload, Record, Records, State, redact
from app.main import create_app
from app.runtimes import TOOL_FAILED
from app.session import Session
from app.store import InProcess, Store
from app.turn import Turn
from app.turn_end import flushed
from app.voice.phrases import phrases
from app.voice.tests.test_security import setup
from kit import defaults, twiml
from kit.activity import wait_until
from kit.caller import Call, calls_of
from kit.conventions import build_model
from kit.plugin import Web
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.taskrouter import WORKSPACE
from kit.voice_fixtures import Dial, leave, websocket

ASKS = {"hears": "person", "calls": {"transfer_to_human": {"reason": "Billing dispute", "summary": "Charged twice."}}}
YES = {"hears": "", "says": "Yes."}
CALL = "CA" + "1" * 32
CARD = "4111 1111 1111 1111"


@pytest.fixture
def store() -> Store:
    return InProcess()


async def transferred(dial: Dial, store: Store | None = None, account: SimulatedAccount | None = None) -> Call:
    """A call whose caller has asked for a person."""
    call = await dial(ASKS, YES, store=store, account=account)
    await call.says("A person, please")
    await call.wait_for_end()
    return call


class HeldModel:
    """A model that says "A long" and, when `finish` is set, "story."."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()
        self.models = [build_model(FunctionModel(stream_function=self._stream))]

    async def _stream(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        yield "A long "
        await self.finish.wait()
        yield "story."


async def signalled(call: Call, count: int = 1) -> list[asyncio.Task[bool]]:
    """The escalations of so many signals, which wait for the end of the turn."""
    tasks = [asyncio.create_task(call.session.escalate(f"signal {number}")) for number in range(count)]
    await wait_until(lambda: call.session.state.get("escalation"), "no escalation has begun")
    return tasks


async def becomes(store: Store, call_sid: str, state: State) -> Record:
    """The record of a call, once it has reached `state`: an event is handled after its response."""
    async with asyncio.timeout(10):
        while (record := await Records(store).get(call_sid)) is None or record.state is not state:
            await asyncio.sleep(0.002)
    return record


# --- triggers in the conversation -----------------------------------------------------------------------------------


async def test_a_request_for_a_human_is_announced_and_becomes_a_task(dial: Dial, store: Store) -> None:
    call = await transferred(dial, store)
    assert (call.turns[0].text, call.turns[0].tools) == (handoff.CONNECTING, ["transfer_to_human"])
    assert call.workflow == defaults.settings().model_dump()["workflow_sid"]
    assert call.task and (call.task["reason_code"], call.task["summary"]) == ("billing_dispute", "Charged twice.")
    assert (await becomes(store, call.sid, State.QUEUED)).payload.reason_code == "billing_dispute"


async def test_the_handoff_data_is_the_payload(dial: Dial) -> None:
    call = await transferred(dial)
    payload = Payload.model_validate(call.handoff)
    assert (payload.version, payload.channel, payload.reason_code) == (1, "voice", "billing_dispute")
    assert payload.profile_id in (None, call.session.profile_id)  # with or without the Orchestrator


async def test_the_task_has_routing_hints_and_priority(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "routing", lambda session, reason: {"skills": ["gold"], "priority": 7, "vip": True})
    account = SimulatedAccount()
    call = await transferred(dial, account=account)
    assert call.task and (call.task["skills"], call.task["vip"]) == (["gold"], True)
    (task,) = account.taskrouter.tasks.values()
    assert (task["priority"], task["timeout"]) == (7, 300)
    assert json.loads(task["attributes"])["call_sid"] == call.sid


@pytest.mark.parametrize("wrong", [{"priority": -1}, {"skill": "x"}, {"skills": "billing"}, None, 7])
async def test_invalid_routing_does_not_stop_the_transfer(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    monkeypatch.setattr(handoff, "routing", lambda session, reason: wrong)
    call = await transferred(dial)
    assert call.task and call.task["priority"] == 0


async def test_text_before_the_tool_call_comes_first(dial: Dial) -> None:
    call = await dial({"says": "Let me see. " * 100, "calls": {"transfer_to_human": {}}})
    turn = await call.says("A person, please")
    assert turn.text.split() == f"{'Let me see. ' * 100} {handoff.CONNECTING}".split()


@pytest.mark.virtual_time
async def test_the_announcement_waits_for_earlier_text() -> None:
    turn = Turn("A person, please")
    turn.record = [ModelResponse([TextPart("Let me see.")], run_id=turn.run_id)]
    waiting = asyncio.create_task(flushed(turn, phrases.HOLD))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    turn.spoken_text = f"{phrases.HOLD} Let me see."
    await asyncio.wait_for(waiting, 0.1)


async def test_the_model_is_not_asked_again(dial: Dial) -> None:
    call = await dial({**ASKS, "then": "And another thing."})
    assert (await call.says("A person, please")).text == handoff.CONNECTING


@pytest.mark.parametrize("topic", handoff.SENSITIVE)
async def test_a_sensitive_topic_does_not_wait_for_the_model(dial: Dial, topic: str) -> None:
    call = await dial({"hangs": True})
    turn = await call.says(f"I must say {topic.upper()} today")
    await call.wait_for_end()
    assert (turn.text, turn.models) == (handoff.CONNECTING, [])
    assert call.task and (call.task["reason_code"], call.task["summary"]) == ("sensitive_topic", "")


async def test_failures_in_a_row_bring_a_human(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "FAILURES", 2)
    call = await dial({"hears": "fine", "says": "Yes."}, {"hears": "", "fails": True})
    assert [(await call.says(text)).text for text in ("One", "fine", "Two", "Three")] == [
        phrases.APOLOGY,
        "Yes.",
        phrases.APOLOGY,
        phrases.APOLOGY,
    ]
    assert (await call.says("Four")).text == handoff.CONNECTING
    await call.wait_for_end()
    assert call.task and call.task["reason_code"] == "repeated_failure"


async def test_failures_can_be_left_to_the_model(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "FAILURES", 0)
    call = await dial({"fails": True})
    for _ in range(4):
        assert (await call.says("Hello")).text == phrases.APOLOGY


def test_a_tool_that_fails_is_a_failure() -> None:
    asked = ModelRequest([UserPromptPart("Where is it?")])
    failed = ModelRequest([ToolReturnPart("look_up", TOOL_FAILED.format("ValueError"), "1")])
    done = ModelRequest([ToolReturnPart("look_up", "It is here.", "1")])
    said = ModelResponse([TextPart("Well.")])
    assert failures([asked, failed, said], phrases.APOLOGY) == 1
    assert failures([asked, failed, said, asked, failed, said], phrases.APOLOGY) == 2
    assert failures([asked, failed, said, asked, done, said], phrases.APOLOGY) == 0
    assert failures([], phrases.APOLOGY) == 0


# --- a signal, from outside the conversation ------------------------------------------------------------------------


@pytest.mark.parametrize("spoken", [[], ["Hello"]], ids=["before the first words", "between two turns"])
async def test_a_signal_transfers_the_caller_after_an_announcement(dial: Dial, spoken: list[str]) -> None:
    call = await dial(YES)
    for text in spoken:
        await call.says(text)
    assert await call.session.escalate("falling_sentiment", "The caller is angry.")
    await call.wait_for_end()
    assert call.remarks == [handoff.CONNECTING]
    assert call.task and call.task["reason_code"] == "falling_sentiment"


async def test_a_signal_lets_the_agent_finish(dial: Dial) -> None:
    model = HeldModel()
    call = await dial(models=model.models)
    turn = await call.begins("Tell me")
    await call.hears("long")
    (escalating,) = await signalled(call)
    model.finish.set()
    assert await escalating
    await call.wait_for_end()
    assert turn.text == "A long story."
    assert call.remarks == [handoff.CONNECTING]
    assert [frame["type"] for frame in call.frames[-3:]] == ["text", "text", "end"]


async def test_two_signals_are_one_transfer(dial: Dial) -> None:
    model = HeldModel()
    call = await dial(models=model.models)
    await call.begins("Tell me")
    await call.hears("long")
    escalating = await signalled(call, 2)
    model.finish.set()
    assert all(await asyncio.gather(*escalating))
    await call.wait_for_end()
    assert call.remarks == [handoff.CONNECTING]
    assert [frame["type"] for frame in call.frames].count("end") == 1


async def test_a_signal_that_waits_does_not_transfer_a_caller_twice(dial: Dial) -> None:
    call = await dial(models=HeldModel().models)
    await call.begins("Tell me")
    await call.hears("long")
    (escalating,) = await signalled(call)
    await call.says("Stop it")
    await call.wait_for_end()
    assert await escalating
    parts = [part for message in call.session.history for part in message.parts]
    said = " ".join(part.content for part in parts if isinstance(part, TextPart))
    assert (call.turns[-1].text, said.count(handoff.CONNECTING)) == (handoff.CONNECTING, 1)


async def test_a_signal_reaches_a_call_that_came_back(dial: Dial) -> None:
    call = await dial(YES)
    call.session.actions.clear()  # as in another server process
    await call.drops()
    await wait_until(lambda: call.session.actions, "the call did not come back")
    assert await call.session.escalate("falling_sentiment")
    await call.wait_for_end()
    assert call.task


async def test_a_signal_after_the_hang_up_is_refused(dial: Dial, store: Store) -> None:
    call = await dial(YES, store=store)
    session = call.session
    await call.hangs_up()
    assert not await session.escalate("falling_sentiment")
    assert await Records(store).get(call.sid) is None


async def test_your_own_tool_may_escalate(dial: Dial) -> None:
    async def give_up() -> str:
        """Give up."""
        from app.session import this_session

        return str(await this_session().escalate("gave_up"))

    call = await dial({"calls": {"give_up": {}}}, tools=[give_up])
    await call.says("Hello")
    await call.wait_for_end()
    assert call.task and call.task["reason_code"] == "gave_up"


# --- the caller speaks, hangs up or drops on the way ----------------------------------------------------------------


async def test_a_caller_who_speaks_before_the_transfer_is_transferred(dial: Dial) -> None:
    call = await dial({"hangs": True})
    record = Record(payload=Payload(reason_code="caller_asked"), state=State.BRIEFING)
    call.session.state["escalation"] = record.model_dump(mode="json")
    assert (await call.says("Thank you")).text == handoff.CONNECTING
    await call.wait_for_end()
    assert call.task and call.task["reason_code"] == "caller_asked"


async def test_an_interruption_of_the_announcement_does_not_stop_the_transfer(dial: Dial) -> None:
    call = await transferred(dial)
    assert await call.interrupts(after=handoff.CONNECTING[:8]) == handoff.CONNECTING[:8]
    assert call.task and call.queue


async def test_the_escalation_of_a_caller_who_hangs_up_before_the_queue_is_abandoned(dial: Dial, store: Store) -> None:
    call = await dial(YES, store=store)
    record = Record(payload=Payload(reason_code="caller_asked"), state=State.BRIEFING)
    call.session.state["escalation"] = record.model_dump(mode="json")
    await Records(store).put(call.sid, record)
    await call.hangs_up()
    await becomes(store, call.sid, State.ABANDONED)


async def test_a_goodbye_is_no_transfer(dial: Dial, store: Store) -> None:
    call = await dial({"calls": {"leave": {"reason": "done"}}}, tools=[leave], store=store)
    await call.says("Goodbye")
    await call.wait_for_end()
    assert call.task is None and call.farewell.endswith(phrases.GOODBYE)
    assert await Records(store).get(call.sid) is None


async def test_a_transferred_call_does_not_come_back_to_the_agent(dial: Dial) -> None:
    call = await transferred(dial)
    await call.account.simulate(call, {"taskrouter": "accepted"})
    socket = await websocket(call.address)
    await socket.send(setup(call.sid))
    await asyncio.wait_for(socket.wait_closed(), 10)
    assert call.app.state.conversations.active == 0


class Broken(InProcess):
    """A store that takes forever for escalations."""

    async def get(self, key: str) -> str | None:
        return await (asyncio.Event().wait() if key.startswith("escalation") else super().get(key))  # type: ignore[return-value]

    async def put(self, key: str, value: str, seconds: float) -> None:
        await (asyncio.Event().wait() if key.startswith("escalation") else super().put(key, value, seconds))


async def test_a_store_that_hangs_does_not_stop_the_transfer(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.escalation.record.STORE_TIMEOUT", 0.01)
    call = await transferred(dial, Broken())
    await call.account.simulate(call, {"taskrouter": "no_worker"})
    assert call.task and handoff.NO_WORKER in call.farewell


async def test_another_server_can_put_the_caller_in_the_queue(store: Store) -> None:
    """The session's own state may be older than the transfer there."""
    app = create_app(defaults.settings(), [scripted(YES)], [], store=store, transport=SimulatedAccount().transport)
    await calls_of(app).start(CALL, caller=defaults.CALLER, called=defaults.CALLED, connection=Connection())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        form = {"CallSid": CALL, "CallStatus": "in-progress", "SessionStatus": "ended"}
        data = Payload(reason_code="caller_asked").model_dump_json()
        answer = await Web(http).post("/connect-action", {**form, "HandoffData": data})
    assert twiml.read(answer.text).queue
    assert (await becomes(store, CALL, State.QUEUED)).payload.reason_code == "caller_asked"


class Shared(InProcess):
    shared = True


@pytest.mark.parametrize("store", [Shared(), None], ids=["with a shared store", "without"])
async def test_a_call_transferred_by_another_server_stays_in_the_queue(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, store: Store | None
) -> None:
    call = await dial(ASKS, YES, store=store)
    app = create_app(defaults.settings(), [scripted(YES)], [], store=store, transport=SimulatedAccount().transport)
    answers: list[twiml.Document] = []
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:

        async def post(path: str, form: dict[str, str]) -> str:
            answers.append(twiml.read((await Web(http).post(path, form)).text))
            answers.append(twiml.read((await Web(http).post("/escalation/wait", {"CallSid": call.sid})).text))
            return "<Response><Hangup/></Response>"

        monkeypatch.setattr(call, "post", post)
        await call.says("A person, please")
        await call.wait_for_end()
    after, waiting = answers
    assert after.queue and waiting.verbs[0] == "Say"


@pytest.mark.virtual_time
async def test_a_store_that_is_slow_for_other_calls_does_not_stop_the_transfer() -> None:
    app = create_app(defaults.settings(), [scripted(YES)], [], store=Broken(), transport=SimulatedAccount().transport)
    await calls_of(app).start(CALL, caller=defaults.CALLER, called=defaults.CALLED, connection=Connection())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        others = [
            asyncio.create_task(
                Web(http).post(
                    "/webhooks/taskrouter",
                    {"EventType": "task.created", "Sid": f"EV{each}", "TaskAttributes": f'{{"call_sid": "CA{each}"}}'},
                )
            )
            for each in range(5)
        ]
        await asyncio.sleep(0.05)
        form = {"CallSid": CALL, "CallStatus": "in-progress", "SessionStatus": "ended"}
        data = Payload(reason_code="caller_asked").model_dump_json()
        answer = await Web(http).post("/connect-action", {**form, "HandoffData": data})
        await asyncio.gather(*others)
    assert twiml.read(answer.text).queue


# --- the outcome ----------------------------------------------------------------------------------------------------


async def test_a_human_accepts_and_completes(dial: Dial, store: Store) -> None:
    call = await transferred(dial, store)
    assert call.farewell == handoff.WAITING
    await call.account.simulate(call, {"taskrouter": "accepted"})
    await becomes(store, call.sid, State.ACCEPTED)
    await call.account.simulate(call, {"taskrouter": "completed"})
    await becomes(store, call.sid, State.COMPLETED)
    assert (call.ended_by, call.farewell) == ("human", f"{handoff.WAITING} {phrases.GOODBYE}")


@pytest.mark.parametrize(
    ("event", "state"),
    [("no_worker", State.TIMED_OUT), ("queue_full", State.NO_WORKER_AVAILABLE), ("error", State.NO_WORKER_AVAILABLE)],
)
async def test_without_a_worker_the_caller_can_leave_a_message(
    dial: Dial, store: Store, monkeypatch: pytest.MonkeyPatch, event: str, state: State
) -> None:
    calls: list[Any] = []

    async def follow_up(*args: Any) -> None:
        calls.append(args)

    monkeypatch.setattr(handoff, "follow_up", follow_up)
    monkeypatch.setattr(handoff, "WAY_OUT", "voicemail")
    monkeypatch.setattr(config, "VOICEMAIL", True)
    call = await transferred(dial, store)
    await call.account.simulate(call, {"taskrouter": event})
    record = await becomes(store, call.sid, state)
    assert (record.way_out, str(record.recording)[:23]) == ("voicemail", "https://api.twilio.com/")
    assert call.farewell.endswith(f"{handoff.CALL_BACK} {phrases.GOODBYE}")
    assert f"{handoff.NO_WORKER} {handoff.MESSAGE}" in call.farewell
    ((caller, task, recording),) = calls
    assert (caller, task["reason_code"], recording) == (defaults.CALLER, "billing_dispute", record.recording)


async def test_where_no_voicemail_may_be_left_a_call_back_is_promised(
    dial: Dial, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff, "WAY_OUT", "voicemail")
    monkeypatch.setattr(config, "VOICEMAIL", False)
    call = await transferred(dial, store)
    await call.account.simulate(call, {"taskrouter": "no_worker"})
    assert call.farewell.endswith(f"{handoff.NO_WORKER} {handoff.CALL_BACK}")
    assert (await becomes(store, call.sid, State.TIMED_OUT)).way_out == "callback"


async def test_without_a_worker_a_call_back_can_be_promised(
    dial: Dial, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    async def follow_up(*args: Any) -> None:
        calls.append(args)
        raise RuntimeError("the ticket system is down")

    monkeypatch.setattr(handoff, "follow_up", follow_up)
    monkeypatch.setattr(handoff, "WAY_OUT", "callback")
    call = await transferred(dial, store)
    await call.account.simulate(call, {"taskrouter": "no_worker"})
    assert call.farewell.endswith(f"{handoff.NO_WORKER} {handoff.CALL_BACK}")
    assert (await becomes(store, call.sid, State.TIMED_OUT)).way_out == "callback"
    assert [caller for caller, *_ in calls] == [defaults.CALLER]


async def test_a_caller_hears_at_once_that_the_queue_is_full(dial: Dial) -> None:
    account = SimulatedAccount()
    account.set_state({"taskrouter": {"full": True}})
    call = await dial(ASKS, account=account)
    await call.says("A person, please")
    await call.wait_for_end()
    assert handoff.NO_WORKER in call.farewell and handoff.WAITING not in call.farewell


async def test_the_escalation_of_a_caller_who_hangs_up_in_the_queue_is_abandoned(dial: Dial, store: Store) -> None:
    call = await transferred(dial, store)
    await call.hangs_up()
    await becomes(store, call.sid, State.ABANDONED)
    assert (call.ended_by, call.farewell) == ("caller", handoff.WAITING)


# --- the addresses --------------------------------------------------------------------------------------------------


class Desk:
    """An app with one escalation, as Twilio's webhooks see it."""

    def __init__(self, web: Web, store: Store) -> None:
        self.web = web
        self.store = store

    async def has_state(self, state: State) -> None:
        await Records(self.store).put(CALL, Record(payload=Payload(reason_code="x"), state=state))

    async def post(self, path: str, **form: str) -> twiml.Document:
        return twiml.read((await self.web.post(path, {"CallSid": CALL, "CallStatus": "in-progress", **form})).text)

    async def event(self, event: str, **form: str) -> int:
        form = {"EventType": event, "TaskAttributes": json.dumps({"call_sid": CALL}), **form}
        return (await self.web.post("/webhooks/taskrouter", form)).status_code

    async def state(self) -> State | None:
        record = await Records(self.store).get(CALL)
        return record.state if record else None


@pytest.fixture
async def desk(store: Store) -> AsyncGenerator[Desk]:
    app = create_app(defaults.settings(), [scripted(YES)], [], store=store, transport=SimulatedAccount().transport)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        yield Desk(Web(http), store)


PATHS = [
    "/escalation/wait",
    "/escalation/after",
    "/escalation/voicemail",
    "/webhooks/taskrouter",
    "/webhooks/taskrouter/assignment",
]


@pytest.mark.parametrize("path", PATHS)
async def test_an_unsigned_request_is_refused(desk: Desk, path: str) -> None:
    assert (await desk.web.post(path, {"CallSid": CALL}, signature="")).status_code == 403
    assert (await desk.web.post(path, {"CallSid": CALL}, signature="x")).status_code == 403


@pytest.mark.parametrize(
    ("state", "waited", "verb"),
    [
        (State.QUEUED, "0", "Say"),
        (State.QUEUED, "299", "Say"),
        (State.QUEUED, "300", "Leave"),
        (None, "300", "Leave"),
        (None, "", "Say"),
        (None, "soon", "Say"),
        (State.ACCEPTED, "301", "Say"),
        (State.ACCEPTED, "360", "Leave"),
        (State.TIMED_OUT, "1", "Leave"),
        (State.COMPLETED, "1", "Leave"),
        (State.ABANDONED, "1", "Say"),  # set by a server process that had the call before
        (State.ABANDONED, "300", "Leave"),
    ],
)
async def test_a_caller_leaves_the_queue_at_the_timeout(
    desk: Desk, state: State | None, waited: str, verb: str
) -> None:
    if state:
        await desk.has_state(state)
    document = await desk.post("/escalation/wait", QueueTime=waited)
    assert document.verbs[0] == verb
    if verb == "Leave" and state is State.QUEUED:
        assert await desk.state() is State.TIMED_OUT


async def test_music_is_played_between_announcements(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "MUSIC", "https://agent.example/music.mp3")
    assert (await desk.post("/escalation/wait")).verbs == ["Say", "Play"]


@pytest.mark.parametrize("state", [None, State.QUEUED, State.ACCEPTED, State.COMPLETED])
@pytest.mark.parametrize(
    "result", ["", "queue-full", "error", "system-error", "redirected", "leave", "timeout", "new-in-2027"]
)
async def test_the_caller_hears_an_announcement_after_the_queue(desk: Desk, state: State | None, result: str) -> None:
    if state:
        await desk.has_state(state)
    document = await desk.post("/escalation/after", QueueResult=result)
    accepted = result == "redirected" and state in (State.ACCEPTED, State.COMPLETED)
    assert document.said.startswith(phrases.GOODBYE if accepted else handoff.NO_WORKER)


@pytest.mark.parametrize("result", ["bridged", "redirected-from-bridged"])
async def test_the_caller_hears_a_goodbye_after_the_human(desk: Desk, result: str) -> None:
    await desk.has_state(State.QUEUED)  # no event of the acceptance has come
    document = await desk.post("/escalation/after", QueueResult=result)
    assert (document.said, document.verbs) == (phrases.GOODBYE, ["Say", "Hangup"])
    assert await desk.state() is State.COMPLETED


@pytest.mark.parametrize("result", ["hangup", "bridged", "error", ""])
async def test_a_caller_who_has_hung_up_gets_no_announcement(desk: Desk, result: str) -> None:
    assert (await desk.post("/escalation/after", QueueResult=result, CallStatus="completed")).verbs == []


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["task.created", "task-queue.entered"], State.QUEUED),
        (["task-queue.entered", "reservation.accepted"], State.ACCEPTED),
        (["reservation.accepted", "task-queue.entered"], State.ACCEPTED),
        (["task.completed", "reservation.accepted"], State.COMPLETED),
        (["reservation.accepted", "workflow.timeout"], State.ACCEPTED),
        (["workflow.timeout", "reservation.accepted"], State.TIMED_OUT),
        (["worker.activity.update"], State.BRIEFING),
    ],
)
async def test_events_in_any_order_move_the_state_forward_only(desk: Desk, events: list[str], state: State) -> None:
    await desk.has_state(State.BRIEFING)
    assert [await desk.event(event) for event in events] == [204] * len(events)
    assert await desk.state() is state


async def test_a_task_that_was_cancelled_because_the_caller_hung_up_is_abandoned(desk: Desk) -> None:
    await desk.has_state(State.QUEUED)
    await desk.event("task.canceled", TaskCanceledReason="hangup")
    assert await desk.state() is State.ABANDONED


async def test_an_event_that_comes_twice_acts_once(desk: Desk) -> None:
    await desk.has_state(State.QUEUED)
    await desk.event("reservation.accepted", Sid="EV1")
    await desk.has_state(State.QUEUED)
    await desk.event("reservation.accepted", Sid="EV1")
    assert await desk.state() is State.QUEUED


async def test_every_event_may_come_twice(dial: Dial, store: Store) -> None:
    account = SimulatedAccount()
    account.set_state({"taskrouter": {"repeats": 2}})
    call = await transferred(dial, store, account)
    await call.account.simulate(call, {"taskrouter": "accepted"})
    await becomes(store, call.sid, State.ACCEPTED)


@pytest.mark.parametrize("attributes", ["", "{", "[]", "{}", '{"call_sid": null}', '{"call_sid": "CA2"}'])
async def test_an_event_of_an_unknown_call_is_answered(desk: Desk, attributes: str) -> None:
    assert await desk.event("task.created", TaskAttributes=attributes) == 204


async def test_without_flex_the_assignment_calls_the_worker(desk: Desk) -> None:
    form = {"TaskAttributes": json.dumps({"call_sid": CALL, "to": defaults.CALLED})}
    answer = await desk.web.post("/webhooks/taskrouter/assignment", form)
    assert answer.json() == {"instruction": "dequeue", "from": defaults.CALLED}


async def test_no_personal_data_is_logged(dial: Dial, logged: Callable[[], str], store: Store) -> None:
    call = await transferred(dial, store)
    await call.account.simulate(call, {"taskrouter": "no_worker"})
    await becomes(store, call.sid, State.TIMED_OUT)
    assert "queued" in logged() and not [said for said in (defaults.CALLER, "Charged", "twice") if said in logged()]


# --- the payload ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        CARD,
        "4111-1111-1111-1111",
        "4111111111111111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "378282246310005",
        "order 5 4111 1111 1111 1111",
        "123-45-6789",
        "123 45 6789",
        "123456789",
    ],
)
def test_card_and_social_security_numbers_are_redacted(text: str) -> None:
    payload = Payload(reason_code=f"lost {text}", summary=f"My number is {text}, thanks.")
    kept = payload.model_dump_json()
    assert "number]" in payload.summary and payload.summary.endswith(", thanks.")
    assert not any(digits in kept.replace(" ", "").replace("-", "") for digits in ("411111", "378282", "456789"))


@pytest.mark.parametrize(
    "text", ["order 4711", "+15005550006", "1234 5678 9012", "part 1234567890123", "at 12:30 on 3 March 2026"]
)
def test_other_numbers_are_not_redacted(text: str) -> None:
    assert redact(text) == text


def test_a_summary_is_limited_in_length() -> None:
    assert len(Payload(reason_code="x", summary="long " * 1000).summary) == MAX_SUMMARY


def test_a_reason_is_valid_in_an_expression() -> None:
    assert Payload(reason_code="Wants a re-fund!").reason_code == "wants_a_re_fund"
    assert Payload(reason_code="返金").reason_code == "unspecified"
    assert len(Payload(reason_code="x" * 999).reason_code) == 64


@pytest.mark.parametrize(
    "wrong", [{"version": 2}, {"reason_code": "x", "card": "1"}, {"channel": "fax"}, {}, {"reasonCode": "done"}]
)
def test_another_payload_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Payload.model_validate({"reason_code": "x", **wrong} if "version" in wrong or "channel" in wrong else wrong)


def test_attributes_are_flat_and_can_be_named() -> None:
    session = Session(CALL, defaults.CALLER, defaults.CALLED, "en-US", now=lambda: None, conversation_id="conv_1")  # type: ignore[arg-type,return-value]
    attributes = Payload.of(session, "caller_asked", "Hello").attributes()
    assert attributes["conversation_id"] == "conv_1" and attributes["language"] == "en-US"
    assert not any("-" in name or isinstance(value, dict) or value is None for name, value in attributes.items())


def test_a_final_state_does_not_change() -> None:
    for state in FINAL_STATES:
        record = Record(payload=Payload(reason_code="x"), state=state)
        assert not any(record.may_become(each) for each in State)


# --- routing --------------------------------------------------------------------------------------------------------

OWN = Path(__file__).parents[4] / "agent" / "routing.yml"


def test_your_routing_is_valid_for_taskrouter() -> None:
    own = routing.load(OWN)
    sids = {name: f"WQ{number:032d}" for number, name in enumerate(own.queues)}
    built = routing.workflow_configuration(own, sids)["task_routing"]
    assert built["default_filter"]["queue"] in sids.values()
    assert {target["queue"] for each in built["filters"] for target in each["targets"]} <= set(sids.values())


def skills() -> dict[str, Any]:
    """Routing by skill."""
    target = {
        "queue": "billing",
        "expression": "task.language IN worker.languages",
        "order_by": "worker.level DESC",
        "timeout": 60,
        "skip_if": "workers.available == 0",
    }
    rule = {"name": "Billing", "expression": 'skills HAS "billing"', "targets": [target, {"queue": "everyone"}]}
    return {
        "worker": {"skills": ["billing"], "languages": ["en-US"], "level": 1},
        "queues": {"billing": 'skills HAS "billing"', "everyone": "1 == 1"},
        "workflow": {"name": "escalations", "filters": [rule], "default": "everyone"},
    }


def test_a_workflow_is_built_as_taskrouter_reads_it() -> None:
    built = routing.workflow_configuration(routing.read(skills()), {"billing": "WQ1", "everyone": "WQ2"})
    assert built == {
        "task_routing": {
            "filters": [
                {
                    "filter_friendly_name": "Billing",
                    "expression": 'skills HAS "billing"',
                    "targets": [
                        {
                            "queue": "WQ1",
                            "expression": "task.language IN worker.languages",
                            "order_by": "worker.level DESC",
                            "timeout": 60,
                            "skip_if": "workers.available == 0",
                        },
                        {"queue": "WQ2"},
                    ],
                }
            ],
            "default_filter": {"queue": "WQ2"},
        }
    }


GOOD = [
    "1 == 1",
    "vip == true AND priority >= 5",
    '(language == "en-US" OR language == "es-MX") AND NOT vip == true',
    'language IN ["en-US", "es-MX"]',
    'language NOT IN ["en-US"]',
    "skills HAS 'billing'",
    'summary CONTAINS "refund"',
    'skills has "billing" and priority > -1',
]


@pytest.mark.parametrize("expression", GOOD)
def test_an_expression_that_can_match_is_taken(expression: str) -> None:
    routing.read(with_rule(expression=expression))


def with_rule(**changes: Any) -> dict[str, Any]:
    data = skills()
    data["workflow"]["filters"][0].update(changes)
    return data


def with_target(**changes: Any) -> dict[str, Any]:
    data = skills()
    data["workflow"]["filters"][0]["targets"][0].update(changes)
    return data


def without(*path: str) -> dict[str, Any]:
    data = inner = skills()
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return data


WRONG: dict[str, tuple[Any, str]] = {
    "HAS on a text": (
        with_rule(expression='language HAS "en-US"'),
        "HAS needs a list, and language is not a list: use ==",
    ),
    "== on a list": (
        with_rule(expression='skills == "billing"'),
        "skills is a list and never equals anything: use HAS",
    ),
    "IN on a text": (with_rule(expression='"en" IN language'), "IN needs a list, and language is not a list"),
    "CONTAINS on a list": (
        with_rule(expression='skills CONTAINS "x"'),
        "CONTAINS needs a text, and skills is not a text",
    ),
    "a hyphen": (with_rule(expression="reason-code == 'x'"), "'-' is not allowed: use underscores in names"),
    "one sign": (with_rule(expression="vip = true"), "'=' is not allowed: write =="),
    "a pattern": (with_rule(expression="language =~ /en/"), "is not allowed"),
    "a misspelt name": (with_rule(expression='skill HAS "x"'), "skill is no attribute: take skills"),
    "a misspelt worker": (
        with_target(expression="worker.skils HAS 'x'"),
        "worker.skils is no attribute: take worker.skills",
    ),
    "no comparison": (with_rule(expression="vip"), "is no comparison"),
    "an open bracket": (with_rule(expression="(vip == true"), "')' is missing: write )"),
    "an open list": (with_rule(expression='language IN ["en-US"'), "a list is not closed: write ]"),
    "half a comparison": (with_rule(expression="priority >"), "a value is missing at the end"),
    "two comparisons": (with_rule(expression="vip == true priority > 1"), "join comparisons with AND or OR"),
    "nothing": (with_rule(expression=""), "a value is missing"),
    "an unknown queue": (with_target(queue="biling"), "there is no queue 'biling': take one of billing, everyone"),
    "an unknown default": (
        {**skills(), "workflow": {"name": "x", "filters": [], "default": "all"}},
        "workflow.default: there is no queue 'all'",
    ),
    "no default": (without("workflow", "default"), "workflow.default: "),
    "no queues": ({**skills(), "queues": {}}, "queues: "),
    "a rule without targets": (with_rule(targets=[]), "workflow.filters.0.targets: "),
    "an order of nothing": (
        with_target(order_by="worker.level"),
        "'worker.level' is no order: write worker.level DESC",
    ),
    "an order of texts": (with_target(order_by="worker.skills ASC"), "worker.skills is no integer in `worker`"),
    "a skip of nothing": (with_target(skip_if="workers.free == 0"), "workers.free is no attribute"),
    "a worker with a hyphen": ({**skills(), "worker": {"first-name": "x"}}, "write first_name"),
    "a timeout of nothing": (with_target(timeout=0), "workflow.filters.0.targets.0.timeout: 0 is invalid"),
    "a list": ([1], "routing.yml: 'list' is invalid"),
}


@pytest.mark.parametrize(("data", "reason"), WRONG.values(), ids=WRONG.keys())
def test_routing_that_can_match_no_worker_is_refused(data: Any, reason: str) -> None:
    with pytest.raises(routing.RoutingError) as error:
        routing.read(data)
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_routing_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "routing.yml"
    path.write_text("queues: [", encoding="utf-8")
    with pytest.raises(routing.RoutingError, match=r"^routing.yml: not YAML"):
        routing.load(path)


# --- the simulated TaskRouter ---------------------------------------------------------------------------------------


async def asked(account: SimulatedAccount, method: str, path: str, **form: str) -> Any:
    async with httpx2.AsyncClient(
        transport=account.transport, auth=(defaults.ACCOUNT_SID, defaults.AUTH_TOKEN)
    ) as http:
        answer = await http.request(method, f"https://taskrouter.twilio.com{path}", data=form or None)
    assert answer.status_code in (200, 201)
    return answer.json()


async def test_the_helper_library_reads_the_simulated_account_of_transfers(dial: Dial) -> None:
    account = SimulatedAccount()
    call = await transferred(dial, account=account)
    (sid,) = account.taskrouter.tasks
    at = f"/v1/Workspaces/{WORKSPACE}"
    version: Any = None
    task = TaskInstance(version, await asked(account, "GET", f"{at}/Tasks/{sid}"), WORKSPACE)
    assert task.sid == sid and json.loads(task.attributes or "")["call_sid"] == call.sid
    assert task.date_created and task.assignment_status == "pending"
    made = await asked(
        account, "POST", f"{at}/Tasks", Attributes='{"skill": "x"}', Priority="3", WorkflowSid=call.workflow
    )
    assert TaskInstance(version, made, WORKSPACE).priority == 3
    queue = await asked(account, "POST", f"{at}/TaskQueues", FriendlyName="everyone", TargetWorkers="1 == 1")
    assert TaskQueueInstance(version, queue, WORKSPACE).target_workers == "1 == 1"
    workflow = await asked(account, "POST", f"{at}/Workflows", FriendlyName="escalations", Configuration="{}")
    workflow = await asked(account, "GET", f"{at}/Workflows/{workflow['sid']}")
    assert WorkflowInstance(version, workflow, WORKSPACE).configuration == "{}"


async def test_an_impossible_event_of_a_task_is_an_error(dial: Dial) -> None:
    call = await dial(YES)
    for event, reason in (("eaten", "cannot be 'eaten'"), ("accepted", "waits in no queue")):
        with pytest.raises(ValueError, match=reason):
            await call.account.simulate(call, {"taskrouter": event})
    with pytest.raises(ValueError, match="is given workers"):
        SimulatedAccount().set_state({"taskrouter": {"workers": 3}})


async def test_a_caller_who_never_leaves_the_queue_is_a_problem(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await transferred(dial)
    monkeypatch.setattr("app.escalation.enqueue.leave_twiml", wait_twiml)
    await call.account.simulate(call, {"taskrouter": "no_worker"})
    assert "waits for ever" in call.problems.pop()


ENQUEUE = '<Response><Enqueue workflowSid="WW{}"{}>{}</Enqueue></Response>'
TWIML: dict[str, tuple[str, str]] = {
    "an attribute with a hyphen": ('<Task>{"re-ason": 1}</Task>', "use underscores"),
    "attributes that are none": ("<Task>billing</Task>", "must hold a JSON object"),
    "a misspelt attribute": ('<Task prioritty="1">{}</Task>', "prioritty> is not an attribute"),
    "words in a queue": ("<Say>Hello</Say>", "<Say> cannot stand in <Enqueue>"),
}


@pytest.mark.parametrize(("task", "reason"), TWIML.values(), ids=TWIML.keys())
def test_a_task_that_twilio_would_refuse_is_an_error(task: str, reason: str) -> None:
    with pytest.raises(twiml.TwimlError) as error:
        twiml.read(ENQUEUE.format("0" * 32, "", task))
    assert reason in str(error.value)


def test_a_queue_is_read_from_twiml() -> None:
    text = ENQUEUE.format("0" * 32, ' action="https://a.example/x"', '<Task priority="5" timeout="9">{"a": 1}</Task>')
    queue = twiml.read(text).queue
    assert queue == twiml.Queue("WW" + "0" * 32, "https://a.example/x", None, {"a": 1}, priority=5, timeout=9)
