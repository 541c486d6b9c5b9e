"""What the libraries of runtimes write themselves: spans of the same conversation, without content."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from opentelemetry.context import Context, get_value
from opentelemetry.sdk.trace import Span, SpanProcessor

from app.observability import names
from app.observability.telemetry import Telemetry
from app.observability.traces import CONVERSATION


class RuntimeTelemetry(ABC):
    """A part of the registry, for a runtime whose library writes telemetry."""

    @staticmethod
    @abstractmethod
    def start(runtime: Any, telemetry: Telemetry) -> None:
        """Let the library write to these providers. What it writes has no content, whatever the environment says."""


class ConversationIds(SpanProcessor):
    """Gives every span of a turn the id of its conversation: libraries know none, or invent one."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        conversation = get_value(CONVERSATION, parent_context)
        if isinstance(conversation, str):
            span.set_attribute(names.CONVERSATION, conversation)
