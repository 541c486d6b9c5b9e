"""Calls with Azure Voice Live: the items of its conversation, WebSockets, failures and tools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from app.environment import SettingsError, load
from app.runtimes.tests.interruptions import DEADLINE, LIMIT, until
from app.runtimes.voice_live import VoiceLive, VoiceLiveSocket
from app.runtimes.voice_live.fake import KEY, Conversation, ErrorEvent
from app.session import Session
from app.turn import Turn
from app.voice.phrases import phrases
from kit import defaults
from kit.caller import Call
from kit.conventions import build_model
from kit.scripted_model import last_exchange, scripted, tool_calls
from kit.voice_fixtures import Dial

NUMBERS = [{"hears": str(number), "says": f"This is {number}."} for number in range(2, 6)]
LONG = {"hears": "everything", "says": "One two three four five six seven eight nine ten.", "word_delay": 0.02}
CANCEL_TIMEOUT = 10.0  # seconds; only `advance_clock` makes them pass


@pytest.fixture(autouse=True)
def long_cancel_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.runtimes.voice_live.CANCEL_TIMEOUT", CANCEL_TIMEOUT)


def texts(conversation: Conversation) -> list[str]:
    """The texts of the items that the service holds."""
    messages = [item["content"] for item in conversation.items.values() if item["type"] == "message"]
    return ["".join(part["text"] for part in content).strip() for content in messages]


async def three_more_turns(call: Call) -> None:
    assert [(await call.says(f"And {number}?")).text for number in (2, 3, 4)] == [
        "This is 2.",
        "This is 3.",
        "This is 4.",
    ]


# --- items of the conversation ------------------------------------------------------------------------------------


async def test_tokens_are_sent_as_they_arrive(dial: Dial) -> None:
    more = asyncio.Event()

    async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "One "
        await more.wait()
        yield "two three."

    call = await dial(models=[build_model(FunctionModel(stream_function=script))])
    turn = await call.begins("Count")
    await call.hears("One")
    more.set()
    assert (await call.hears_reply(turn)).text == "One two three."


async def test_a_call_has_one_websocket_which_opens_before_the_first_turn(dial: Dial) -> None:
    model = scripted(*NUMBERS)
    call = await dial(models=[model])
    await until(lambda: model.sockets)
    await three_more_turns(call)
    (conversation,) = model.service.conversations
    assert len(conversation.sent("session.update")) == 1
    assert len(conversation.sent("conversation.item.create")) == 3
    await call.hangs_up()
    await until(lambda: model.sockets[0].websocket.close_code)


async def test_an_interruption_cancels_the_response_and_keeps_the_websocket(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    await three_more_turns(call)
    (conversation,) = model.service.conversations
    assert len(conversation.sent("response.cancel")) == 1


async def test_the_service_holds_only_text_that_the_caller_heard(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    await call.says("2")
    assert texts(model.service.conversations[0]) == ["everything", "One two", "2", "This is 2."]


async def test_a_prompt_without_an_interruption_cancels_the_response(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)
    call = await dial(models=[model])
    await call.begins("everything")
    await call.hears("two")
    await three_more_turns(call)
    assert "late" not in str(call.session.history)


async def test_a_requested_response_is_cancelled_when_it_begins(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)
    begins = asyncio.Event()

    async def create_slowly(conversation: Conversation) -> None:
        del model.service.handlers["response.create"]
        await begins.wait()
        await conversation.take({"type": "response.create"})

    model.service.handlers["response.create"] = create_slowly
    call = await dial(models=[model])
    await call.begins("everything")
    await until(lambda: model.service.conversations and model.service.conversations[0].sent("response.create"))
    turn = await call.begins("And 5?")
    await until(lambda: call.session.turn.user_text == "And 5?" and call.session.turn.record)
    begins.set()
    assert (await call.hears_reply(turn)).text == "This is 5."
    await three_more_turns(call)
    (conversation,) = model.service.conversations
    assert len(conversation.sent("response.cancel")) == 1


async def test_a_late_cancellation_is_not_a_failure(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)

    async def too_late(conversation: Conversation) -> None:
        assert conversation.response
        await conversation.response
        raise ErrorEvent("response_cancel_not_active", "Cancellation failed: no active response found")

    model.service.handlers["response.cancel"] = too_late
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    await three_more_turns(call)
    assert len(model.sockets) == 1


async def test_a_response_that_does_not_stop_is_left_with_its_websocket(
    dial: Dial, advance_clock: Callable[[float], None]
) -> None:
    model = scripted({**LONG, "word_delay": 60.0}, *NUMBERS)

    async def deaf(conversation: Conversation) -> None:
        """Ignore the event."""

    model.service.handlers["response.cancel"] = deaf
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="One")
    await until(lambda: model.service.conversations[0].sent("response.cancel"))
    advance_clock(CANCEL_TIMEOUT)
    await three_more_turns(call)
    await until(lambda: model.sockets[0].websocket.close_code)
    assert len(model.sockets) == 2


async def test_text_that_the_agent_said_by_itself_is_added_to_the_items(dial: Dial) -> None:
    model = scripted(*NUMBERS)
    call = await dial(models=[model])
    await call.says("2")
    call.session.history.append(m.ModelResponse([m.TextPart("One more thing.")]))  # as `Session.say` does
    await call.says("3")
    assert texts(model.service.conversations[0]) == ["One more thing.", "2", "This is 2.", "3", "This is 3."]


async def test_a_websocket_that_closes_between_two_turns_is_replaced(dial: Dial) -> None:
    model = scripted({"hears": "look", "calls": {"look": {}}, "then": "It is {result}."}, *NUMBERS)
    call = await dial(models=[model], tools=[look])
    assert (await call.says("look")).text == "It is here."
    await model.sockets[0].websocket.close()
    assert (await call.says("2")).text == "This is 2."
    again = model.service.conversations[1]
    assert texts(again) == ["look", "It is here.", "2", "This is 2."]
    assert [item["type"] for item in again.items.values()][1:3] == ["function_call", "function_call_output"]


async def test_a_call_that_resumes_keeps_its_websocket() -> None:
    model = scripted({"says": "Yes."})
    voice_live = VoiceLive([model], 5.0)
    await voice_live.warm_up()
    voice_live.on_connect(session("CA1"))
    await until(lambda: model.sockets)
    ready = dict(voice_live.sockets.ready)
    voice_live.on_connect(session("CA1"))
    assert voice_live.sockets.ready == ready and len(ready) == 1
    await voice_live.close()
    assert model.sockets[0].websocket.close_code


def session(id: str) -> Session:
    return Session(id, defaults.CALLER, defaults.CALLED, "en-US", now=lambda: datetime.now(UTC))


async def test_the_url_has_version_and_model_and_no_key(dial: Dial) -> None:
    model = scripted({"says": "Yes."})
    await (await dial(models=[model])).says("Hello")
    assert model.service.paths == ["/voice-live/realtime?api-version=2026-07-15&model=scripted"]


# --- failures -------------------------------------------------------------------------------------------------------

Event = Callable[[Conversation], Awaitable[None]]


async def rejects(conversation: Conversation) -> None:
    raise ErrorEvent("rate_limit_exceeded", "secret")


async def sends_an_unknown_code(conversation: Conversation) -> None:
    raise ErrorEvent("a secret of the caller", "a secret of the caller")


async def fails(conversation: Conversation) -> None:
    await conversation.send("response.created", response={"id": "resp_1"})
    error = {"type": "server_error", "code": "model_error", "message": "a secret of the caller"}
    ended = {"id": "resp_1", "status": "failed", "status_details": {"type": "failed", "error": error}, "output": []}
    await conversation.send("response.done", response=ended)


async def disconnects(conversation: Conversation) -> None:
    await conversation.socket.close()


async def sends_invalid_json(conversation: Conversation) -> None:
    await conversation.socket.send("a secret of the caller")


FAILURES = [rejects, sends_an_unknown_code, fails, disconnects, sends_invalid_json]


@pytest.mark.parametrize("broken", FAILURES)
async def test_a_failure_of_the_service_ends_in_an_apology(
    dial: Dial, logged: Callable[[], str], broken: Event
) -> None:
    model = scripted({"says": "Yes."})
    model.service.handlers["response.create"] = broken
    call = await dial(models=[model], deadline=DEADLINE)
    assert (await call.says("Hello")).text == phrases.APOLOGY
    log = logged()
    assert "model.failed" in log and "secret" not in log and KEY not in log


async def test_the_log_has_the_close_code_of_a_websocket(dial: Dial, logged: Callable[[], str]) -> None:
    async def disconnects_with_a_reason(conversation: Conversation) -> None:
        await conversation.socket.close(4003, "a secret of the caller")

    model = scripted({"says": "Yes."})
    model.service.handlers["response.create"] = disconnects_with_a_reason
    call = await dial(models=[model])
    assert (await call.says("Hello")).text == phrases.APOLOGY
    assert "ConnectionClosedError 4003" in logged() and "secret" not in logged()


@pytest.mark.parametrize("broken", FAILURES)
async def test_the_second_model_answers_when_the_first_fails(dial: Dial, broken: Event) -> None:
    model = scripted({"says": "Yes."})
    model.service.handlers["response.create"] = broken
    call = await dial(models=[model, scripted({"says": "Yes."})], deadline=DEADLINE)
    assert (await call.says("Hello")).text == "Yes."


@pytest.mark.parametrize("second", ["Yes.", None])
async def test_a_silent_service_is_given_up_at_the_deadline(
    dial: Dial, logged: Callable[[], str], let_time_pass: Callable[[float], Awaitable[None]], second: str | None
) -> None:
    asked = asyncio.Event()

    async def stays_silent(conversation: Conversation) -> None:
        asked.set()

    model = scripted({"says": "Yes."})
    model.service.handlers["response.create"] = stays_silent
    others = [scripted({"says": second})] if second else []
    call = await dial(models=[model, *others], deadline=DEADLINE)
    turn = await call.begins("Hello")
    await asked.wait()
    await let_time_pass(DEADLINE)
    assert (await call.hears_reply(turn)).text.split() == f"{phrases.HOLD} {second or phrases.APOLOGY}".split()
    log = logged()
    assert "model.failed" in log and KEY not in log


@pytest.mark.parametrize("broken", [rejects, fails, disconnects])
async def test_a_request_that_fails_once_is_sent_again(dial: Dial, broken: Event) -> None:
    model = scripted({"says": "Yes."})

    async def once(conversation: Conversation) -> None:
        del model.service.handlers["response.create"]
        await broken(conversation)

    model.service.handlers["response.create"] = once
    call = await dial(models=[model])
    assert [(await call.says("Hello")).text for _ in range(2)] == ["Yes.", "Yes."]
    assert len(model.sockets) == 2


async def test_a_response_that_breaks_off_is_not_replaced(dial: Dial) -> None:
    model = scripted({"says": "One two", "breaks_off": True})
    call = await dial(models=[model, scripted({"says": "One two three."})])
    assert (await call.says("Count")).text == f"One two {phrases.APOLOGY}"
    assert (await call.says("Count")).text == f"One two {phrases.APOLOGY}"


async def test_a_filtered_response_ends_in_an_apology(dial: Dial, logged: Callable[[], str]) -> None:
    model = scripted({"says": "Yes."})

    async def filters(conversation: Conversation) -> None:
        await conversation.send("response.created", response={"id": "resp_1"})
        details = {"type": "incomplete", "reason": "content_filter"}
        await conversation.send(
            "response.done", response={"id": "resp_1", "status": "incomplete", "status_details": details}
        )

    model.service.handlers["response.create"] = filters
    call = await dial(models=[model])
    assert (await call.says("Hello")).text == phrases.APOLOGY
    assert "content_filter" in logged()


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND])
async def test_a_refused_handshake_ends_in_an_apology_and_is_logged(
    dial: Dial, logged: Callable[[], str], status: HTTPStatus
) -> None:
    model = scripted({"says": "Yes."})
    model.service.status = status
    call = await dial(models=[model])
    await until(lambda: f"InvalidStatus {status.value}" in logged())  # before the first turn
    assert (await call.says("Hello")).text == phrases.APOLOGY
    assert KEY not in logged()
    model.service.status = None
    assert (await call.says("Hello")).text == "Yes."


async def test_the_key_does_not_follow_a_redirect(dial: Dial) -> None:
    model, other = scripted({"says": "Yes."}), scripted({"says": "Yes."})
    model.service.redirect = f"{await other.address()}/voice-live/realtime?api-version=2026-07-15&model=other"
    call = await dial(models=[model])
    assert (await call.says("Hello")).text == phrases.APOLOGY
    assert other.service.paths == []
    await other.close()


async def test_a_model_that_is_refused_after_the_handshake_is_logged(dial: Dial, logged: Callable[[], str]) -> None:
    model = scripted({"says": "Yes."})
    model.service.welcome = rejects
    call = await dial(models=[model])
    await until(lambda: "rate_limit_exceeded" in logged())  # before the first turn
    assert (await call.says("Hello")).text == phrases.APOLOGY


async def test_a_websocket_that_opens_slowly_is_used_in_the_next_turn(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, let_time_pass: Callable[[float], Awaitable[None]]
) -> None:
    model, opened = scripted({"says": "Yes."}), list[int]()
    open_at_once, accepts = model.open, asyncio.Event()

    async def open_slowly() -> VoiceLiveSocket:
        opened.append(1)
        await accepts.wait()
        socket: VoiceLiveSocket = await open_at_once()
        return socket

    monkeypatch.setattr(model, "open", open_slowly)
    call = await dial(models=[model], deadline=DEADLINE)
    turn = await call.begins("Hello")
    await until(lambda: call.session.turn and call.session.turn.record)
    await let_time_pass(DEADLINE)
    assert (await call.hears_reply(turn)).text.split() == f"{phrases.HOLD} {phrases.APOLOGY}".split()
    accepts.set()
    await until(lambda: model.sockets)
    assert (await call.says("Hello")).text == "Yes."
    assert len(opened) == 1


# --- tools ----------------------------------------------------------------------------------------------------------


def look() -> str:
    """Look it up."""
    return "here"


def ask() -> str:
    """Ask a colleague."""
    return "there"


def returned(messages: list[m.ModelMessage]) -> list[str]:
    return [str(part.content) for each in messages for part in each.parts if isinstance(part, m.ToolReturnPart)]


async def test_all_tool_calls_of_one_response_get_results(dial: Dial) -> None:
    model = scripted(
        {"hears": "both", "says": "Wait. ", "calls": {"look": {}, "ask": {}}, "then": "{result}"}, *NUMBERS
    )
    call = await dial(models=[model], tools=[look, ask])
    assert (await call.says("both")).text == "Wait. here there"
    assert (await call.says("2")).text == "This is 2."
    assert returned(call.session.history) == ["here", "there"]
    (conversation,) = model.service.conversations
    assert conversation.sent("conversation.item.delete") == []


async def test_the_model_gets_the_failure_of_a_tool_and_unknown_tools_as_results(dial: Dial) -> None:
    def break_it() -> str:
        """Break it."""
        raise ValueError("a secret")

    call = await dial({"calls": {"break_it": {}, "fly": {}}, "then": "{result}"}, tools=[break_it])
    text = (await call.says("break it")).text
    assert "The tool failed (ValueError)" in text and "There is no tool fly here." in text and "secret" not in text


@pytest.mark.parametrize("wrong", ['{"count": "two"}', '{"count": '])
async def test_the_model_gets_wrong_arguments_as_a_result(dial: Dial, wrong: str) -> None:
    def book(count: int) -> str:
        """Book seats."""
        return f"booked {count}"

    async def corrects(
        messages: list[m.ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        results = last_exchange(messages)[1]
        if len(results) == 2:
            yield f"{results[1]}."
        elif results:
            yield tool_calls({"book": {"count": 2}})
        else:
            yield {1: DeltaToolCall(name="book", json_args=wrong, tool_call_id="call_1")}

    call = await dial(models=[build_model(FunctionModel(stream_function=corrects))], tools=[book])
    assert (await call.says("Two seats")).text == "booked 2."
    assert returned(list(call.session.turn.record))[0].startswith("Wrong arguments.")


async def test_two_calls_at_once_have_their_own_tools_and_instructions() -> None:
    model = scripted({"hears": "look", "calls": {"look": {}}, "then": "{result}", "delay": 0.05})
    voice_live = VoiceLive([model], LIMIT)
    await voice_live.warm_up()
    answers: dict[str, str] = {}

    async def talk(id: str) -> None:
        def look() -> str:
            return f"for {id}"

        one = session(id)
        voice_live.on_connect(one)
        answers[id] = "".join([token async for token in voice_live.answer(one, Turn("look"), f"This is {id}.", [look])])

    await asyncio.gather(talk("CA1"), talk("CA2"))
    assert answers == {"CA1": "for CA1", "CA2": "for CA2"}
    instructions = {each.session["instructions"] for each in model.service.conversations}
    assert instructions == {"This is CA1.", "This is CA2."}
    await voice_live.close()


# --- settings -------------------------------------------------------------------------------------------------------

ENDPOINT = "AZURE_VOICE_LIVE_ENDPOINT"


@pytest.mark.parametrize(
    "written", ["https://a.services.ai.azure.com", "https://a.services.ai.azure.com/", "a.services.ai.azure.com"]
)
async def test_an_endpoint_may_be_a_url_or_a_host(written: str) -> None:
    (model,) = VoiceLive.build(defaults.settings(voice_live_endpoint=written, voice_live_key=KEY)).models
    assert await model.address() == "wss://a.services.ai.azure.com"
    assert await model.header() == {"api-key": KEY}


@pytest.mark.parametrize(
    "wrong", ["http://a.azure.com", "https://a.azure.com/api/projects/b", "wss://a.azure.com", "a"]
)
def test_an_invalid_endpoint_is_reported_with_the_fix(environment: pytest.MonkeyPatch, wrong: str) -> None:
    environment.setenv(ENDPOINT, wrong)
    with pytest.raises(SettingsError) as error:
        load(require_model_keys=False)
    (problem,) = error.value.problems
    assert problem.startswith(f"{ENDPOINT} is ") and "https://<resource>.services.ai.azure.com" in problem


def test_missing_variables_are_reported_once(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as error:
        load()
    assert [problem.split()[0] for problem in error.value.problems] == [ENDPOINT, "AZURE_VOICE_LIVE_API_KEY"]


async def test_both_models_are_used_in_order(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AGENT_MODEL", "gpt-a")
    environment.setenv("AGENT_FALLBACK_MODEL", "gpt-b")
    environment.setenv(ENDPOINT, "https://a.services.ai.azure.com")
    for models in (None, VoiceLive.model_names()):  # as `agent serve` and as `agent call` have them
        built = VoiceLive.build(defaults.settings(voice_live_key=KEY), models).models
        assert [(model.name, await model.address()) for model in built] == [
            ("gpt-a", "wss://a.services.ai.azure.com"),
            ("gpt-b", "wss://a.services.ai.azure.com"),
        ]


async def test_the_token_has_the_scope_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    scopes_used: list[str] = []

    class Credential:
        async def get_token(self, *scopes: str, **_: Any) -> Any:
            scopes_used.extend(scopes)
            return type("Token", (), {"token": "a-token", "expires_on": time.time() + 3600})()

        async def close(self) -> None: ...

    monkeypatch.setattr("app.runtimes.azure.default_credential", Credential)
    voice_live = VoiceLive.build(defaults.settings(voice_live_endpoint="a.azure.com"))
    await voice_live.warm_up()
    (model,) = voice_live.models
    assert await model.header() == {"Authorization": "Bearer a-token"}
    assert set(scopes_used) == {"https://ai.azure.com/.default"}
    await voice_live.close()
