"""The questions of copier.yml and its includes, read from there, so that a new question or choice is tested at once."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from copier._template import load_template_config
from jinja2 import Environment, meta

ROOT = Path(__file__).parent.parent
Answers = dict[str, Any]

CONFIG: Answers = load_template_config(ROOT / "copier.yml")
QUESTIONS: dict[str, Answers] = {name: details for name, details in CONFIG.items() if not name.startswith("_")}
ASKED: dict[str, Answers] = {name: details for name, details in QUESTIONS.items() if details.get("when", True)}
COMPUTED = QUESTIONS.keys() - ASKED.keys()
CUSTOM = [name for name, details in ASKED.items() if "level ==" in str(details.get("when"))]
"""Asked with `level=custom` only."""
PROVIDERS: dict[str, Answers] = QUESTIONS["provider_table"]["default"]
DEFAULTS: Answers = {name: False if name in CUSTOM else details["default"] for name, details in ASKED.items()}
DEFAULTS |= {"path": "tac", "memory_backend": "twilio", "tts_provider": "ElevenLabs"}
DEFAULTS["aws_model"] = PROVIDERS["bedrock"]["model"].removeprefix("bedrock:")
DEFAULTS["azure_model"] = PROVIDERS["azure"]["model"].removeprefix("azure:")
LANGUAGES: dict[str, Answers] = QUESTIONS["language_table"]["default"]
PRODUCTS: dict[str, Answers] = QUESTIONS["product_table"]["default"]
SOURCES: dict[str, Answers] = QUESTIONS["product_sources"]["default"]


def choices(question: str) -> list[Any]:
    """The possible answers to a question with choices, or to a yes-no question."""
    offered = ASKED[question].get("choices", [True, False])
    values = offered.values() if isinstance(offered, dict) else offered
    return [value["value"] if isinstance(value, dict) else value for value in values]


def subsets(question: str) -> list[tuple[Any, ...]]:
    """The possible answers to a question with several."""
    offered = choices(question)
    return [some for count in range(len(offered) + 1) for some in itertools.combinations(offered, count)]


@functools.cache
def condition(question: str) -> Callable[..., Any]:
    return Environment().compile_expression(ASKED[question]["when"].strip("{ }"))


def is_asked(question: str, answers: Answers) -> bool:
    """Whether the other answers leave this question open. Copier records an answer only then."""
    return "when" not in ASKED[question] or bool(condition(question)(DEFAULTS | answers))


def asked(answers: Answers) -> Answers:
    """The answers without those to questions that the others do not ask."""
    return {name: value for name, value in answers.items() if is_asked(name, answers)}


def barring(product: str, answers: Answers) -> list[str]:
    """The regulations in the answers under which a product may not be used."""
    cells = {name: PRODUCTS[product].get(name, {}).get("status") for name in answers.get("regulations", [])}
    return [name for name, status in cells.items() if status in ("not", "unknown")]


def listed(value: Any) -> list[Any]:
    """The members of a list, or of languages as they are typed."""
    return value if isinstance(value, list) else value.replace(",", " ").split() if isinstance(value, str) else [value]


def defaults(answers: Answers) -> Answers:
    """The defaults beside these answers: two of them follow the regulations, one the languages."""
    path = "manual" if barring("tac", answers) else "tac"
    backend = "database" if barring("memory", answers) else "twilio"
    codes = [code for code in listed(answers.get("languages", "en-US")) if code in LANGUAGES]
    tts = next(tts for tts in choices("tts_provider") if all(tts in LANGUAGES[code]["tts"] for code in codes))
    return DEFAULTS | {"path": path, "memory_backend": backend, "tts_provider": tts}


def record(answers: Answers) -> Answers:
    """The recorded answers of a project that was copied with `answers`."""
    return asked(defaults(answers) | answers)


STRUCTURAL = [
    name
    for name, details in ASKED.items()
    if ("choices" in details and not details.get("multiselect")) or details["type"] == "bool"
]
"""The questions with a countable number of answers."""

CONDITIONAL = [name for name in STRUCTURAL if isinstance(ASKED[name].get("when"), str)]

# Questions whose answers bind each other; `serves` ties languages to providers.
RULES = [
    [
        *["path", "partial_prompts", "turn_detection", "stt_provider", "aws_runtime", "azure_runtime", "channels"],
        *["model_provider", "fallback_provider", "session_store", "deploy_target"],
    ],
    ["level", *CUSTOM],
]


def bars(product: str, regulations: list[str]) -> bool:
    return bool(barring(product, {"regulations": regulations}))


# What valid answers fulfil, by the names of the answers: stated anew, not read from copier/rules.yml.
CONDITIONS: list[Callable[..., bool]] = [
    lambda session_store, path: path == {"dynamodb": "aws", "cosmos": "azure"}.get(session_store, path),
    lambda azure_runtime, channels: azure_runtime != "voice_live" or channels == "voice",
    lambda deploy_target, session_store: deploy_target != "lambda" or session_store != "process",
    lambda fallback_provider, model_provider: fallback_provider != model_provider,
    lambda path, regulations: not bars("tac", regulations) or path == "manual",
    lambda channels, regulations: not bars("tac", regulations) or channels == "voice",
    lambda regulations, outcome: {"tcpa", "fdcpa"}.isdisjoint(regulations) or outcome == "outbound",
    lambda regulations, channels: {"tcpa", "fdcpa"}.isdisjoint(regulations) or channels != "messaging",
    lambda partial_prompts, path, turn_detection: (
        not partial_prompts or (path == "manual" and turn_detection in ("auto", "flux"))
    ),
    lambda partial_prompts, turn_detection, stt_provider, regulations: (
        not (partial_prompts or turn_detection == "flux")
        or (stt_provider == "Deepgram" and not bars("flux", regulations))
    ),
    lambda turn_detection, regulations: turn_detection != "twilio" or not bars("turn_detection", regulations),
    lambda level, memory, memory_backend, regulations: (
        not (
            (memory if level == "custom" else level >= "2")
            and memory_backend == "twilio"
            and bars("memory", regulations)
        )
    ),
]
SPEECH: list[Callable[..., bool]] = [
    lambda languages, stt_provider, tts_provider: all(
        serves(stt_provider, tts_provider, code) for code in listed(languages)
    ),
    lambda languages, partial_prompts, turn_detection: all(
        is_heard({"partial_prompts": partial_prompts, "turn_detection": turn_detection}, code)
        for code in listed(languages)
    ),
]
"""The same for languages."""


def unasked(question: str) -> tuple[Callable[..., bool], list[str]]:
    """A question that the others leave closed keeps its default."""
    names = sorted(meta.find_undeclared_variables(Environment().parse(ASKED[question]["when"])))
    check = condition(question)
    return (
        lambda answer, *others: answer == DEFAULTS[question] or bool(check(**dict(zip(names, others, strict=True)))),
        [question, *names],
    )


READ = [(valid, [*inspect.signature(valid).parameters]) for valid in CONDITIONS]
HEARD = [(valid, [*inspect.signature(valid).parameters]) for valid in SPEECH]
CONSTRAINTS = [*map(unasked, CONDITIONAL), *HEARD, *READ]
"""Each with the questions that it is about."""
BINDING = {name: [(scope, check) for check, scope in CONSTRAINTS if name in scope] for name in ASKED}
COUNTABLE = [*STRUCTURAL, "languages", "regulations"]
BOUND = list(dict.fromkeys([*(name for _, scope in CONSTRAINTS for name in scope), *COUNTABLE]))
"""COUNTABLE, those beside each other that bind each other: a search finds out early what does not go together."""
SPOKEN: list[Any] = [
    *(DEFAULTS["languages"], ["es-MX", "en-US"], "zh-CN, de-DE, en-US", "multi"),
    *([code] for code in LANGUAGES if code != DEFAULTS["languages"]),
]
REGIMES = list(map(list, subsets("regulations")))


def is_valid(answers: Answers) -> bool:
    """The rules among the structural answers."""
    return all(valid(*[answers[name] for name in names]) for valid, names in READ) and all(
        answers[name] == DEFAULTS[name] or is_asked(name, answers) for name in CONDITIONAL
    )


def values(name: str) -> list[Any]:
    """The answers to a question that are tried, the default first."""
    tried: dict[str, list[Any]] = {"languages": SPOKEN, "regulations": REGIMES}
    return sorted(tried.get(name) or choices(name), key=lambda value: value != DEFAULTS[name])


def extended(answers: Answers, names: list[str], values: Callable[[str], list[Any]] = values) -> Iterator[Answers]:
    """Every way to answer these questions beside the answers, as far as those given go together."""
    if not names:
        yield answers
        return
    name, *others = names
    for value in values(name):
        now = answers | {name: value}
        if all(check(*map(now.get, scope)) for scope, check in BINDING[name] if now.keys() >= set(scope)):
            yield from extended(now, others, values)


def completed(answers: Answers, values: Callable[[str], list[Any]] = values) -> Answers | None:
    """The answers with the first of `values` that go together for all of BOUND; None if there are none."""
    possible = {name: [answers[name]] if name in answers else values(name) for name in [*answers, *BOUND]}
    return search({}, possible)


def drawn(answers: Answers, random: Random) -> Answers:
    """The answers with random ones to every other question of BOUND."""
    found = completed(answers, lambda question: random.sample(values(question), len(values(question))))
    assert found, answers
    return found


def search(found: Answers, possible: dict[str, list[Any]]) -> Answers | None:
    """Answer the open questions. A choice that leaves another question without an answer is dropped at once."""
    if not possible:
        return found
    name, *others = possible
    for value in possible[name]:
        now, left = found | {name: value}, {other: possible[other] for other in others}
        if narrow(name, now, left) and (complete := search(now, left)):
            return complete
    return None


def narrow(name: str, found: Answers, possible: dict[str, list[Any]]) -> bool:
    """Take away what no longer goes with the answer to `name`. Whether every open question has an answer left."""
    for scope, check in BINDING[name]:
        unknown = [other for other in scope if other in possible]
        if not unknown and not check(*map(found.get, scope)):
            return False
        if len(unknown) == 1:
            (other,) = unknown
            fits = [value for value in possible[other] if check(*map((found | {other: value}).get, scope))]
            if not fits:
                return False
            possible[other] = fits
    return True


def every(questions: Iterable[str]) -> Iterator[Answers]:
    """Every combination of the answers to these questions that some answers to the others complete."""
    return filter(completed, together(questions))


def together(questions: Iterable[str]) -> Iterator[Answers]:
    """Every combination of the answers to these questions that go together, as far as these questions tell."""
    return extended({}, [name for name in BOUND if name in questions])


@functools.cache
def valid(rule: int) -> list[Answers]:
    """Every valid combination of the answers that a rule binds, those first that have many defaults."""
    names = RULES[rule]
    others = {name: value for name, value in DEFAULTS.items() if name not in names}
    found = [{name: answers[name] for name in names} for answers in extended(others, names)]
    found.sort(key=lambda answers: sum(answers[name] != DEFAULTS[name] for name in names))
    return found


def wants_flux(answers: Answers) -> bool:
    """Whether only Deepgram's Flux will do. With turn_detection=auto it is taken where it can be."""
    return bool(answers["partial_prompts"]) or answers["turn_detection"] == "flux"


def is_heard(answers: Answers, code: str) -> bool:
    """Whether Flux hears the language, if it has to."""
    return not wants_flux(answers) or bool(LANGUAGES.get(code, {"flux": []})["flux"])


def serves(stt: str, tts: str, code: str) -> bool:
    """Whether a language has speech in and speech out from these providers."""
    if code == "multi":
        return (stt, tts) == ("Deepgram", "ElevenLabs")
    return stt in LANGUAGES[code]["stt"] and tts in LANGUAGES[code]["tts"]


def changes() -> list[Answers]:
    """One answer to each question that differs from its default."""
    texts: list[Answers] = [
        {"project_name": "Front Desk"},
        {"description": "Books appointments."},
        {"languages": ["es-MX", "en-US"]},
        {"languages": "multi"},
        {"voice": "some.Voice-1"},
    ]
    countable = [{name: value} for name in STRUCTURAL for value in choices(name) if value != DEFAULTS[name]]
    return texts + [change for change in countable if is_valid(DEFAULTS | change)]
