"""Read TwiML as Twilio does, but strictly: an unknown attribute, which Twilio ignores, is an error here.

Source: https://www.twilio.com/docs/voice/twiml/connect/conversationrelay, and /enqueue, /gather, /leave, /record,
/recording, /dial, /number, /pay and /pay/prompt beside it (read in November 2026). <Failover>, which names no provider
here, means Twilio's own backups: https://www.twilio.com/docs/voice/conversationrelay/provider-failover (2026-11-29).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

ANY = re.compile(r".*", re.DOTALL)
BOOL = re.compile("true|false")
URL = re.compile(r"https://[^\s]+")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?|multi")
VOICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
INPUT = re.compile("none|dtmf|speech|any|true|false")
HINTS = re.compile(r"\s*[^,\s][^,]*(,\s*[^,\s][^,]*)*")
EVENT = "(speaker-events|tokens-played|config-updated)"
RECORDING_EVENTS = re.compile("(in-progress|completed|absent)( (in-progress|completed|absent))*")
STT = re.compile("Deepgram|Google")
TTS = re.compile("ElevenLabs|Google|Amazon")
VOICE_PATTERNS = {  # the names of a provider's voices
    "Amazon": re.compile(r"[A-Z][a-z]+-(Neural|Generative|Standard|Long-form)"),
    "Google": re.compile(r"[a-z]{2,3}-[A-Z]{2}-.+"),
    "ElevenLabs": re.compile(r"[A-Za-z0-9]{20}(-.*)?"),
}
MODELS = {"Deepgram": re.compile("nova-[23]-general|flux"), "Google": re.compile("telephony|long")}
# What Deepgram's Flux hears: https://developers.deepgram.com/docs/flux/language-prompting (2026-11-29).
FLUX = ("en", "es", "fr", "de", "hi", "ru", "pt", "ja", "it", "nl")
FLUX_ONLY = ("eotThreshold", "eagerEotThreshold", "partialPrompts")

NUMBER = re.compile(r"\+[1-9]\d{6,14}")

LANGUAGE_ATTRIBUTES = {
    "code": LANGUAGE,
    "ttsProvider": TTS,
    "voice": VOICE,
    "transcriptionProvider": STT,
    "speechModel": re.compile("nova-[23]-general|flux|telephony|long"),
    "hints": HINTS,
    "asrSmartFormat": BOOL,
    "ttsTextNormalization": re.compile("on|auto|off"),
    "ttsLanguageTextNormalization": ANY,
}

# element -> attribute -> pattern of its value
TABLE: dict[str, dict[str, re.Pattern[str]]] = {
    "Response": {},
    "Connect": {"action": URL, "method": re.compile("GET|POST")},
    "ConversationRelay": {
        **{name: value for name, value in LANGUAGE_ATTRIBUTES.items() if name != "code"},
        # Twilio does not document how it signs a URL with a query. AgentCore's URL has one, but checks no signature.
        "url": re.compile(r"wss://[^\s?#]+|wss://bedrock-agentcore\.[^\s#]+"),
        "welcomeGreeting": re.compile(r".*\S.*", re.DOTALL),
        "welcomeGreetingInterruptible": INPUT,
        "language": LANGUAGE,
        "ttsLanguage": LANGUAGE,
        "transcriptionLanguage": LANGUAGE,
        "eotThreshold": re.compile(r"0\.([5-8]\d*|90*)"),
        "eagerEotThreshold": re.compile(r"0\.([3-8]\d*|90*)"),
        "partialPrompts": BOOL,
        "partialPromptOnHangup": BOOL,
        "speechTimeout": re.compile(r"auto|[6-9]\d\d|[1-4]\d{3}|5000"),
        "interruptible": INPUT,
        "interruptSensitivity": re.compile("low|medium|high"),
        "reportInputDuringAgentSpeech": INPUT,
        "ignoreBackchannel": BOOL,
        "preemptible": BOOL,
        "dtmfDetection": BOOL,
        "profanityFilter": BOOL,
        "deepgramSmartFormat": BOOL,
        "elevenlabsTextNormalization": re.compile("on|auto|off"),
        "elevenlabsLanguageTextNormalization": ANY,
        "backgroundNoiseReduction": ANY,
        "echoPromptFiltering": BOOL,
        "turnDetection": BOOL,
        "includeInPrompt": re.compile("turn-state|prompt-segments"),
        "events": re.compile(rf"{EVENT}( {EVENT})*"),
        "debug": re.compile("debugging"),
        "intelligenceService": re.compile("GA[0-9a-f]{32}"),
        "conversationConfiguration": re.compile("conv_configuration_[A-Za-z0-9]+"),
        "conversationId": re.compile("conv_conversation_[A-Za-z0-9]+"),
        "customerName": ANY,
        "applicationReconnect": BOOL,
    },
    "Language": LANGUAGE_ATTRIBUTES,
    "Failover": {},
    "Parameter": {"name": re.compile(r"\S+"), "value": ANY},
    "Say": {"language": LANGUAGE, "voice": ANY, "loop": re.compile(r"\d+")},
    "Play": {"loop": re.compile(r"\d+"), "digits": ANY},
    "Pause": {"length": re.compile(r"\d+")},
    "Hangup": {},
    "Redirect": {"method": re.compile("GET|POST")},
    "Enqueue": {
        "action": URL,
        "method": re.compile("GET|POST"),
        "waitUrl": URL,
        "waitUrlMethod": re.compile("GET|POST"),
        "workflowSid": re.compile("WW[0-9a-f]{32}"),
        "maxQueueSize": re.compile(r"[1-9]\d*"),
    },
    "Task": {"priority": re.compile(r"\d+"), "timeout": re.compile(r"[1-9]\d*")},
    "Leave": {},
    "Dial": {
        "action": URL,
        "method": re.compile("GET|POST"),
        "timeout": re.compile(r"[5-9]|[1-9]\d|[1-5]\d\d|600"),
        "callerId": NUMBER,
        "timeLimit": re.compile(r"[1-9]\d*"),
        "answerOnBridge": BOOL,
    },
    "Number": {},
    "Gather": {
        "action": URL,
        "method": re.compile("GET|POST"),
        "input": re.compile("dtmf"),  # speech is not simulated
        "numDigits": re.compile(r"[1-9]\d*"),
        "timeout": re.compile(r"[1-9]\d*"),
        "finishOnKey": re.compile(r"[0-9*#]?"),
        "actionOnEmptyResult": BOOL,
    },
    "Start": {"action": URL, "method": re.compile("GET|POST")},
    "Recording": {
        "name": re.compile(r"\S+"),
        "channels": re.compile("mono|dual"),
        "track": re.compile("inbound|outbound|both"),
        "trim": re.compile("trim-silence|do-not-trim"),
        "recordingStatusCallback": URL,
        "recordingStatusCallbackMethod": re.compile("GET|POST"),
        "recordingStatusCallbackEvent": RECORDING_EVENTS,
        "recordingConfigurationId": ANY,
    },
    "Record": {
        "action": URL,
        "method": re.compile("GET|POST"),
        "timeout": re.compile(r"\d+"),
        "finishOnKey": re.compile(r"[0-9*#]*"),
        "maxLength": re.compile(r"[1-9]\d*"),
        "playBeep": BOOL,
        "trim": re.compile("trim-silence|do-not-trim"),
        "recordingStatusCallback": URL,
        "recordingStatusCallbackMethod": re.compile("GET|POST"),
        "recordingStatusCallbackEvent": RECORDING_EVENTS,
        "transcribe": BOOL,
        "transcribeCallback": URL,
        "recordingConfigurationId": ANY,
    },
    "Pay": {
        "input": re.compile("dtmf"),
        "action": URL,
        "statusCallback": URL,
        "statusCallbackMethod": re.compile("GET|POST"),
        "paymentMethod": re.compile("ach-debit|credit-card"),
        "bankAccountType": re.compile("consumer-checking|consumer-savings|commercial-checking"),
        "timeout": re.compile(r"[1-9]\d*"),
        "maxAttempts": re.compile("[1-3]"),
        "securityCode": BOOL,
        "postalCode": re.compile(r"true|false|[A-Za-z0-9 -]+"),
        "minPostalCodeLength": re.compile(r"[1-9]\d*"),
        "paymentConnector": re.compile(r"\S+"),
        "tokenType": re.compile("one-time|reusable|payment-method"),
        "chargeAmount": re.compile(r"\d{1,7}(\.\d+)?"),
        "currency": re.compile("[a-z]{3}"),
        "language": re.compile("en-(AU|CA|GB|IN|US)|es-(ES|MX)|fr-(CA|FR)|de-DE|it-IT"),
        "description": ANY,
        "validCardTypes": re.compile("[a-z-]+( [a-z-]+)*"),
    },
    "Prompt": {
        "for": re.compile("payment-card-number|expiration-date|security-code|postal-code|payment-processing"),
        "errorType": re.compile("[a-z-]+( [a-z-]+)*"),
        "cardType": re.compile("[a-z-]+( [a-z-]+)*"),
        "attempt": re.compile("[1-3]( [1-3])*"),
        "requireMatchingInputs": BOOL,
    },
}
CHILDREN = {
    "Response": {
        *("Connect", "Say", "Play", "Pause", "Hangup", "Redirect", "Enqueue", "Leave", "Record", "Gather", "Start"),
        *("Pay", "Dial"),
    },
    "Dial": {"Number"},
    "Gather": {"Say", "Play", "Pause"},
    "Start": {"Recording"},
    "Connect": {"ConversationRelay"},
    "ConversationRelay": {"Language", "Failover", "Parameter"},
    "Enqueue": {"Task"},
    "Pay": {"Prompt", "Parameter"},
    "Prompt": {"Say", "Play", "Pause"},
}
REQUIRED = {"ConversationRelay": "url", "Gather": "action", "Language": "code", "Parameter": "name"}


class TwimlError(Exception):
    """TwiML that Twilio would reject, or read differently without an error."""


@dataclass
class Relay:
    """A `<ConversationRelay>` that passed the check."""

    url: str
    action: str | None
    greeting: str
    attributes: dict[str, str]
    languages: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    failover: bool = False  # Twilio takes its backup when a provider of speech fails, once for each


@dataclass
class Queue:
    """An `<Enqueue>` that makes the call a task of TaskRouter."""

    workflow: str
    action: str | None
    wait_url: str | None
    attributes: dict[str, Any]
    priority: int = 0
    timeout: int | None = None


@dataclass
class Recording:
    """A `<Start><Recording>`, which records the call from there on."""

    callback: str | None
    events: list[str]
    channels: str


@dataclass
class Payment:
    """A `<Pay>`. `charge_amount` is None where it asks for a token, `following` the URL of a <Redirect> behind it."""

    action: str | None
    charge_amount: str | None
    currency: str
    connector: str
    language: str
    prompts: dict[str, str] = field(default_factory=dict)
    following: str | None = None


@dataclass
class Dialed:
    """A `<Dial>` of a phone number. `caller_id` is the number that it shows, empty for that of the caller."""

    number: str
    action: str | None
    caller_id: str


@dataclass
class Document:
    """A TwiML document. `said` is the text of <Say>, `record` the action URL of <Record>.

    `asks` is the action URL of a <Gather>: keys of the caller go there. `asking` is what is said until then, and
    `following` what follows without keys.
    """

    verbs: list[str]
    said: str
    relay: Relay | None
    queue: Queue | None = None
    record: str | None = None
    asks: str | None = None
    recording: Recording | None = None
    payment: Payment | None = None
    dialed: Dialed | None = None
    asking: str = ""
    following: Document | None = None


def read(text: str) -> Document:
    """Raises TwimlError with every problem, one a line."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise TwimlError(f"not XML ({error}): {text[:80]!r}") from None
    problems = _problems(root)
    if root.tag in TABLE and root.tag != "Response":
        problems.append(f"a document must be <Response>, not <{root.tag}>")
    if problems:
        raise TwimlError("\n".join(problems))
    return _document(root)


