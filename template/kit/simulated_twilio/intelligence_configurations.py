"""Operators and intelligence configurations (Conversation Intelligence v3, control plane)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.intelligence import TWILIO_OPERATORS
from kit.simulated_twilio.product import Answer, ApiError, BadRequest, Product, Request, get, identifier, route

BASE = "/v3/ControlPlane/(?P<kind>Operators|Configurations)"
TRIGGERS = {"COMMUNICATION", "CONVERSATION_END", "CONVERSATION_INACTIVE"}


@dataclass
class IntelligenceConfigurations(Product):
    """`configurations` and `operators` by id. PUT creates a version that never becomes active."""

    host = "intelligence.twilio.com"
    configurations: dict[str, dict[str, Any]] = field(default_factory=dict)
    operators: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {id: operator(id, name, shape) for name, id, shape in TWILIO_OPERATORS.values()}
    )
    created: int = 0

    def add(self, id: str, rules: Sequence[dict[str, Any]], name: str = "simulated") -> dict[str, Any]:
        """Add a configuration."""
        self.configurations[id] = {
            "id": id,
            "accountId": ACCOUNT_SID,
            "displayName": name,
            "description": name,
            "version": 1,
            "rules": rules,
        }
        return self.configurations[id]

    @route("GET", BASE)
    async def list(self, request: Request, kind: str) -> Answer:
        return 200, self.page(request, kind.lower(), self._by_kind(kind).values())

    @route("GET", BASE + "/{id}")
    async def fetch(self, request: Request, kind: str, id: str) -> Answer:
        return 200, get(self._by_kind(kind), id)

    @route("PUT", BASE + "/{id}")
    async def replace(self, request: Request, kind: str, id: str) -> Answer:
        known = get(self._by_kind(kind), id)
        return 200, {**known, **request.body, "version": known["version"] + 1}

    @route("DELETE", BASE + "/{id}")
    async def delete(self, request: Request, kind: str, id: str) -> Answer:
        if get(self._by_kind(kind), id).get("author") == "TWILIO":
            raise ApiError(403, "not yours")
        del self._by_kind(kind)[id]
        return 204, None

    @route("POST", "/v3/ControlPlane/Operators")
    async def create_operator(self, request: Request) -> Answer:
        id = self._new_id("intelligence_operator")
        self.operators[id] = {**operator(id, "", "TEXT"), **request.body, "id": id, "author": "SELF"}
        return 201, self.operators[id]

    @route("POST", "/v3/ControlPlane/Configurations")
    async def create_configuration(self, request: Request) -> Answer:
        rules = request.body.get("rules") or []
        if problem := self._problem_of(rules):
            raise BadRequest(problem)
        id = self._new_id("intelligence_configuration")
        numbered = [{"id": self._new_id("intelligence_configurationrule"), **rule} for rule in rules]
        made = self.add(id, numbered)
        made.update({name: value for name, value in request.body.items() if name != "rules"})
        return 201, made

    def _by_kind(self, kind: str) -> dict[str, dict[str, Any]]:
        return self.operators if kind == "Operators" else self.configurations

    def _new_id(self, kind: str) -> str:
        self.created += 1
        return identifier(kind, self.created)

    def _problem_of(self, rules: Sequence[dict[str, Any]]) -> str:
        if len(rules) > 5:
            return "5 rules at most"
        for rule in rules:
            operators, triggers, actions = (rule.get(name) or [] for name in ("operators", "triggers", "actions"))
            if not 1 <= len(operators) <= 5 or len(triggers) > 1 or len(actions) > 2:
                return "a rule has 1 to 5 operators, 1 trigger and 2 actions at most"
            if unknown := [each["id"] for each in operators if each["id"] not in self.operators]:
                return f"there is no operator {', '.join(unknown)}"
            if any(each["on"] not in TRIGGERS for each in triggers):
                return "triggers: on"
            if any(count_is_wrong(each) for each in triggers):
                return "triggers: parameters.count is 1 to 20, of COMMUNICATION"
            if any(each["type"] != "WEBHOOK" or not each["url"].startswith("https://") for each in actions):
                return "an action is a WEBHOOK with a public https address"
        return ""


def count_is_wrong(trigger: dict[str, Any]) -> bool:
    """COMMUNICATION may fire at every n-th one only. The other triggers have no parameters."""
    parameters = trigger.get("parameters") or {}
    count = parameters.get("count", 1)
    most = 20 if trigger["on"] == "COMMUNICATION" else 0
    return bool(parameters) and (set(parameters) != {"count"} or type(count) is not int or not 1 <= count <= most)


def operator(id: str, name: str, shape: str) -> dict[str, Any]:
    return {"id": id, "displayName": name, "version": 1, "author": "TWILIO", "outputFormat": shape}
