"""Every key and every name of a span is classified before a filter takes it out, also those of libraries."""

from __future__ import annotations

import pytest

from app.observability.names import CLASSIFIED, SPANS, WITHHELD
from kit.conventions import drivers
from tests.kit.observability.collector import Collector
from tests.kit.observability.conversation import converse

# Of the SDK: about the process, not about a conversation.
SDK = {f"telemetry.sdk.{name}" for name in ("language", "name", "version")}
RESOURCE = {"service.name", "service.instance.id", *SDK}


@pytest.mark.parametrize("channel", list(drivers()))
def test_every_key_is_classified(channel: str, collector: Collector) -> None:
    converse(collector.endpoint, channel, raw=True, shared=True)
    assert collector.spans and collector.points and collector.records
    assert collector.keys() - {*CLASSIFIED, *WITHHELD} == set()
    assert {span.name.partition(" ")[0] for span in collector.spans} <= set(SPANS)
    assert {key for resource in collector.resources for key in resource} <= RESOURCE
    names = {span.name for span in collector.spans} | {point.name for point in collector.points}
    assert {"invoke_agent", "memory.recall"} <= {name.partition(" ")[0] for name in names}
