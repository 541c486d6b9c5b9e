"""The TwiML of a call: its attributes are those of the project, its addresses those of PUBLIC_URL."""

from __future__ import annotations

from xml.etree import ElementTree

import httpx2
import pytest

from agent import phrases as own_phrases
from app import config
from app.capability import AnswersCall
from app.registry import CAPABILITIES
from app.voice import relay_attributes
from app.voice.phrases import phrases
from kit import defaults, twiml
from kit.agent_app import build_app
from kit.caller import Call
from kit.plugin import Web, sign
from tests.kit.voice.test_calls import opened


async def test_the_twiml_only_connects_the_call_unless_something_must_be_said_before(web: Web) -> None:
    answer = await web.post("/twiml", {"CallSid": "CA1"})
    assert answer.headers["content-type"] == "application/xml"
    speaking = [each for each in CAPABILITIES if issubclass(each, AnswersCall)]
    speaks = any(each.__module__.split(".")[-1] not in ("languages", "outbound") for each in speaking)  # of other calls
    assert (twiml.read(answer.text).verbs == ["Connect"]) is not speaks
    assert twiml.read(answer.text).verbs[-1] == "Connect"


@pytest.mark.parametrize(("interruptible", "value"), [(True, "any"), (False, "none")])
def test_the_answers_say_whether_the_greeting_can_be_interrupted(
    monkeypatch: pytest.MonkeyPatch, interruptible: bool, value: str
) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", interruptible)
    assert relay_attributes("Hello.", [])["welcome_greeting_interruptible"] == value


async def test_prompts_that_interrupt_are_delivered(web: Web) -> None:
    attributes = (await opened(web)).attributes
    assert attributes["interruptible"] == "any"
    assert attributes["reportInputDuringAgentSpeech"] in ("any", "speech")


async def test_greeting_languages_and_providers_are_those_of_the_project(web: Web) -> None:
    relay = await opened(web)
    assert relay.greeting == phrases.GREETING
    assert relay.languages == list(config.LANGUAGES)
    assert relay.attributes["language"] == relay.languages[0]
    assert relay.attributes["transcriptionProvider"] == config.TRANSCRIPTION_PROVIDER
    assert relay.attributes["ttsProvider"] == config.TTS_PROVIDER
    assert relay.attributes.get("voice") == config.LANGUAGES[relay.languages[0]]


async def test_turns_and_interruptions_are_those_of_the_project(web: Web) -> None:
    relay = await opened(web)
    assert relay.attributes.get("speechModel") == config.SPEECH_MODEL
    assert relay.failover is config.SPEECH_FAILOVER
    for name, value in config.TURN_TAKING.items():
        first, *others = name.split("_")
        assert relay.attributes[first + "".join(map(str.capitalize, others))] == str(value).replace("True", "true")
    assert relay.attributes["interruptSensitivity"] in ("low", "medium", "high")
    assert relay.attributes["ignoreBackchannel"] == "true"


@pytest.mark.parametrize(
    ("hints", "value"), [([], None), (["Bluebird Tours", "pier nine"], "Bluebird Tours, pier nine")]
)
async def test_the_transcriber_gets_the_words_of_the_user(
    web: Web, monkeypatch: pytest.MonkeyPatch, hints: list[str], value: str | None
) -> None:
    monkeypatch.setattr(own_phrases, "HINTS", hints, raising=False)
    assert (await opened(web)).attributes.get("hints") == value


async def test_a_language_is_heard_by_the_model_of_the_project(web: Web) -> None:
    answer = await web.post("/twiml", {"CallSid": "CA1", "AccountSid": defaults.ACCOUNT_SID})
    for element in ElementTree.fromstring(answer.text).iter("Language"):
        assert element.get("speechModel") == config.SPEECH_MODEL


@pytest.mark.parametrize(
    "public_url", ["https://agent.example", "https://host.example:8443", "https://host.example/voice"]
)
async def test_every_address_is_built_from_the_public_url(public_url: str) -> None:
    app = build_app(public_url=public_url)
    form = {"CallSid": "CA1"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        headers = {"X-Twilio-Signature": sign(f"{public_url}/twiml", form)}
        answer = await http.post("/twiml", data=form, headers=headers)
    relay = twiml.read(answer.text).relay
    assert relay and relay.action == f"{public_url}/connect-action"
    assert relay.url == f"{public_url.replace('https', 'wss')}/ws"


async def test_a_reconnect_differs_from_the_first_session_in_its_greeting_only(call: Call) -> None:
    before = call.relay
    await call.drops()
    assert before and call.relay
    assert phrases.RECONNECTED in call.greeting
    assert call.relay.attributes == {**before.attributes, "welcomeGreeting": call.greeting}
