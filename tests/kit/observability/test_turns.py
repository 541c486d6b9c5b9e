"""A whole conversation in a collector: turns and their hops, and nothing that was said."""

from __future__ import annotations

import pytest

from kit.conventions import drivers
from tests.kit.observability.collector import Collector
from tests.kit.observability.conversation import CANARIES, TEXTS, converse


@pytest.mark.parametrize("channel", list(drivers()))
def test_a_conversation_appears_in_a_collector_without_a_word(channel: str, collector: Collector) -> None:
    converse(collector.endpoint, channel)
    turns = collector.named("invoke_agent")
    assert len(turns) == len(TEXTS)
    assert len({turn.attributes["gen_ai.conversation.id"] for turn in turns}) == 1
    assert [canary for canary in CANARIES if canary.encode() in collector.received] == []
