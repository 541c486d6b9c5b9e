"""Conversation Intelligence v3: operator results, and the webhook that a rule sends after its operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

import httpx2

from kit.activity import outcomes, wait_until
from kit.defaults import ACCOUNT_SID, Problem, settings
from kit.simulated_twilio.product import Answer, Product, Request, get, identifier, route, timestamp

PATH = "/webhooks/intelligence"

# Name: id and output format. Source: https://github.com/twilio/ai, skills/twilio/twilio-conversation-intelligence
TWILIO_OPERATORS = {
    "sentiment": ("Sentiment", "intelligence_operator_01kcrvw16kfa88qvgrfmr7y151", "CLASSIFICATION"),
    "summary": ("Summary", "intelligence_operator_01kcv35pnkeysaf6z6cqtbpegn", "TEXT"),
    "next_best_response": ("Next Best Response", "intelligence_operator_01kea27sy7ffsafmtsfp17nzx4", "TEXT"),
    "script_adherence": ("Script Adherence", "intelligence_operator_01kf34tcyefpyb1t4m0nbd8rxg", "JSON"),
}
CUSTOM = ("Custom", identifier("intelligence_operator", 1), "JSON")
ENDING = "CONVERSATION_END"


class Customer(Protocol):
    """A caller, or an author of messages. `reference` is the id of the call or message that was analysed."""

    app: Any

    @property
    def channel(self) -> str: ...

    @property
    def conversation(self) -> str: ...

    @property
    def reference(self) -> str: ...

    async def state(self) -> Mapping[str, Any]:
        """The user's values that the app has stored for the conversation."""

    async def post_json(self, path: str, body: Any, token: str | None = None) -> httpx2.Response: ...


@dataclass
class Intelligence(Product):
    """`results` are the operator results by id."""

    host = "intelligence.twilio.com"
    setting = "intelligence_configuration_id"
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def rule_execution(self, customer: Customer, event: dict[str, Any]) -> dict[str, Any]:
        """The body of the webhook of a rule that has run its operators on a conversation.

        `event` has `sentiment` (a label), `summary` or `next_best_response` (a text), `script_adherence` ({"failed":
        [...], "met": [...]}) or `custom` ({"name", "result"}); and `conversation: other` for one of another agent.
        """
        other = event.get("conversation") == "other"
        conversation = identifier("conv_conversation", 10**6) if other else customer.conversation
        reference = "CA" + "f" * 32 if other else customer.reference
        now = timestamp()
        found = [kind for kind in [*TWILIO_OPERATORS, "custom"] if kind in event]
        results = []
        for kind in found:
            name, operator_id, shape = CUSTOM if kind == "custom" else TWILIO_OPERATORS[kind]
            number = len(self.results) + 1
            result = {
                "id": identifier("intelligence_operatorresult", number),
                "operator": {
                    "id": operator_id,
                    "displayName": event[kind]["name"] if kind == "custom" else name,
                    "version": 1,
                    "parameters": {},
                },
                "outputFormat": shape,
                "result": result_of(kind, event[kind]),
                "dateCreated": now,
                "referenceIds": [reference],
                "executionDetails": {
                    "trigger": {"on": ENDING if kind == "summary" else "COMMUNICATION", "timestamp": now},
                    "communications": {
                        "first": identifier("conv_communication", 1),
                        "last": identifier("conv_communication", 2 * number),
                    },
                    "channels": [customer.channel],
                    "participants": [{"id": identifier("conv_participant", 10), "type": "CUSTOMER"}],
                    "resolvedContext": {"memory": {}, "knowledge": {"sources": []}},
                },
                "metadata": {"system": {"latencyMs": 800, "inputTruncated": False}},
            }
            self.results[str(result["id"])] = {**result, "accountId": ACCOUNT_SID, "conversationId": conversation}
            results.append(result)
        return {
            "accountId": ACCOUNT_SID,
            "conversationId": conversation,
            "memoryStoreId": identifier("mem_store", 0),
            "intelligenceConfiguration": {
                "id": getattr(settings(), "intelligence_configuration_id", ""),
                "displayName": "simulated",
                "version": 1,
                "ruleId": identifier("intelligence_configurationrule", 1),
            },
            "operatorResults": results,
        }

    async def simulate(self, customer: Customer, event: Any) -> None:
        """Send the webhook of a rule `repeat` times, each after the app has handled the previous one.

        `state` are values that the app must have stored afterwards (null: none). Raises ValueError otherwise.
        """
        known = {*TWILIO_OPERATORS, "custom", "conversation", "repeat", "state"}
        if unknown := set(event) - known:
            raise ValueError(f"intelligence has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
        body, token = self.rule_execution(customer, event), str(uuid4())
        for count in range(1, event.get("repeat", 1) + 1):
            answer = await customer.post_json(PATH, body, token)
            if answer.status_code != 200:
                raise ValueError(f"POST {PATH} answered {answer.status_code}")
            for result in body["operatorResults"]:
                await self._handled(customer, result["id"], count)
        kept = await customer.state()
        wrong = {name: kept.get(name) for name, value in event.get("state", {}).items() if kept.get(name) != value}
        if wrong:
            raise ValueError(f"the app keeps {wrong}, expected: {event['state']}")

    async def _handled(self, customer: Customer, id: str, times: int) -> None:
        """Wait until the app has handled a result. Raises ValueError for one that failed."""
        try:
            await wait_until(lambda: len(outcomes(customer.app, id)) >= times, "the app has not handled a signal", 5.0)
        except Problem as problem:
            raise ValueError(str(problem)) from None
        if "failed" in outcomes(customer.app, id):
            raise ValueError("a reaction of agent/reactions.py failed; LOG_LEVEL=error shows where")

    # --- the REST API --------------------------------------------------------------------------------------------

    @route("GET", "/v3/OperatorResults")
    async def list_results(self, request: Request) -> Answer:
        """The filter by conversation leaks: results of other conversations come too. Source: the skill above."""
        return 200, self.page(request, "operatorResults", self.results.values())

    @route("DELETE", "/v3/OperatorResults/{result}")
    async def delete_result(self, request: Request, result: str) -> Answer:
        del self.results[get(self.results, result)["id"]]
        return 204, None


def result_of(kind: str, found: Any) -> Any:
    """A result in the shape of its operator."""
    match kind:
        case "sentiment":
            return {"label": found}
        case "summary" | "next_best_response":
            return {"text": found}
        case "script_adherence":
            met = {**dict.fromkeys(found.get("met", []), "Succeeded"), **dict.fromkeys(found["failed"], "Failed")}
            criteria = [{"criteria_key": key, "criteria_met": value} for key, value in met.items()]
            return {"categories": [{"category_key": "script", "criteria": criteria}]}
    return found["result"]
