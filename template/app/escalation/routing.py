"""Checks agent/routing.yml against TaskRouter's rules and builds its workflow JSON. Used by setup and doctor only.

TaskRouter checks only the syntax of an expression: a task whose rule can match no worker waits until its timeout.
Source: https://www.twilio.com/docs/taskrouter/expression-syntax, and /workflow-configuration beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from app import config
from app.escalation.record import Hints, Payload, Strict

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"""
    r"""|(?P<sign>==|!=|<=|>=|<|>|[()\[\],])|(?P<wrong>\S))"""
)
COMPARISONS = {"==", "!=", "<", ">", "<=", ">="}
WORDS = {"AND", "OR", "NOT", "HAS", "IN", "CONTAINS"}
# Attributes that TaskRouter adds to the task of a call, and those of the customer.
# Source: https://www.twilio.com/docs/taskrouter/twiml-queue-calls
CALL_ATTRIBUTES: dict[str, Any] = dict.fromkeys(
    ["call_sid", "account_sid", "from", "to", "caller", "called", "direction", "customerName", "customerAddress"], ""
)


class RoutingError(Exception):
    """One line: the path in the file, the value, and the correction."""


class Target(Strict):
    queue: str
    expression: str | None = None
    order_by: str | None = None
    priority: int | None = Field(None, ge=0)
    timeout: int | None = Field(None, gt=0)
    skip_if: str | None = None


class Filter(Strict):
    name: str
    expression: str
    targets: list[Target] = Field(min_length=1)


class Workflow(Strict):
    name: str
    filters: list[Filter]
    default: str


class Routing(Strict):
    """`worker` has the attributes of a worker, by example; `queues` maps names to expressions over them."""

    worker: dict[str, Any]
    queues: dict[str, str] = Field(min_length=1)
    workflow: Workflow


