"""Names of spans, attributes and metrics. Each attribute is classified here; `classified.py` lets no other out.

The GenAI semantic conventions are in development (https://github.com/open-telemetry/semantic-conventions-genai), so
their literals stand here alone. A turn is `invoke_agent` in their voice draft (pull request 390, read in November
2026); hops without a name there have that of TAC's draft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SCOPE = "app"

CHANNELS = ("voice", "messaging")

# Spans.
HOPS = {
    "turn": "invoke_agent",
    "receive": "relay.receive",  # from the frame with the user's words to the turn
    "context": "memory.recall",
    "model": "llm.completion",
    "tool": "execute_tool",
    "send": "relay.send",  # from the first frame of a reply to the last
    "store": "store",  # and the operation
}

CALL_SPAN = "call"

# First words of the names of spans that may leave this process. What follows is a name in the code or the answers.
SPANS: dict[str, str] = {
    **{name: "ours, or of the conventions" for name in (*HOPS.values(), CALL_SPAN)},
    **dict.fromkeys(("chat", "execute_event_loop_cycle"), "of the libraries of runtimes: a model, or nothing"),
    **dict.fromkeys(("GET", "POST", "HEAD", "WS", "HTTP"), "FastAPI: a method and a route"),
}

# Attributes.
OPERATION = "gen_ai.operation.name"
CONVERSATION = "gen_ai.conversation.id"
AGENT = "gen_ai.agent.name"
TOOL_NAME = "gen_ai.tool.name"
END_REASON = "gen_ai.agent.invocation.end_reason"
CHANNEL = "app.channel"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
ERROR = "error.type"
APOLOGY = "app.turn.apology"
FRAMES = "app.relay.frames"
SEGMENT = "app.turn.segment"
HOP = "app.hop"
STORE = "app.store"
STORE_OPERATION = "db.operation.name"

# Parts of a turn, in seconds: they do not overlap, and sum to it.
SEGMENTS = {
    "receive": "app.turn.receive",
    "memory": "app.turn.memory",
    "first_token": "app.turn.first_token",
    "stream": "app.turn.stream",
    "tool": "app.turn.tool",
    "send": "app.turn.send",
}

# Histograms, in seconds.
DURATIONS = {
    "app.turn.duration": "Turns, from the words of the other party to the last token.",
    "app.hop.duration": "Hops of a conversation, which may overlap. first_token is the first one of the model.",
}

SEGMENT_TIME = "app.turn.segment.time"  # a counter, in seconds

# Each key that may leave this process, with the reason why its values identify no person.
CLASSIFIED: dict[str, str] = {
    OPERATION: "one of a few words",
    CONVERSATION: "an id of Twilio",
    AGENT: "the name of the project",
    TOOL_NAME: "a name in the code",
    END_REASON: "one of a few words",
    CHANNEL: "voice or messaging",
    ERROR: "the name of a class",
    FIRST_CHUNK: "seconds",
    APOLOGY: "yes or no",
    FRAMES: "a number",
    SEGMENT: "a name of SEGMENTS",
    HOP: "a name of HOPS, or first_token",
    STORE: "the name of a class",
    STORE_OPERATION: "the name of a method",
    "http.request.method": "one of a few words",
    "http.response.status_code": "a number",
    "http.route": "a path in the code",
    "network.protocol.name": "websocket",
    "network.protocol.version": "a number",
    "url.scheme": "http or https",
    **dict.fromkeys(SEGMENTS.values(), "seconds"),
}

# Of log lines: the names that this server gives to what it logs. Those of agent/ may hold anything.
CLASSIFIED |= {
    **dict.fromkeys(("call", "session", "conversation", "recording"), "an id of Twilio"),
    **dict.fromkeys(
        ("active", "bytes", "count", "items", "lag", "messages", "seconds", "status"), "a number or a status"
    ),
    **dict.fromkeys(("capability", "hook", "request", "tool"), "a name in the code"),
    **dict.fromkeys(("language", "model", "runtime"), "of the answers or the environment"),
    **dict.fromkeys(("by", "channel", "kind", "limit", "outcome", "proof", "state", "what"), "one of a few words"),
    **dict.fromkeys(("estimated", "known", "last"), "yes or no"),
    **dict.fromkeys(("tokens", "usd"), "numbers, the first by model"),
    "code": "a number or a name in the code",
    "error": "classes of errors; any other text stays",
    "exception": "classes of errors and stack frames",
    "hint": "a sentence in the code",
    "logger": "the name of a package",
    "stack": "stack frames",
    "wording": "a digest",
}
WITHHELD = {
    **dict.fromkeys(("description", "event_type", "fields", "result", "type"), "what a request had in it"),
    **dict.fromkeys(("file", "path", "url"), "an address, perhaps with a query"),
    **dict.fromkeys(("flag", "name", "problem", "reason"), "perhaps a text of agent/"),
    "key": "of the store or of a state, perhaps an address",
}

# What FastAPI writes beside that, the events of spans, and attributes of the metrics of Strands.
WITHHELD |= {
    **dict.fromkeys(("http.request.method_original", "url.path", "url.query"), "what a client has sent"),
    **dict.fromkeys(
        ("exception.escaped", "exception.message", "exception.stacktrace", "exception.type"), "of an event"
    ),
    **dict.fromkeys(("event_loop_cycle_id", "tool_use_id"), "random ids"),
    "tool_name": "perhaps one that a model has invented",
    **dict.fromkeys(("span_id", "trace_id"), "a log record has them of its own"),
}

# Events that `Services.count` reports: the counter, and each fact with its values. `package` is the one that counts.
OUTCOME = "app.outcome"
REASON = "app.reason"
REQUEST = "app.memory.request"
KIND = "app.signal.kind"
LEVEL = "twilio.error.level"
FACTS = {"channel": CHANNEL, "outcome": OUTCOME, "reason": REASON, "request": REQUEST, "kind": KIND, "level": LEVEL}


@dataclass(frozen=True)
class Event:
    counter: str
    description: str
    package: str = "app"
    facts: Mapping[str, Sequence[str]] = field(default_factory=dict)


EVENTS = {
    "apology": Event("app.apologies", "Replies that ended in an apology."),
    "turn_lost": Event(
        "app.turns.lost",
        "Turns without a whole reply: hung up or disconnected, failed to send, or cut off by a shutdown.",
        facts={"channel": CHANNELS, "reason": ("disconnected", "failed", "shutdown")},
    ),
    "call": Event(
        "app.calls",
        "Calls that started, that Twilio is asked to reconnect, that came back, and that were lost.",
        "app.voice",
        {"outcome": ("started", "reconnecting", "resumed", "lost")},
    ),
    "limit": Event(
        "app.limits",
        "Calls and turns that a limit of the owner's has turned away.",
        facts={"reason": ("off", "max_calls", "caller_calls", "call_tokens", "day_tokens", "overload")},
    ),
    "silence": Event(
        "app.silences",
        "Silent callers: asked whether they are there, and calls that ended so.",
        "app.voice",
        {"outcome": ("asked", "ended")},
    ),
    "automatic_sender": Event(
        "app.automatic_senders",
        "Messages without an answer: their sender seems to be a program.",
        "app.messaging",
        {"reason": ("alike", "many")},
    ),
    "memory_request": Event(
        "app.memory.requests",
        "Requests to memory. Look-ups start, find something or nothing, are late for the first answer, or fail.",
        "app.memory",
        {
            "request": ("look_up", "recall", "add_observation", "add_summary", "on_end"),
            "outcome": ("started", "found", "empty", "late", "failed"),
        },
    ),
    "signal": Event(
        "app.signals",
        "Signals received, and what came of them. An operator without a reaction is ignored.",
        "app.intelligence",
        {
            "kind": ("sentiment", "summary", "script_adherence", "next_best_response", "custom", "unknown"),
            "outcome": ("received", "acted", "ignored", "failed", "unreadable", "not_evaluated"),
        },
    ),
    "handoff": Event(
        "app.handoffs",
        "Escalations that reached a state.",
        "app.escalation",
        {
            "channel": CHANNELS,
            "outcome": (
                "requested",
                "briefing",
                "queued",
                "accepted",
                "completed",
                "timed_out",
                "no_worker_available",
                "abandoned",
            ),
        },
    ),
    "twilio_error": Event(
        "app.twilio.errors",
        "Errors and warnings that Twilio has reported, of the whole account.",
        "app.observability.twilio_events",
        {"level": ("error", "warning")},
    ),
}
CLASSIFIED |= {
    OUTCOME: "a value of EVENTS",
    REASON: "a value of EVENTS",
    REQUEST: "a value of EVENTS",
    KIND: "a value of EVENTS",
}

# What Twilio reports of a call, as spans in its trace. Latencies and jitter are in milliseconds, durations in seconds.
TWILIO_ERROR, CALL_SUMMARY, RELAY = "twilio.error", "twilio.call_summary", "twilio.conversation_relay"
CALL = "twilio.call.sid"
ERROR_CODE, PRODUCT = "twilio.error.code", "twilio.error.product"
CALL_STATE, CALL_TYPE, PROCESSING = "twilio.call.state", "twilio.call.type", "twilio.call.summary_state"
TAGS, ENDED_BY, SIP_RESPONSE = "twilio.call.tags", "twilio.call.disconnected_by", "twilio.call.last_sip_response"
DURATION, CONNECTED, RINGING = "twilio.call.duration", "twilio.call.connect_duration", "twilio.call.post_dial_delay"
JITTER, PACKET_LOSS = "twilio.call.jitter.max", "twilio.call.packet_loss.max"  # the latter in percent
STT_MEAN, STT_MAX = "twilio.relay.stt_latency.mean", "twilio.relay.stt_latency.max"
TTS_MEAN, TTS_MAX = "twilio.relay.tts_latency.mean", "twilio.relay.tts_latency.max"
INTERRUPTIONS, PREEMPTED = "twilio.relay.interruptions", "twilio.relay.preempted"
RELAY_SESSIONS = "twilio.relay.sessions"
SPANS |= dict.fromkeys((TWILIO_ERROR, CALL_SUMMARY, RELAY), "what Twilio reports")
CLASSIFIED |= {
    CALL: "an id of Twilio",
    ERROR_CODE: "a number of Twilio's list of errors",
    LEVEL: "error or warning",
    PRODUCT: "the name of a product of Twilio",
    TAGS: "words such as high_jitter",
    **dict.fromkeys((CALL_STATE, CALL_TYPE, PROCESSING, ENDED_BY), "one of a few words"),
    **dict.fromkeys((DURATION, CONNECTED, RINGING, SIP_RESPONSE, JITTER, PACKET_LOSS), "a number"),
    **dict.fromkeys((STT_MEAN, STT_MAX, TTS_MEAN, TTS_MAX, INTERRUPTIONS, PREEMPTED, RELAY_SESSIONS), "a number"),
}

# What the libraries of runtimes write: pydantic-ai 2.68, Strands 1.62, Agent Framework 1.23.
CHAT = "chat"
PROVIDER, SYSTEM = "gen_ai.provider.name", "gen_ai.system"
REQUEST_MODEL, RESPONSE_MODEL = "gen_ai.request.model", "gen_ai.response.model"
CLASSIFIED |= {
    **dict.fromkeys((REQUEST_MODEL, RESPONSE_MODEL), "the name of a model"),
    **dict.fromkeys((PROVIDER, SYSTEM), "the name of a provider or of a library"),
    **dict.fromkeys(("gen_ai.response.finish_reasons", "gen_ai.token.type", "gen_ai.tool.status"), "a few words"),
    "strands.cancellation.type": "the name of a class",
    **dict.fromkeys(
        (
            "gen_ai.aggregated_usage.input_tokens",  # of all requests of a turn
            "gen_ai.aggregated_usage.output_tokens",
            "gen_ai.client.operation.time_to_first_chunk",
            "gen_ai.request.choice.count",
            "gen_ai.server.request.duration",
            "gen_ai.server.time_to_first_token",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.reasoning.output_tokens",
        ),
        "a number",
    ),
}
WITHHELD |= {
    **dict.fromkeys(
        (
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.system_instructions",
            "gen_ai.tool.call.arguments",
            "gen_ai.tool.call.result",
            "pydantic_ai.all_messages",
        ),
        "messages, although without content",
    ),
    **dict.fromkeys(
        ("gen_ai.agent.tools", "gen_ai.tool.definitions", "gen_ai.tool.description", "gen_ai.tool.json_schema"),
        "long, and in the code",
    ),
    **dict.fromkeys(
        (
            "event_loop.cycle_id",
            "event_loop.parent_cycle_id",
            "gen_ai.agent.call.id",
            "gen_ai.agent.id",
            "gen_ai.response.id",
            "gen_ai.tool.call.id",
        ),
        "ids of a library, which name nothing else",
    ),
    **dict.fromkeys(
        (
            "agent_name",
            "gen_ai.event.end_time",
            "gen_ai.event.start_time",
            "gen_ai.usage.completion_tokens",
            "gen_ai.usage.prompt_tokens",
            "gen_ai.usage.total_tokens",
            "logfire.json_schema",
            "logfire.msg",
            "model_name",
            "pydantic_ai.new_message_index",
        ),
        "the same as other attributes",
    ),
    **dict.fromkeys(("server.address", "server.port"), "an address"),
}
