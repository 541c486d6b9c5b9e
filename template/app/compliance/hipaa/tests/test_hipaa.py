"""Only the minimum is said, and no text of a tool is logged."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app import registry
from app.compliance.hipaa import MINIMUM
from app.compliance.hipaa.log import WITHHELD, withhold_texts
from app.log import configure_logging
from app.main import serve
from app.session import Session
from kit import defaults
from kit.conventions import build_model
from kit.plugin import silence_logs
from kit.testing import Begin


async def test_the_model_is_told_to_say_the_minimum(begin: Begin) -> None:
    instructions: list[str] = []

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        instructions.append(info.instructions or "")
        yield "Yes."

    talk = await begin(models=[build_model(FunctionModel(stream_function=stream))])
    await talk.says("When is my appointment?")
    assert MINIMUM in instructions[0]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What production has logged, one dict a line."""
    log = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", log)
        configure_logging("debug", *registry.LOG_FILTERS)
    yield lambda: [json.loads(line) for line in log.getvalue().splitlines()]
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    silence_logs()


def own(source: str) -> Any:
    """Run code as that of agent/tools.py."""
    exec(
        compile(source, str(Path("agent", "tools.py").resolve()), "exec"),
        {"log": structlog.get_logger(), "__name__": "agent.tools"},
    )


def test_a_text_that_a_tool_logs_is_withheld(logs: Any) -> None:
    own(
        'log.info("appointment.found", session="CA1", condition="diabetes", notes=["biopsy"], count=3, ok=True)\n'
        'log.info("Ada has diabetes")\n'
        'log.error("lookup.failed", error="no record of Ada")'
    )
    found, sentence, failed = logs()
    assert (found["event"], found["session"], found["count"], found["ok"]) == ("appointment.found", "CA1", 3, True)
    assert found["condition"] == found["notes"] == sentence["event"] == failed["error"] == WITHHELD
    assert "level" in failed and "timestamp" in failed


def test_the_server_logs_what_it_is_about(logs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.brain import is_usable

    def tool(given: object) -> str:
        """A tool without a schema."""
        return ""

    tool.__annotations__["given"] = Session
    assert not is_usable(tool)
    (line,) = logs()
    assert line["event"] == "tool.left_out" and line["problem"] != WITHHELD


def test_the_values_in_a_message_of_a_package_are_withheld(logs: Any) -> None:
    logging.getLogger("a_package").warning("read %s", "diabetes")
    logging.getLogger("a_package").warning("has diabetes")
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    assert [line["event"] for line in logs()] == ["read %s", WITHHELD, "Started server process [7]"]


def test_an_error_has_no_text(logs: Any) -> None:
    own('try:\n    raise ValueError("diabetes")\nexcept ValueError:\n    log.exception("tool.failed")')
    (line,) = logs()
    assert "diabetes" not in str(line) and "ValueError" in str(line["exception"])


def test_the_server_logs_through_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    class Configured(Exception):
        pass

    def configure(level: str, *filters: object, exports: object) -> None:
        raise Configured(*filters)

    monkeypatch.setattr("app.main.configure_logging", configure)
    with pytest.raises(Configured) as configured:
        serve(defaults.settings())
    assert configured.value.args == (withhold_texts,)
