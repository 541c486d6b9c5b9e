"""A Lambda function that passes Twilio's webhooks to the agent in Amazon Bedrock AgentCore.

It checks the signature and names the session: one for each call or conversation, each in its own microVM. In TwiML with
ConversationRelay it puts the presigned URL of the session's WebSocket. A system of yours that asks for a call has no
signature: it needs the token of the secret, which the agent compares once more.

Twilio's class for this (`tac_aws.proxy.AgentCoreLambdaProxy` of twilio-agent-connect-aws 2.0) is not used: it cannot be
imported beside TAC 2.4 or later, raises for JSON whose signature it cannot check, and treats a failure as success.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode
from xml.etree import ElementTree

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from twilio.request_validator import RequestValidator

log = logging.getLogger("lambda_proxy")
log.setLevel(logging.INFO)

READ_TIMEOUT = 12.0  # seconds for an answer and the start of a microVM; Twilio waits 15 for TwiML
CONNECT_TIMEOUT = 1.0  # seconds
MAX_BODY = 1024 * 1024  # bytes, as app/limits.py
URL_LIFETIME = 300  # seconds that the URL of a WebSocket is valid: the most that AgentCore allows
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
MIN_SESSION_ID = 33  # characters at least: InvokeAgentRuntime, runtimeSessionId
SIGNALS_SESSION = "signals-of-conversation-intelligence"  # one session for all: signals name no call
UNAVAILABLE = "Sorry, something is wrong on our side. Please call again in a few minutes."
CALLS_PATH = "/outbound/calls"  # as app/outbound/route.py
CALLS_SESSION = "requests-for-calls-that-the-agent-begins"  # one session for all: its rate is limited as one
TWIML_PATH, RETRY_QUERY = "/twiml", "again=1"
FORWARDED_HEADERS = ("content-type", "x-twilio-signature", "i-twilio-idempotency-token")
EVENTS = {"COMMUNICATION_CREATED", "CONVERSATION_UPDATED"}  # passed to the agent


class Fields(dict[str, list[str]]):
    """A form, as RequestValidator reads one: all values of a field that comes more than once count."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


class Malformed(Exception):
    """A body that does not have its content type."""


@dataclass
class Webhook:
    """A request of an HTTP API (payload format 2.0)."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Webhook:
        body = event.get("body") or ""
        return cls(
            method=event["requestContext"]["http"]["method"],
            path=event["rawPath"],
            query=event.get("rawQueryString") or "",
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            body=base64.b64decode(body) if event.get("isBase64Encoded") else body.encode(),
        )

    @property
    def is_json(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/json")

    @property
    def form(self) -> dict[str, str]:
        return {} if self.is_json else dict(parse_qsl(self.text, keep_blank_values=True))

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def is_call(self) -> bool:
        """True if the answer is spoken to a caller."""
        return "CallSid" in self.form

    @property
    def asks_for_a_call(self) -> bool:
        return (self.method, self.path) == ("POST", CALLS_PATH)

    def has_token(self, token: str) -> bool:
        given = self.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    @property
    def is_first_request(self) -> bool:
        """True for the first request for TwiML of a call. It is repeated once if the session starts slowly."""
        return self.path == TWIML_PATH and self.query != RETRY_QUERY

    def is_signed(self, token: str) -> bool:
        """JSON is signed by its SHA-256 in the query; without one it is not signed at all.

        Source: https://www.twilio.com/docs/usage/security#validating-requests
        """
        if self.is_json and "bodySHA256" not in dict(parse_qsl(self.query)):
            return False
        url = f"{os.environ['PUBLIC_URL']}{self.path}{'?' if self.query else ''}{self.query}"
        fields: Any = self.text if self.is_json else Fields(parse_qs(self.text, keep_blank_values=True))
        return bool(RequestValidator(token).validate(url, fields, self.headers.get("x-twilio-signature", "")))

    def session(self) -> str | None:
        """The session of a signed webhook, or None for an event that the agent does not need."""
        if not self.is_json:
            task = json_object(self.form.get("TaskAttributes") or "{}")
            id = self.form.get("CallSid") or task.get("call_sid") or task.get("conversation_id")
            return str(id) if id else None
        body = json_object(self.text)
        data = body.get("data")
        if "operatorResults" in body:
            return SIGNALS_SESSION
        if not isinstance(data, dict) or body.get("eventType") not in EVENTS or is_from_call(data):
            return None
        id = data.get("conversationId") or data.get("id")
        return str(id) if id else None

    def envelope(self) -> bytes:
        """The webhook as app/agentcore_host/__init__.py reads it."""
        forwarded = (*FORWARDED_HEADERS, "authorization") if self.asks_for_a_call else FORWARDED_HEADERS
        return json.dumps(
            {
                "method": self.method,
                "path": self.path,
                "query": self.query,
                "headers": {name: self.headers[name] for name in forwarded if name in self.headers},
                "body": base64.b64encode(self.body).decode(),
            }
        ).encode()


def json_object(text: str) -> dict[str, Any]:
    """A JSON object. Raises Malformed."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error
    if not isinstance(found, dict):
        raise Malformed("not a JSON object")
    return found


def is_from_call(data: Mapping[str, Any]) -> bool:
    """True for speech in a call: one event a sentence, each of which would keep a second microVM awake."""
    author = data.get("author")
    return isinstance(author, dict) and author.get("channel") == "VOICE"


