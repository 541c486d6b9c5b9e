"""The questions of copier.yml and its includes, read from there, so that a new question or choice is tested at once."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from copier._template import load_template_config
from jinja2 import Environment

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
    lambda path, channels, regulations: not bars("tac", regulations) or (path, channels) == ("manual", "voice"),
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
READ = [(valid, [*inspect.signature(valid).parameters]) for valid in CONDITIONS]


def is_valid(answers: Answers) -> bool:
    """The rules among the structural answers."""
    return all(valid(*[answers[name] for name in names]) for valid, names in READ) and all(
        answers[name] == DEFAULTS[name] or is_asked(name, answers) for name in CONDITIONAL
    )


@functools.cache
def valid(rule: int) -> list[Answers]:
    """Every valid combination of the answers that a rule binds, those first that have many defaults."""
    names = RULES[rule]
    found = [dict(zip(names, values, strict=True)) for values in itertools.product(*map(choices, names))]
    found.sort(key=lambda answers: sum(answers[name] != DEFAULTS[name] for name in names))
    return [answers for answers in found if is_valid(DEFAULTS | answers)]


def combinations(questions: Iterable[str]) -> Iterator[Answers]:
    """Every combination of the answers to some structural questions, with such others as make it valid."""
    names = [name for name in STRUCTURAL if name in questions]
    bound = [name for rule in RULES for name in rule]
    groups = [[{name: value} for value in choices(name)] for name in names if name not in bound]
    for rule, members in enumerate(RULES):
        distinct: dict[str, Answers] = {}
        for answers in valid(rule) if set(members) & set(names) else []:
            distinct.setdefault(str([answers[name] for name in members if name in names]), answers)
        groups += [list(distinct.values())] if distinct else []
    for parts in itertools.product(*groups):
        yield {name: value for part in parts for name, value in part.items()}


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
