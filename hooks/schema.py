"""The questionnaire as JSON Schema, so that editors and assistants fill a file of answers correctly.

python -m hooks.schema    write answers.schema.json, which a test holds equal to the questionnaire

It says names, types, choices, defaults and forms, which question is asked with which answers, and which answers do not
go together (copier/rules.yml). Two kinds of rule stay with `make check`: which provider of speech serves which
language, and those about recorded answers. What Copier takes beside the written form (yes for true, a number as a name)
is not in it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from copier._template import load_template_config

from hooks.check import COPIERS_OWN, TEMPLATE

FILE = TEMPLATE / "answers.schema.json"
Schema = dict[str, Any]


def variants(value: Any) -> list[Any]:
    """A choice, and how YAML reads it without quotes."""
    try:
        return [value, json.loads(value)]
    except (TypeError, ValueError):
        return [value]


class Questionnaire:
    def __init__(self) -> None:
        config = load_template_config(TEMPLATE / "copier.yml")
        details = {name: row for name, row in config.items() if not name.startswith("_")}
        self.tables = {name: row["default"] for name, row in details.items() if row.get("when") is False}
        self.asked = {name: row for name, row in details.items() if row.get("when") is not False}

    def schema(self) -> Schema:
        written = {
            name: {"description": "Copier writes it into the answers file of a project."} for name in COPIERS_OWN
        }
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Answers for a phone agent on Twilio ConversationRelay",
            "description": "For copier copy --data-file. `make check ANSWERS=file.yml` says more than this schema can.",
            "type": "object",
            "properties": {name: self.property(name) for name in self.asked} | written,
            "additionalProperties": False,
            "allOf": [*self.conditions(), *self.rules()],
        }

    # --- One answer -------------------------------------------------------------------------------

    def choices(self, name: str) -> dict[Any, str]:
        """Each choice, and its text."""
        offered = self.asked[name].get("choices", {})
        rows = offered.items() if isinstance(offered, dict) else ((value, value) for value in offered)
        values = {row["value"] if isinstance(row, dict) else row: text for text, row in rows}
        return {value: " ".join(str(text).split()) for value, text in values.items()}

    def property(self, name: str) -> Schema:
        details = self.asked[name]
        schema: Schema = {"description": " ".join(details["help"].split())}
        if not (isinstance(details["default"], str) and "{" in details["default"]):
            schema["default"] = details["default"]
        choices = [{"enum": variants(value), "description": text} for value, text in self.choices(name).items()]
        if details.get("multiselect"):
            return schema | {"type": "array", "items": {"oneOf": choices}, "uniqueItems": True}
        if choices:
            return schema | {"oneOf": choices}
        if details["type"] == "bool":
            return schema | {"type": "boolean"}
        if name in ("languages", "operators"):
            return schema | self.names(name)
        return schema | self.text(name)

    def names(self, name: str) -> Schema:
        """One name, or a list of them."""
        table, alone = ("language_table", ["multi"]) if name == "languages" else ("operator_table", ["auto"])
        known = [*self.tables[table]]
        several = {"type": "array", "items": {"enum": known}, "minItems": 1, "uniqueItems": True}
        forms: list[Schema] = [{"enum": [*known, *alone]}, several, *({"const": [word]} for word in alone)]
        if name == "languages":  # as they are typed at the prompt
            one = "|".join(known)
            forms.append({"type": "string", "pattern": rf"^\s*({one})([\s,]+({one}))*[\s,]*$"})
        return {"anyOf": forms}

    def text(self, name: str) -> Schema:
        """What the validator asks of a text, as far as it does so by length and pattern."""
        validator, schema = self.asked[name].get("validator", ""), Schema(type="string")
        if most := re.search(rf"\b{name} \| length > (\d+)", validator):
            schema["maxLength"] = int(most[1])
        patterns = re.findall(rf"(not )?\b{name} \| regex_search\('([^']+)'\)", validator)
        parts: list[Schema] = [
            {"pattern": form} if negated else {"not": {"pattern": form}} for negated, form in patterns
        ]
        if f"not {name}.strip()" in validator and f"{name} and not" not in validator:
            parts.append({"pattern": r"\S"})
        return schema | ({"allOf": parts} if parts else {})

    # --- Answers that go together -----------------------------------------------------------------

    def conditions(self) -> Iterator[Schema]:
        """A question that the other answers do not ask has no answer."""
        for name in self.closed():
            wanted = self.tables["rules"]["asked_with"][name]
            yield {
                "$comment": f"{name} needs {' and '.join(f'{other}={value}' for other, value in wanted.items())}.",
                "if": {"required": [name]},
                "then": {"allOf": [self.holds(other, value) for other, value in wanted.items()]},
            }

    def closed(self) -> list[str]:
        """The questions of `asked_with` that refuse any answer where they are not asked."""
        refused = {
            name: [rule["refuse"][name] for rule in self.pairs() if name in rule["refuse"]] for name in self.asked
        }
        return [name for name in self.tables["rules"]["asked_with"] if {*map(str, refused[name])} == {"any"}]

    def pairs(self) -> list[Schema]:
        return [rule for rule in self.tables["rules"]["pairs"] if not {"kept", "unconfirmed"} & rule.keys()]

    def rules(self) -> Iterator[Schema]:
        for rule in self.pairs():
            ((name, refused),) = rule["refuse"].items()
            same = "same" in rule.get("when", {}).values()
            for wanted in refused if same else [refused] if name not in self.closed() else []:
                when = {other: wanted if value == "same" else value for other, value in rule.get("when", {}).items()}
                parts = [self.holds(name, wanted) | {"required": [name]}]
                parts += [self.holds(other, value) for other, value in when.items()]
                if barred := rule.get("barred"):
                    parts.append(self.holds("regulations", self.barring(barred)))
                if unless := rule.get("unless"):
                    parts.append({"not": {"allOf": [self.holds(other, value) for other, value in unless.items()]}})
                yield {"$comment": rule["say"], "not": {"allOf": parts}}

    def barring(self, product: str) -> list[str]:
        """The regulations under which a product may not be used."""
        cells = {name: self.tables["product_table"][product].get(name, {}) for name in self.choices("regulations")}
        return [name for name, cell in cells.items() if cell.get("status") in ("not", "unknown")]

    def holds(self, name: str, wanted: Any) -> Schema:
        """Whether an answer, or its default, is one of those wanted."""
        details, values = self.asked[name], wanted if isinstance(wanted, list) else [wanted]
        given: Schema = {"not": {"const": ""}} if wanted == "any" else {"enum": sum(map(variants, values), [])}
        if details.get("multiselect"):
            given = {"minItems": 1} if wanted == "any" else {"contains": given}
        schema: Schema = {"properties": {name: given}}
        default = details["default"]
        if follows := re.search(r"'(\w+)' if barring_regulations\('(\w+)', .*?\) else '(\w+)'", str(default)):
            barred, free = follows[1] in values, follows[3] in values
            if barred == free:
                return schema if free else schema | {"required": [name]}
            regulated = self.holds("regulations", self.barring(follows[2]))
            absent = regulated if barred else {"not": regulated}
            return {"anyOf": [schema | {"required": [name]}, {"allOf": [{"not": {"required": [name]}}, absent]}]}
        members = default if isinstance(default, list) else [default]
        is_default = any(member != "" if wanted == "any" else member in values for member in members)
        return schema if is_default else schema | {"required": [name]}


def as_json() -> str:
    return json.dumps(Questionnaire().schema(), ensure_ascii=False, indent=2) + "\n"


def main() -> int:
    FILE.write_text(as_json(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