def _document(root: ElementTree.Element) -> Document:
    relay = None
    if (element := root.find("Connect/ConversationRelay")) is not None:
        connect = root.find("Connect")
        relay = Relay(
            url=element.attrib["url"],
            action=connect.get("action") if connect is not None else None,
            greeting=element.get("welcomeGreeting", ""),
            attributes=dict(element.attrib),
            languages=[child.attrib["code"] for child in element.findall("Language")],
            parameters={child.attrib["name"]: child.get("value", "") for child in element.findall("Parameter")},
            failover=element.find("Failover") is not None,
        )
    said = " ".join(element.text or "" for element in root.iter("Say"))
    record = next((element.get("action") for element in root.findall("Record")), None)
    asks = next((element.get("action") for element in root.findall("Gather")), None)
    verbs, queue = [element.tag for element in root], _queue(root.find("Enqueue"))
    recording, dialed = _recording(root.find("Start/Recording")), _dialed(root.find("Dial"))
    document = Document(verbs, said, relay, queue, record, asks, recording, _payment(root), dialed)
    if asks:
        place, rest = verbs.index("Gather") + 1, ElementTree.Element("Response")
        rest.extend(root[place:])
        document.asking = " ".join(each.text or "" for element in root[:place] for each in element.iter("Say"))
        document.following = _document(rest)
    return document


