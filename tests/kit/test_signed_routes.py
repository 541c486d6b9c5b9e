"""Every route of the project that takes webhooks: its signature, forms with repeated fields, and hostile JSON."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from starlette.datastructures import MultiDict

from kit import defaults
from kit.agent_app import build_app
from kit.webhook import sign

FORM_TYPE = "application/x-www-form-urlencoded"


def posted_to() -> list[str]:
    """The paths of all routes for POST, those of capabilities included."""
    app = build_app({"says": "Yes."})
    return [path for path, methods in app.openapi()["paths"].items() if "post" in methods]


PATHS = posted_to()


@pytest.fixture
async def http() -> AsyncGenerator[httpx2.AsyncClient]:
    app = build_app({"says": "Yes."})
    transport = httpx2.ASGITransport(app=app)  # raises what the app does not handle
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000") as http,
    ):
        yield http


async def post_json(http: httpx2.AsyncClient, path: str, content: bytes) -> httpx2.Response:
    target = f"{path}?bodySHA256={hashlib.sha256(content).hexdigest()}"
    headers = {"X-Twilio-Signature": sign(f"{defaults.PUBLIC_URL}{target}"), "Content-Type": "application/json"}
    return await http.post(target, content=content, headers=headers)


def test_the_project_has_routes() -> None:
    assert PATHS and not {"/webhook", "/conversation-relay-callback", "/twilio/call-events/status"} & set(PATHS)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "repeated",
    [
        [("Digits", "1"), ("Digits", "2")],
        [("Digits", "2"), ("Other", "x"), ("Digits", "1"), ("Digits", "2")],
        [("Digits", ""), ("Digits", "é ü")],
        [("StirVerstat", "a"), ("StirVerstat", "a")],
    ],
    ids=["two", "three", "empty", "equal"],
)
async def test_a_form_with_a_repeated_field_is_taken(
    http: httpx2.AsyncClient, path: str, repeated: list[tuple[str, str]]
) -> None:
    form = MultiDict([("CallSid", "CA" + "1" * 32), ("CallStatus", "completed"), *repeated])
    url = f"{defaults.PUBLIC_URL}{path}"
    for signature, accepted in (
        (sign(url, form), True),
        (sign(url, MultiDict([*form.multi_items(), ("a", "b")])), False),
    ):
        headers = {"X-Twilio-Signature": signature, "Content-Type": FORM_TYPE}
        answer = await http.post(path, content=urlencode(form.multi_items()), headers=headers)
        assert (answer.status_code != 403) is accepted and answer.status_code < 500


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kept", [0, -1], ids=["the first", "the last"])
async def test_one_value_of_a_repeated_field_does_not_sign_the_others(
    http: httpx2.AsyncClient, path: str, kept: int
) -> None:
    values = ["1", "2"]
    form = MultiDict([("Digits", value) for value in values])
    signature = sign(f"{defaults.PUBLIC_URL}{path}", {"Digits": values[kept]})
    headers = {"X-Twilio-Signature": signature, "Content-Type": FORM_TYPE}
    refused = await http.post(path, content=urlencode(form.multi_items()), headers=headers)
    assert refused.status_code == 403 and "Not signed by Twilio." in refused.text


@pytest.mark.parametrize("path", PATHS)
async def test_the_query_of_a_webhook_is_signed_with_it(http: httpx2.AsyncClient, path: str) -> None:
    """An address may have one: of a fallback, of a campaign, or of a capability."""
    form, url = {"CallSid": "CA" + "1" * 32, "CallStatus": "completed"}, f"{defaults.PUBLIC_URL}{path}"
    for signed, accepted in (
        ("?to=sales&to=caf%C3%A9%20x", True),
        ("", False),
        ("?to=sales", False),
        ("?to=sales&to=caf%C3%A9%20x&by=me", False),
        ("?to=caf%C3%A9%20x&to=sales", False),
    ):
        headers = {"X-Twilio-Signature": sign(f"{url}{signed}", form)}
        answer = await http.post(f"{path}?to=sales&to=caf%C3%A9%20x", data=form, headers=headers)
        assert (answer.status_code != 403) is accepted and answer.status_code < 500


HOSTILE: dict[str, bytes] = {
    "deep lists": b"[" * 100_000,
    "deep lists that end": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"data":' * 50_000 + b"1" + b"}" * 50_000,
    "deep inside": b'{"eventType": "COMMUNICATION_CREATED", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested as far as it can be read": b'{"operatorResults": ' + b"[" * 900 + b"]" * 900 + b"}",
    "half a surrogate pair": b'{"eventType": "\\ud83d", "data": {"id": "\\ud83d"}}',
    "a long number": b'{"data": ' + b"9" * 10_000 + b"}",
    "no JSON": b"hello",
    "no text": b"\xff\xfe{",
    "no object": b"[1, 2]",
    "nothing": b"",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_json_is_no_error_of_the_server(
    http: httpx2.AsyncClient, path: str, content: bytes, logged: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    answer: Any = await post_json(http, path, content)
    assert answer.status_code < 500 and (answer.status_code == 400 or "deep" not in request.node.callspec.id)
    assert "Traceback" not in logged() and "RecursionError" not in logged()


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("text", [DEEP, '{"a":' * 50_000 + "1" + "}" * 50_000, "[" * 100_000, '"\\ud83d"', "7", "null"])
async def test_hostile_json_in_a_form_is_no_error_of_the_server(
    http: httpx2.AsyncClient, path: str, text: str, logged: Callable[[], str]
) -> None:
    call = {"CallSid": "CA" + "1" * 32, "CallStatus": "in-progress", "SessionStatus": "ended"}
    event = {"EventType": "reservation.accepted", "TaskAttributes": text, "HandoffData": text}
    form = {**call, **event}
    headers = {"X-Twilio-Signature": sign(f"{defaults.PUBLIC_URL}{path}", form), "Content-Type": FORM_TYPE}
    answer = await http.post(path, content=urlencode(form), headers=headers)
    assert answer.status_code < 500
    assert "Traceback" not in logged() and "RecursionError" not in logged()
