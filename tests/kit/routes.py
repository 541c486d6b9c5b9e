"""Every route of an app, also of those that its schema leaves out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

import httpx2
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute

from app.registry import ProjectSettings
from kit import defaults
from kit.webhook import sign

FORM_TYPE = "application/x-www-form-urlencoded"
TOKEN = "a-token-for-tests-of-32-characters"
OPENING: dict[str, Any] = {"dial_token": TOKEN} if "dial_token" in ProjectSettings.model_fields else {}
"""Settings without which a route is closed."""


def routes_of(app: FastAPI) -> tuple[list[tuple[str, str]], list[str]]:
    """Method and path of each route of HTTP, and the paths of WebSockets. Raises TypeError for what is neither."""
    http, websockets = [], []
    for route in every(app.routes):
        if isinstance(route, APIRoute):
            http += [(method, route.path) for method in sorted(route.methods)]
        elif isinstance(route, APIWebSocketRoute):
            websockets.append(route.path)
        else:
            raise TypeError(route)
    return http, websockets


def every(routes: Sequence[Any]) -> Iterator[Any]:
    """The routes, those of routers that are included in place of these."""
    for route in routes:
        router = getattr(route, "original_router", None)
        yield from every(router.routes) if router else [route]


SID = "CA" + "1" * 32
CONVERSATION = "conv_conversation_" + "1" * 26
CALL = {"CallSid": SID, "From": defaults.CALLER, "To": defaults.CALLED, "Direction": "inbound"}
DIALED = {"CallSid": SID, "From": defaults.CALLED, "To": defaults.CALLER, "Direction": "outbound-api"}
TASK = json.dumps({"call_sid": SID, "conversation_id": CONVERSATION})
HANDOFF = '{"reasonCode": "live-agent-handoff"}'
FORMS: list[dict[str, str]] = [
    {**CALL, "CallStatus": "in-progress"},
    {**CALL, "CallStatus": "in-progress", "SessionStatus": "failed", "ErrorCode": "64105"},
    {
        **CALL,
        "CallStatus": "in-progress",
        "SessionStatus": "ended",
        "HandoffData": '{"reasonCode": "live-agent-handoff"}',
    },
    {
        **CALL,
        "CallStatus": "completed",
        "SessionStatus": "ended",
        "RecordingStatus": "completed",
        "QueueResult": "leave",
    },
    {**DIALED, "CallStatus": "in-progress", "AnsweredBy": "human", "Digits": "9"},
    {**DIALED, "CallStatus": "in-progress", "AnsweredBy": "machine_end_beep", "Digits": "1"},
    {**DIALED, "CallStatus": "completed"},
    {
        "EventType": "reservation.accepted",
        "TaskAttributes": TASK,
    },
    {"EventType": "task.canceled", "TaskAttributes": TASK},
    {"Level": "ERROR", "Payload": json.dumps({"resource_sid": SID, "error_code": "64105"}), "Sid": "NO1"},
]
CUSTOMER = {"address": defaults.CALLER, "channel": "SMS", "participantId": "conv_participant_1"}
OBJECTS: list[dict[str, Any]] = [
    {
        "eventType": "COMMUNICATION_CREATED",
        "data": {
            "id": "conv_communication_1",
            "conversationId": CONVERSATION,
            "author": CUSTOMER,
            "content": {"type": "TEXT", "text": text},
            "createdAt": "2026-03-01T10:00:00Z",
        },
    }
    for text in ("Hello", "STOP")
]
CONTACT = {"number": "+12125550123", "purpose": "information", "consent": "written", "consent_how": "web"}
CONTACT |= {"consent_at": "2026-01-02T10:00:00Z", "consent_wording": "v1", "campaign": "spring"}
OBJECTS += [
    CONTACT,
    {**CONTACT, "dry_run": True},
    {"eventType": "CONVERSATION_UPDATED", "data": {"id": CONVERSATION, "status": "CLOSED"}},
    {"conversationId": CONVERSATION, "operatorResults": [{"id": "1", "operator": {"displayName": "x"}, "result": {}}]},
]


async def every_route_answers(app: FastAPI) -> list[tuple[str, int]]:
    """Send what Twilio sends to each route. No route fails; returns paths and statuses."""
    transport = httpx2.ASGITransport(app)  # raises what the app does not handle
    answered = []
    async with httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000") as http:
        for method, path in routes_of(app)[0]:
            for body in [*FORMS, *OBJECTS]:
                is_form = "CallSid" in body or "Payload" in body or "TaskAttributes" in body
                content = urlencode(body) if is_form else json.dumps(body)
                target = path if is_form else f"{path}?bodySHA256={hashlib.sha256(content.encode()).hexdigest()}"
                headers = {
                    "Authorization": f"Bearer {TOKEN}",
                    "X-Twilio-Signature": sign(f"{defaults.PUBLIC_URL}{target}", body if is_form else {}),
                    "Content-Type": FORM_TYPE if is_form else "application/json",
                }
                answer = await http.request(method, target, content=content, headers=headers)
                assert answer.status_code < 500 or (answer.status_code == 503 and answer.text), (path, body)
                answered.append((path, answer.status_code))
    return answered
