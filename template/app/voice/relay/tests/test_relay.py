"""The manual path, frame by frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai.messages import UserPromptPart

from app import config
from app.session import this_session
from app.voice.relay import RelayVoice, frames
from app.voice.relay.connection import GOODBYE_TIMEOUT, KEYPAD_PAUSE
from kit import defaults, twiml
from kit.activity import wait_until
from kit.caller import Call, calls_of
from kit.plugin import Web
from kit.voice_fixtures import Dial, contents, leave, leave_without_a_word

# --- frames of Twilio --------------------------------------------------------------------------------------------

# As the documentation shows them, with every field that it knows and one that it does not.
SETUP = {
    "type": "setup",
    "sessionId": "VX1",
    "accountSid": "AC1",
    "parentCallSid": "",
    "callSid": "CA1",
    "from": "+15005550006",
    "to": "+15005550001",
    "forwardedFrom": "+15005550002",
    "callType": "PSTN",
    "callerName": "",
    "direction": "inbound",
    "callStatus": "RINGING",
    "customParameters": {"callReference": "bar"},
    "newIn2027": {"a": [1]},
}
RECEIVED: dict[str, tuple[dict[str, Any], frames.Frame]] = {
    "setup": (
        SETUP,
        frames.Setup.model_validate(SETUP),
    ),
    "prompt": (
        {"type": "prompt", "voicePrompt": "Hi", "lang": "en-US", "last": True, "newIn2027": 1},
        frames.Prompt(type="prompt", voicePrompt="Hi", lang="en-US", last=True),
    ),
    "partial prompt": (
        {"type": "prompt", "voicePrompt": "H", "lang": "en-US", "last": False},
        frames.Prompt(type="prompt", voicePrompt="H", lang="en-US", last=False),
    ),
    "key": ({"type": "dtmf", "digit": "#"}, frames.Dtmf(type="dtmf", digit="#")),
    "interruption": (
        {"type": "interrupt", "utteranceUntilInterrupt": "Life is", "durationUntilInterruptMs": 460},
        frames.Interrupt(type="interrupt", utteranceUntilInterrupt="Life is", durationUntilInterruptMs=460),
    ),
    "interruption of an older kind": (
        {"type": "interrupt", "utteranceUntilInterrupt": "Life is", "durationUntilInterruptMs": "460"},
        frames.Interrupt(type="interrupt", utteranceUntilInterrupt="Life is", durationUntilInterruptMs=460),
    ),
    "error": (
        {"type": "error", "description": "Invalid message received"},
        frames.Error(type="error", description="Invalid message received"),
    ),
    "information": (
        {"type": "info", "name": "tokensPlayed", "value": "Hi"},
        frames.Info(type="info", name="tokensPlayed", value="Hi"),
    ),
    "a new type": ({"type": "newIn2027", "a": [1]}, frames.Other(type="newIn2027")),
}


@pytest.mark.parametrize(("sent", "frame"), RECEIVED.values(), ids=RECEIVED.keys())
def test_every_message_of_twilio_is_read(sent: dict[str, Any], frame: frames.Frame) -> None:
    assert frames.read(json.dumps(sent)) == frame


def test_a_setup_has_the_numbers_of_both_sides() -> None:
    setup = frames.read(json.dumps(SETUP))
    assert isinstance(setup, frames.Setup)
    assert (setup.call_sid, setup.sender, setup.recipient) == ("CA1", "+15005550006", "+15005550001")
    assert setup.custom_parameters == {"callReference": "bar"}


@pytest.mark.parametrize(("sent", "frame"), RECEIVED.values(), ids=RECEIVED.keys())
def test_a_field_that_is_null_is_one_that_is_missing(sent: dict[str, Any], frame: frames.Frame) -> None:
    needed = {"type", "callSid", "voicePrompt", "digit", "last"}
    frames.read(json.dumps({name: value if name in needed else None for name, value in sent.items()}))


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[]", "null", "{}", '{"type": 7}', '{"type": "prompt"}', '{"type": "dtmf"}', '{"type": "setup"}'],
)
def test_an_unreadable_message_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        frames.read(text)


def test_the_error_does_not_quote_the_caller() -> None:
    with pytest.raises(ValueError) as error:
        frames.read('{"type": "prompt", "voicePrompt": ["pineapple"]}')
    assert "pineapple" not in str(error.value)


# --- our frames --------------------------------------------------------------------------------------------------

SENT: list[tuple[frames.Sent, dict[str, Any]]] = [
    (frames.Text(token="Hi "), {"type": "text", "token": "Hi ", "last": False}),
    (frames.Text(token="", last=True), {"type": "text", "token": "", "last": True}),
    (frames.Text(token="Hola", lang="es-US"), {"type": "text", "token": "Hola", "last": False, "lang": "es-US"}),
    (frames.Play(source="https://a/b.mp3"), {"type": "play", "source": "https://a/b.mp3", "loop": 1}),
    (frames.SendDigits(digits="9ww408#*"), {"type": "sendDigits", "digits": "9ww408#*"}),
    (
        frames.Language(tts_language="sv-SE", transcription_language="en-US"),
        {"type": "language", "ttsLanguage": "sv-SE", "transcriptionLanguage": "en-US"},
    ),
    (frames.End(), {"type": "end"}),
    (frames.End(handoff_data='{"a": 1}'), {"type": "end", "handoffData": '{"a": 1}'}),
]


@pytest.mark.parametrize(("frame", "sent"), SENT)
def test_a_frame_is_sent_as_twilio_documents_it(frame: frames.Sent, sent: dict[str, Any]) -> None:
    assert json.loads(frame.model_dump_json(by_alias=True, exclude_none=True)) == sent


@pytest.mark.parametrize(
    "frame",
    [
        lambda: frames.Text(token=None),  # type: ignore[arg-type]
        lambda: frames.Text(token="Hi", tokn="x"),  # type: ignore[call-arg]
        lambda: frames.Play(source="b.mp3"),
        lambda: frames.Play(source="https://a/b.mp3", loop=-1),
        lambda: frames.SendDigits(digits="1-2"),
        lambda: frames.SendDigits(digits=""),
        lambda: frames.Language(tts_language="sv-SE"),  # type: ignore[call-arg]
        lambda: frames.End(handoff_data={"a": 1}),  # type: ignore[arg-type]
    ],
)
def test_a_frame_that_twilio_would_drop_cannot_be_built(frame: Callable[[], frames.Sent]) -> None:
    with pytest.raises(ValidationError):
        frame()


# --- keys --------------------------------------------------------------------------------------------------------


async def test_the_twiml_asks_for_keys(web: Web) -> None:
    relay = twiml.read((await web.post("/twiml", {"CallSid": "CA1"})).text).relay
    assert relay and relay.attributes["dtmfDetection"] == "true"


async def test_keys_up_to_a_hash_are_one_turn(call: Call) -> None:
    await call.presses("12#")
    await call.says("Hello")
    assert contents(call.session, UserPromptPart) == ["(The caller pressed 1 2 on the keypad.)"]


async def test_keys_up_to_a_pause_are_one_turn(call: Call, advance_clock: Callable[[float], None]) -> None:
    turn = await call.types("34")
    await wait_until(lambda: call.session.connection.digits == "34", "the keys did not arrive")
    advance_clock(KEYPAD_PAUSE)
    await call.hears_reply(turn)
    await call.says("Hello")
    assert contents(call.session, UserPromptPart) == ["(The caller pressed 3 4 on the keypad.)"]


async def test_a_hash_alone_is_a_key(call: Call) -> None:
    await call.presses("#")
    await call.says("Hello")
    assert contents(call.session, UserPromptPart) == ["(The caller pressed # on the keypad.)"]


async def test_a_star_is_a_key(call: Call) -> None:
    await call.presses("*9#")
    await call.says("Hello")
    assert contents(call.session, UserPromptPart) == ["(The caller pressed * 9 on the keypad.)"]


async def test_words_after_keys_do_not_lose_the_keys(call: Call) -> None:
    await call.sends({"type": "dtmf", "digit": "5"})
    await call.says("that one")
    await call.says("Hello")
    assert contents(call.session, UserPromptPart) == ["(The caller pressed 5 on the keypad.) that one"]


async def test_an_interruption_after_a_key_does_not_lose_the_key(
    dial: Dial, advance_clock: Callable[[float], None]
) -> None:
    call = await dial({"hears": "story", "says": "Once upon a time", "word_delay": 0.02}, {"hears": "", "says": "Yes."})
    await call.begins("Tell me a story")
    await call.hears("Once")
    turn = await call.types("5")
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "Once", "durationUntilInterruptMs": 100})
    await wait_until(lambda: call.session.turn.heard_text == "Once", "the interruption did not arrive")
    advance_clock(KEYPAD_PAUSE)
    assert (await call.hears_reply(turn)).text == "Yes."


async def test_a_key_stops_the_agent(dial: Dial) -> None:
    call = await dial(
        {"hears": "story", "says": "Once upon a time there was", "word_delay": 0.02}, {"hears": "", "says": "Yes."}
    )
    await call.begins("Tell me a story")
    await call.hears("Once")
    assert (await call.presses("1#")).text == "Yes."
    assert "was" not in call.turns[0].text


# --- words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hearing", [[], ["Wait", "Wait a"]], ids=["a noise", "a long utterance"])
async def test_a_goodbye_that_is_interrupted_ends_the_call_after_a_silence(
    dial: Dial, advance_clock: Callable[[float], None], hearing: list[str]
) -> None:
    goodbye = "Goodbye and have a nice day."
    call = await dial({"calls": {"leave": {"reason": "done"}}, "then": goodbye, "word_delay": 0.02}, tools=[leave])
    await call.begins("bye")
    await call.interrupts(after="Goodbye and")
    connection = call.session.connection
    await wait_until(lambda: connection.ending, "the interruption did not arrive")
    for words in hearing:  # each of them starts the silence anew
        advance_clock(0.75 * GOODBYE_TIMEOUT)
        before = connection.ending
        await call.sends({"type": "prompt", "voicePrompt": words, "lang": "en-US", "last": False})
        await wait_until(lambda before=before: connection.ending is not before, "the words did not arrive")  # type: ignore[misc]
        assert call.ended_by is None
    advance_clock(GOODBYE_TIMEOUT)
    await call.wait_for_end()
    assert call.ended_by == "agent"


async def test_a_call_that_comes_back_speaks_the_same_language(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    other = "es-MX" if config.FIRST_LANGUAGE == "en-US" else "en-US"
    monkeypatch.setitem(config.LANGUAGES, other, None)

    async def switch() -> str:
        """Switch the language."""
        await this_session().connection.switch_language(other)
        return "done"

    call = await dial({"hears": "switch", "calls": {"switch": {}}}, tools=[switch])
    await call.says("Switch")
    await call.drops()
    await call.says("Hola")
    switched = [frame for frame in call.frames if frame["type"] == "language"]
    assert [frame["ttsLanguage"] for frame in switched] == [other, other]


async def test_a_partial_prompt_is_no_turn(call: Call) -> None:
    await call.sends({"type": "prompt", "voicePrompt": "Hel", "lang": "en-US", "last": False})
    turn = await call.says("Hello")
    assert turn.text == "You said something."
    await call.says("And now?")
    assert contents(call.session, UserPromptPart) == ["Hello"]


async def test_a_partial_prompt_can_be_seen_while_it_is_spoken(call: Call) -> None:
    await call.sends({"type": "prompt", "voicePrompt": "Hel", "lang": "en-US", "last": False})
    await wait_until(lambda: call.session.hearing == "Hel", "the partial prompt did not arrive")
    await call.says("Hello")
    assert call.session.hearing == ""


async def test_a_second_setup_changes_nothing(call: Call) -> None:
    await call.says("Hello")
    session = call.session
    await call.sends({"type": "setup", "callSid": "CA2", "accountSid": defaults.ACCOUNT_SID})
    await call.sends({"type": "setup", "callSid": call.sid, "accountSid": "AC" + "9" * 32})
    assert (await call.says("And now?")).text == "You said something."
    assert calls_of(call.app).get(call.sid) is session
    assert calls_of(call.app).get("CA2") is None


async def test_an_error_of_twilio_is_logged(call: Call, logged: Callable[[], str]) -> None:
    await call.sends({"type": "error", "description": 'Invalid message received: {"type": "txt"}'})
    await call.says("Hello")
    (line,) = [json.loads(line) for line in logged().splitlines() if "twilio.error" in line]
    assert (line["level"], line["call"]) == ("error", call.sid)
    assert line["description"] == "Invalid message received: "


async def test_parameters_of_the_twiml_reach_the_session(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def with_parameter(*arguments: Any) -> str:
        return (await original(*arguments)).replace("<Language", '<Parameter name="a" value="b" /><Language', 1)

    original = RelayVoice.connect_twiml
    monkeypatch.setattr(RelayVoice, "connect_twiml", with_parameter)
    call = await dial({"says": "Yes."})
    assert call.session.parameters == {"a": "b"}


# --- tools that act on a call --------------------------------------------------------------------------------------


async def play() -> str:
    """Play the jingle."""
    await this_session().connection.play("https://agent.example/jingle.mp3", loop=2)
    return "played"


async def play_nonsense() -> str:
    """Play the jingle."""
    await this_session().connection.play("jingle.mp3")
    return "played"


async def dial_extension() -> str:
    """Dial the extension."""
    await this_session().connection.send_digits("ww12#")
    return "dialled"


async def speak_swedish() -> str:
    """Switch to Swedish."""
    await this_session().connection.switch_language("sv-SE")
    return "switched"


async def using(dial: Dial, tool: Callable[..., Any], **arguments: str) -> Call:
    """A call in which the model has used a tool and said what it returned."""
    call = await dial({"calls": {tool.__name__: arguments}}, tools=[tool])
    await call.says("Please")
    return call


async def test_a_tool_plays_a_file(dial: Dial) -> None:
    call = await using(dial, play)
    assert call.frames[0] == {"type": "play", "source": "https://agent.example/jingle.mp3", "loop": 2}


async def test_a_file_that_twilio_could_not_play_is_a_failure_of_the_tool(dial: Dial) -> None:
    call = await using(dial, play_nonsense)
    assert "play" not in [frame["type"] for frame in call.frames]
    assert "The tool failed" in call.turns[0].text


async def test_a_tool_sends_digits(dial: Dial) -> None:
    call = await using(dial, dial_extension)
    assert call.frames[0] == {"type": "sendDigits", "digits": "ww12#"}


async def test_a_tool_switches_to_a_declared_language(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config.LANGUAGES, "sv-SE", None)
    call = await using(dial, speak_swedish)
    assert call.frames[0] == {"type": "language", "ttsLanguage": "sv-SE", "transcriptionLanguage": "sv-SE"}
    assert call.session.language == "sv-SE"


async def test_a_language_that_is_not_declared_is_refused(dial: Dial) -> None:
    call = await using(dial, speak_swedish)
    assert "language" not in [frame["type"] for frame in call.frames]
    assert "The tool failed" in call.turns[0].text


async def test_a_tool_ends_the_call_after_the_last_words_and_its_data_reaches_the_action_route(dial: Dial) -> None:
    call = await using(dial, leave, reason="done")
    await call.wait_for_end()
    assert call.turns[0].text == "The call ends."
    assert [frame["type"] for frame in call.frames][-2:] == ["text", "end"]
    assert call.frames[-2]["last"] is True
    assert call.handoff == {"reasonCode": "done"}


async def test_a_call_can_end_without_handoff_data(dial: Dial) -> None:
    call = await using(dial, leave_without_a_word)
    await call.wait_for_end()
    assert call.frames[-1] == {"type": "end"}
    assert (call.handoff, call.ended_by) == (None, "agent")


async def test_two_calls_have_two_connections(dial: Dial) -> None:
    connections: list[Any] = []

    async def remember() -> str:
        """Remember this call."""
        connections.append(this_session().connection)
        return "remembered"

    one, two = await using(dial, remember), await using(dial, remember)
    assert connections == [one.session.connection, two.session.connection] and len({*map(id, connections)}) == 2