def _dialed(element: ElementTree.Element | None) -> Dialed | None:
    if element is None:
        return None
    number = element.findtext("Number") or element.text or ""
    return Dialed(number.strip(), element.get("action"), element.get("callerId", ""))


def _recording(element: ElementTree.Element | None) -> Recording | None:
    if element is None:
        return None
    events = element.get("recordingStatusCallbackEvent", "completed").split()
    return Recording(element.get("recordingStatusCallback"), events, element.get("channels", "mono"))


def _payment(root: ElementTree.Element) -> Payment | None:
    pay = root.find("Pay")
    if pay is None:
        return None
    redirect = root.find("Redirect")
    return Payment(
        action=pay.get("action"),
        charge_amount=pay.get("chargeAmount"),
        currency=pay.get("currency", "usd"),
        connector=pay.get("paymentConnector", "Default"),
        language=pay.get("language", "en-US"),
        prompts={prompt.get("for", ""): prompt.findtext("Say", "") for prompt in pay.findall("Prompt")},
        following=redirect.text if redirect is not None else None,
    )


def _queue(element: ElementTree.Element | None) -> Queue | None:
    if element is None or "workflowSid" not in element.attrib:
        return None
    task = element.find("Task")
    given = {} if task is None else dict(task.attrib)
    return Queue(
        workflow=element.attrib["workflowSid"],
        action=element.get("action"),
        wait_url=element.get("waitUrl"),
        attributes={} if task is None else json.loads(task.text or "{}"),
        priority=int(given.get("priority", 0)),
        timeout=int(given["timeout"]) if "timeout" in given else None,
    )


