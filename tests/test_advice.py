"""ARCHITECTURE.md of a project opens with the advice: a diagram that GitHub renders, what applies, and nothing else."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Render
from tests.pairs import pairwise
from tests.questionnaire import DEFAULTS, QUESTIONS, ROOT, Answers, asked, choices, defaults, is_valid

WARNINGS: list[Answers] = QUESTIONS["warning_table"]["default"]
TABLES: dict[str, list[Answers]] = {
    name: QUESTIONS[f"{name}_table"]["default"] for name in ("warning", "cost", "decision", "product_use", "skill")
}
SKILLS = {
    *("twilio-account-setup", "twilio-agent-connect", "twilio-call-recordings", "twilio-compliance-traffic"),
    *("twilio-conversation-intelligence", "twilio-conversation-memory", "twilio-conversation-orchestrator"),
    *(
        "twilio-debugging-observability",
        "twilio-iam-auth-setup",
        "twilio-numbers-senders",
        "twilio-reliability-patterns",
    ),
    *("twilio-security-compliance-hipaa", "twilio-security-hardening", "twilio-sendgrid-email-send"),
    *(
        "twilio-taskrouter-routing",
        "twilio-voice-conversation-relay",
        "twilio-voice-twiml",
        "twilio-webhook-architecture",
    ),
    *("twilio-ai-agent-architect",),
}
"""Those of github.com/twilio/ai that a project may name, at aa67a6d4 of 2026-06-29."""


def page(render: Render, place: Path, **answers: Any) -> str:
    project = render(place / f"project-{len(list(place.iterdir()))}", **answers)
    return (project / "ARCHITECTURE.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading of the advice."""
    return text.split(f"### {title}\n", 1)[1].split("\n#", 1)[0]


# --- The diagram ----------------------------------------------------------------------------------

NODE = r'[a-z]+(?:\(\["[^"]+"\]\)|\[\("[^"]+"\)\]|\["[^"]+"\])?'
ARROW = rf'  (?P<start>{NODE}) (?:<-->|-->|-\.->)(?:\|"[^"]+"\|)? (?P<end>{NODE})'
TEXT = re.compile(r"[A-Za-z0-9 ,:./_-]+")


def judge_diagram(text: str) -> dict[str, str]:
    """The nodes of the one diagram by their names. Fails for what is not in the subset, or not connected."""
    (diagram,) = re.findall(r"^```mermaid\n(.*?)\n```$", text, re.M | re.S)
    first, *lines = diagram.splitlines()
    assert first == "flowchart LR"
    texts: dict[str, str] = {}
    reached: list[set[str]] = []
    for line in lines:
        found = re.fullmatch(ARROW, line)
        ends = [found["start"], found["end"]] if found else [re.fullmatch(f"  ({NODE})", line)[1]]  # type: ignore[index]
        names = {re.match("[a-z]+", end)[0] for end in ends}  # type: ignore[index]
        for end in ends:
            name, _, label = end.partition('"')
            if label:
                assert name.rstrip("([") not in texts, f"declared twice: {line}"
                texts[name.rstrip("([")] = label.partition('"')[0]
        assert names <= texts.keys(), f"not declared yet: {line}"
        joined = [group for group in reached if group & names]
        reached = [group for group in reached if not group & names] + [names.union(*joined)]
    assert reached == [texts.keys()], "parts that no arrow joins"
    for label in re.findall(r'"([^"]*)"', diagram):
        assert TEXT.fullmatch(label), label
    return texts


ROWS: list[Answers] = [
    *({"path": path, "level": level} for path in choices("path") for level in choices("level")),
    *({"path": path, "channels": kind, "level": "4"} for path in choices("path") for kind in choices("channels")),
    *({"path": "aws", "aws_runtime": runtime} for runtime in choices("aws_runtime")),
    *({"path": "azure", "azure_runtime": runtime} for runtime in choices("azure_runtime")),
    *({"regulations": names, "level": "4", "recording": True} for names in (["hipaa", "pci"], ["gdpr", "eu_ai_act"])),
    *({"outcome": outcome, "profile": who} for outcome in choices("outcome") for who in choices("profile")),
    {"path": "aws", "aws_runtime": "agentcore", "session_store": "dynamodb", "deploy_target": "lambda", "level": "4"},
    {"channels": "messaging", "observability": "otlp", "session_store": "redis", "memory_backend": "database"},
    {"level": "custom", "escalation": True},
]


