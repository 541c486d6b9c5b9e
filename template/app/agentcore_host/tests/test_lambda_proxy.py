"""The Lambda function: signatures, the session of a webhook, the URL of the WebSocket, and failures."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from twilio.request_validator import RequestValidator

from lambda_proxy import handler

ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/phone_agent-0000000000"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:phone-agent-000000"
PUBLIC_URL = "https://abc.execute-api.us-east-1.amazonaws.com"
TOKEN = "a-test-token"
CALL = {"CallSid": "CA" + "1" * 32, "AccountSid": "AC" + "0" * 32, "CallStatus": "ringing"}
CONVERSATION = "conv_conversation_" + "0" * 26
TWIML = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Connect action="https://agent.example/connect-action">'
    '<ConversationRelay url="wss://agent.example/ws" welcomeGreeting="Hi &amp; hello"/></Connect></Response>'
)


class Body(io.BytesIO):
    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        yield self.read()


class Aws:
    """The answers of AWS. The clients are real; their requests are not sent."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.envelopes: list[dict[str, Any]] = []
        self.status = 200
        self.late = False
        self.answer: dict[str, Any] = self.says("fine", "text/plain")
        self.secret = json.dumps({"TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_ACCOUNT_SID": "AC" + "0" * 32})

    @staticmethod
    def says(body: str, content_type: str, status: int = 200) -> dict[str, Any]:
        return {"status": status, "content_type": content_type, "body": base64.b64encode(body.encode()).decode()}

    def send(self, request: Any) -> AWSResponse:
        assert request.headers["Authorization"].startswith(b"AWS4-HMAC-SHA256 ")
        if "secretsmanager" in request.url:
            return self.response(request.url, {"SecretString": self.secret, "Name": "phone-agent"})
        self.sessions.append(request.headers[handler.SESSION_HEADER].decode())
        self.envelopes.append(json.loads(request.body))
        if self.late:
            raise ReadTimeoutError(endpoint_url=request.url)
        return self.response(request.url, self.answer)

    def response(self, url: str, content: Any) -> AWSResponse:
        body = json.dumps(content).encode() if not isinstance(content, bytes) else content
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        return AWSResponse(url, self.status, headers, Body(body))


class Account:
    """Clients with test keys, one for all tests, since they take half a second to build; `aws` answers them."""

    aws: Aws

    def __init__(self) -> None:
        self.session = boto3.Session("AKIAIOSFODNN7EXAMPLE", "a-test-secret", "a-session-token")
        for service in ("bedrock-agentcore", "secrets-manager"):
            self.session.events.register(f"before-send.{service}", lambda request, **_: self.aws.send(request))
        self.client = cache(self.session.client)
        self.get_credentials = self.session.get_credentials


@cache
def account() -> Account:
    return Account()


