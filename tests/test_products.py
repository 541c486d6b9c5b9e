"""Products and regulations: the rules refuse answers that bring a product which the table does not allow, no others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests import rules
from tests.conftest import Render
from tests.questionnaire import CUSTOM, PRODUCTS, QUESTIONS, ROOT, SOURCES, Answers, barring, choices, defaults, record
from tests.renderer import Computed
from tests.rules import RULES, DroppedError, answered

REGULATIONS: dict[str, Answers] = QUESTIONS["regulation_table"]["default"]
OF_CALLS = ["tcpa", "fdcpa"]  # those that only rule whom the agent calls
JUDGING = [name for name in choices("regulations") if name not in OF_CALLS]
SETS = [list(names) for count in range(5) for names in itertools.combinations(JUDGING, count)]
LEVELS: list[Answers] = [
    *({"level": level} for level in ("1", "2", "3", "4")),
    *(
        {"level": "custom", **dict(zip(CUSTOM, some, strict=True))}
        for some in itertools.product([False, True], repeat=3)
    ),
]
CUSTOM_MEMORY: Answers = {"level": "custom", "memory": True}


def every(regulations: list[str]) -> Iterator[Answers]:
    """All answers that decide which products are used."""
    names = ["channels", "path", "memory_backend"]
    for values, level in itertools.product(itertools.product(*map(choices, names)), LEVELS):
        answers = {"regulations": regulations, **level, **dict(zip(names, values, strict=True))}
        yield answers
        if regulations and answers["channels"] != "messaging":
            yield answers | {"recording": True}
            yield from (answers | {"turn_detection": name} for name in ("flux", "twilio"))
            yield answers | {"partial_prompts": True} | {"path": "manual"}


def barred(answers: Answers) -> list[str]:
    """The products that these answers use and may not. The server itself waits for those that have an `until`."""
    names = Computed(defaults(answers) | answers)["used_products"]
    found = [(name, regulation) for name in names for regulation in barring(name, answers)]
    return [name for name, regulation in found if "until" not in PRODUCTS[name][regulation]]


@pytest.mark.parametrize("regulations", SETS, ids="-".join)
def test_the_rules_refuse_what_the_table_does_not_allow_and_nothing_else(regulations: list[str]) -> None:
    taken = refused = 0
    for answers in every(regulations):
        expected, reason = barred(answers), answered({}, answers)
        assert isinstance(reason, str) == bool(expected), (answers, expected, reason)
        if isinstance(reason, str):
            assert re.search(r"(Set|Take|Keep) \w+=", reason) and "not legal advice" in reason
        refused += isinstance(reason, str)
        taken += not isinstance(reason, str)
    assert taken and bool(refused) == bool({"hipaa", "pci"} & set(regulations))


BARRING = [rule for rule in RULES if "barred" in rule or "recording" in rule["refuse"]]


def updates() -> Iterator[tuple[Answers, Answers]]:
    """New projects, and projects that take up a regulation or change one answer under one."""
    for answers in every(["gdpr"]):
        yield {}, answers | {"regulations": ["hipaa"]}
        yield {}, answers | {"recording": True}
        yield {}, answers | {"recording": True, "regulations": []}
        yield record(answers), {"regulations": ["pci"]}
    for before in every(["hipaa"]):
        recorded = record(before | {"path": "manual", "channels": "voice"})
        if isinstance(answered({}, recorded), dict):
            for change in [{"path": "tac"}, {"channels": "omnichannel"}, {"level": "4"}, CUSTOM_MEMORY]:
                yield recorded, change


def outcome(recorded: Answers, given: Answers) -> Answers | str:
    try:
        return answered(recorded, given)
    except DroppedError as dropped:
        return f"dropped: {dropped}"


@pytest.mark.parametrize("rule", BARRING, ids=lambda rule: f"{rule['refuse']} {rule.get('kept', '')}")
def test_without_a_rule_something_passes_or_is_dropped(rule: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [other for other in RULES if other is not rule]

    def without(recorded: Answers, given: Answers) -> Answers | str:
        with monkeypatch.context() as patch:
            patch.setattr(rules, "RULES", others)
            return outcome(recorded, given)

    refused = ((pair, outcome(*pair)) for pair in updates())
    missing = (without(*pair) for pair, found in refused if isinstance(found, str))
    assert any(not isinstance(found, str) or found.startswith("dropped") for found in missing)


@pytest.mark.parametrize("regulations", SETS, ids="-".join)
def test_the_defaults_are_taken_under_every_regulation(regulations: list[str]) -> None:
    for level in LEVELS:
        given = {"regulations": regulations, **level}
        assert answered({}, given) == record(given)


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_product_is_judged_with_source_and_day(name: str) -> None:
    for regulation, about in REGULATIONS.items():
        if "every" in about:
            assert regulation not in PRODUCTS[name] and about["every"] in ("eligible", "conditional") and about["why"]
            continue
        cell = PRODUCTS[name][regulation]
        assert cell["status"] in ("eligible", "conditional", "not", "unknown")
        assert len(cell["why"]) <= 96 and bool(cell["why"]) >= (cell["status"] == "conditional")
        assert ("until" in cell) <= (cell["status"] == "unknown")
        assert date.fromisoformat(SOURCES[cell["source"]]["read"]) <= date.today()


def test_every_regulation_and_product_is_in_the_table() -> None:
    assert list(REGULATIONS) == choices("regulations")
    everything = record({"channels": "omnichannel", "level": "4", "regulations": ["gdpr"], "recording": True})
    assert set(Computed(everything)["used_products"]) <= PRODUCTS.keys()
    speech = [
        *(f"stt_{name}" for name in choices("stt_provider")),
        *(f"tts_{name}" for name in choices("tts_provider")),
    ]
    assert set(speech) <= PRODUCTS.keys()


@pytest.mark.parametrize(
    ("regulations", "place", "other"),
    [(["hipaa"], "local", "twilio"), (["pci", "gdpr"], "local", "twilio"), (["gdpr"], "twilio", "local")],
    ids=str,
)
def test_conversations_are_evaluated_where_they_may_be(
    regulations: list[str], place: str, other: str, render: Render, tmp_path: Path
) -> None:
    answers = {"level": "3", "path": "manual", "memory_backend": "database", "regulations": regulations}
    project = render(tmp_path / "project", **answers)
    assert (project / "app/intelligence" / place / "__init__.py").is_file()
    assert not (project / "app/intelligence" / other).exists()
    variable = "TWILIO_INTELLIGENCE_CONFIGURATION_ID" in (project / ".env.example").read_text(encoding="utf-8")
    assert variable == (project / "app/orchestrator").exists() == (place == "twilio")


@pytest.mark.parametrize(
    ("regulations", "recording", "kept"),
    [([], False, True), (["gdpr"], False, True), (["pci"], True, False), (["hipaa"], False, False)]
    + [(["hipaa"], True, True), (["hipaa", "pci"], True, False)],
    ids=str,
)
def test_a_voicemail_is_taken_where_it_may_be(regulations: list[str], recording: bool, kept: bool) -> None:
    """No card may be spoken into one; under hipaa the owner answers for recordings, or has none."""
    answers: Answers = {"fallback_menu": "always", "regulations": regulations}
    if regulations:
        answers["recording"] = recording
    assert Computed(record(answers) | {"recording": recording})["has_voicemail"] is kept


@pytest.mark.parametrize("regulations", [[], ["gdpr", "eu_ai_act"], ["hipaa"], ["pci"], ["hipaa", "gdpr"]], ids=str)
def test_features_of_speech_are_on_where_they_may_be(regulations: list[str]) -> None:
    found = Computed(record({"regulations": regulations}))
    barred = bool({"hipaa", "pci"} & set(regulations))
    assert found["has_flux"] is found["has_speech_failover"] is not barred


def readme_table() -> str:
    """The products in the README, by the verdicts of the table."""
    rows = [
        f"| {about['name']} | {about['hipaa']['status']} | {about['pci']['status']} | {pages(about)} |"
        for about in PRODUCTS.values()
    ]
    return "\n".join(["| product or feature | HIPAA | PCI DSS | read there |", "|---|---|---|---|", *rows])


def pages(about: Answers) -> str:
    found = dict.fromkeys(about[name]["source"] for name in ("hipaa", "pci"))
    return "; ".join(f"{SOURCES[source]['page']} ({SOURCES[source]['read']})" for source in found)


def test_the_readme_has_the_table() -> None:
    assert readme_table() in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("regulations", SETS, ids="-".join)
def test_observability_brings_no_product_that_is_not_allowed(regulations: list[str]) -> None:
    """What may be used is used: no rule refuses `otlp`, and each part of Twilio's is left out for itself."""
    for channels in ("voice", "messaging"):
        answers = {"regulations": regulations, "path": "manual", "observability": "otlp", "channels": channels}
        used = Computed(defaults(answers) | answers)["used_products"]
        parts = {"event_streams", "debugger", "voice_insights_advanced"}
        of_calls = {"voice_insights_advanced"} if channels == "messaging" else set()
        barred_parts = {part for part in parts if list(barring(part, answers))}
        assert parts.intersection(used) == parts - barred_parts - of_calls


def test_projects_have_the_folders_of_what_they_may_use(render: Render, tmp_path: Path) -> None:
    for regulations, folders in {
        (): {"twilio_events", "twilio_events/insights"},
        ("hipaa",): {"twilio_events"},
        ("pci",): set[str](),
        ("hipaa", "pci"): set[str](),
        ("gdpr", "eu_ai_act"): {"twilio_events", "twilio_events/insights"},
    }.items():
        name = "-".join(regulations) or "none"
        project = render(tmp_path / name, path="manual", observability="otlp", regulations=list(regulations))
        found = {path.parent for path in (project / "app/observability").glob("twilio_events/**/__init__.py")}
        assert {path.relative_to(project / "app/observability").as_posix() for path in found} == folders
        variables = (project / ".env.example").read_text(encoding="utf-8")
        assert ("AGENT_TWILIO_EVENT_LEVEL" in variables) == ("twilio_events" in folders)
        assert ("AGENT_INSIGHTS_DELAY" in variables) == ("twilio_events/insights" in folders)
