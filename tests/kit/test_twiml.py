"""The checker of TwiML, which reports mistakes that Twilio ignores in silence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kit import twiml
from kit.simulated_twilio.account import SimulatedAccount
from kit.twiml import Payment, Recording, Relay, TwimlError


def connect(attributes: str = "", children: str = "", url: str = "wss://agent.example/ws") -> str:
    relay = f'<ConversationRelay url="{url}" {attributes}>{children}</ConversationRelay>'
    return f'<Response><Connect action="https://agent.example/connect-action">{relay}</Connect></Response>'


def test_valid_twiml_passes() -> None:
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
    "a model of another transcriber": (
        connect('transcriptionProvider="Google" speechModel="flux"'),
        "<ConversationRelay speechModel='flux'> is no model of Google",
    ),
    "a model of Google without Google": (connect('speechModel="telephony"'), "is no model of Deepgram"),
    "a language that Flux does not hear": (connect('language="ko-KR" speechModel="flux"'), "does not hear ko-KR"),
    "another language that it does not hear": (
        connect('speechModel="flux"', '<Language code="zh-HK" speechModel="flux" ttsProvider="Google"/>'),
        "<Language speechModel='flux'> does not hear zh-HK",
    ),
    "a voice of another provider": (connect('voice="Joanna-Neural"'), "is a voice of Amazon, not of ElevenLabs"),
    "partial prompts without Flux": (connect('partialPrompts="true"'), "partialPrompts> is for speechModel='flux'"),
    "a threshold without Flux": (connect('eotThreshold="0.7"'), "eotThreshold> is for speechModel='flux'"),
    "a threshold that is too high": (connect('speechModel="flux" eotThreshold="0.95"'), "eotThreshold='0.95'> is not"),
    "an early end after the end": (
        connect('speechModel="flux" eagerEotThreshold="0.7" eotThreshold="0.6"'),
        "eagerEotThreshold> is above eotThreshold",
    ),
    "a hint without words": (connect('hints="Bluebird Tours, "'), "hints='Bluebird Tours, '> is not a value"),
    "two backups": (connect(children="<Failover/><Failover/>"), "more than one <Failover>"),
    "a backup that nobody knows": (connect(children='<Failover provider="x"/>'), "provider> is not an attribute"),
    "a backup outside the relay": ("<Response><Failover/></Response>", "<Failover> cannot stand in <Response>"),
    "a relay outside Connect": ("<Response><ConversationRelay url='wss://a.example/'/></Response>", "cannot stand in"),
    "speech inside the relay": (connect(children="<Say>Hi</Say>"), "<Say> cannot stand in <ConversationRelay>"),
    "a recording after the agent": (
        connect().replace("</Response>", "<Start><Recording/></Start></Response>"),
        "<Start> after <Connect> is never reached",
    ),
    "a recording of its own": ("<Response><Recording/></Response>", "<Recording> cannot stand in <Response>"),
    "a question without an address": ("<Response><Gather/></Response>", "needs the attribute action"),
    "a card in a language that <Pay> does not speak": ('<Response><Pay language="ja-JP"/></Response>', "ja-JP"),
    "a price with its currency": ('<Response><Pay chargeAmount="$5"/></Response>', "chargeAmount="),
    "a card without TLS": ('<Response><Pay action="http://a.example/"/></Response>', "action="),
    "an unknown step": ('<Response><Pay><Prompt for="card"/></Pay></Response>', "for='card'> is not a value"),
    "a recording of a card": ("<Response><Pay><Record/></Pay></Response>", "<Record> cannot stand in <Pay>"),
    "an unknown verb": ("<Response><Speak>Hi</Speak></Response>", "<Speak> is not a verb"),
    "another root": ("<Answer/>", "<Answer> is not a verb"),
    "a verb as the root": ("<Say>Hello</Say>", "must be <Response>, not <Say>"),
    "no XML": ("Hello", "not XML"),
    "nothing": ("", "not XML"),
    "half a document": ("<Response><Say>Hi</Say>", "not XML"),
}


def test_a_question_and_a_recording_before_the_agent() -> None:
    callback = 'recordingStatusCallback="https://a.example/r" recordingStatusCallbackEvent="in-progress absent"'
    asks = '<Gather action="https://a.example/g" numDigits="1"><Say>May we?</Say></Gather>'
    start = f'<Say>Thanks.</Say><Start><Recording channels="dual" {callback}/></Start>'
    document = twiml.read(connect().replace("<Connect", f"{asks}{start}<Connect"))
    assert document.verbs == ["Gather", "Say", "Start", "Connect"]
    assert (document.said, document.asks) == ("May we? Thanks.", "https://a.example/g")
    assert document.recording == Recording("https://a.example/r", ["in-progress", "absent"], "dual")


@pytest.mark.parametrize(("text", "reason"), WRONG.values(), ids=WRONG.keys())
def test_twiml_that_twilio_ignores_or_rejects_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(TwimlError) as error:
        twiml.read(text)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    "attributes",
    [
        'speechModel="flux" eotThreshold="0.9" eagerEotThreshold="0.3" partialPrompts="true"',
        'speechModel="flux" language="hi-IN" speechTimeout="600"',
        'transcriptionProvider="Google" speechModel="telephony" partialPrompts="false"',
        'turnDetection="true" ignoreBackchannel="true" interruptSensitivity="low" applicationReconnect="true"',
        'speechTimeout="auto" hints="Bluebird Tours,ferry pass, 4711"',
    ],
)
def test_speech_that_twilio_takes_passes(attributes: str) -> None:
    assert twiml.read(connect(attributes)).relay


def test_a_backup_for_speech_is_read() -> None:
    with_backup, without = twiml.read(connect(children="<Failover/>")).relay, twiml.read(connect()).relay
    assert with_backup and with_backup.failover and without and not without.failover


def test_every_mistake_of_a_document_is_named() -> None:
    with pytest.raises(TwimlError) as error:
        twiml.read(connect('welcomeGreting="Hi" interruptible="yes" voice=""'))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("value", ["true", "false", "any", "none", "speech", "dtmf"])
def test_the_input_that_may_interrupt_has_old_and_new_values(value: str) -> None:
    relay: Any = twiml.read(connect(f'interruptible="{value}"')).relay
    assert relay.attributes["interruptible"] == value


def test_a_payment_has_its_prompts_and_the_verb_behind_it() -> None:
    prompt = '<Prompt for="security-code"><Say>The code, please.</Say></Prompt>'
    pay = f'<Pay action="https://a.example/p" chargeAmount="5.50" currency="eur" language="de-DE">{prompt}</Pay>'
    document = twiml.read(f"<Response><Say>You pay.</Say>{pay}<Redirect>https://a.example/r</Redirect></Response>")
    assert document.verbs == ["Say", "Pay", "Redirect"]
    assert document.payment == Payment(
        action="https://a.example/p",
        charge_amount="5.50",
        currency="eur",
        connector="Default",
        language="de-DE",
        prompts={"security-code": "The code, please."},
        following="https://a.example/r",
    )


@pytest.mark.parametrize("event", ["paid", {"PaymentToken": "x"}, {}, "success"])
async def test_a_payment_that_is_none_cannot_end(event: Any) -> None:
    nobody: Any = SimpleNamespace(payment=None)
    with pytest.raises(ValueError):
        await SimulatedAccount().pay.simulate(nobody, event)
