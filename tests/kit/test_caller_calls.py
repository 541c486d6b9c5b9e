"""The simulated caller raises Problem for silence, wrong frames and dead connections, and never hangs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect

from kit import defaults
from kit.activity import wait_until
from kit.caller import Call, caller_on, dial_app
from kit.defaults import Problem
from kit.local_server import serve
from kit.speech_clock import Playback

Serving = Callable[[WebSocket], Coroutine[Any, Any, None]]


def fake(serving: Serving | None = None, twiml: str = "", status: int = 200, action: str = "<Response/>") -> FastAPI:
    """An app that answers every prompt as `serving` does, with TwiML like ours unless another is given."""
    app = FastAPI()
    app.state.received = []
    calls = SimpleNamespace(get=lambda sid: SimpleNamespace(turn=None, ending=False))
    app.state.conversations = SimpleNamespace(channel=lambda name: SimpleNamespace(calls=calls))
    relay = '<ConversationRelay url="wss://agent.example/ws" welcomeGreeting="Hello there, how are you?"/>'
    connect = f'<Response><Connect action="https://agent.example/connect-action">{relay}</Connect></Response>'

    @app.post("/twiml")
    async def opening() -> Response:
        return Response(twiml or connect, status, media_type="application/xml")

    @app.post("/connect-action")
    async def ending() -> Response:
        return Response(action, media_type="application/xml")

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                app.state.received.append(await websocket.receive_json())
                if serving and len(app.state.received) > 1:  # the first is the setup
                    await serving(websocket)
        except WebSocketDisconnect:
            pass

    return app


@pytest.fixture
def time_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let every later wait of the caller time out at once."""
    return lambda: monkeypatch.setattr("kit.caller.SILENCE_TIMEOUT", 0.0)


async def problem_of(app: FastAPI, text: str = "Hello") -> str:
    """The problem of the app's reply to a caller who says `text`."""
    with pytest.raises(Problem) as problem:
        async with dial_app(app) as call:
            await call.says(text)
    return str(problem.value)


async def test_an_empty_reply_is_silence() -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.send_json({"type": "text", "token": "", "last": True})

    assert "silence in answer to 'Hello'" in await problem_of(fake(serving))


async def test_a_blank_reply_is_silence() -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.send_json({"type": "text", "token": " \n", "last": True})

    assert "silence" in await problem_of(fake(serving))


async def test_no_reply_is_a_problem_in_bounded_time(time_out: Callable[[], None]) -> None:
    with pytest.raises(Problem, match="no reply to 'Hello'"):
        async with dial_app(fake()) as call:
            turn = await call.begins("Hello")
            time_out()
            await call.hears_reply(turn)


async def test_a_reply_that_is_never_closed_is_a_problem(time_out: Callable[[], None]) -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.send_json({"type": "text", "token": "Hi.", "last": False})

    with pytest.raises(Problem, match="never closed with last: true"):
        async with dial_app(fake(serving)) as call:
            turn = await call.begins("Hello")
            await call.hears("Hi.")
            time_out()
            await call.hears_reply(turn)


async def test_a_websocket_that_closes_is_a_problem() -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.close()

    assert "the line went dead" in await problem_of(fake(serving))


async def test_a_socket_that_breaks_is_a_problem() -> None:
    async def serving(websocket: WebSocket) -> None:
        raise WebSocketDisconnect

    assert "the line went dead" in await problem_of(fake(serving))


INVALID: dict[str, Any] = {
    "an unknown type": {"type": "interrupt"},
    "no type": {"token": "Hi.", "last": True},
    "an unknown field": {"type": "text", "token": "Hi.", "last": True, "voice": "x"},
    "a missing field": {"type": "text", "last": True},
    "text instead of a truth value": {"type": "text", "token": "Hi.", "last": "true"},
    "a number instead of text": {"type": "text", "token": 7, "last": True},
    "null": {"type": "text", "token": None, "last": True},
    "an object instead of text": {"type": "end", "handoffData": {"reasonCode": "done"}},
    "a list": ["text"],
}


