"""The webhooks of Event Streams and the Debugger: signatures, and bodies of other shapes than documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kit import defaults
from kit.plugin import Web
from kit.testing import Begin
from kit.webhook import signed_json
from tests.kit.observability.conversation import NAME

ERROR = {"sid": "NO" + "2" * 32, "level": "ERROR", "error_code": 64105, "correlation_sid": "CA" + "2" * 32}


def event(**changes: Any) -> dict[str, Any]:
    own = {"specversion": "1.0", "id": "NO" + "2" * 32, "type": "com.twilio.error-logs.error.logged", "data": ERROR}
    return {**own, **changes}


ODD: dict[str, Any] = {
    "a test of the sink": event(type="com.twilio.eventstreams.test-event", data={"test_id": "1"}),
    "an event without data": event(data=None),
    "data that is no object": event(data=[1, 2]),
    "data that is no JSON": event(data="{"),
    "an id that is no text": event(id=7),
    "a type that is no text": event(type=["a"]),
    "a SID with words": event(data={**ERROR, "sid": NAME}),
    "no event": {},
    "no object": [[], 1, None],
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
async def test_odd_events_are_taken_and_record_nothing(body: Any, web: Web, logged: Callable[[], str]) -> None:
    """Else Twilio would send them again, for four hours."""
    url, content, headers = signed_json(f"{defaults.PUBLIC_URL}/webhooks/events", body)
    answer = await web.http.post(url.removeprefix(defaults.PUBLIC_URL), content=content, headers=headers)
    assert answer.status_code == 200
    assert "twilio.error" not in logged() and "Traceback" not in logged()


@pytest.mark.parametrize("path", ["/webhooks/events", "/webhooks/debugger"])
async def test_what_is_not_signed_is_refused(path: str, web: Web) -> None:
    content = json.dumps([event()])
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        assert (await web.http.post(path, content=content, headers=headers)).status_code == 403
    url, content_bytes, signed = signed_json(f"{defaults.PUBLIC_URL}{path}", [event()], token="another")
    answer = await web.http.post(url.removeprefix(defaults.PUBLIC_URL), content=content_bytes, headers=signed)
    assert answer.status_code == 403


async def test_an_error_is_logged_once_on_every_channel(begin: Begin, logged: Callable[[], str]) -> None:
    talk = await begin()
    await talk.says("Hello")
    party = talk.party
    await party.account.simulate(party, {"monitor": {"error_code": 30003, "resource": "SM" + "1" * 32, "repeat": 2}})
    (found,) = [json.loads(line) for line in logged().splitlines() if '"twilio.error"' in line]
    call = party.reference if party.channel == "VOICE" else ""
    assert (found["call"], found["code"], found["level"]) == (call, "30003", "error")
