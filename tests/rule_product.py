"""Every combination of the answers that the rules of a question read, without rendering and without asking.

The verdict on an answer depends on the names in its rules, on those that decide whether they are asked (`asked_with`),
on where each answer comes from, and on nothing else. `combinations(question, rules)` is their full product, where an
answer is missing exactly if it is not asked, or if it is a later one that no project has recorded yet.

The product of all rules of `languages` has millions of combinations. It is factored in two steps that leave none out:

1. Each rule alone, over the full product of the names that it reads: its verdicts.
2. All rules of a question together, over one state of each class. Two states of an answer are in one class if no
   verdict of step 1 changes when one takes the place of the other. includes/rules.jinja goes through the rules in
   order, and from one to the next it carries only refusals and their names, which are verdicts of step 1.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.questionnaire import ASKED, DEFAULTS, LANGUAGES, QUESTIONS, Answers, choices, listed, subsets
from tests.renderer import ENVIRONMENT
from tests.rules import ASKED_WITH, RULES, is_open, names_of, refused_by

ORDER = [*ASKED]
PARTS = {"refuse", "when", "unless", "kept", "barred", "unconfirmed", "changed", "say"}
CONTEXT: Answers = {name: details["default"] for name, details in QUESTIONS.items() if name not in ASKED}
FREE: dict[str, list[Any]] = {
    "voice": ["", "some.Voice-1"],
    "aws_region": [DEFAULTS["aws_region"], "eu-central-1"],
    "aws_model": [DEFAULTS["aws_model"], "amazon.nova-pro-v1:0"],
    "azure_model": [DEFAULTS["azure_model"], "gpt-6-sol"],
}
WORDS = {True: [True, "true", "Yes", "1"], False: [False, "false", "n", "off", "maybe", "2"]}
MODES = ("given", "recorded", "prompt")


@dataclass(frozen=True)
class State:
    """An answer, and whether it was given with `-d`: otherwise it is recorded, or was asked for before."""

    value: Any = None  # of a list, a tuple
    given: bool = False
    is_missing: bool = False

    @property
    def answer(self) -> Any:
        return list(self.value) if isinstance(self.value, tuple) else self.value

    def __repr__(self) -> str:
        return "missing" if self.is_missing else f"{self.value}{' by -d' if self.given else ''}"


MISSING = State(is_missing=True)
Combination = dict[str, State]
"""By name of the question; `judged`, `mode` and `first` too, and `before`: the answer that is recorded for it."""


def texts_of_languages() -> list[Any]:
    """Each language, and each pair of those that differ in a provider; as a list, or as it is typed."""
    cells = {(*row["stt"], "/", *row["tts"], "/", *row["flux"]): code for code, row in LANGUAGES.items()}
    pairs = [*itertools.permutations(cells.values(), 2)]
    typed = [", ".join(pair) for pair in pairs[::2]]
    return [*((code,) for code in LANGUAGES), "multi", *pairs, *typed]


def possible(question: str) -> list[Any]:
    """Every answer to a question with choices, all subsets of several; of texts, some that rules tell apart."""
    if question == "languages":
        return texts_of_languages()
    if ASKED[question].get("multiselect"):
        return list(subsets(question))
    return FREE[question] if question in FREE else choices(question)


def judged_answers(question: str) -> list[Any]:
    """What a rule judges: an answer, or a member of a list."""
    if question == "languages":
        return [*LANGUAGES, "multi"]
    return choices(question) if ASKED[question].get("multiselect") else possible(question)


def states(name: str, question: str) -> list[State]:
    """Where an answer may come from when `question` is judged."""
    if ORDER.index(name) < ORDER.index(question):
        return [*map(State, possible(name)), *([MISSING] if name in ASKED_WITH else [])]
    return [MISSING, *(State(value, given) for value in possible(name) for given in (False, True))]


def variables(question: str, rule: Answers) -> dict[str, Sequence[State]]:
    """The product that a rule reads: names, and the states of each."""
    names = names_of(rule) - {question} | ASKED_WITH.get(question, {}).keys()
    while missing := {other for name in names for other in ASKED_WITH.get(name, {})} - names - {question}:
        names |= missing
    found: dict[str, Sequence[State]] = {name: states(name, question) for name in sorted(names, key=ORDER.index)}
    answers = judged_answers(question)
    found["judged"] = [*map(State, answers)]
    found["mode"] = [*map(State, MODES)]
    if isinstance(answers[0], bool):
        found["mode"] = [State("recorded"), State("prompt"), *(State(word, True) for word in sum(WORDS.values(), []))]
    if "changed" in rule:
        found["before"] = [MISSING, *map(State, possible(question))]
        found["first"] = [State(True), *([State(False)] if question == "languages" else [])]
    return found


def is_consistent(question: str, combination: Combination) -> bool:
    """Whether a run of Copier can have these states beside each other."""
    answers = answers_of(combination)
    for name, state in combination.items():
        is_earlier = name in ASKED and ORDER.index(name) < ORDER.index(question)
        if is_earlier and name in ASKED_WITH and state.is_missing == is_open(name, answers):
            return False
    judged, mode = combination["judged"].value, combination["mode"]
    if mode.given and mode.value not in WORDS[judged]:
        return False
    before = combination.get("before")
    if mode.value == "recorded" and before and combination["first"].value:
        return not before.is_missing and listed(before.answer)[0] == judged
    return True


def answers_of(combination: Combination) -> Answers:
    return {name: each.answer for name, each in combination.items() if name in ASKED and not each.is_missing}


def product(question: str, axes: dict[str, Sequence[State]]) -> Iterator[Combination]:
    for values in itertools.product(*axes.values()):
        combination = dict(zip(axes, values, strict=True))
        if is_consistent(question, combination):
            yield combination


def given_of(question: str, combination: Combination) -> Answers:
    given = {name: each.answer for name, each in combination.items() if name in ASKED and each.given}
    mode = combination["mode"]
    if mode.given or mode.value == "given":
        given[question] = mode.value if mode.given else combination["judged"].value
    return given


# --- Evaluated ------------------------------------------------------------------------------------

CONF: Answers = {"data": {}, "defaults": True}
COPIERS: Answers = {}
EXTERNAL: Answers = {"recorded": {}}
PAIRS: Answers = {**CONTEXT["rules"]}
MACROS: Any = ENVIRONMENT.get_template("includes/rules.jinja").make_module(
    CONTEXT | {"_copier_conf": CONF, "_copier_answers": COPIERS, "_external_data": EXTERNAL, "rules": PAIRS}
)
Verdict = tuple[tuple[str, frozenset[str]], ...]


def by_macro(question: str, combination: Combination, rules: Sequence[Answers]) -> Verdict:
    """What includes/rules.jinja says, in Copier's own environment: each text, and the other questions of its rule."""
    PAIRS["pairs"] = rules
    CONF["data"] = given_of(question, combination)
    CONF["defaults"] = combination["mode"].value != "prompt"
    COPIERS.clear()
    COPIERS.update(answers_of(combination))
    before = combination.get("before", MISSING)
    EXTERNAL["recorded"] = {} if before.is_missing else {question: before.answer}
    first = combination.get("first", State(True)).value
    found = json.loads(MACROS.refusals(question, combination["judged"].value, first))
    return tuple((row["says"], frozenset(row["names"])) for row in found)