def load(path: Path) -> Routing:
    """The routing of that file, or with the answer routing=fifo only its default queue.

    Raises RoutingError for the first part that TaskRouter would refuse or never match.
    """
    try:
        routing = read(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise RoutingError(f"{path.name}: not YAML ({' '.join(str(error).split())}): correct it there") from None
    return routing if config.ROUTING == "skills" else first_in_first_out(routing)


def first_in_first_out(routing: Routing) -> Routing:
    """One queue and no rules: each task waits in the default queue."""
    queues = {name: workers for name, workers in routing.queues.items() if name == routing.workflow.default}
    return routing.model_copy(
        update={"queues": queues, "workflow": routing.workflow.model_copy(update={"filters": []})}
    )


def read(data: Any) -> Routing:
    try:
        routing = Routing.model_validate(data)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "routing.yml"
        given = problem["input"] if isinstance(problem["input"], str | int | float) else type(problem["input"]).__name__
        raise RoutingError(f"{where}: {given!r} is invalid: {problem['msg']}. See the shipped file.") from None
    check(routing)
    return routing


def check(routing: Routing) -> None:
    worker = routing.worker
    for name in worker:
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise RoutingError(f"worker: no expression can name {name!r}: write {re.sub(r'[^0-9A-Za-z_]', '_', name)}")
    for name, expression in routing.queues.items():
        Expression(f"queues.{name}", expression, worker).check()
    for number, rule in enumerate(routing.workflow.filters):
        where = f"workflow.filters.{number}"
        Expression(f"{where}.expression", rule.expression, task_attributes()).check()
        for place, target in enumerate(rule.targets):
            check_target(f"{where}.targets.{place}", target, routing)
    check_queue("workflow.default", routing.workflow.default, routing)


def check_target(where: str, target: Target, routing: Routing) -> None:
    attributes = {f"task.{name}": value for name, value in task_attributes().items()}
    attributes |= {f"worker.{name}": value for name, value in routing.worker.items()}
    check_queue(f"{where}.queue", target.queue, routing)
    if target.expression:
        Expression(f"{where}.expression", target.expression, attributes).check()
    if target.skip_if:
        counts = {"workers.available": 0, "workers.unavailable": 0}
        Expression(f"{where}.skip_if", target.skip_if, counts).check()
    for clause in (target.order_by or "").split(",") if target.order_by else []:
        match = re.fullmatch(r"\s*(worker\.\w+)\s+(ASC|DESC)\s*", clause)
        if not match:
            raise RoutingError(f"{where}.order_by: {clause.strip()!r} is no order: write worker.level DESC")
        if type(attributes.get(match[1])) is not int:
            raise RoutingError(f"{where}.order_by: {match[1]} is no integer in `worker`: order by an integer attribute")


def check_queue(where: str, queue: str, routing: Routing) -> None:
    if queue not in routing.queues:
        raise RoutingError(f"{where}: there is no queue {queue!r}: take one of {', '.join(routing.queues)}")


def task_attributes() -> dict[str, Any]:
    """The attributes of a task, by example."""
    hints = Hints(skills=["billing"], language="en-US")
    return {**CALL_ATTRIBUTES, **Payload(reason_code="x", routing_hints=hints).model_dump(), **hints.model_dump()}


class Expression:
    """A parser of one expression over `attributes` (name -> example): comparisons, AND, OR, NOT and brackets."""

    def __init__(self, where: str, text: str, attributes: Mapping[str, Any]) -> None:
        self.where = where
        self.text = text
        self.attributes = attributes
        self.tokens = [(str(match.lastgroup), match[str(match.lastgroup)]) for match in TOKEN.finditer(text)]
        self.position = 0

    def check(self) -> None:
        """Raises RoutingError."""
        if wrong := next((value for kind, value in self.tokens if kind == "wrong"), None):
            fix = {"=": "write ==", "-": "use underscores in names", "!": "write != or NOT"}
            raise self.error(
                f"{wrong!r} is not allowed", fix.get(wrong, f"use {', '.join(sorted(COMPARISONS | WORDS))}")
            )
        self.disjunction()
        if self.position < len(self.tokens):
            raise self.error(f"{self.tokens[self.position][1]!r} is left over", "join comparisons with AND or OR")

    def disjunction(self) -> None:
        self.term()
        while self.word() in ("AND", "OR"):
            self.position += 1
            self.term()

    def term(self) -> None:
        if self.word() == "NOT":
            self.position += 1
        if self.word() == "(":
            self.position += 1
            self.disjunction()
            self.expect(")")
        else:
            self.comparison()

    def comparison(self) -> None:
        left_name, left = self.value()
        negated = self.word() == "NOT"
        self.position += negated
        sign = self.word()
        if sign not in COMPARISONS | {"HAS", "IN", "CONTAINS"} or (negated and sign != "IN"):
            raise self.error(
                f"{sign or 'its end'!r} is no comparison", f"use {', '.join(sorted(COMPARISONS))}, HAS or IN"
            )
        self.position += 1
        right_name, right = self.value()
        if sign == "HAS" and not isinstance(left, list):
            raise self.error(f"HAS needs a list, and {left_name} is not a list", "use ==, or make it a list")
        if sign == "IN" and not isinstance(right, list):
            raise self.error(f"IN needs a list, and {right_name} is not a list", 'use ==, or write ["a", "b"]')
        if sign == "CONTAINS" and not isinstance(left, str):
            raise self.error(f"CONTAINS needs a text, and {left_name} is not a text", "use HAS")
        if sign in COMPARISONS and (isinstance(left, list) or isinstance(right, list)):
            name = left_name if isinstance(left, list) else right_name
            raise self.error(f"{name} is a list and never equals anything", "use HAS")

    def value(self) -> tuple[str, Any]:
        """A name or constant, and its value: the example of a name."""
        if self.position >= len(self.tokens):
            raise self.error("a value is missing at the end", "complete the comparison")
        kind, token = self.tokens[self.position]
        self.position += 1
        if token == "[":
            self.items()
            return "the list", []
        if kind == "text":
            return token, token[1:-1]
        if kind == "number":
            return token, float(token)
        if kind == "name" and token.lower() in ("true", "false"):
            return token, token.lower() == "true"
        if kind == "name" and token.upper() not in WORDS:
            if token not in self.attributes:
                names = get_close_matches(token, self.attributes, 1) or self.attributes
                raise self.error(f"{token} is no attribute", f"take {', '.join(names)}")
            return token, self.attributes[token]
        raise self.error(f"{token!r} is no value", "write a name, a number or a text in quotes")

    def items(self) -> None:
        while self.word() != "]":
            self.value()
            if self.word() == ",":
                self.position += 1
            elif self.word() != "]":
                raise self.error("a list is not closed", "write ]")
        self.position += 1

    def word(self) -> str:
        if self.position >= len(self.tokens) or self.tokens[self.position][0] not in ("name", "sign"):
            return ""
        token = self.tokens[self.position][1]
        return token.upper() if token.upper() in WORDS else token

    def expect(self, token: str) -> None:
        if self.word() != token:
            raise self.error(f"{token!r} is missing", f"write {token}")
        self.position += 1

    def error(self, problem: str, fix: str) -> RoutingError:
        return RoutingError(f"{self.where}: {self.text!r}: {problem}: {fix}")


def workflow_configuration(routing: Routing, sids: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of the workflow. `sids` maps the names of queues to their SIDs (WQ...)."""
    return {
        "task_routing": {
            "filters": [
                {
                    "filter_friendly_name": rule.name,
                    "expression": rule.expression,
                    "targets": [
                        {**target.model_dump(exclude_none=True), "queue": sids[target.queue]} for target in rule.targets
                    ],
                }
                for rule in routing.workflow.filters
            ],
            "default_filter": {"queue": sids[routing.workflow.default]},
        }
    }
