"""What is read of a call summary and of events of ConversationRelay: numbers, and words of fixed lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.observability import names
from app.observability.twilio_events.payload import fields, time_of

WORD = re.compile("[a-z][a-z_]{1,39}")
EDGES = ("carrier_edge", "sip_edge", "client_edge", "sdk_edge")


def summary_attributes(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a call summary, version 7: from, to and their places are left out.

    Source: https://www.twilio.com/docs/voice/voice-insights/api/call/details-call-summary, read on 2026-11-29
    """
    properties = fields(summary, "properties")
    streams = [
        fields(fields(fields(summary, edge), "metrics"), way) for edge in EDGES for way in ("inbound", "outbound")
    ]
    tags = summary.get("tags")
    return {
        names.CALL_STATE: word(summary.get("call_state")),
        names.CALL_TYPE: word(summary.get("call_type")),
        names.PROCESSING: word(summary.get("processing_state")),
        names.TAGS: sorted(filter(None, map(word, tags))) if isinstance(tags, list) else None,
        names.DURATION: number(summary.get("duration")),
        names.CONNECTED: number(summary.get("connect_duration")),
        names.ENDED_BY: word(properties.get("disconnected_by")),
        names.SIP_RESPONSE: number(properties.get("last_sip_response_num")),
        names.RINGING: number(properties.get("pdd_ms")),
        names.JITTER: highest(fields(stream, "jitter").get("max") for stream in streams),
        names.PACKET_LOSS: highest(stream.get("packet_loss_percentage") for stream in streams),
    }


def relay_attributes(events: Sequence[Any]) -> dict[str, Any]:
    """Attributes of the events of ConversationRelay in one call; latencies in milliseconds.

    Source: https://www.twilio.com/docs/voice/voice-insights/api/call/details-conversation-relay-events
    (read on 2026-11-29).
    """
    recognized, spoken = latencies(events, "stt_latency"), latencies(events, "tts_latency")
    count = [str(each.name) for each in events].count
    sessions = {fields({"": each.conversation_relay_data}, "").get("session_id") for each in events}
    return {
        names.STT_MEAN: mean(recognized),
        names.STT_MAX: highest(recognized),
        names.TTS_MEAN: mean(spoken),
        names.TTS_MAX: highest(spoken),
        names.INTERRUPTIONS: count("interrupt"),
        names.PREEMPTED: count("preempted"),
        names.RELAY_SESSIONS: len(sessions),
    }


def relay_times(events: Sequence[Any]) -> tuple[datetime, datetime]:
    """The times of the first and the last of these events."""
    times = [found for each in events if (found := time_of(each.timestamp))] or [datetime.now(UTC)]
    return min(times), max(times)


def latencies(events: Sequence[Any], name: str) -> list[float]:
    data = [fields({"": each.conversation_relay_data}, "") for each in events if each.name == name]
    found = (number(fields(each, name).get("latency_ms", each.get("latency_ms"))) for each in data)
    return [value for value in found if value is not None]


def word(value: Any) -> str:
    return value if isinstance(value, str) and WORD.fullmatch(value) else ""


def number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def highest(values: Any) -> float | None:
    return max((found for value in values if (found := number(value)) is not None), default=None)


def mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 1) if values else None