def by_model(question: str, combination: Combination, rules: Sequence[Answers]) -> Verdict:
    """What tests/rules.py says."""
    judged, answers, given = combination["judged"].value, answers_of(combination), given_of(question, combination)
    word = str(given.get(question, judged)).lower()
    if isinstance(judged, bool) and word in ("maybe", "2"):
        return ((f"{question}={word} is neither yes nor no. Write true or false.", frozenset()),)
    if question not in given and not is_open(question, answers | {question: judged}):
        return ()
    before = combination.get("before", MISSING)
    recorded = {} if before.is_missing else {question: before.answer}
    first, prompt = combination.get("first", State(True)).value, combination["mode"].value == "prompt"
    found: list[tuple[str, frozenset[str]]] = []
    for rule in rules:
        names, known = names_of(rule) - {question}, {name for _, names in found for name in names}
        adds = not found or (names - known and names <= answers.keys())
        if adds and (says := refused_by(rule, question, judged, answers, recorded, given, first, prompt)):
            found.append((says, frozenset(names)))
    return tuple(found)


# --- Factored -------------------------------------------------------------------------------------


def rules_of(question: str) -> list[Answers]:
    return [rule for rule in RULES if question in rule["refuse"]]


REFUSING = [question for question in ORDER if rules_of(question)]


def size(question: str) -> int:
    """The combinations of all rules of a question."""
    axes: dict[str, Sequence[State]] = {}
    for rule in rules_of(question):
        axes |= variables(question, rule)
    groups = [[name] for name in axes]
    ties = [{name, *ASKED_WITH[name]} & axes.keys() for name in axes if name in ASKED_WITH]
    for tie in [*ties, {"judged", "mode", "before", "first"} & axes.keys()]:
        joined = [group for group in groups if tie & {*group}]
        groups = [group for group in groups if group not in joined] + [sum(joined, [])]
    alone = {"judged": [State(judged_answers(question)[0])], "mode": [State("prompt")]}
    return math.prod(
        sum(1 for _ in product(question, {**alone, **{name: axes[name] for name in group}})) for group in groups
    )


@functools.cache
def verdicts(question: str, place: int) -> dict[tuple[State, ...], Verdict | None]:
    """Step 1: a rule alone, by the macro. None is a crash: the text names an answer that is missing."""
    rule = rules_of(question)[place]
    found: dict[tuple[State, ...], Verdict | None] = {}
    for combination in product(question, variables(question, rule)):
        try:
            found[tuple(combination.values())] = by_macro(question, combination, [rule])
        except KeyError:
            found[tuple(combination.values())] = None
    return found


def classes(question: str) -> dict[str, Sequence[State]]:
    """Step 2: one state of each class, for every name that a rule of the question reads."""
    seen: dict[str, dict[State, list[Any]]] = {}
    for place, rule in enumerate(rules_of(question)):
        for index, (name, found) in enumerate(variables(question, rule).items()):
            slices: dict[State, set[Any]] = {state: set() for state in found}
            for key, verdict in verdicts(question, place).items():
                slices[key[index]].add((*key[:index], *key[index + 1 :], verdict))
            for state in found:
                seen.setdefault(name, {}).setdefault(state, []).append((place, frozenset(slices[state])))
    return {name: [*{tuple(found): state for state, found in each.items()}.values()] for name, each in seen.items()}
