"""What the library of each runtime writes: spans in the trace of their turn, one conversation, no word of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from app.observability.names import CLASSIFIED, WITHHELD
from app.observability.runtimes import RuntimeTelemetry
from app.registry import PARTS, RUNTIME
from kit.conventions import drivers
from tests.kit.observability.collector import OWN, Collector, Span, collecting
from tests.kit.observability.conversation import CANARIES, NAME, REPLY, RULES, TEXTS, WORDS, converse

MODEL_AND_TOOLS = {"invoke_agent", "chat", "execute_tool"}
# By runtime, the names of the spans that its library writes, without that of an agent, a model or a tool.
WRITTEN: dict[str, set[str]] = {
    "AgentCore": {*MODEL_AND_TOOLS, "execute_event_loop_cycle"},  # the Strands agent inside AgentCore
    "AgentFramework": {"invoke_agent", "chat"},  # its tools are this server's
    "BedrockAgents": set(),
    "Foundry": {"invoke_agent", "chat"},
    "Models": {"chat"},  # an agent and its tools would be those of the turn once more
    "Strands": {*MODEL_AND_TOOLS, "execute_event_loop_cycle"},
    "VoiceLive": set(),
}
INVENTED = "Kuckuck"  # a tool that there is not, called by the model
RULES_HERE = [*RULES, {"hears": "bird", "calls": {INVENTED: {"bird": "owl"}}, "then": "There is none."}]
TEXTS_HERE = [*TEXTS, "What bird is it?"]
CARELESS = {  # variables that make libraries write content
    "ENABLE_SENSITIVE_DATA": "true",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_unredacted_attributes=gen_ai.*",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
}


@dataclass
class Conversation:
    """What a collector has of one, what libraries had written before the filter, and what the process has printed."""

    collected: Collector
    written: Collector
    log: str

    @property
    def of_libraries(self) -> list[Span]:
        return [span for span in self.collected.spans if span.scope not in OWN]

    @property
    def turns(self) -> list[Span]:
        return self.collected.named("invoke_agent")

    def turns_of(self, spans: Iterable[Span]) -> set[str]:
        """The ids of the turns that spans belong to; "" for one outside of turns."""
        by_id = {span.span_id: span for span in self.collected.spans}
        turns = {turn.span_id for turn in self.turns}
        found = set()
        for span in spans:
            while span.span_id not in turns and span.parent_id in by_id:
                span = by_id[span.parent_id]
            found.add(span.span_id if span.span_id in turns else "")
        return found


@pytest.fixture(scope="module", params=list(drivers()))
def conversation(request: pytest.FixtureRequest) -> Iterator[Conversation]:
    with collecting() as collected, collecting() as written:
        log = converse(
            collected.endpoint,
            request.param,
            texts=TEXTS_HERE,
            rules=RULES_HERE,
            unfiltered=written.endpoint,
            environment=CARELESS,
        )
        yield Conversation(collected, written, log)


def test_spans_of_the_library_are_in_the_trace_of_their_turn(conversation: Conversation) -> None:
    spans, turns = conversation.of_libraries, conversation.turns
    assert {span.name.partition(" ")[0] for span in spans} == WRITTEN[RUNTIME.__name__]
    assert len(turns) == len(TEXTS_HERE)
    assert conversation.turns_of(spans) == ({turn.span_id for turn in turns} if spans else set())
    assert {span.trace_id for span in spans} <= {turn.trace_id for turn in turns}
    assert "detach context" not in conversation.log and "Overriding" not in conversation.log


def test_one_conversation_id_goes_through_all(conversation: Conversation) -> None:
    ids = {span.attributes.get("gen_ai.conversation.id") for span in [*conversation.turns, *conversation.of_libraries]}
    assert len(ids) == 1 and None not in ids


def test_model_memory_and_tools_are_measured_on_every_runtime(conversation: Conversation) -> None:
    for name, count in {"memory.recall": 5, "llm.completion": 5, "execute_tool": 2}.items():
        spans = conversation.collected.named(name)
        assert len(spans) >= count and "" not in conversation.turns_of(spans), name
    tools = {span.attributes["gen_ai.tool.name"] for span in conversation.collected.named("execute_tool")}
    assert tools == {"look_up", "defective"}


def test_content_is_off_where_it_is_written(conversation: Conversation) -> None:
    """What leaves is filtered too, but others may export the same spans."""
    written = [span for span in conversation.written.spans if span.scope not in OWN]
    assert len(written) == len(conversation.of_libraries)
    assert [(span, canary) for span in written for canary in CANARIES if canary in repr(span)] == []
    assert {span.status_text for span in written if "scripted failure" in span.status_text} == set()  # of an error


def test_nothing_that_was_said_leaves(conversation: Conversation) -> None:
    canaries = (*CANARIES, INVENTED)
    assert [canary for canary in canaries if canary.encode() in conversation.collected.received] == []


def test_each_key_that_a_library_writes_is_classified(conversation: Conversation) -> None:
    written = {key for span in conversation.written.spans if span.scope not in OWN for key in span.attributes}
    assert written - {*CLASSIFIED, *WITHHELD} == set()


def test_tokens_are_counted_where_the_library_counts_them(conversation: Conversation) -> None:
    kinds = {point.attributes.get("gen_ai.token.type") for point in conversation.collected.points}
    assert {"input", "output"} <= kinds or RUNTIME.__name__ != "Models"  # fakes of the others count none


@pytest.mark.skipif("voice" not in drivers(), reason="no calls, so nothing to interrupt")
def test_an_interrupted_turn_is_in_the_trace_too(collector: Collector) -> None:
    rules = [{"hears": WORDS, "says": f"{REPLY} it is, {NAME}, and so on.", "word_delay": 0.05}, {"says": "Yes."}]
    texts = [{"caller": f"A {WORDS}, please.", "interrupt_after": REPLY}, "Go on."]
    log = converse(collector.endpoint, "voice", texts=texts, rules=rules)
    conversation = Conversation(collector, collector, log)
    assert len(conversation.turns) == len(texts)
    assert "" not in conversation.turns_of(conversation.of_libraries)
    assert "detach context" not in log
    assert [canary for canary in CANARIES if canary.encode() in collector.received] == []


def test_the_registry_has_a_part_for_each_library_that_writes() -> None:
    parts = [part for part in PARTS if issubclass(part, RuntimeTelemetry)]
    assert len(parts) == bool(WRITTEN[RUNTIME.__name__])
