"""A capability sends a call elsewhere for a while, and the call comes back to its session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Self

from fastapi import APIRouter, Request, Response

from app import Session
from app.capability import Capability, Services, Timeouts
from app.channel import signed_body
from app.voice import Voice
from app.voice.calls import MAX_DETOUR
from kit import defaults
from kit.activity import wait_until
from kit.caller import Call, calls_of
from kit.testing import Dial
from kit.voice_fixtures import contents, leave

LEAVES = {"hears": "bye", "says": "See you.", "calls": {"leave": {"reason": "away"}}}
AWAY = f'<Response><Say>Elsewhere.</Say><Pay action="{defaults.PUBLIC_URL}/back"/></Response>'  # the call waits in it


class Detour(Capability):
    """Sends calls away, and brings them back."""

    events: list[str]

    def __init__(self, services: Services) -> None:
        self.services = services
        Detour.events = []

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/back", self.back, methods=["POST"])
        return router

    async def back(self, request: Request) -> Response:
        form = await signed_body(self.services.settings)(request)
        (voice,) = [channel for channel in self.services.channels if isinstance(channel, Voice)]
        return Response(await voice.connect_twiml(form, "Welcome back."), media_type="application/xml")

    async def on_detour(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        return AWAY if handoff["reasonCode"] == "away" else None

    async def on_resume(self, session: Session) -> None:
        self.events.append("resumed")

    async def on_end(self, session: Session) -> None:
        self.events.append("ended")


async def away(dial: Dial) -> Call:
    """A call that is elsewhere."""
    call = await dial(LEAVES, {"says": "Yes."}, tools=[leave], capabilities=[Detour])
    await call.says("Hello")
    await call.says("bye")
    await call.wait_for_end()
    assert (call.farewell, call.ended_by) == ("Elsewhere.", None)
    return call


async def comes_back(call: Call) -> None:
    await call.goes_on(await call.fetch(f"{defaults.PUBLIC_URL}/back", CallStatus="in-progress"))


async def test_the_call_comes_back_to_its_session(dial: Dial) -> None:
    call = await away(dial)
    before = call.session
    await comes_back(call)
    assert call.greeting == "Welcome back." and (await call.says("And now?")).text == "Yes."
    assert call.session is before and "Hello" in contents(call.session)
    assert Detour.events == ["resumed"]


async def test_a_call_that_is_away_does_not_end_as_one_that_has_dropped(
    dial: Dial, advance_clock: Callable[[float], None]
) -> None:
    call = await away(dial)
    advance_clock(2 * Timeouts.reconnect)
    await asyncio.sleep(0.05)
    assert Detour.events == []
    await comes_back(call)
    assert (await call.says("And now?")).text == "Yes."


async def test_a_call_that_stays_away_ends(dial: Dial, advance_clock: Callable[[float], None]) -> None:
    await away(dial)
    advance_clock(MAX_DETOUR + 1)
    await wait_until(lambda: "ended" in Detour.events, "the call did not end")


async def test_a_handoff_that_is_no_detour_ends_the_call(dial: Dial) -> None:
    call = await dial({"says": "See you.", "calls": {"leave": {"reason": "bye"}}}, tools=[leave], capabilities=[Detour])
    await call.says("bye")
    await call.wait_for_end()
    assert call.ended_by == "agent" and Detour.events == ["ended"]
    assert calls_of(call.app).get(call.sid) is None
