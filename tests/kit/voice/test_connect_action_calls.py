"""What Twilio reports at the end of a session: failures, unknown calls and handoffs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from twilio.twiml.voice_response import VoiceResponse

from app import Session
from app.capability import Capability
from app.voice.phrases import phrases
from kit import defaults, twiml
from kit.plugin import Web
from tests.kit.voice.test_calls import ENDED, FAILED, UP, action, app, in_call

__all__ = ["app", "in_call"]  # fixtures


@pytest.mark.parametrize("app", [[]], indirect=True, ids=["no capability"])
async def test_a_failed_session_is_opened_again_once(in_call: Web) -> None:
    document = await action(in_call, FAILED)
    assert document.verbs == ["Connect"]
    assert document.relay and phrases.RECONNECTED in document.relay.greeting
    document = await action(in_call, FAILED)
    assert (document.said, document.verbs) == (phrases.UNAVAILABLE, ["Say", "Hangup"])


@pytest.mark.parametrize(
    "form",
    [
        *({**UP, "CallSid": "CA" + "f" * 32, "SessionStatus": status} for status in ("completed", "ended", "failed")),
        {**UP, "CallSid": "CA" + "f" * 32, "SessionStatus": "new-in-2027"},
        *({"CallSid": ""}, {"SessionStatus": "failed"}, {"HandoffData": "{}"}, UP),
    ],
)
async def test_unknown_calls_and_missing_fields_are_answered(in_call: Web, form: dict[str, str]) -> None:
    answer = await in_call.post("/connect-action", form)
    assert twiml.read(answer.text).verbs[-2:] == ["Say", "Hangup"]


class Rescue(Capability):
    """Rings a number for a call that is lost."""

    async def on_lost(self, form: Mapping[str, str]) -> str:
        response = VoiceResponse()
        response.dial(form["From"])
        return str(response)


@pytest.mark.parametrize("app", [[Capability, Rescue]], indirect=True, ids=["rescue"])
async def test_a_lost_call_is_given_to_the_capability_that_rescues_it(in_call: Web) -> None:
    assert (await action(in_call, FAILED, From="+15005550006")).verbs == ["Connect"]
    document = await action(in_call, FAILED, From="+15005550006")
    assert document.verbs == ["Dial"]


class Farewell(Capability):
    """Says a sentence of its own before the last word."""

    def add_words(self, text: str, last: bool) -> str:
        return f"{text} Your number is 7." if last else text


@pytest.mark.parametrize("app", [[Farewell]], indirect=True, ids=["farewell"])
async def test_a_capability_may_add_words_to_the_goodbye(in_call: Web) -> None:
    assert (await action(in_call, ENDED)).said == f"{phrases.GOODBYE} Your number is 7."


class Desk(Capability):
    """Transfers a caller who wants a person."""

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        if handoff["wants"] != "a person":
            return None
        response = VoiceResponse()
        response.redirect(f"{defaults.PUBLIC_URL}/desk/{session.id}")
        return str(response)


@pytest.mark.parametrize("app", [[Capability, Desk, Capability]], indirect=True, ids=["desk"])
@pytest.mark.parametrize(
    ("data", "verbs"),
    [('{"wants": "a person"}', ["Redirect"])]
    + [(data, ["Say", "Hangup"]) for data in ('{"wants": "nothing"}', "{}", "[]", "7")],
)
async def test_the_first_capability_that_takes_a_handoff_decides(in_call: Web, data: str, verbs: list[str]) -> None:
    document = await action(in_call, ENDED, HandoffData=data)
    assert (document.verbs, document.said) == (verbs, phrases.GOODBYE if verbs != ["Redirect"] else "")