@pytest.mark.parametrize("row", [row for row in ROWS if is_valid(defaults(row) | row)], ids=str)
def test_the_advice_is_well_formed(row: Answers, render: Render, tmp_path: Path) -> None:
    well_formed(page(render, tmp_path, **row))


@pytest.mark.matrix
def test_the_advice_of_every_pair_is_well_formed(render: Render, tmp_path: Path) -> None:
    for row in pairwise():
        well_formed(page(render, tmp_path, **asked({**row, "languages": DEFAULTS["languages"]})))


def well_formed(text: str) -> None:
    assert judge_diagram(text)["app"].startswith("This server")
    assert "\n\n\n" not in text and not re.search(r"[{}]{2}|\{%|\{\w+\}| +$|  \|", text, re.M), "left over from Jinja"
    titles = re.findall(r"^#+ (.*)", text, re.M)
    assert titles[1:5] == ["The advice", "Products, and the skills to read", "Decisions", "Warnings"]
    assert titles[5] == "Costs and the next rung"
    for line in section(text, "Warnings").strip().splitlines()[2:]:
        assert re.search(r", 2026-\d\d-\d\d \|$", line), line
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table
    named = set(re.findall(r"`(twilio-[a-z-]+)`", text)) - {
        "twilio-agent-connect-aws",
        "twilio-agent-connect-microsoft",
    }
    assert {"twilio-security-hardening", "twilio-debugging-observability"} <= named <= SKILLS
    assert re.search(
        r"^\*\*The next rung\*\*.* `uvx copier update --vcs-ref=:current: --defaults -d \w+=\w+`\.$", text, re.M
    )


# --- What applies, and nothing else ---------------------------------------------------------------

OMNI: Answers = {"channels": "omnichannel"}
SHOWN: dict[str, tuple[Answers, Answers]] = {
    "silent_chain": ({"level": "2"}, {"level": "2", "memory_backend": "database"}),
    "grouping": (OMNI, {}),
    "capture_rules": ({"channels": "messaging"}, {"level": "4"}),
    "speech_twice": ({"level": "2"}, {"channels": "messaging", "level": "2"}),
    "next_conversation": ({"level": "2"}, {"level": "2", "memory_backend": "database"}),
    "store_limits": ({"level": "2"}, {}),
    "operator_trap": ({"level": "3"}, {"level": "2"}),
    "operator_scope": ({"level": "3"}, {"level": "3", "regulations": ["hipaa"]}),
    "dashboard_latency": ({"level": "3"}, {"level": "2"}),
    "other_results": ({"level": "3"}, {"level": "2"}),
    "no_way_back": ({"level": "4"}, {"level": "3"}),
    "channels_apart": (OMNI, {"channels": "messaging"}),
    "flex_silence": (OMNI | {"level": "4"}, {"level": "4"}),
    "relay_cannot": ({}, {"channels": "messaging"}),
    "unknown_attributes": ({}, {"channels": "messaging"}),
    "addendum": ({}, {"channels": "messaging"}),
    "agent_connect_status": ({"path": "azure"}, {"path": "manual"}),
    "tunnel": ({}, {"profile": "enterprise"}),
    "replay": ({}, {}),
    "authority": ({}, {}),
    "outbound": ({"outcome": "outbound"}, {"outcome": "outbound", "channels": "messaging"}),
    "pci_mode": ({"regulations": ["pci"]}, {"regulations": ["hipaa"]}),
    "whatsapp": (OMNI, {"channels": "voice_and_messaging"}),
    "consent": ({"outcome": "outbound"}, {"outcome": "outbound", "channels": "messaging"}),
    "bedrock_agents": ({"path": "aws", "aws_runtime": "bedrock_agents"}, {"path": "aws"}),
}


@pytest.mark.parametrize("row", WARNINGS, ids=lambda row: row["id"])
def test_a_warning_stands_where_it_applies_and_nowhere_else(row: Answers, render: Render, tmp_path: Path) -> None:
    shown, not_shown = SHOWN[row["id"]]
    assert row["say"] in page(render, tmp_path, **shown)
    assert not row.keys() & {"when", "unless"} or row["say"] not in page(render, tmp_path, **not_shown)


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, rows in TABLES.items() for number in range(len(rows))]
)
def test_a_row_of_the_advice_says_when_it_applies(name: str, number: int) -> None:
    row = TABLES[name][number]
    situation = set(re.findall(r"^  (\w+)=", (ROOT / "includes" / "advice.jinja").read_text(encoding="utf-8"), re.M))
    assert {*row.get("when", {}), *row.get("unless", {})} <= QUESTIONS.keys() | situation
    if name == "warning":
        assert row["page"] and datetime.date.fromisoformat(row["read"]) and "|" not in row["say"]
    if name == "cost":
        assert row["page"]
    if name == "product_use":
        assert {*row["skills"]} <= SKILLS
    if name == "skill":
        assert row["name"] in SKILLS


