"""Random answers of random projects: an update takes them, or refuses with the reason, and drops no recorded answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import copier._main
import pytest
import yaml
from copier._main import Worker

from tests import shortcuts
from tests.pairs import LANGUAGES
from tests.questionnaire import (
    ASKED,
    CONDITIONAL,
    DEFAULTS,
    QUESTIONS,
    STRUCTURAL,
    Answers,
    choices,
    is_asked,
    is_heard,
    is_valid,
    listed,
    record,
    serves,
)
from tests.rules import ASKED_WITH, RULES, answered, hold, members_of

Answering = Callable[..., Answers]
FREE: dict[str, list[Any]] = {
    "languages": [*LANGUAGES, ["de-DE", "en-US"], "fr-FR, en-US"],
    "regulations": [[], [], [], ["hipaa"], ["gdpr"], ["pci", "gdpr"], ["hipaa", "eu_ai_act"]],
    "voice": ["", "some.Voice-1"],
    "speech_timeout": ["auto", "1200"],
    "aws_region": ["us-east-1", "eu-central-1"],
    "aws_model": [DEFAULTS["aws_model"], "amazon.nova-pro-v1:0"],
    "azure_model": [DEFAULTS["azure_model"], "gpt-6-sol"],
}


@pytest.fixture
def answering(folder: Path, quick: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Answering:
    """Answer the questions of a project without rendering it. Returns what it would record."""
    shortcuts.without_git(quick, folder)

    def answer(recorded: Answers, given: Answers, **options: Any) -> Answers:
        project = tmp_path_factory.mktemp("project")
        (project / ".copier-answers.yml").write_text(yaml.safe_dump(recorded), encoding="utf-8")
        worker = Worker(str(folder), project, data=given, quiet=True, **{"defaults": True, **options})
        worker._ask()
        return {name: value for name, value in worker._answers_to_remember().items() if not name.startswith("_")}

    return answer


def drawn(random: Random) -> Answers:
    """The recorded answers of a random project."""
    while True:
        answers = DEFAULTS | {name: random.choice(choices(name)) for name in STRUCTURAL}
        answers |= {name: random.choice(values) for name, values in FREE.items()}
        answers |= {name: DEFAULTS[name] for name in CONDITIONAL if not is_asked(name, answers)}
        providers = answers["stt_provider"], answers["tts_provider"]
        codes = listed(answers["languages"])
        if is_valid(answers) and all(serves(*providers, code) and is_heard(answers, code) for code in codes):
            return record(answers)


BOUND = sorted({name for rule in RULES for part in ("refuse", "when", "unless", "kept") for name in rule.get(part, {})})


def pair(random: Random) -> tuple[Answers, Answers]:
    """A project, and new answers: all or some of another project, or any answers to questions of the rules."""
    recorded, target = drawn(random), drawn(random)
    new = [name for name, value in target.items() if recorded.get(name) != value]
    count = random.choice([1, 2, 3, len(new)])
    if count < len(new) and random.random() < 0.5:
        return recorded, {name: random.choice(FREE.get(name) or choices(name)) for name in random.sample(BOUND, count)}
    some = random.sample(new, min(len(new), count))
    return recorded, {name: target[name] for name in target if name in some}


def check(recorded: Answers, given: Answers, answering: Answering) -> bool:
    """Whether the answers are taken, as the rules have it."""
    expected = answered(recorded, given)
    if isinstance(expected, str):
        with pytest.raises(ValueError) as refused:
            answering(recorded, given)
        assert str(refused.value).endswith(f": {expected}"), (recorded, given)
        return False
    assert answering(recorded, given) == expected == record(recorded | given), (recorded, given)
    return True


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.matrix) for seed in range(1, 40))])
def test_random_answers_are_taken_or_refused_with_the_reason(seed: int, answering: Answering) -> None:
    random = Random(seed)
    taken = [check(*pair(random), answering) for _ in range(50)]
    assert 5 < sum(taken) < 45


def test_the_rules_refuse_before_a_recorded_answer_becomes_invalid() -> None:
    """Without Copier, and so with many pairs: `answered` raises DroppedError where a rule is missing."""
    random = Random(1)
    taken = [isinstance(answered(*pair(random)), dict) for _ in range(1000)]
    assert 250 < sum(taken) < 750


@pytest.mark.parametrize(
    ("before", "given"),
    [
        ({"model_provider": "anthropic", "fallback_provider": "openai"}, {"path": "aws"}),
        ({"model_provider": "anthropic", "fallback_provider": "openai"}, {"path": "azure"}),
        ({"path": "aws", "aws_runtime": "agentcore"}, {"path": "azure", "azure_runtime": "voice_live"}),
        ({"path": "azure", "azure_runtime": "voice_live"}, {"path": "tac", "channels": "omnichannel"}),
        ({"path": "manual", "partial_prompts": True}, {"channels": "messaging"}),
    ],
)
def test_an_answer_to_a_question_that_is_not_asked_any_more_binds_nothing(
    before: Answers, given: Answers, answering: Answering
) -> None:
    assert check(record(before), given, answering)


@pytest.mark.parametrize(
    ("before", "chosen"),
    [
        ({"fallback_provider": "anthropic"}, {"model_provider": "anthropic", "fallback_provider": "openai"}),
        ({"path": "azure", "azure_runtime": "voice_live"}, {"channels": "messaging", "azure_runtime": "foundry"}),
        ({"path": "azure"}, {"path": "manual", "model_provider": "google"}),
        ({}, {"regulations": ["hipaa"], "path": "manual"}),
        ({"level": "3"}, {"regulations": ["pci"], "level": "1", "path": "manual"}),
        ({"regulations": ["hipaa", "gdpr"]}, {"channels": "omnichannel", "regulations": ["gdpr"], "path": "tac"}),
    ],
)
def test_a_question_that_a_prompt_asks_next_binds_nothing(
    before: Answers, chosen: Answers, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the rules know what was answered at the prompts before."""

    def choose(questions: list[Answers], answers: Answers) -> Answers:
        (question,) = questions
        name, offered = question["name"], question.get("choices", [])
        if not question["when"](answers):
            return answers
        value = chosen.get(name, answers[name])
        disabled = {choice.value: choice.disabled for choice in offered}
        assert not any(disabled.get(part) for part in listed(value)), disabled
        return {name: value}

    monkeypatch.setattr(copier._main, "unsafe_prompt", choose)
    assert answering(record(before), {}, defaults=False) == record(record(before) | chosen)