def _problems(element: ElementTree.Element) -> list[str]:
    name = element.tag
    if name not in TABLE:
        return [f"<{name}> is not a verb that this simulator knows"]
    problems = [
        f"<{name} {attribute}> is not an attribute; Twilio would ignore it without a word"
        if attribute not in TABLE[name]
        else f"<{name} {attribute}={value!r}> is not a value; it must match {TABLE[name][attribute].pattern}"
        for attribute, value in element.attrib.items()
        if attribute not in TABLE[name] or not TABLE[name][attribute].fullmatch(value)
    ]
    if (required := REQUIRED.get(name)) and required not in element.attrib:
        problems.append(f"<{name}> needs the attribute {required}")
    if name == "ConversationRelay":
        problems += [*_multi(element), *([] if problems else _speech(element))]
    if name == "Enqueue" and element.find("Task") is not None and "workflowSid" not in element.attrib:
        problems.append("<Enqueue> needs the attribute workflowSid to make a task")
    if name == "Task":
        problems += _task(element)
    if name in ("Dial", "Number") and not len(element) and not NUMBER.fullmatch((element.text or "").strip()):
        problems.append(f"<{name}> needs a number as in +15005550006, and has {element.text!r}")
    if name == "Response":
        problems += _order([child.tag for child in element])
    for child in element:
        if child.tag in TABLE and child.tag not in CHILDREN.get(name, set()):
            problems.append(f"<{child.tag}> cannot stand in <{name}>")
        problems += _problems(child)
    return problems


