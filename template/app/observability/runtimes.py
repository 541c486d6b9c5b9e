"""What the libraries of runtimes write themselves: spans of the same conversation, without content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from opentelemetry.context import Context, get_value
from opentelemetry.sdk.trace import Span, SpanProcessor

import app.observability.names as names
from app.observability.telemetry import Telemetry
from app.observability.traces import CONVERSATION
from app.runtimes import known_tools


class RuntimeTelemetry(ABC):
    """A part of the registry, for a runtime whose library writes telemetry."""

    @staticmethod  # noqa: B027 (optional)
    def prepare() -> None:
        """Called before the runtime warms up, of which the library writes nothing."""

    @staticmethod
    @abstractmethod
    def start(runtime: Any, telemetry: Telemetry) -> None:
        """Let the library write to these providers. What it writes has no content, whatever the environment says."""


class SpansOfTurns(SpanProcessor):
    """Gives every span of a turn the id of its conversation: libraries know none, or invent one.

    It takes the names of tools that a model invents out of the names of spans: a model may invent the caller's name.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        conversation = get_value(CONVERSATION, parent_context)
        if isinstance(conversation, str):
            span.set_attribute(names.CONVERSATION, conversation)
        operation, _, tool = span.name.partition(" ")
        if (
            operation == names.HOPS["tool"]
            and not is_own(span)
            and tool not in {each.name for each in known_tools.values()}
        ):
            span.update_name(operation)


def is_own(span: Span) -> bool:
    return bool(span.instrumentation_scope and span.instrumentation_scope.name == names.SCOPE)
