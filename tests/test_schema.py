"""answers.schema.json is the questionnaire, and says of a file of answers what `make check` says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from hooks import schema
from hooks.check import Interview, Problem
from tests.conftest import Render
from tests.questionnaire import ASKED, QUESTIONS, ROOT, Answers
from tests.test_check import drawn
from tests.test_refusals import RULES

SCHEMA: Answers = json.loads(schema.FILE.read_text(encoding="utf-8"))
FORM = Draft202012Validator(SCHEMA)
SPEECH = {"languages", "stt_provider", "tts_provider"}
"""Which provider serves which language is in no schema."""


def test_the_schema_is_that_of_the_questionnaire() -> None:
    written = schema.FILE.read_text(encoding="utf-8")
    assert written == schema.as_json(), "Write it anew: python -m hooks.schema"
    Draft202012Validator.check_schema(SCHEMA)


def test_each_question_stands_in_it_with_help_choices_and_default() -> None:
    assert SCHEMA["additionalProperties"] is False
    for name, details in ASKED.items():
        found = SCHEMA["properties"][name]
        assert found["description"] == " ".join(details["help"].split())
        assert found.get("default", details["default"]) == details["default"]
        one_of = found.get("oneOf") or found.get("items", {}).get("oneOf") or []
        texts = [" ".join(str(text).split()) for text in details.get("choices", [])]
        assert [choice["description"] for choice in one_of] == texts


def test_the_defaults_and_the_answers_file_of_a_project_are_valid(render: Render, tmp_path: Path) -> None:
    FORM.validate({})
    project = render(tmp_path / "project", regulations=["gdpr"], level="4", channels="omnichannel")
    FORM.validate(yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted(ROOT.glob("presets/*.yml")), ids=lambda path: path.stem)
def test_a_preset_is_valid(path: Path) -> None:
    FORM.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def interview(folder: Path, quick: pytest.MonkeyPatch) -> Interview:
    return Interview(folder)


def is_expressible(problem: Problem) -> bool:
    return not ({*problem.beside, str(problem.question)} <= SPEECH and problem.kind in ("rule", "value"))


def is_in_form(given: Answers) -> bool:
    """Whether each value has the type that the schema asks for. Copier takes more."""
    types: dict[str, Any] = {"bool": bool, "str": str, "yaml": list | str}
    wanted = {
        name: list if row.get("multiselect") else types.get(row["type"], str | list) for name, row in ASKED.items()
    }
    return all(isinstance(value, wanted.get(name, str)) for name, value in given.items())


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.matrix) for seed in range(1, 30))])
def test_the_schema_refuses_what_check_refuses(seed: int, interview: Interview) -> None:
    random, judged = Random(seed), list[bool]()
    for given in filter(is_in_form, (drawn(random) for _ in range(80))):
        problems = interview.judge(given).problems
        valid = FORM.is_valid(given)
        if not problems or any(map(is_expressible, problems)):
            assert valid == (not problems), (given, problems, [error.schema for error in FORM.iter_errors(given)])
            judged.append(valid)
    assert 5 < sum(judged) < len(judged) - 5


@pytest.mark.parametrize("name", RULES)
def test_the_schema_knows_the_rules(name: str) -> None:
    wrong: Any = RULES[name][0]
    near: Any = RULES[name][2]
    if is_in_form(near):
        FORM.validate(near)
    about_speech = {*wrong} <= SPEECH or "languages" in wrong and len(wrong) in (3, 4)
    assert about_speech or not FORM.is_valid(wrong)


def test_every_rule_that_needs_no_recorded_answer_stands_in_it() -> None:
    said = [part["$comment"] for part in SCHEMA["allOf"]]
    for rule in QUESTIONS["rules"]["default"]["pairs"]:
        ((name, wanted),) = rule["refuse"].items()
        if not {"kept", "unconfirmed"} & rule.keys():
            assert rule["say"] in said or wanted == "any" and any(re.match(f"{name} needs ", text) for text in said)