@contextmanager
def reached(aws: Aws) -> Iterator[Aws]:
    """Set the function's environment, and let `aws` answer its requests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RUNTIME_ARN": ARN, "SECRET_ARN": SECRET, "PUBLIC_URL": PUBLIC_URL}.items():
            patch.setenv(name, value)
        account().aws = aws
        patch.setattr(handler, "session", account)
        handler.secret.cache_clear()
        yield aws


@pytest.fixture
def aws() -> Iterator[Aws]:
    with reached(Aws()) as aws:
        yield aws


def event(path: str, body: str, content_type: str, query: str = "", **headers: str) -> dict[str, Any]:
    """An event of an HTTP API, payload format 2.0; a form is in base64."""
    encoded = not content_type.startswith("application/json")
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": content_type, **{name.replace("_", "-"): text for name, text in headers.items()}},
        "requestContext": {"http": {"method": "POST", "path": path}},
        "body": base64.b64encode(body.encode()).decode() if encoded else body,
        "isBase64Encoded": encoded,
    }


def sign(url: str, fields: Any) -> str:
    return str(RequestValidator(TOKEN).compute_signature(url, fields))


def form(path: str, fields: Mapping[str, str], signature: str | None = None) -> dict[str, Any]:
    signed = sign(f"{PUBLIC_URL}{path}", dict(fields)) if signature is None else signature
    kind = "application/x-www-form-urlencoded; charset=UTF-8"
    bare, _, query = path.partition("?")
    return event(bare, urlencode(fields), kind, query, **({"x_twilio_signature": signed} if signed else {}))


def post(path: str, content: Any, *, sha: str | None = None, **headers: str) -> dict[str, Any]:
    """JSON, signed with its SHA-256 in the query unless `sha` is another; an empty one is left out."""
    body = json.dumps(content)
    sha = hashlib.sha256(body.encode()).hexdigest() if sha is None else sha
    query = f"bodySHA256={sha}" if sha else ""
    signature = sign(f"{PUBLIC_URL}{path}{'?' if query else ''}{query}", {})
    return event(path, body, "application/json", query, x_twilio_signature=signature, **headers)


def message(conversation_id: str = CONVERSATION, channel: str = "SMS") -> dict[str, Any]:
    author = {"address": "+15005550006", "channel": channel}
    data = {"id": "m1", "conversationId": conversation_id, "author": author, "content": {"text": "Hello"}}
    return {"eventType": "COMMUNICATION_CREATED", "data": data}


# --- signatures ---------------------------------------------------------------------------------------------------


def test_a_signed_form_is_passed_on_unchanged(aws: Aws) -> None:
    aws.answer = aws.says("<Response/>", "application/xml")
    webhook = form("/connect-action", {**CALL, "HandoffData": '{"reasonCode": "ü &+"}'})
    answer = handler.answer(webhook, None)
    assert answer == {"statusCode": 200, "headers": {"content-type": "application/xml"}, "body": "<Response/>"}
    (envelope,) = aws.envelopes
    assert (envelope["method"], envelope["path"], envelope["query"]) == ("POST", "/connect-action", "")
    assert envelope["body"] == webhook["body"]
    assert envelope["headers"]["x-twilio-signature"] == webhook["headers"]["x-twilio-signature"]


def test_signed_json_is_passed_on_with_its_idempotency_token(aws: Aws) -> None:
    webhook = post("/webhooks/conversations", message(), i_twilio_idempotency_token="t1")
    assert handler.answer(webhook, None)["statusCode"] == 200
    (envelope,) = aws.envelopes
    assert envelope["query"] == webhook["rawQueryString"]
    assert envelope["headers"]["i-twilio-idempotency-token"] == "t1"
    assert json.loads(base64.b64decode(envelope["body"])) == message()


UNSIGNED = {
    "a form without a signature": form("/twiml", CALL, signature=""),
    "a form with a wrong one": form("/twiml", CALL, signature="x" * 28),
    "a form that was signed for another address": form("/twiml", CALL, sign("https://evil.example/twiml", CALL)),
    "another form": form("/twiml", {**CALL, "To": "+15005550009"}, sign(f"{PUBLIC_URL}/twiml", CALL)),
    "JSON without its SHA-256": post("/webhooks/conversations", message(), sha=""),
    "JSON with another one": post("/webhooks/conversations", message(), sha="0" * 64),
    "JSON without a signature": event("/webhooks/conversations", "{}", "application/json", "bodySHA256=" + "0" * 64),
    "nothing at all": event("/webhooks/conversations", "", "application/json"),
    "bytes that are no text": {**form("/twiml", CALL), "body": base64.b64encode(b"\xff\xfe=").decode()},
}


@pytest.mark.parametrize("webhook", UNSIGNED.values(), ids=UNSIGNED.keys())
def test_a_webhook_without_a_valid_signature_starts_no_session(aws: Aws, webhook: dict[str, Any]) -> None:
    assert handler.answer(webhook, None)["statusCode"] == 403
    assert aws.sessions == []


@pytest.mark.parametrize("nonsense", [{}, {"requestContext": None}, {**form("/twiml", CALL), "body": "not base64!"}])
def test_an_event_that_is_not_a_request_gets_400(aws: Aws, nonsense: dict[str, Any]) -> None:
    assert handler.answer(nonsense, None)["statusCode"] == 400


def test_header_names_may_have_any_case(aws: Aws) -> None:
    webhook = form("/connect-action", CALL)
    webhook["headers"] = {name.title(): text for name, text in webhook["headers"].items()}
    assert handler.answer(webhook, None)["statusCode"] == 200


# --- sessions --------------------------------------------------------------------------------------------------------


TASK = {"EventType": "reservation.accepted", "Sid": "EV1"}
SESSIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a call": (form("/twiml", CALL), CALL["CallSid"]),
    "the task of a call": (
        form("/webhooks/taskrouter", {**TASK, "TaskAttributes": json.dumps({"call_sid": CALL["CallSid"]})}),
        CALL["CallSid"],
    ),
    "the task of a conversation": (
        form("/webhooks/taskrouter", {**TASK, "TaskAttributes": json.dumps({"conversation_id": CONVERSATION})}),
        CONVERSATION,
    ),
    "a message": (post("/webhooks/conversations", message()), CONVERSATION),
    "the end of a conversation": (
        post("/webhooks/conversations", {"eventType": "CONVERSATION_UPDATED", "data": {"id": CONVERSATION}}),
        CONVERSATION,
    ),
    "signals": (
        post("/webhooks/intelligence", {"conversationId": CONVERSATION, "operatorResults": []}),
        handler.SIGNALS_SESSION,
    ),
    "a short name": (form("/twiml", {**CALL, "CallSid": "CA1"}), "CA1".ljust(33, "-")),
}


@pytest.mark.parametrize(("webhook", "session"), SESSIONS.values(), ids=SESSIONS.keys())
def test_a_webhook_goes_to_its_session(aws: Aws, webhook: dict[str, Any], session: str) -> None:
    assert handler.answer(webhook, None)["statusCode"] == 200
    assert aws.sessions == [session] and 33 <= len(session) <= 256


IGNORED = {
    "speech in a call": post("/webhooks/conversations", message(channel="VOICE")),
    "a participant": post("/webhooks/conversations", {"eventType": "PARTICIPANT_ADDED", "data": {"id": "p"}}),
    "a worker": form("/webhooks/taskrouter", {"EventType": "worker.activity.update"}),
    "a task of others": form("/webhooks/taskrouter", {**TASK, "TaskAttributes": '{"color": "blue"}'}),
    "an event without data": post("/webhooks/conversations", {"eventType": "COMMUNICATION_CREATED", "data": None}),
}


@pytest.mark.parametrize("webhook", IGNORED.values(), ids=IGNORED.keys())
def test_an_event_that_the_agent_does_not_need_starts_no_session(aws: Aws, webhook: dict[str, Any]) -> None:
    assert handler.answer(webhook, None)["statusCode"] == 204
    assert aws.sessions == []


@pytest.mark.parametrize("content", [[], "text", 1])
def test_json_that_is_not_an_object_is_refused(aws: Aws, content: Any) -> None:
    assert handler.answer(post("/webhooks/conversations", content), None)["statusCode"] == 400


# --- the URL of the WebSocket ---------------------------------------------------------------------------------------


def test_a_call_is_connected_to_its_own_session(aws: Aws) -> None:
    aws.answer = aws.says(TWIML, "application/xml")
    answer = handler.answer(form("/twiml", CALL), None)
    relay = handler.ElementTree.fromstring(answer["body"]).find("Connect/ConversationRelay")
    assert relay is not None and relay.attrib["welcomeGreeting"] == "Hi & hello"
    url = urlsplit(relay.attrib["url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc) == ("wss", "bedrock-agentcore.us-east-1.amazonaws.com")
    assert url.path == f"/runtimes/{handler.quote(ARN, safe='')}/ws"
    assert query[handler.SESSION_HEADER] == aws.sessions[0] == CALL["CallSid"]
    assert (query["X-Amz-Expires"], query["X-Amz-Security-Token"]) == ("300", "a-session-token")
    assert len(query["X-Amz-Signature"]) == 64


def test_other_twiml_is_unchanged(aws: Aws) -> None:
    said = '<Response><Say language="de-DE">Grüße &amp; tschüss</Say><Hangup /></Response>'
    aws.answer = aws.says(said, "application/xml")
    assert handler.answer(form("/connect-action", CALL), None)["body"] == said


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_slow_start_gets_a_second_request(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    """A redirect, during which the microVM starts."""
    aws.late = True
    (redirect,) = handler.ElementTree.fromstring(handler.answer(form("/twiml", CALL), None)["body"])
    assert (redirect.tag, redirect.text) == ("Redirect", f"{PUBLIC_URL}/twiml?again=1")
    assert "agent.failed" not in caplog.text
    (say, _) = handler.ElementTree.fromstring(handler.answer(form("/twiml?again=1", CALL), None)["body"])
    assert say.tag == "Say" and "agent.failed" in caplog.text


def test_other_webhooks_are_not_repeated_when_the_agent_is_slow(aws: Aws) -> None:
    aws.late = True
    (say, _) = handler.ElementTree.fromstring(handler.answer(form("/connect-action", CALL), None)["body"])
    assert say.tag == "Say" and len(aws.sessions) == 1


def break_secret(aws: Aws) -> None:
    aws.secret = "not json"


def break_runtime(aws: Aws) -> None:
    handler.auth_token()
    aws.status, aws.answer = 500, {"message": "what the caller said"}


def break_answer(aws: Aws) -> None:
    aws.answer = {"error": "Not an envelope."}


def break_twiml(aws: Aws) -> None:
    aws.answer = aws.says("<Response><Connect", "application/xml")


BROKEN = [break_secret, break_runtime, break_answer, break_twiml]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_caller_hears_an_apology_for_every_failure(
    aws: Aws, broken: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("UNAVAILABLE", "Später & <besser>.")
    monkeypatch.setenv("SAY_LANGUAGE", "de-DE")
    broken(aws)
    answer = handler.answer(form("/twiml", CALL), None)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "application/xml")
    root = handler.ElementTree.fromstring(answer["body"])
    say, hangup = root
    assert (say.tag, say.text, say.get("language"), hangup.tag) == ("Say", "Später & <besser>.", "de-DE", "Hangup")
    assert "agent.failed path=/twiml" in caplog.text  # counted by the alarm
    assert "what the caller said" not in caplog.text


@pytest.mark.parametrize("broken", BROKEN[:3])
def test_a_failed_message_gets_503_so_that_twilio_sends_it_again(aws: Aws, broken: Any) -> None:
    broken(aws)
    assert handler.answer(post("/webhooks/conversations", message()), None)["statusCode"] == 503


def test_a_webhook_is_passed_on_once(aws: Aws) -> None:
    """boto3's retries would make the agent act twice."""
    break_runtime(aws)
    handler.answer(form("/connect-action", CALL), None)
    assert len(aws.sessions) == 1


def test_a_refusal_of_the_agent_is_passed_on(aws: Aws) -> None:
    aws.answer = aws.says("Not signed by Twilio.", "application/json", 403)
    assert handler.answer(form("/twiml", CALL), None)["statusCode"] == 403


def test_nothing_personal_is_logged(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    handler.answer(form("/twiml", {**CALL, "From": "+15005550006"}), None)
    handler.answer(form("/twiml", {**CALL, "From": "+15005550006"}, signature="x"), None)
    assert "5005550006" not in caplog.text and TOKEN not in caplog.text