def test_the_rules_know_which_questions_are_asked() -> None:
    names = ["level", "path", "aws_runtime", "azure_runtime", "channels", "regulations"]
    for values in itertools.product(*map(choices, names[:-1]), [[], ["gdpr"], ["hipaa", "gdpr"]]):
        answers = dict(zip(names, values, strict=True))
        assert [name for name in ASKED if not hold(ASKED_WITH.get(name, {}), answers)] == [
            name for name in ASKED if not is_asked(name, answers)
        ]


def test_the_rules_know_which_questions_a_prompt_asks_anew() -> None:
    kept = {name for rule in RULES for name in rule.get("kept", {})}
    assert set(QUESTIONS["rules"]["default"]["asked_again"]) == {name for name in kept if ASKED[name].get("ask", True)}


def refused() -> set[tuple[str, Any]]:
    """Every answer that a rule refuses: the value of a choice, or None for a question in whole."""
    found: set[tuple[str, Any]] = set()
    for rule in RULES:
        ((name, wanted),) = rule["refuse"].items()
        hidden = any(rule.get("unless", {}).get(other) == wish for other, wish in ASKED_WITH.get(name, {}).items())
        values = choices(name) if wanted == "any" and "choices" in ASKED[name] else members_of(wanted)
        found |= {(name, value if "choices" in ASKED[name] and not hidden else None) for value in values}
    return found


@pytest.mark.parametrize(("name", "value"), sorted(refused(), key=str))
def test_a_refused_answer_asks_the_rules(name: str, value: Any) -> None:
    """At a prompt with choices, Copier runs the validators of choices only; those of a question judge `-d`."""
    holder: Answers = ASKED[name]
    for choice in holder["choices"].values() if value else []:
        if isinstance(choice, dict) and choice["value"] == value:
            holder = choice
    judged = f"'{value}'" if value else "code, " if name == "languages" else f"{name})"
    assert f"refusal('{name}', {judged}" in holder["validator"]