@pytest.mark.parametrize("frame", INVALID.values(), ids=INVALID.keys())
async def test_a_frame_that_twilio_would_drop_is_a_problem(frame: Any) -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.send_json(frame)
        await websocket.send_json({"type": "text", "token": "Hi.", "last": True})

    assert "64107" in await problem_of(fake(serving))


async def test_a_frame_that_is_no_json_is_a_problem() -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.send_text("Hi.")
        await websocket.send_json({"type": "text", "token": "Hi.", "last": True})

    assert "64107" in await problem_of(fake(serving))


async def test_twiml_that_twilio_would_misread_is_a_problem() -> None:
    assert "the TwiML is wrong" in await problem_of(fake(twiml="<Response><Conect/></Response>"))


async def test_a_webhook_that_fails_is_a_problem() -> None:
    assert "answered 503" in await problem_of(fake(status=503))


async def test_an_action_that_answers_no_twiml_is_a_problem() -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.send_json({"type": "text", "token": "Bye.", "last": True})
        await websocket.send_json({"type": "end"})

    with pytest.raises(Problem, match="TwiML is wrong"):
        async with dial_app(fake(serving, action="")) as call:
            await call.says("Hello")
            await call.wait_for_end()


ENDS = [{"type": "text", "token": "Bye.", "last": True}, {"type": "end"}]


