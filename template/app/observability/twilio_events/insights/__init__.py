"""Voice Insights: the summary of a call, which Twilio sends up to 30 minutes after it, and how long Twilio took itself.

The latencies of ConversationRelay are asked for after the call, where the account has Advanced Features. They are in no
event of Event Streams. Source: https://www.twilio.com/docs/voice/voice-insights/api/call, read on 2026-11-29
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import structlog
from pydantic import Field
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from app.capability import Background, Capability, Services
from app.observability import names
from app.observability.twilio_events import DAY
from app.observability.twilio_events.call_trace import CallTrace
from app.observability.twilio_events.insights.summary import relay_attributes, relay_times, summary_attributes
from app.observability.twilio_events.payload import StreamEvent, call_of, time_of
from app.session import Session
from app.settings import Settings
from app.twilio_http import Http
from app.twilio_pages import pages

log = structlog.get_logger()

SUMMARY = "com.twilio.voice.insights.call-summary.complete"
REQUEST_TIMEOUT = 15.0  # seconds
NOT_FOUND = 404
ATTEMPTS = 3  # each `insights_delay` after the one before


class InsightsSettings(Settings):
    insights_delay: float = Field(
        120,
        alias="AGENT_INSIGHTS_DELAY",
        ge=0,
        description="Write how many seconds after a call Voice Insights is asked about it; Twilio needs up to 90.",
    )


class VoiceInsights(Capability):
    settings = InsightsSettings
    spoken_only = True
    event_types: ClassVar[Mapping[str, int]] = {SUMMARY: 7}

    def __init__(self, services: Services) -> None:
        self.services = services
        self.trace = CallTrace(services)
        self.delay: float = services.settings.insights_delay
        self.asking = Background()
        self.available: bool | None = None  # whether the account has Advanced Features; None until it is asked
        options = services.settings
        # An API key if there is one, else the Auth Token, which every project has.
        key, secret = (getattr(options, name, None) for name in ("api_key", "api_secret"))
        user, password = (key, secret) if key and secret else (options.account_sid, options.auth_token)
        http = Http(services.transport, REQUEST_TIMEOUT, services.settings)
        self.client = Client(user, password.get_secret_value(), options.account_sid, http_client=http)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    async def close(self) -> None:
        await self.asking.finish(0)
        await self.client.http_client.close()

    async def on_event(self, event: StreamEvent) -> None:
        """The summary of a call of this account."""
        call = call_of(event.data.get("call_sid"))
        if not call or not await self.services.store.claim(f"twilio-event:{event.id}", DAY):
            return
        end = time_of(event.data.get("end_time")) or event.at or self.services.now()
        start = time_of(event.data.get("start_time")) or end
        self.trace.record(names.CALL_SUMMARY, call, summary_attributes(event.data), start, end)

    async def on_end(self, session: Session) -> None:
        if self.trace.on and self.available is not False:
            self.asking.start(self._ask(session.id))

    async def _ask(self, call: str) -> None:
        try:
            for _ in range(ATTEMPTS):
                await asyncio.sleep(self.delay)
                if not await self._is_available():
                    return
                if events := await self._relay_events(call):
                    self.trace.record(names.RELAY, call, relay_attributes(events), *relay_times(events))
                    return
        except Exception as error:
            log.warning("insights.failed", call=call, error=type(error).__name__)

    async def _is_available(self) -> bool:
        if self.available is None:
            self.available = bool((await self.client.insights.v1.settings().fetch_async()).advanced_features)
        return self.available

    async def _relay_events(self, call: str) -> list[Any]:
        """The events of ConversationRelay; none while Twilio has none of the call (404)."""
        try:
            events = await pages(self.client.insights.v1.calls(call).events, edge="carrier_edge", page_size=1000)
        except TwilioRestException as error:
            if error.status == NOT_FOUND:
                return []
            raise
        return [each for each in events if each.group == "conversation_relay"]
