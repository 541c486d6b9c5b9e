"""The TwiML that opens a call; and the checker, which is loud where Twilio would say nothing."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from agent import phrases
from app import config
from app.main import create_app
from kit import defaults, twiml
from kit.caller import Call
from kit.plugin import Web, sign
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.twiml import Relay, TwimlError


async def opened(web: Web) -> Relay:
    """The session that the app wants for a new call."""
    answer = await web.post("/twiml", {"CallSid": "CA1", "AccountSid": defaults.ACCOUNT_SID})
    relay = twiml.read(answer.text).relay
    assert relay
    return relay


async def test_a_call_is_connected_and_nothing_else(web: Web) -> None:
    answer = await web.post("/twiml", {"CallSid": "CA1"})
    assert answer.headers["content-type"] == "application/xml"
    assert twiml.read(answer.text).verbs == ["Connect"]


async def test_the_caller_is_greeted_with_our_words(web: Web) -> None:
    assert (await opened(web)).greeting == phrases.GREETING


@pytest.mark.parametrize(("answer", "value"), [(True, "any"), (False, "none")])
async def test_the_greeting_can_be_interrupted_if_the_answers_say_so(
    web: Web, monkeypatch: pytest.MonkeyPatch, answer: bool, value: str
) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", answer)
    assert (await opened(web)).attributes["welcomeGreetingInterruptible"] == value


async def test_words_that_interrupt_are_delivered(web: Web) -> None:
    attributes = (await opened(web)).attributes
    assert attributes["interruptible"] == "any"
    assert attributes["reportInputDuringAgentSpeech"] in ("any", "speech")


async def test_the_answered_languages_and_providers_are_used(web: Web) -> None:
    relay = await opened(web)
    assert relay.languages == list(config.LANGUAGES)
    assert relay.attributes["language"] == relay.languages[0]
    assert relay.attributes["transcriptionProvider"] == config.TRANSCRIPTION_PROVIDER
    assert relay.attributes["ttsProvider"] == config.TTS_PROVIDER
    assert relay.attributes.get("voice") == config.LANGUAGES[relay.languages[0]]


@pytest.mark.parametrize(
    "public_url", ["https://agent.example", "https://host.example:8443", "https://host.example/voice"]
)
async def test_every_address_is_built_from_the_public_url(public_url: str) -> None:
    app = create_app(
        defaults.settings(public_url=public_url),
        [scripted({"says": "Yes."})],
        [],
        transport=SimulatedAccount().transport,
    )
    form = {"CallSid": "CA1"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        headers = {"X-Twilio-Signature": sign(f"{public_url}/twiml", form)}
        answer = await http.post("/twiml", data=form, headers=headers)
    relay = twiml.read(answer.text).relay
    assert relay and relay.action == f"{public_url}/connect-action"
    assert relay.url == f"{public_url.replace('https', 'wss')}/ws"


async def test_a_call_that_comes_back_opens_the_same_session_with_other_words(call: Call) -> None:
    before = call.relay
    await call.drops()
    assert before and call.relay
    greeting = {"welcomeGreeting": phrases.RECONNECTED}
    assert call.relay.attributes == {**before.attributes, **greeting}


# --- the checker ------------------------------------------------------------------------------------------------


def connect(attributes: str = "", children: str = "", url: str = "wss://agent.example/ws") -> str:
    relay = f'<ConversationRelay url="{url}" {attributes}>{children}</ConversationRelay>'
    return f'<Response><Connect action="https://agent.example/connect-action">{relay}</Connect></Response>'


def test_what_twilio_would_take_passes() -> None:
    relay = twiml.read(connect('welcomeGreeting="Hi" dtmfDetection="true"', '<Parameter name="a" value="b"/>')).relay
    assert relay == Relay(
        url="wss://agent.example/ws",
        action="https://agent.example/connect-action",
        greeting="Hi",
        attributes={"url": "wss://agent.example/ws", "welcomeGreeting": "Hi", "dtmfDetection": "true"},
        parameters={"a": "b"},
    )


WRONG: dict[str, tuple[str, str]] = {
    "a misspelt attribute": (connect('welcomeGreting="Hi"'), "welcomeGreting> is not an attribute"),
    "an attribute in another case": (connect('welcomegreeting="Hi"'), "welcomegreeting> is not an attribute"),
    "an attribute that Twilio's skill invented": (connect('interruptByDtmf="true"'), "interruptByDtmf"),
    "a bad value": (connect('interruptible="yes"'), "interruptible='yes'> is not a value"),
    "a bad number": (connect('speechTimeout="50"'), "speechTimeout='50'> is not a value"),
    "an unknown provider": (connect('ttsProvider="Deepgram"'), "ttsProvider='Deepgram'> is not a value"),
    "an empty voice": (connect('voice=""'), "voice=''> is not a value"),
    "an empty greeting": (connect('welcomeGreeting=" "'), "welcomeGreeting=' '> is not a value"),
    "a query in the address": (connect(url="wss://agent.example/ws?call=1"), "url="),
    "an address without TLS": (connect(url="ws://agent.example/ws"), "url="),
    "an action without TLS": (connect().replace("https://agent", "http://agent"), "action="),
    "no address": (connect().replace('url="wss://agent.example/ws"', ""), "needs the attribute url"),
    "a language without a code": (connect(children='<Language voice="x"/>'), "needs the attribute code"),
    "multi with another transcriber": (
        connect('language="multi" transcriptionProvider="Google"'),
        "needs transcriptionProvider=Deepgram",
    ),
    "multi with another voice": (connect('language="multi" ttsProvider="Amazon"'), "needs ttsProvider=ElevenLabs"),
    "a relay outside Connect": ("<Response><ConversationRelay url='wss://a.example/'/></Response>", "cannot stand in"),
    "speech inside the relay": (connect(children="<Say>Hi</Say>"), "<Say> cannot stand in <ConversationRelay>"),
    "an unknown verb": ("<Response><Speak>Hi</Speak></Response>", "<Speak> is not a verb"),
    "another root": ("<Answer/>", "<Answer> is not a verb"),
    "a verb as the root": ("<Say>Hello</Say>", "must be <Response>, not <Say>"),
    "no XML": ("Hello", "not XML"),
    "nothing": ("", "not XML"),
    "half a document": ("<Response><Say>Hi</Say>", "not XML"),
}


@pytest.mark.parametrize(("text", "reason"), WRONG.values(), ids=WRONG.keys())
def test_what_twilio_would_ignore_or_refuse_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(TwimlError) as error:
        twiml.read(text)
    assert reason in str(error.value)


def test_every_mistake_of_a_document_is_named() -> None:
    with pytest.raises(TwimlError) as error:
        twiml.read(connect('welcomeGreting="Hi" interruptible="yes" voice=""'))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("value", ["true", "false", "any", "none", "speech", "dtmf"])
def test_what_may_interrupt_can_be_said_in_both_ways(value: str) -> None:
    relay: Any = twiml.read(connect(f'interruptible="{value}"')).relay
    assert relay.attributes["interruptible"] == value
