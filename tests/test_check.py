"""`make check` and Copier never disagree, and `make check` says all that Copier would say one by one."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from copier._main import Worker

from hooks.check import Interview, Problem, check, one_line
from tests import shortcuts
from tests.conftest import Render, files, recorded
from tests.questionnaire import ASKED, LANGUAGES, QUESTIONS, ROOT, Answers, choices
from tests.test_refusals import RULES

ROWS: list[Answers] = QUESTIONS["question_table"]["default"]
Copying = Callable[[Answers], Answers | str]


@pytest.fixture(scope="module")
def interview(folder: Path, quick: pytest.MonkeyPatch) -> Interview:
    return Interview(folder)


@pytest.fixture
def copying(folder: Path, quick: pytest.MonkeyPatch, tmp_path: Path) -> Copying:
    """What `copier copy --defaults` records, or the error that it ends with. Renders nothing."""
    shortcuts.without_git(quick, folder)

    def copy(given: Answers) -> Answers | str:
        worker = Worker(str(folder), tmp_path / "project", data=given, quiet=True, defaults=True)
        try:
            worker._ask()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return {name: value for name, value in worker._answers_to_remember().items() if not name.startswith("_")}

    return copy


def says_the_same(error: str, problem: Problem) -> bool:
    """Whether a problem is the one that Copier ended with."""
    if found := re.fullmatch(r"\w+: Validation error for question '(\w+)': (.*)", error, re.S):
        said = one_line(found[2].splitlines()[0])
        unknown = re.match(r"Unknown option: ([^,]+?)(,|\. Known)", said)
        if unknown:
            return (problem.kind, problem.question) == ("unknown", unknown[1])
        no_list = said.endswith("or regulations=[] for none.") and problem.question == "regulations"
        return said in problem.says or no_list
    if found := re.fullmatch(r"\w+: Invalid choice for '(\w+)': (.*)", error, re.S):
        is_named = problem.question == found[1]
        return is_named and (problem.kind == "choice" or one_line(found[2]) in problem.says)
    return problem.kind in ("type", "value")


def agrees(given: Answers, interview: Interview, copying: Copying) -> bool:
    """Whether the answers are taken, by both or by none."""
    expected, report = copying(given), interview.judge(given)
    if isinstance(expected, str):
        assert any(says_the_same(expected, problem) for problem in report.problems), (given, expected, report.problems)
        assert report.answers is None
    else:
        assert (report.problems, report.answers) == ([], expected), given
    for problem in report.problems:
        assert problem.says == one_line(problem.says) and problem.says.strip(), given
        assert str(problem.question) in problem.says or "description" in problem.says, problem
    return not isinstance(expected, str)


NO_ANSWERS: list[Any] = [None, "", " ", 5, 3.5, [], ["x"], [[1]], {"a": 1}, "nonsense", True, False, "yes", "maybe"]
NO_ANSWERS += [datetime.date(2026, 11, 29), "[", "[hipaa]", "hipaa", "gdpr,pci", ["hipaa", "gdpr"], "en-US", "multi"]


def drawn(random: Random) -> Answers:
    """Answers to some questions: most of them possible, if not together."""
    given: Answers = {}
    for name in random.sample([*ASKED], random.choice([0, 1, 2, 3, 4, 6, 9, len(ASKED)])):
        if random.random() < 0.12:
            given[name] = random.choice(NO_ANSWERS)
        elif ASKED[name].get("multiselect"):
            given[name] = random.sample(choices(name), random.choice([0, 0, 1, 1, 2]))
        elif "choices" in ASKED[name] or ASKED[name]["type"] == "bool":
            given[name] = random.choice(choices(name))
        elif name == "languages":
            given[name] = random.choice(["multi", random.sample([*LANGUAGES], 2), ["en-US"], ["tlh"]])
    if random.random() < 0.05:
        given[random.choice(["channel", "has_tac", "_commit", "reserved", "zone_delivered", "x"])] = "voice"
    return given


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.matrix) for seed in range(1, 60))])
def test_check_takes_what_copier_takes_and_says_what_copier_says(
    seed: int, interview: Interview, copying: Copying
) -> None:
    random = Random(seed)
    taken = [agrees(drawn(random), interview, copying) for _ in range(40)]
    assert 3 < sum(taken) < 37


@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_refuses_is_a_problem_here(name: str, interview: Interview) -> None:
    wrong: Any = RULES[name][0]
    said = "\n".join(problem.says for problem in interview.judge(wrong).problems)
    assert all(fragment in said for fragment in RULES[name][1])


def test_a_copy_records_what_check_promises(interview: Interview, render: Render, tmp_path: Path) -> None:
    given: Answers = {
        "level": 3,
        "channels": "omnichannel",
        "regulations": "[gdpr]",
        "recording": "yes",
        "languages": "multi",
    }
    assert recorded(render(tmp_path / "project", **given)) == interview.judge(given).answers


# --- More than Copier says -------------------------------------------------------------------------


def problems(text: str, interview: Interview, place: Path) -> list[Problem]:
    place.joinpath("answers.yml").write_text(text, encoding="utf-8")
    return check(place / "answers.yml", interview).problems


def test_independent_problems_are_all_listed(interview: Interview, tmp_path: Path) -> None:
    text = """\
