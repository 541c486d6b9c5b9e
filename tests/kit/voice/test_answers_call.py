"""A capability speaks to the caller before the agent does, and hands the caller to ConversationRelay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import httpx2
import pytest

from app.capability import Capability, Services
from app.voice import Voice
from app.voice.phrases import phrases
from kit import defaults, twiml
from kit.agent_app import build_app
from kit.plugin import sign

FORM = {"AccountSid": defaults.ACCOUNT_SID, "CallSid": "CA" + "1" * 32, "From": defaults.CALLER}


class Doorman(Capability):
    """Says a sentence, then connects the caller with a greeting of its own."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    async def answer_call(self, form: Mapping[str, str]) -> str | None:
        (voice,) = [channel for channel in self.services.channels if isinstance(channel, Voice)]
        connect = await voice.connect_twiml(form, "Welcome inside.")
        return connect.replace("<Response>", "<Response><Say>One moment.</Say>", 1)


class Silent(Doorman):
    async def answer_call(self, form: Mapping[str, str]) -> str | None:
        return None


class Broken(Doorman):
    async def answer_call(self, form: Mapping[str, str]) -> str | None:
        raise RuntimeError("no words")


async def answer(*capabilities: type[Capability]) -> twiml.Document:
    app = build_app(capabilities=capabilities)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app") as http:
        signature = sign(f"{defaults.PUBLIC_URL}/twiml", FORM)
        return twiml.read((await http.post("/twiml", data=FORM, headers={"X-Twilio-Signature": signature})).text)


async def test_the_first_capability_that_answers_speaks_before_the_agent() -> None:
    document = await answer(Silent, Doorman)
    assert (document.verbs, document.said) == (["Say", "Connect"], "One moment.")
    assert document.relay and document.relay.greeting == "Welcome inside."


async def test_no_capability_is_asked_after_the_first_that_answers() -> None:
    class Second(Doorman):
        async def answer_call(self, form: Mapping[str, str]) -> str | None:
            asked.append(form["CallSid"])
            return None

    asked: list[str] = []
    await answer(Doorman, Second)
    assert asked == []
    await answer(Silent, Second)
    assert asked == [FORM["CallSid"]]


async def test_a_capability_has_the_greeting_of_a_call() -> None:
    class Greeter(Capability):
        async def greet_call(self, form: Mapping[str, str]) -> str | None:
            return "Good evening." if form["CallSid"] == FORM["CallSid"] else None

    document = await answer(Greeter)
    assert document.relay and document.relay.greeting == "Good evening."
    document = await answer(Greeter, Doorman)  # which has a greeting for it
    assert document.relay and document.relay.greeting == "Welcome inside."


@pytest.mark.parametrize("capabilities", [[], [Silent], [Broken]], ids=["none", "silent", "broken"])
async def test_without_an_answer_the_agent_greets(capabilities: list[type[Capability]]) -> None:
    document = await answer(*capabilities)
    assert document.verbs == ["Connect"]
    assert document.relay and document.relay.greeting == phrases.GREETING