def answer(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """The Lambda function. Never raises: the caller would hear silence."""
    try:
        webhook = Webhook.of(event)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        log.warning("request.malformed error=%s", type(error).__name__)
        return reply(400, "Not a request of an HTTP API.")
    try:
        if len(webhook.body) > MAX_BODY:
            return reply(413, "The body is too large.")
        if webhook.asks_for_a_call:
            if not (token := secret().get("AGENT_DIAL_TOKEN")):
                return reply(404, "Not Found")
            if not webhook.has_token(str(token)):
                return reply(401, "A bearer token is needed.")
            return invoke_agent(webhook, CALLS_SESSION)
        if not webhook.is_signed(auth_token()):
            log.warning("signature.refused path=%s hint=PUBLIC_URL must be the URL that Twilio calls", webhook.path)
            return reply(403, "Not signed by Twilio.")
        session = webhook.session()
        if session is None:
            return reply(204)
        return invoke_agent(webhook, session.ljust(MIN_SESSION_ID, "-"))
    except Malformed as error:
        log.warning("request.malformed path=%s error=%s", webhook.path, error)
        return reply(400, f"The body is {error}.")
    except Exception as error:
        if isinstance(error, ReadTimeoutError) and webhook.is_first_request:
            log.warning("agent.slow path=%s", webhook.path)
            return reply(200, retry_twiml(), "application/xml")
        log.error("agent.failed path=%s error=%s", webhook.path, reason(error))
        return (
            reply(200, apology_twiml(), "application/xml")
            if webhook.is_call
            else reply(503, "The agent is unavailable.")
        )


def invoke_agent(webhook: Webhook, session_id: str) -> dict[str, Any]:
    """The answer of the agent. Raises when there is none or when it is invalid."""
    response = agentcore().invoke_agent_runtime(
        agentRuntimeArn=os.environ["RUNTIME_ARN"],
        runtimeSessionId=session_id,
        contentType="application/json",
        accept="application/json",
        payload=webhook.envelope(),
    )
    with closing(response["response"]) as stream:
        answered = json.loads(stream.read())
    body = base64.b64decode(answered["body"]).decode()
    if answered["content_type"].startswith("application/xml"):
        body = with_session_url(body, session_id)
    return reply(int(answered["status"]), body, answered["content_type"])


def with_session_url(twiml: str, session_id: str) -> str:
    """TwiML whose ConversationRelay has the URL of the session's WebSocket."""
    root = ElementTree.fromstring(twiml)
    relays = list(root.iter("ConversationRelay"))
    for relay in relays:
        relay.set("url", websocket_url(session_id))
    return ElementTree.tostring(root, encoding="unicode") if relays else twiml


def websocket_url(session_id: str) -> str:
    """A presigned URL, since Twilio cannot sign for AWS. It gives access to the session for URL_LIFETIME seconds."""
    client = agentcore()
    path = f"/runtimes/{quote(os.environ['RUNTIME_ARN'], safe='')}/ws"
    url = f"{client.meta.endpoint_url}{path}?{urlencode({SESSION_HEADER: session_id})}"
    request = AWSRequest("GET", url, headers={"host": client.meta.endpoint_url.removeprefix("https://")})
    credentials = session().get_credentials().get_frozen_credentials()
    SigV4QueryAuth(credentials, "bedrock-agentcore", client.meta.region_name, expires=URL_LIFETIME).add_auth(request)
    return f"wss://{request.url.removeprefix('https://')}"


def retry_twiml() -> str:
    """TwiML that repeats the request for TwiML; the phone keeps ringing."""
    response = ElementTree.Element("Response")
    redirect = ElementTree.SubElement(response, "Redirect", method="POST")
    redirect.text = f"{os.environ['PUBLIC_URL']}{TWIML_PATH}?{RETRY_QUERY}"
    return ElementTree.tostring(response, encoding="unicode")


def apology_twiml() -> str:
    """TwiML that says UNAVAILABLE of agent/phrases.py and hangs up."""
    response = ElementTree.Element("Response")
    say = ElementTree.SubElement(response, "Say", language=os.environ.get("SAY_LANGUAGE", "en-US"))
    say.text = os.environ.get("UNAVAILABLE", UNAVAILABLE)
    ElementTree.SubElement(response, "Hangup")
    return ElementTree.tostring(response, encoding="unicode")


def reply(status: int, body: str = "", content_type: str = "text/plain") -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": content_type}, "body": body}


def reason(error: Exception) -> str:
    """The class and code of an error. Its message may quote the conversation."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return f"{type(error).__name__} {code}".strip()


@cache
def session() -> Any:
    return boto3.Session()


def region(name: str) -> str:
    """The region of the ARN in an environment variable."""
    return os.environ[name].split(":")[3]


@cache
def agentcore() -> Any:
    """A client without retries: a second request would be a second event for the agent, and a second wait."""
    config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 1})
    return session().client("bedrock-agentcore", region_name=region("RUNTIME_ARN"), config=config)


@cache
def secret() -> dict[str, Any]:
    """The settings of the agent. Read once in the life of this process."""
    client = session().client("secretsmanager", region_name=region("SECRET_ARN"))
    found: dict[str, Any] = json.loads(client.get_secret_value(SecretId=os.environ["SECRET_ARN"])["SecretString"])
    return found


def auth_token() -> str:
    return str(secret()["TWILIO_AUTH_TOKEN"])
