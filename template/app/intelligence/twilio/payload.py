"""The webhook of a rule execution (Conversation Intelligence v3), and its results as signals.

Source: https://www.twilio.com/docs/conversations/intelligence and tac.models.intelligence of twilio-agent-connect 2.5.
They differ: a name is `displayName` or `friendlyName`, and each optional field may be missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from app.signals import AnySignal, Custom, NextBestResponse, ScriptAdherence, Sentiment, Summary

log = structlog.get_logger()

# The same in every account. Source: https://github.com/twilio/ai, skills/twilio/twilio-conversation-intelligence
TWILIO_OPERATORS = {
    "intelligence_operator_01kcrvw16kfa88qvgrfmr7y151": "sentiment",
    "intelligence_operator_01kcv35pnkeysaf6z6cqtbpegn": "summary",
    "intelligence_operator_01kea27sy7ffsafmtsfp17nzx4": "next_best_response",
    "intelligence_operator_01kf34tcyefpyb1t4m0nbd8rxg": "script_adherence",
}


class CamelCaseModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, coerce_numbers_to_str=True)


class Operator(CamelCaseModel):
    id: str | None = None
    display_name: str | None = None
    friendly_name: str | None = None

    @property
    def name(self) -> str:
        return self.display_name or self.friendly_name or self.id or ""

    @property
    def kind(self) -> str:
        """By id, else by name: an operator of your own with the name Summary returns summaries."""
        return TWILIO_OPERATORS.get(self.id or "") or "_".join(self.name.lower().replace("-", " ").split())


class Result(CamelCaseModel):
    """`result` is {"text"}, {"label"}, {"entities"}, or has the operator's own schema."""

    id: str | None = None
    operator: Operator
    result: Any = None
    reference_ids: list[Any] | None = None
    execution_details: Any = None

    @property
    def trigger(self) -> str:
        details = self.execution_details if isinstance(self.execution_details, dict) else {}
        trigger = details.get("trigger")
        return str(trigger.get("on") or "") if isinstance(trigger, dict) else ""


class Configuration(CamelCaseModel):
    id: str


class Execution(CamelCaseModel):
    """`operator_results` are validated one by one, so that an invalid one does not discard the others."""

    conversation_id: str | None = None
    intelligence_configuration: Configuration
    operator_results: list[Any]


def parse(body: Mapping[str, Any]) -> tuple[Execution, list[Result]]:
    """Raises ValidationError when the body is no rule execution. An invalid result is logged and left out."""
    execution = Execution.model_validate(body)
    results = []
    for raw in execution.operator_results:
        try:
            results.append(Result.model_validate(raw))
        except ValidationError as errors:
            log.error("signals.unreadable", fields=invalid_fields(errors))
    return execution, results


def invalid_fields(errors: ValidationError) -> str:
    """The paths of the invalid fields. Their values are not logged."""
    return ", ".join(".".join(map(str, error["loc"])) or "the whole" for error in errors.errors())


def token_of(ids: list[str]) -> str:
    """An idempotency token for a webhook without one, from its result ids. Empty when there are none."""
    return hashlib.sha256(",".join(sorted(ids)).encode()).hexdigest() if any(ids) else ""


def signal_of(result: Result) -> AnySignal:
    """The result as a signal. A known operator whose result has an unknown shape becomes Custom."""
    value = unpack_json(result.result)
    id, trigger = result.id or "", result.trigger
    match result.operator.kind:
        case "sentiment" if label := first_text(value, "label", "text"):
            return Sentiment(id=id, trigger=trigger, label=label.lower())
        case "summary" if text := first_text(value, "text", "result", "summary"):
            return Summary(id=id, trigger=trigger, text=text)
        case "next_best_response" if text := first_text(value, "text", "result"):
            return NextBestResponse(id=id, trigger=trigger, text=text)
        case "script_adherence" if (failed := failed_criteria(value)) is not None:
            return ScriptAdherence(id=id, trigger=trigger, failed=failed)
    return Custom(id=id, trigger=trigger, name=result.operator.name, result=value)


def unpack_json(result: Any) -> Any:
    """The result, also when it is JSON text under `payload` (tac.models.intelligence.JSONResult)."""
    if isinstance(result, dict) and isinstance(result.get("payload"), str):
        try:
            return json.loads(result["payload"])
        except (ValueError, RecursionError):
            return result
    return result


def first_text(value: Any, *names: str) -> str:
    """The first text under one of `names`, or an empty one."""
    values = (
        [value] if isinstance(value, str) else [value.get(name) for name in names] if isinstance(value, dict) else []
    )
    return next((text.strip() for text in values if isinstance(text, str) and text.strip()), "")


def failed_criteria(value: Any) -> list[str] | None:
    """Keys of the criteria that are "Failed", or None when this is no result of script adherence."""
    categories = value.get("categories") if isinstance(value, dict) else None
    if not isinstance(categories, list):
        return None
    criteria = [
        each for category in categories if isinstance(category, dict) for each in category.get("criteria") or []
    ]
    return [
        str(each.get("criteria_key"))
        for each in criteria
        if isinstance(each, dict) and str(each.get("criteria_met")).lower() == "failed"
    ]
