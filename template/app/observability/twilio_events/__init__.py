"""What Twilio says of a call, in its trace: errors and warnings of the account, and events of Event Streams.

Both webhooks may report one error, and each may repeat it: an error is recorded once, by its SID. Of a report only
codes, ids and words of fixed lists are read: its texts, its requests and its responses may quote the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, Self, runtime_checkable

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.capability import Capability, Services
from app.channel import signed_body
from app.observability import names
from app.observability.traces import attached, context_of
from app.observability.twilio_events.call_trace import CallTrace
from app.observability.twilio_events.payload import LoggedError, StreamEvent, error_of, events_of, reported_error
from app.settings import Settings

log = structlog.get_logger()

EVENTS, DEBUGGER = "/webhooks/events", "/webhooks/debugger"
ERROR_LOGGED = "com.twilio.error-logs.error.logged"
DAY = 24 * 3600.0  # seconds; Event Streams repeats an event for up to four hours
LEVELS = {"error": ("error",), "warning": ("error", "warning")}


class TwilioEventsSettings(Settings):
    twilio_event_level: str = Field(
        "warning",
        alias="AGENT_TWILIO_EVENT_LEVEL",
        pattern="^(error|warning)$",
        description="Write error for Twilio's errors alone, or warning for its warnings too.",
    )


@runtime_checkable
class TakesEvents(Protocol):
    """A capability that takes events of Event Streams. `event_types` maps their types to versions of their schemas."""

    event_types: ClassVar[Mapping[str, int]]

    async def on_event(self, event: StreamEvent) -> None:
        """An event of these types has come. It may raise."""


class TwilioEvents(Capability):
    settings = TwilioEventsSettings
    event_types: ClassVar[Mapping[str, int]] = {ERROR_LOGGED: 2}

    def __init__(self, services: Services) -> None:
        self.services = services
        self.trace = CallTrace(services)
        self.levels = LEVELS[services.settings.twilio_event_level]
        self._form = signed_body(services.settings)
        self._events = signed_body(services.settings, lists=True)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(EVENTS, self.receive_events, methods=["POST"])
        router.add_api_route(DEBUGGER, self.receive_error, methods=["POST"])
        return router

    async def receive_events(self, request: Request) -> Response:
        """Event Streams waits five seconds, and repeats what is answered with an error: so nothing that is signed is.

        Source: https://www.twilio.com/docs/events/webhook-quickstart, read on 2026-11-29
        """
        for event in events_of(await self._events(request)):
            for each in self.services.capabilities:
                if isinstance(each, TakesEvents) and event.type in each.event_types:
                    await self._take(each, event)
        return Response()

    async def _take(self, capability: TakesEvents, event: StreamEvent) -> None:
        try:
            await capability.on_event(event)
        except Exception as error:  # its text may quote the event
            log.error("twilio.event_failed", type=event.type, error=type(error).__name__)

    async def receive_error(self, request: Request) -> Response:
        """The webhook that the Console has for the Debugger.

        Source: https://www.twilio.com/docs/usage/troubleshooting/debugging-event-webhooks, read on 2026-11-29
        """
        if error := reported_error(await self._form(request)):
            await self._record(error)
        return Response()

    async def on_event(self, event: StreamEvent) -> None:
        if error := error_of(event):
            await self._record(error)

    async def _record(self, error: LoggedError) -> None:
        if error.level not in self.levels or not await self.services.store.claim(f"twilio-error:{error.sid}", DAY):
            return
        say = log.error if error.level == "error" else log.warning
        with attached(context_of(error.call)):
            say("twilio.error", call=error.call, code=error.code, product=error.product)
        self.services.count("twilio_error", level=error.level)
        if error.call:
            attributes = {names.ERROR_CODE: error.code, names.LEVEL: error.level, names.PRODUCT: error.product}
            at = error.at or self.services.now()
            self.trace.record(names.TWILIO_ERROR, error.call, attributes, at, at, failed=error.level == "error")