@pytest.mark.parametrize(
    "frames", [ENDS, [{"type": "text", "token": "Bye."}, {"type": "end"}]], ids=["said", "cut off"]
)
async def test_an_error_of_the_reader_is_a_problem(frames: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def serving(websocket: WebSocket) -> None:
        for frame in frames:
            await websocket.send_json(frame)

    async def broken(*_: Any, **__: Any) -> str:
        raise ConnectionResetError("the app has closed the connection")

    monkeypatch.setattr("kit.caller.Call._action", broken)
    with pytest.raises(Problem, match="ConnectionResetError: the app has closed the connection"):
        async with dial_app(fake(serving)) as call:
            await call.says("Hello")
            await call.wait_for_end()


async def test_a_dead_line_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.send_json({"type": "end"})

    with pytest.raises(Problem, match=r"the line went dead before 'Hello' was answered; the TwiML is wrong"):
        async with dial_app(fake(serving, action="")) as call:
            await call.says("Hello")


async def test_a_call_that_the_agent_does_not_end_is_a_problem(call: Call, time_out: Callable[[], None]) -> None:
    time_out()
    with pytest.raises(Problem, match="did not end"):
        await call.wait_for_end()


async def test_words_that_are_never_said_are_a_problem(call: Call) -> None:
    await call.says("Hello")
    with pytest.raises(Problem, match="never said 'pineapple'"):
        await call.hears("pineapple")


async def test_a_caller_who_has_hung_up_cannot_speak(call: Call) -> None:
    await call.hangs_up()
    with pytest.raises(Problem, match="the call is over"):
        await call.begins("Hello")


async def test_a_caller_on_a_closed_websocket_cannot_speak() -> None:
    async def serving(websocket: WebSocket) -> None:
        await websocket.close()

    with pytest.raises(Problem, match="the line is dead"):
        async with dial_app(fake(serving)) as call:
            await call.sends("{}")
            await wait_until(lambda: call._closed, "the app has not closed the WebSocket")
            await call.begins("Hello")


async def test_an_app_that_does_not_start_is_a_problem() -> None:
    @asynccontextmanager
    async def broken(app: FastAPI) -> AsyncGenerator[None]:
        raise RuntimeError("no model")
        yield

    with pytest.raises(RuntimeError, match="did not start"):
        async with serve(FastAPI(lifespan=broken)):
            pass


# --- options of the TwiML for the caller ------------------------------------------------------------------------


def opening(attributes: str) -> str:
    relay = f'<ConversationRelay url="wss://agent.example/ws" welcomeGreeting="Hello." {attributes}/>'
    return f"<Response><Connect>{relay}</Connect></Response>"


async def says_hi(websocket: WebSocket) -> None:
    await websocket.send_json({"type": "text", "token": "Hi.", "last": True})


@pytest.mark.parametrize("mode", ["none", "dtmf", "false"])
async def test_a_greeting_that_cannot_be_interrupted_is_heard_to_its_end(mode: str) -> None:
    app = fake(twiml=opening(f'welcomeGreetingInterruptible="{mode}"'))
    async with dial_app(app, pace=0.001) as call:
        assert await call.interrupts() == "Hello."
        await call.sends({"type": "next"})
        await wait_until(lambda: len(app.state.received) == 2, "the app has not received the frame")
    assert [frame["type"] for frame in app.state.received] == ["setup", "next"]


async def test_words_that_interrupt_are_lost_unless_the_twiml_asks_for_them() -> None:
    with pytest.raises(Problem, match="reportInputDuringAgentSpeech"):
        async with dial_app(fake(says_hi, twiml=opening("")), pace=0.001) as call:
            await call.interrupts()
            await call.begins("Stop")


async def test_words_that_interrupt_arrive_if_the_twiml_asks_for_them() -> None:
    app = fake(says_hi, twiml=opening('reportInputDuringAgentSpeech="speech"'))
    async with dial_app(app, pace=0.001) as call:
        await call.says("Hello")
        await call.interrupts()
        assert (await call.says("Stop")).text == "Hi."


async def test_keys_are_not_delivered_unless_the_twiml_asks_for_them() -> None:
    with pytest.raises(Problem, match="dtmfDetection is off"):
        async with dial_app(fake(says_hi, twiml=opening(""))) as call:
            await call.presses("1")


async def test_parameters_of_the_twiml_arrive_with_the_setup() -> None:
    twiml = opening("").replace("/></Connect>", '><Parameter name="a" value="b"/></ConversationRelay></Connect>')
    app = fake(twiml=twiml)
    async with dial_app(app) as call:
        await wait_until(lambda: app.state.received, "the app has not received the setup")
    (setup,) = app.state.received
    assert setup["customParameters"] == {"a": "b"}
    assert (setup["callSid"], setup["accountSid"], setup["from"]) == (call.sid, defaults.ACCOUNT_SID, defaults.CALLER)


async def test_a_caller_may_have_another_number() -> None:
    app = fake(says_hi)
    async with serve(app) as address, caller_on(app, address, caller="+15005550009") as call:
        await call.says("Hello")
    assert app.state.received[0]["from"] == "+15005550009"


# --- speech takes time ----------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def playing(text: str) -> tuple[Playback, Clock]:
    clock = Clock()
    playback = Playback(clock=clock)
    playback.say(text)
    return playback, clock


SENTENCE = "Your parcel left the warehouse this morning and arrives tomorrow."


def test_nothing_is_heard_before_the_first_token() -> None:
    clock = Clock()
    playback = Playback(clock=clock)
    clock.now = 60
    assert (playback.heard(), playback.remaining) == ("", 0)


def test_time_before_a_token_does_not_count_for_it() -> None:
    playback, clock = playing("")
    clock.now = 60
    playback.say(SENTENCE)
    assert playback.heard() == ""


def test_half_a_reply_is_heard_after_half_the_time() -> None:
    playback, clock = playing(SENTENCE)
    clock.now = playback.remaining / 2
    assert playback.heard() == "Your parcel left the warehouse"


def test_a_reply_is_heard_whole_after_its_time() -> None:
    playback, clock = playing(SENTENCE)
    clock.now = playback.remaining
    assert (playback.heard(), playback.remaining) == (SENTENCE, 0)


def test_only_whole_words_are_heard() -> None:
    playback, clock = playing(SENTENCE)
    for tenth in range(1, 60):
        clock.now = tenth / 10
        heard = playback.heard()
        assert set(heard.split()) <= {*SENTENCE.split(), "tomorrow"}


def test_a_pause_between_tokens_is_silence() -> None:
    playback, clock = playing("One two. ")
    clock.now = 60
    playback.say("Three four five six seven.")
    assert playback.heard() == "One two."


def test_a_faster_caller_hears_faster() -> None:
    assert Playback(pace=10).rate == 10 * Playback().rate


def test_an_interrupted_reply_is_not_played_on() -> None:
    playback, _ = playing(SENTENCE)
    playback.interrupted = True
    assert playback.remaining == 0