project_name: ""
channel: voice
channels: omnichannel
regulations: [hipaa, gdprr]
path: aws
languages: [de-DE, tlh]
stt_provider: Google
partial_prompts: true
greeting_interruptible: perhaps
session_store: [redis]
python_version: 3.9
"""
    found = [(each.line, each.kind, each.question, each.beside) for each in problems(text, interview, tmp_path)]
    assert found == [
        (2, "unknown", "channel", ()),
        (1, "value", "project_name", ()),
        (6, "value", "languages", ()),
        (4, "rule", "regulations", ("channels",)),
        (4, "choice", "regulations", ()),
        (5, "rule", "path", ("regulations",)),
        (7, "rule", "stt_provider", ("languages",)),
        (9, "rule", "greeting_interruptible", ()),
        (8, "rule", "partial_prompts", ("path",)),
        (8, "rule", "partial_prompts", ("stt_provider",)),
        (8, "rule", "partial_prompts", ("regulations",)),
        (10, "type", "session_store", ()),
        (11, "choice", "python_version", ()),
    ]


def test_a_value_that_is_no_answer_hides_and_invents_no_other_problem(interview: Interview) -> None:
    found = interview.judge({"path": "asw", "aws_runtime": "strands", "aws_region": "Frankfurt", "voice": "two words"})
    assert [problem.question for problem in found.problems] == ["path", "voice", "aws_region"]
    assert "Did you mean aws?" in found.problems[0].says
    found = interview.judge({"level": "max", "memory": True, "memory_backend": "nowhere"})
    assert [(problem.question, problem.kind) for problem in found.problems] == [
        ("level", "choice"),
        ("memory_backend", "choice"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("path: [manual\nlevel: 2\n", 2, "is not YAML: "),
        ("- path\n", None, "is a list, and no answers. Write name: value on each line"),
        ("", None, "is empty. Write name: value"),
        ("text", None, "is text, and no answers"),
        ("path: !!python/object:os.system {}\n", 1, "is not YAML: "),
        ("observability: off\n", 1, 'observability=off is read as false by YAML. Write observability: "off".'),
        ("regulations: hipaa; pci\n", 1, "regulations=hipaa; pci is not a list. Write regulations=[hipaa]"),
        ("regulations: 5\n", 1, "regulations=5 is not a list"),
        ("regulations: [[hipaa]]\n", 1, 'regulations=["hipaa"] is no choice.'),
        ("languages: true\n", 1, "languages=true names no language."),
        ("outcome:\n", 1, "outcome is empty. Write an answer, or leave it out to take the default."),
        ("path: {aws: strands}\n", 1, 'path={"aws": "strands"} is a mapping. Write one word, as in path=tac.'),
        ("1: 2\n", 1, "1=2 answers no question. The questions are project_name, "),
        ("has_tac: true\n", 1, "has_tac=true answers no question."),
    ],
)
def test_a_file_that_cannot_be_answers(
    text: str, line: int | None, said: str, interview: Interview, tmp_path: Path
) -> None:
    (problem,) = problems(text, interview, tmp_path)
    assert said in problem.says and "\n" not in problem.says and problem.line == line


def test_a_file_that_is_not_there_is_a_problem(interview: Interview, tmp_path: Path) -> None:
    (problem,) = check(tmp_path / "none.yml", interview).problems
    assert problem.kind == "file" and "No such file" in problem.says


# --- Worth asking ---------------------------------------------------------------------------------


def asked_back(given: Answers, interview: Interview) -> set[str]:
    report = interview.judge(given)
    assert report.problems == []
    return {row["id"] for row in report.questions}


def test_nothing_is_asked_of_the_defaults(interview: Interview) -> None:
    assert asked_back({}, interview) == set()


EXAMPLES: dict[str, tuple[Answers, Answers]] = {
    "payment_without_a_human": ({"outcome": "commerce"}, {"outcome": "commerce", "level": "4"}),
    "card_without_a_human": ({"regulations": ["pci"]}, {"regulations": ["pci"], "level": "4"}),
    "payment_without_pci": ({"project_name": "Billing"}, {"project_name": "Billing", "regulations": ["pci"]}),
    "duties_without_intelligence": ({"regulations": ["gdpr"]}, {"regulations": ["gdpr"], "level": "3"}),
    "duties_without_script_adherence": (
        {"regulations": ["gdpr"], "level": "3", "operators": ["summary"]},
        {"level": "3", "operators": ["summary"]},
    ),
    "memory_for_one_call": ({"level": "2", "project_name": "Storm Hotline"}, {"project_name": "Storm Hotline"}),
    "several_workers_without_a_store": ({"path": "aws"}, {"path": "aws", "session_store": "redis"}),
    "opt_outs_without_a_store": ({"channels": "messaging"}, {"channels": "messaging", "session_store": "redis"}),
    "production_without_a_second_model": ({"profile": "enterprise"}, {"fallback_provider": "google"}),
    "production_without_observability": ({"path": "azure"}, {"path": "azure", "observability": "otlp"}),
    "health_without_hipaa": ({"project_name": "Clinic"}, {"project_name": "Clinic", "regulations": ["hipaa"]}),
    "europe_without_gdpr": ({"languages": ["fr-FR"]}, {"languages": ["fr-FR"], "regulations": ["gdpr"]}),
    "gdpr_without_ai_act": ({"regulations": ["gdpr"]}, {"regulations": ["gdpr", "eu_ai_act"]}),
    "calls_without_consent": ({"outcome": "outbound"}, {"outcome": "outbound", "regulations": ["tcpa"]}),
    "debt_without_a_ledger": ({"outcome": "outbound", "description": "Collects a debt."}, {"outcome": "outbound"}),
    "whatsapp_for_anything": ({"channels": "omnichannel"}, {"channels": "voice_and_messaging"}),
    "tenants_in_one_store": ({"profile": "isv", "level": "2"}, {"profile": "isv"}),
    "closed_service": ({"path": "aws", "aws_runtime": "bedrock_agents"}, {"path": "aws"}),
    "languages_without_skills": (
        {"level": "4", "languages": ["en-US", "es-MX"]},
        {"level": "4", "languages": ["en-US", "es-MX"], "routing": "skills"},
    ),
    "escalation_without_context": (
        {"level": "custom", "escalation": True},
        {"level": "custom", "escalation": True, "memory": True},
    ),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_question_is_asked_where_it_is_worth_it(row: Answers, interview: Interview) -> None:
    doubtful, clear = EXAMPLES[row["id"]]
    assert row["id"] in asked_back(doubtful, interview)
    assert row["id"] not in asked_back(clear, interview)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_question_has_a_source_a_date_and_an_answer_that_exists(row: Answers) -> None:
    assert row["page"] and datetime.date.fromisoformat(row["read"]) and "\n" not in row["asks"]
    for name, value in re.findall(r"(\w+)=([\w-]+|\[)", row["try"]):
        assert value in ["[", "true"] or value in choices(name)
    named = {*row["when"], *row.get("unless", {})} - {"topics"}
    assert named <= ASKED.keys() | set(re.findall(r"^  (\w+)=", (ROOT / "includes/advice.jinja").read_text(), re.M))


# --- The command ----------------------------------------------------------------------------------


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", "hooks.check", *arguments], cwd=cwd, capture_output=True, encoding="utf-8"
    )


def test_the_command_prints_a_line_for_each_and_changes_nothing(folder: Path, tmp_path: Path) -> None:
    before = files(folder)
    file = tmp_path / "answers.yml"
    file.write_text("path: asw\nlevel: 9\noutcome: commerce\n")
    done = run(str(file), cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    first, second, asked, last = done.stdout.splitlines()
    assert first.startswith(f"{file}:2: level=9 is no choice.") and second.startswith(f"{file}:1: path=asw")
    assert asked.startswith("worth asking: Callers order") and last == f"{file}: 2 problems, 1 question."
    file.write_text("outcome: commerce\n")
    done = run(str(file), cwd=folder)
    assert done.returncode == 0 and done.stdout.endswith("no problems, 1 question.\n")
    assert files(folder) == before and [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("text", ["path: asw\n", "outcome: commerce\nlevel: 2\nlevel: 2\n", "[", "{}"])
def test_the_json_has_one_shape(text: str, tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text(text)
    done = run(str(tmp_path / "answers.yml"), "--json")
    report = json.loads(done.stdout)
    assert list(report) == ["file", "problems", "questions", "answers"]
    assert done.returncode == bool(report["problems"]) and (report["answers"] is None) == bool(report["problems"])
    for problem in report["problems"]:
        assert list(problem) == ["kind", "question", "value", "says", "beside", "line"]
    for question in report["questions"]:
        assert {"id", "asks", "try", "page", "read"} <= question.keys()
