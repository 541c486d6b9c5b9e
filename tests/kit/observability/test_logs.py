"""Log lines: the ids that they carry, and what of them reaches a collector."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

import app
from app.observability.logs import export
from app.observability.names import CLASSIFIED, WITHHELD
from kit.conventions import drivers
from tests.kit.observability.collector import Collector
from tests.kit.observability.conversation import CANARIES, converse

APP = Path(app.__file__).parent
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def test_every_name_that_the_server_logs_is_classified() -> None:
    logged = {name for path in APP.rglob("*.py") if "tests" not in path.parts for name in logged_names(path)}
    assert logged - {*CLASSIFIED, *WITHHELD} == set()
    assert set(CLASSIFIED) & set(WITHHELD) == set()


def logged_names(path: Path) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {
        keyword.arg
        for call in calls
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
        if call.func.value.id == "log" and call.func.attr in METHODS
        for keyword in call.keywords
        if keyword.arg
    }


@pytest.mark.parametrize("channel", list(drivers()))
def test_lines_carry_the_ids_of_their_conversation_and_become_records(channel: str, collector: Collector) -> None:
    printed = converse(collector.endpoint, channel)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    turn = collector.named("invoke_agent")[2]
    (line,) = [line for line in lines if line["event"] == "tool.failed"]
    (record,) = [record for record in collector.records if record.body == "tool.failed"]
    assert line["trace_id"] == turn.trace_id
    assert (record.trace_id, record.span_id) == (line["trace_id"], line["span_id"])
    assert line["conversation"] == record.attributes["gen_ai.conversation.id"]
    assert line["conversation"] == turn.attributes["gen_ai.conversation.id"]
    assert record.severity == "error"
    assert "ValueError" in record.attributes["exception"]
    assert record.attributes["tool"] == "defective"
    assert set().union(*(record.attributes for record in collector.records)) <= set(CLASSIFIED)
    assert [canary for canary in CANARIES if canary.encode() in collector.received or canary in printed] == []


def test_no_text_of_agent_or_of_a_library_is_exported(collector: Collector) -> None:
    printed = converse(collector.endpoint, next(iter(drivers())), texts=["A report."])
    assert "report.made" in printed
    assert b"diabetes" not in collector.received.lower()
    own = [record for record in collector.records if record.attributes.get("count") == 3]
    assert [record.body for record in own] == ["report.made", ""]
    assert [record.body for record in collector.records].count("some.library") == 2


def test_what_exporters_log_is_not_exported() -> None:
    exporter = InMemoryLogRecordExporter()
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.observability.logs.emitter", loggers.get_logger("app"))
        for name in ("opentelemetry.exporter.otlp", "some.library"):
            record = logging.LogRecord(name, logging.WARNING, __file__, 1, "down", None, None)
            export(None, "warning", {"event": "down", "level": "warning", "_record": record})
    assert [each.log_record.body for each in exporter.get_finished_logs()] == ["some.library"]
