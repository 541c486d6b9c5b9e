"""Operators and intelligence configurations (Conversation Intelligence v3, control plane)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.intelligence import TWILIO_OPERATORS
from kit.simulated_twilio.product import Answer, ApiError, BadRequest, Product, Request, get, identifier, route

OPERATORS = "/v3/ControlPlane/Operators"
CONFIGURATIONS = "/v3/ControlPlane/Configurations"
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

    def add(self, id: str, rules: list[dict[str, Any]], name: str = "simulated") -> dict[str, Any]:
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

    @route("GET", OPERATORS)
    async def list_operators(self, request: Request) -> Answer:
        return 200, self.page(request, "operators", self.operators.values())

    @route("POST", OPERATORS)
    async def create_operator(self, request: Request) -> Answer:
        id = self._new_id("intelligence_operator")
        self.operators[id] = {**operator(id, "", "TEXT"), **request.body, "id": id, "author": "SELF"}
        return 201, self.operators[id]

    @route("GET", OPERATORS + "/{id}")
    async def fetch_operator(self, request: Request, id: str) -> Answer:
        return 200, get(self.operators, id)

    @route("DELETE", OPERATORS + "/{id}")
    async def delete_operator(self, request: Request, id: str) -> Answer:
        if get(self.operators, id)["author"] == "TWILIO":
            raise ApiError(403, "not yours")
        del self.operators[id]
        return 204, None

    @route("PUT", OPERATORS + "/{id}")
    async def replace_operator(self, request: Request, id: str) -> Answer:
        return 200, {**get(self.operators, id), **request.body, "version": self.operators[id]["version"] + 1}

    @route("GET", CONFIGURATIONS)
    async def list_configurations(self, request: Request) -> Answer:
        return 200, self.page(request, "configurations", self.configurations.values())

    @route("POST", CONFIGURATIONS)
    async def create_configuration(self, request: Request) -> Answer:
        rules = request.body.get("rules") or []
        if problem := self._problem_of(rules):
            raise BadRequest(problem)
        id = self._new_id("intelligence_configuration")
        numbered = [{"id": self._new_id("intelligence_configurationrule"), **rule} for rule in rules]
        made = self.add(id, numbered)
        made.update({name: value for name, value in request.body.items() if name != "rules"})
        return 201, made

    @route("GET", CONFIGURATIONS + "/{id}")
    async def fetch_configuration(self, request: Request, id: str) -> Answer:
        return 200, get(self.configurations, id)

    @route("PUT", CONFIGURATIONS + "/{id}")
    async def replace_configuration(self, request: Request, id: str) -> Answer:
        known = get(self.configurations, id)
        return 200, {**known, **request.body, "version": known["version"] + 1}

    @route("DELETE", CONFIGURATIONS + "/{id}")
    async def delete_configuration(self, request: Request, id: str) -> Answer:
        del self.configurations[get(self.configurations, id)["id"]]
        return 204, None

    def _new_id(self, kind: str) -> str:
        self.created += 1
        return identifier(kind, self.created)

    def _problem_of(self, rules: list[dict[str, Any]]) -> str:
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
            if any(each["type"] != "WEBHOOK" or not each["url"].startswith("https://") for each in actions):
                return "an action is a WEBHOOK with a public https address"
        return ""


def operator(id: str, name: str, shape: str) -> dict[str, Any]:
    return {"id": id, "displayName": name, "version": 1, "author": "TWILIO", "outputFormat": shape}