def skills(text: str) -> set[str]:
    return set(re.findall(r"`(twilio-[a-z-]+)`", section(text, "Products, and the skills to read")))


def test_skills_are_those_of_the_products(render: Render, tmp_path: Path) -> None:
    least, full = page(render, tmp_path), page(render, tmp_path, level="4", channels="omnichannel", path="manual")
    assert "twilio-agent-connect" in skills(least) and "twilio-agent-connect" not in skills(full)
    added = {"twilio-conversation-memory", "twilio-conversation-orchestrator", "twilio-taskrouter-routing"}
    assert added <= skills(full) and not added & skills(least)
    production: list[Answers] = [{"profile": "enterprise"}, {"session_store": "redis"}, {"path": "aws"}]
    assert "twilio-reliability-patterns" not in skills(least)
    assert all("twilio-reliability-patterns" in skills(page(render, tmp_path, **row)) for row in production)
    assert "twilio-security-compliance-hipaa" in skills(page(render, tmp_path, regulations=["hipaa"]))


@pytest.mark.parametrize(
    ("answers", "command"),
    [
        ({}, "level=2"),
        ({"level": "2"}, "level=3"),
        ({"level": "3"}, "level=4"),
        ({"level": "custom", "memory": True}, "intelligence=true"),
        ({"level": "4"}, "level=3"),
    ],
)
def test_the_next_rung_has_its_command(answers: Answers, command: str, render: Render, tmp_path: Path) -> None:
    said = next(line for line in page(render, tmp_path, **answers).splitlines() if line.startswith("**The next rung**"))
    assert said.endswith(f"-d {command}`.") and ("there is none above" in said) == (answers.get("level") == "4")


def test_a_rung_has_its_decisions(render: Render, tmp_path: Path) -> None:
    rungs = [row["rung"] for row in TABLES["decision"]]
    for level in ("1", "2", "3", "4"):
        said = section(page(render, tmp_path, level=level), "Decisions")
        assert [rung for rung in rungs if f"| {rung} |" in said] == rungs[: int(level)]
    said = section(page(render, tmp_path, level="4", routing="skills", operators=["summary"]), "Decisions")
    assert "routing: skills" in said and "operators: summary;" in said


def test_what_is_worth_asking_stands_with_the_decisions(render: Render, tmp_path: Path) -> None:
    assert "Worth asking: Callers order or pay" in section(page(render, tmp_path, outcome="commerce"), "Decisions")
    assert "Worth asking" not in page(render, tmp_path)


def test_an_isv_reads_how_customers_are_kept_apart(render: Render, tmp_path: Path) -> None:
    said = section(page(render, tmp_path, profile="isv", level="3", regulations=["gdpr"]), "For customers of yours")
    for word in [
        "A project for each customer",
        "One process",
        "5 stores",
        "Operators",
        "Retention",
        "python -m app expire",
    ]:
        assert word in said
    assert "For customers of yours" not in page(render, tmp_path, profile="enterprise")
    assert "python -m app" not in section(page(render, tmp_path, profile="isv"), "For customers of yours")


@pytest.mark.parametrize(("path", "others"), [("tac", "manual"), ("manual", "tac"), ("aws", "tac"), ("azure", "tac")])
def test_the_path_is_explained_beside_the_others(path: str, others: str, render: Render, tmp_path: Path) -> None:
    line = next(text for text in page(render, tmp_path, path=path).splitlines() if text.startswith("**Implementation"))
    assert f"`path={path}`" in line and f"Not `{others}`" in line and "Not Media Streams" in line
    assert all(f"`{name}`" in line for name in choices("path") if name != path)


def test_a_barred_path_names_the_page(render: Render, tmp_path: Path) -> None:
    line = page(render, tmp_path, regulations=["hipaa"])
    assert "does not allow the TAC SDK under HIPAA (twilio.com/docs/conversations/agent-connect, 2026-" in line
