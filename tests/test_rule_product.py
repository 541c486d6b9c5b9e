"""The rules over the full product of the answers that they read, which tests/rule_product.py has."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jinja2 import Environment, meta

from tests.conftest import Note
from tests.questionnaire import (
    ASKED,
    CONDITIONAL,
    DEFAULTS,
    LANGUAGES,
    READ,
    Answers,
    defaults,
    is_asked,
    is_heard,
    listed,
    record,
    serves,
)
from tests.rule_product import (
    FREE,
    MISSING,
    ORDER,
    PARTS,
    REFUSING,
    Combination,
    State,
    by_macro,
    by_model,
    classes,
    given_of,
    judged_answers,
    possible,
    product,
    rules_of,
    size,
    variables,
    verdicts,
)
from tests.rules import ASKED_WITH, RULES, answered, is_open, names_of, refused_by

LARGE = {"languages", "regulations", "partial_prompts"}
"""Their products have up to millions of combinations: only the two steps go through them."""
MATRIX = pytest.mark.matrix


def sampled(questions: set[str]) -> list[Any]:
    """All questions with rules: these in `make test` too."""
    return [pytest.param(name, marks=() if name in questions else MATRIX) for name in REFUSING]


# --- What a rule may read ---------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["say"][:60])
def test_a_rule_names_nothing_outside_of_its_product(rule: Answers) -> None:
    """Its parts and values are known, its text has names of the product only, and `kept` has later questions."""
    assert rule.keys() <= PARTS
    ((question, wanted),) = rule["refuse"].items()
    axes = variables(question, rule)
    named = {"barring", "page", "read", "code", "confirmed", "language_docs", "recorded", question}
    assert set(re.findall(r"{(\w+)}", rule["say"])) <= axes.keys() | named
    for name in names_of(rule) - {question}:
        is_kept = name in rule.get("kept", {}) or rule.get("unconfirmed") == name.removesuffix("_provider")
        assert ORDER.index(name) < ORDER.index(question) or is_kept or name in rule.get("when", {})
        assert ORDER.index(name) > ORDER.index(question) or name not in rule.get("kept", {})
        assert name in axes and {*ASKED_WITH.get(name, {})} - {question} <= axes.keys()
    wishes = [(question, wanted), *(pair for part in ("when", "unless", "kept") for pair in rule.get(part, {}).items())]
    for name, wish in wishes:
        known = judged_answers(name) if name in REFUSING + [*FREE] else possible(name)
        for value in wish if isinstance(wish, list) else [wish]:
            assert value in (*known, "any", "same"), (name, value)


# --- The macro and the model ------------------------------------------------------------------------


@pytest.mark.parametrize("question", sampled({"path", "recording", "model_provider", "azure_model", "deploy_target"}))
def test_each_rule_alone_refuses_what_the_model_refuses(question: str) -> None:
    """Step 1, and the crashes: a text that names a missing answer is never reached, since a rule before it refuses."""
    for place, rule in enumerate(rules_of(question)):
        names = [*variables(question, rule)]
        for states, verdict in verdicts(question, place).items():
            combination = dict(zip(names, states, strict=True))
            if verdict is None:
                assert by_macro(question, combination, rules_of(question)[:place]), combination
            else:
                assert verdict == by_model(question, combination, [rule]), combination


@pytest.mark.parametrize("question", sampled({"path", "recording", "model_provider", "azure_model", "deploy_target"}))
def test_all_rules_of_a_question_refuse_what_the_model_refuses(question: str, note: Note) -> None:
    """Step 2."""
    tried, rules = 0, rules_of(question)
    for combination in product(question, classes(question)):
        tried += 1
        assert by_macro(question, combination, rules) == by_model(question, combination, rules), combination
    alone = sum(len(verdicts(question, place)) for place in range(len(rules)))
    note(f"rules of {question}: {size(question):,} combinations, by {alone:,} of one rule and {tried:,} of all rules")


@pytest.mark.matrix
@pytest.mark.parametrize("question", sorted({*REFUSING} - LARGE))
def test_the_steps_leave_nothing_out(question: str) -> None:
    """The whole product where that is possible, without the steps."""
    axes = {name: axis for rule in rules_of(question) for name, axis in variables(question, rule).items()}
    combinations, rules = [*product(question, axes)], rules_of(question)
    assert len(combinations) == size(question)
    for combination in combinations:
        assert by_macro(question, combination, RULES) == by_model(question, combination, rules), combination


# --- The texts --------------------------------------------------------------------------------------


def refusals(question: str) -> dict[str, tuple[Answers, Combination]]:
    """Each distinct text of the rules of a question, with its rule and the combination that gets it."""
    found: dict[str, tuple[Answers, Combination]] = {}
    for place, rule in enumerate(rules_of(question)):
        for states, verdict in verdicts(question, place).items():
            for says, _ in verdict or ():
                found.setdefault(says, (rule, dict(zip(variables(question, rule), states, strict=True))))
    return found


FIX = re.compile(r"\b(Set|Take|Keep|Leave|Write) ")


def ways_out(fix: str, question: str) -> Iterator[Answers]:
    """The answers that a fix names, as in `Take path=aws, or session_store=redis`; none of `Leave it out`."""
    for part in re.split(r",? or (?=leave |set |take |\w+=)|[,;] (?!stt|tts)", fix):
        pairs = re.findall(r"(\w+)=(\[\w+\]|[\w-]+)((?: or \w+)*)", part)
        if not pairs and "choices" in ASKED[question]:
            pairs = [(question, word, "") for word in re.findall(r"\w+", part) if word in possible(question)]
            yield from ({name: word} for name, word, _ in pairs)
            continue
        if any(others for _, _, others in pairs):
            ((name, first, others),) = pairs
            values = [first, *(word for word in others.split(" or ")[1:] if word != "others")]
            yield from ({name: read(value)} for value in values)
        elif pairs:
            yield {name: read(value) for name, value, _ in pairs}


def read(value: str) -> Any:
    if value.startswith("["):
        return value.strip("[]").split(",")
    return {"true": True, "false": False}.get(value, value)


@pytest.mark.parametrize("question", sampled({*REFUSING} - LARGE))
def test_a_refusal_is_one_line_with_value_reason_and_a_way_out_that_works(question: str) -> None:
    found = refusals(question)
    assert found
    for says, (rule, combination) in found.items():
        if says.endswith("is neither yes nor no. Write true or false."):
            assert says.startswith(f"{question}={combination['mode'].value} "), says
            continue
        assert says == " ".join(says.split()) and says.endswith(".") and "{" not in says, says
        judged = combination["judged"].answer
        written = given_of(question, combination).get(question, judged)
        assert says.startswith(f"{question}={str(written).lower() if isinstance(judged, bool) else judged}"), says
        start = FIX.search(says)
        assert start and len(says[: start.start()].split()) > 4, says
        for way in ways_out(says[start.start() :], question):
            changed = {name: State(tuple(v) if isinstance(v, list) else v, given=True) for name, v in way.items()}
            assert {*way} <= ASKED.keys() and all(each.value in possible(name) for name, each in changed.items()), (
                says,
                way,
            )
            better = {**combination, **changed, "judged": changed.get(question, combination["judged"])}
            assert by_model(question, better, [rule]) == (), (says, way)


# --- What the rules are for -------------------------------------------------------------------------

TEXTS = [name for name, each in ASKED.items() if isinstance(each.get("when"), str) and name not in CONDITIONAL]
OUTER = {"path", "channels", "regulations", "level", "outcome"}
"""Answers that conditions share; what is left falls into groups that share none, and are judged one by one."""


def conditions() -> list[tuple[Callable[..., bool], list[str]]]:
    """What valid answers fulfil, and which of them each condition reads: `is_valid`, languages, questions not asked."""
    found: list[tuple[Callable[..., bool], list[str]]] = [*READ]

    def is_spoken(
        languages: Any, stt_provider: str, tts_provider: str, partial_prompts: bool, turn_detection: str
    ) -> bool:
        answers = {"partial_prompts": partial_prompts, "turn_detection": turn_detection}
        codes = listed(languages)
        return all(serves(stt_provider, tts_provider, code) and is_heard(answers, code) for code in codes)

    def is_at_default(names: list[str], *values: Any) -> bool:
        answers = dict(zip(names, values, strict=True))
        return values[0] == DEFAULTS[names[0]] or is_asked(names[0], answers)

    found.append((is_spoken, [*inspect.signature(is_spoken).parameters]))
    for name in [*CONDITIONAL, *TEXTS]:
        names = [name, *meta.find_undeclared_variables(Environment().parse(ASKED[name]["when"]))]
        found.append((functools.partial(is_at_default, names), names))
    return found


def reads(question: str) -> list[str]:
    """The answers that decide whether a question refuses its answer in a first copy, its own before them.

    There, `kept` holds of nothing: step 1 has it for an answer that is given, or missing.
    """
    rules = [rule for rule in rules_of(question) if "kept" not in rule]
    names = {name for rule in rules for name in variables(question, rule)} & ASKED.keys()
    return [question, *sorted(names)]


def accepts(question: str, *values: Any) -> bool:
    """Whether a first copy takes these answers to `reads(question)`, by the macro, with all of them given."""
    given = dict(zip(reads(question), values, strict=True))
    if not is_open(question, given) and given[question] == DEFAULTS[question]:
        return True  # not given
    is_early = {name: ORDER.index(name) < ORDER.index(question) for name in given}
    combination = {
        name: State(value, given=not is_early[name]) if is_open(name, given) or not is_early[name] else MISSING
        for name, value in given.items()
        if name != question
    }
    parts = given[question] if isinstance(given[question], tuple) else (given[question],)
    parts = tuple(listed(given[question])) if question == "languages" and isinstance(given[question], str) else parts
    for part in parts:
        mode = State(part, given=True) if isinstance(part, bool) else State("given")
        if by_macro(question, {**combination, "judged": State(part), "mode": mode}, rules_of(question)):
            return False
    return True


def groups() -> list[list[str]]:
    """The answers outside of OUTER, those together that a condition or a question reads together; then OUTER."""
    joined: list[set[str]] = []
    for names in [*(names for _, names in conditions()), *map(reads, REFUSING)]:
        inner = {*names} - OUTER
        touched = [group for group in joined if group & inner]
        joined = [group for group in joined if group not in touched] + ([inner.union(*touched)] if inner else [])
    return [sorted(group) for group in joined] + [[]]


def belongs(names: list[str], group: list[str]) -> bool:
    return bool({*group} & {*names}) if group else not {*names} - OUTER


@pytest.mark.parametrize(
    "group",
    [pytest.param(group, id="-".join(group) or "outer", marks=MATRIX if len(group) > 4 else ()) for group in groups()],
)
def test_the_questions_take_what_is_valid(group: list[str], note: Note) -> None:
    """Both are conjunctions of parts that read only what they name: they are equal if they are in each group."""
    valid = [(part, names) for part, names in conditions() if belongs(names, group)]
    taking: list[tuple[Callable[..., bool], list[str]]]
    taking = [(functools.partial(accepts, name), reads(name)) for name in REFUSING if belongs(reads(name), group)]
    inside = [*valid, *taking]
    names = sorted({name for _, names in inside for name in names})
    known: dict[tuple[int, tuple[Any, ...]], bool] = {}

    def holds(place: int, answers: Answers) -> bool:
        part, read = inside[place]
        key = (place, tuple(answers[name] for name in read))
        if key not in known:
            known[key] = bool(part(*(State(value).answer for value in key[1])) if place < len(valid) else part(*key[1]))
        return known[key]

    tried = 0
    for values in itertools.product(*map(possible, names)):
        tried += 1
        answers = dict(zip(names, values, strict=True))
        expected = all(holds(place, answers) for place in range(len(valid)))
        taken = all(holds(place, answers) for place in range(len(valid), len(inside)))
        assert taken == expected, answers
    assert taking and tried
    note(f"answers to {', '.join(names)}: {tried:,} combinations, taken exactly if valid")


def test_the_groups_hold_every_answer_that_is_valid_reads(note: Note) -> None:
    read = {name for _, names in conditions() for name in names} | {name for each in REFUSING for name in reads(each)}
    assert read - OUTER == {name for group in groups() for name in group}
    total = math.prod(len(possible(name)) for name in read)
    note(f"answers that are valid or refused: {total:,} combinations in a first copy")


# --- Recorded answers -------------------------------------------------------------------------------


def updates(question: str, rule: Answers) -> Iterator[tuple[Answers, Answers]]:
    """Projects with a valid answer to the question, and new answers to others beside which the rule refuses it."""
    names = [*variables(question, rule).keys() & {*ORDER} - {question}]
    for values in itertools.product(possible(question), *map(possible, names)):
        chosen = {name: State(value).answer for name, value in zip([question, *names], values, strict=True)}
        chosen = {"path": "manual"} | chosen  # which every regulation allows, and partial prompts need
        before = defaults(chosen) | chosen
        if not all(part(*(before[name] for name in read)) for part, read in conditions()):
            continue
        recorded = record(chosen)
        for others in itertools.product(*map(possible, names)):
            new = {name: State(value).answer for name, value in zip(names, others, strict=True)}
            given = {name: value for name, value in new.items() if before[name] != value}
            now = recorded | given
            if question not in recorded or not is_open(question, now):
                continue
            for part in listed(recorded[question]) if question in ("languages", "regulations") else [before[question]]:
                if refused_by(rule, question, part, now, recorded, given):
                    yield recorded, given


@pytest.mark.parametrize("question", sampled({*REFUSING} - {"memory_backend", *LARGE, "stt_provider", "tts_provider"}))
def test_no_update_resets_a_recorded_answer(question: str) -> None:
    """Whatever makes it invalid is refused. `answered` raises DroppedError where Copier would drop the answer."""
    for place, rule in enumerate(rules_of(question)):
        mode = [*variables(question, rule)].index("mode")
        refuses = any(
            verdict and states[mode].value == "recorded" for states, verdict in verdicts(question, place).items()
        )
        if "kept" not in rule and refuses:
            found = [*updates(question, rule)]
            assert found, rule
            for recorded, given in found:
                assert isinstance(answered(recorded, given), str), (recorded, given)


@pytest.mark.matrix
@pytest.mark.parametrize("before", judged_answers("tts_provider"))
def test_a_voice_stays_with_its_provider_and_its_first_language(before: str) -> None:
    """A voice of ElevenLabs speaks every language. Of all providers and languages, before and after."""
    codes = [code for code in LANGUAGES if serves("Deepgram", before, code)]
    for first, then, after in itertools.product(codes, LANGUAGES, judged_answers("tts_provider")):
        recorded = record({"languages": [first], "tts_provider": before, "voice": "some.Voice-1"})
        new: Answers = {"languages": [then], "tts_provider": after}
        given = {name: value for name, value in new.items() if recorded[name] != value}
        loses_voice = after != before or (then != first and after != "ElevenLabs")
        expected = loses_voice or not serves("Deepgram", after, then)
        assert isinstance(answered(recorded, given), str) == expected, (recorded, given)
        if not serves("Deepgram", after, then):
            continue
        assert isinstance(answered(recorded, {**given, "voice": ""}), dict)