def _order(verbs: list[str]) -> list[str]:
    """A verb that takes the call away must come last: the next TwiML is that of its action URL."""
    late = verbs[verbs.index("Connect") + 1 :] if "Connect" in verbs else []
    return [f"<{verb}> after <Connect> is never reached" for verb in late]


def _task(task: ElementTree.Element) -> list[str]:
    try:
        attributes = json.loads(task.text or "{}")
    except ValueError:
        attributes = None
    if not isinstance(attributes, dict):
        return ["<Task> must hold a JSON object"]
    wrong = [name for name in attributes if not re.fullmatch(r"[A-Za-z_]\w*", name)]
    return [f"<Task> has the attribute {name}, which no expression can name: use underscores" for name in wrong]


def _speech(relay: ElementTree.Element) -> list[str]:
    """Providers, models, languages and voices that do not go together: Twilio ends the session (64101, 64106)."""
    problems, models = [], {element.get("speechModel") for element in relay.iter()}
    for element in (relay, *relay.findall("Language")):
        stt, tts = (
            element.get(name, relay.get(name, standard))
            for name, standard in (("transcriptionProvider", "Deepgram"), ("ttsProvider", "ElevenLabs"))
        )
        language = element.get("code", relay.get("transcriptionLanguage", relay.get("language", "en-US")))
        model, voice = element.get("speechModel", ""), element.get("voice", "")
        owners = [name for name, pattern in VOICE_PATTERNS.items() if pattern.fullmatch(voice)]
        if model and stt in MODELS and not MODELS[stt].fullmatch(model):
            problems.append(f"<{element.tag} speechModel={model!r}> is no model of {stt}")
        elif model == "flux" and language.partition("-")[0] not in (*FLUX, "multi"):
            problems.append(f"<{element.tag} speechModel={model!r}> does not hear {language}")
        if owners and tts not in owners:
            problems.append(f"<{element.tag} voice={voice!r}> is a voice of {owners[0]}, not of {tts}")
    for name in FLUX_ONLY:
        if relay.get(name, "false") != "false" and "flux" not in models:
            problems.append(f"<ConversationRelay {name}> is for speechModel='flux' alone; Twilio would ignore it")
    if float(relay.get("eagerEotThreshold", 0)) > float(relay.get("eotThreshold", 0.8)):
        problems.append("<ConversationRelay eagerEotThreshold> is above eotThreshold")
    if len(relay.findall("Failover")) > 1:
        problems.append("<ConversationRelay> has more than one <Failover>")
    return problems


def _multi(relay: ElementTree.Element) -> list[str]:
    if relay.get("language") != "multi":
        return []
    needs = {"transcriptionProvider": "Deepgram", "ttsProvider": "ElevenLabs"}
    return [
        f"<ConversationRelay language='multi'> needs {name}={value}"
        for name, value in needs.items()
        if relay.get(name, value) != value
    ]
