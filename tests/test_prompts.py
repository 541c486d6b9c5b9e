"""The prompts of the real command, in a pseudo-terminal."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.conftest import Render, Update, mostly_at_night, recorded
from tests.questionnaire import ASKED, Answers, choices, defaults, is_asked, record

ENTER, DOWN, UP, ERASE = "\r", "\x1b[B", "\x1b[A", "\x15"


class Terminal:
    """The terminal: text on the screen, and keys."""

    def __init__(self, *command: str) -> None:
        self.process = pexpect.spawn(
            str(Path(sys.executable).parent / "copier"),
            list(command),
            encoding="utf-8",
            timeout=120,
            dimensions=(50, 250),
            env={**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )

    def asks(self, question: str) -> None:
        """Wait for a question, by the first sentence of its help."""
        self.process.expect_exact(ASKED[question]["help"].split("?")[0])

    def types(self, *keys: str) -> None:
        for key in keys:
            self.process.send(key)

    def shows(self, text: str) -> None:
        self.process.expect_exact(text)

    def finishes(self) -> None:
        self.process.expect(pexpect.EOF)
        self.process.close()
        assert self.process.exitstatus == 0


def prompts(**answers: object) -> list[str]:
    """The questions that a person is asked who gives these answers and presses Enter at all others."""
    given = defaults(answers) | answers
    asked = [name for name, each in ASKED.items() if each.get("ask", True) and is_asked(name, given)]
    return [name for name in asked if name != "path" or given["channels"] != "messaging"]  # its `ask` leaves it out


PROMPTS = prompts()
Dial = Callable[[], tuple[Terminal, Path]]


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Dial:
    return lambda: (Terminal("copy", str(folder), str(tmp_path / "project")), tmp_path / "project")


def test_at_most_twelve_questions_are_asked() -> None:
    """Of a person who presses Enter on any path: the tests below go there."""
    for path, channels, regulations in itertools.product(choices("path"), choices("channels"), [[], ["gdpr"]]):
        asked = prompts(path=path, channels=channels, regulations=regulations)
        assert 9 <= len(asked) <= 12, asked


def test_every_help_and_choice_fits_80_columns() -> None:
    """Three columns are before a question and its choices (the microphone, the arrow), five before a box to tick."""
    for name, details in ASKED.items():
        lines = [(3, line) for line in details["help"].splitlines()]
        lines += [(5 if details.get("multiselect") else 3, str(title)) for title in details.get("choices", [])]
        assert [line for before, line in lines if before + len(line) > 80] == [], name


def test_enter_at_every_prompt_takes_the_defaults(copy: Dial) -> None:
    terminal, project = copy()
    for question in PROMPTS:
        terminal.asks(question)
        terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project) == record({})


def test_the_arrow_keys_choose(copy: Dial) -> None:
    terminal, project = copy()
    keys = {"path": [DOWN, DOWN, DOWN], "model_provider": [DOWN, DOWN, UP], "fallback_provider": [DOWN]}
    for question in PROMPTS:
        terminal.asks(question)
        terminal.types(*keys.get(question, []), ENTER)
    terminal.finishes()
    chosen = {"path": "manual", "model_provider": "anthropic", "fallback_provider": "openai"}
    assert recorded(project) == record(chosen)
    assert (project / "app" / "voice" / "relay").is_dir()


@pytest.mark.parametrize(
    ("downs", "path", "runtime"), mostly_at_night([(1, "aws", "strands"), (2, "azure", "agent_framework")], 2)
)
def test_a_cloud_path_asks_for_its_runtime(downs: int, path: str, runtime: str, copy: Dial) -> None:
    terminal, project = copy()
    asked = prompts(path=path)
    assert f"{path}_runtime" in asked and "model_provider" not in asked
    for question in asked:
        terminal.asks(question)
        terminal.types(*[DOWN] * (downs if question == "path" else 0), ENTER)
    terminal.finishes()
    assert recorded(project) == record({"path": path})
    assert (project / "app" / "runtimes" / runtime).is_dir()


def test_a_regulation_narrows_the_path_before_the_eyes(copy: Dial) -> None:
    terminal, project = copy()
    chosen: Answers = {"regulations": ["hipaa"]}
    for question in prompts(**chosen):
        terminal.asks(question)
        if question == "path":
            terminal.shows("path=tac does not go with regulations=hipaa")
        terminal.types(*[" "] * (question == "regulations"), ENTER)
    terminal.finishes()
    assert recorded(project) == record(chosen)
    assert (project / "app" / "voice" / "relay").is_dir()


def test_the_path_is_not_asked_without_calls(copy: Dial) -> None:
    terminal, project = copy()
    for question in prompts(channels="messaging"):
        terminal.asks(question)
        terminal.types(*[UP] * (question == "channels"), ENTER)  # the last of the choices
    terminal.finishes()
    assert recorded(project) == record({"channels": "messaging"})
    assert not (project / "app" / "voice").exists()


def test_a_refused_answer_is_explained_and_corrected_in_place(copy: Dial) -> None:
    terminal, project = copy()
    terminal.asks("project_name")
    terminal.types(ERASE, " ", ENTER)
    terminal.shows("Take 1 to 60.")
    terminal.types(ERASE, "Front Desk", ENTER)
    for question in PROMPTS[1:]:
        terminal.asks(question)
        terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project) == record({"project_name": "Front Desk"})


def test_languages_are_typed_without_brackets(copy: Dial) -> None:
    """A wrong one is explained at the prompt, and the provider of speech out follows the languages."""
    terminal, project = copy()
    for question in PROMPTS:
        terminal.asks(question)
        if question == "languages":
            terminal.types(ERASE, "zh-HK, en", ENTER)
            terminal.shows("is not confirmed")
            terminal.types(ERASE, "zh-HK, en-US")
        terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project) == record({"languages": "zh-HK, en-US"})
    assert recorded(project)["tts_provider"] == "Google"


def test_a_disabled_choice_shows_the_reason(copy: Dial) -> None:
    terminal, project = copy()
    for question in PROMPTS:
        terminal.asks(question)
        if question == "fallback_provider":
            terminal.shows("fails together with model_provider=openai")
            terminal.types(DOWN)
        terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project)["fallback_provider"] == "anthropic"


@pytest.mark.parametrize(
    ("question", "other", "given"),
    [
        ("path", "tac", {"path": "manual", "partial_prompts": True}),
        pytest.param(
            "channels", "messaging", {"path": "azure", "azure_runtime": "voice_live"}, marks=pytest.mark.matrix
        ),
        pytest.param("stt_provider", "Google", {"languages": ["en-US", "de-DE"]}, marks=pytest.mark.matrix),
        pytest.param(
            *("tts_provider", "ElevenLabs", {"tts_provider": "Amazon", "voice": "Joanna-Generative"}),
            marks=pytest.mark.matrix,
        ),
        # The same questions once more, for other reasons.
        pytest.param("path", "tac", {"regulations": ["pci"], "path": "manual"}, marks=pytest.mark.matrix),
        pytest.param("path", "manual", {"path": "aws", "session_store": "dynamodb"}, marks=pytest.mark.matrix),
        pytest.param("path", "aws", {"path": "azure", "session_store": "cosmos"}, marks=pytest.mark.matrix),
        pytest.param("model_provider", "anthropic", {"fallback_provider": "anthropic"}, marks=pytest.mark.matrix),
        pytest.param("stt_provider", "Google", {"path": "manual", "partial_prompts": True}, marks=pytest.mark.matrix),
        pytest.param("tts_provider", "Google", {"languages": "multi"}, marks=pytest.mark.matrix),
    ],
)
def test_a_prompt_refuses_a_choice_that_contradicts_a_recorded_answer(
    question: str, other: str, given: Answers, create: Render, update: Update, tmp_path: Path
) -> None:
    """With the message that `-d` gets. Copier would reset those recorded answers without a message."""
    project = create(tmp_path / "project", **given)
    with pytest.raises(ValueError) as refused:
        update(project, **{question: other})
    terminal = Terminal("update", "--defaults", "--vcs-ref=:current:", "--ask", question, str(project))
    terminal.asks(question)
    terminal.shows(f"{question}={str(refused.value).partition(f'{question}=')[2]}")
    terminal.types(DOWN, ENTER)
    terminal.finishes()
    answers = recorded(project)
    assert answers[question] != other
    assert {name: answers[name] for name in given} == given


def test_two_answers_are_swapped_at_their_prompts(create: Render, tmp_path: Path) -> None:
    """A recorded answer that is asked for anew does not bind the question before it."""
    project = create(tmp_path / "project", fallback_provider="anthropic")
    terminal = Terminal("update", "--vcs-ref=:current:", str(project))
    for question in PROMPTS:
        terminal.asks(question)
        terminal.types(*[DOWN] * question.endswith("_provider"), ENTER)
    terminal.finishes()
    assert recorded(project) == record({"model_provider": "anthropic", "fallback_provider": "openai"})


# --- Words ------------------------------------------------------------------------------------------

EVERYDAY = {
    *("AI", "SMS", "WhatsApp", "README", "USA", "EU", "UK", "GitHub", "Python"),
    *("Twilio", "Amazon", "Microsoft", "Google", "OpenAI", "Anthropic", "Deepgram", "ElevenLabs"),  # companies
}
"""What a reader knows who builds software and has never used Twilio."""

EXPLAINED = {
    "HIPAA": "health data of patients in the USA",
    "PCI": "callers pay by card",
    "DSS": "callers pay by card",
    "GDPR": "people in the EU or the UK",
    "TCPA": "the agent calls people in the USA",
    "FDCPA": "the agent collects debts from people in the USA",
    "ISV": "customers to whom you sell it",
    "RCS": "RCS (SMS with pictures)",
    "ConversationRelay": "speech into text and text into speech\n(ConversationRelay)",
    "TAC": "library (Twilio Agent Connect)",
    "SDK": "TAC SDK  Twilio's own library",
    "AWS": "in Amazon's cloud",
    "Azure": "in Microsoft's cloud",
    "Bedrock": "language models run in Amazon Bedrock",
    "AgentCore": "AgentCore       Amazon runs the agent",
    "OpenTelemetry": "(OpenTelemetry, the open standard for it)",
    "OTLP": "OTLP  yes, in the format of OpenTelemetry",
    "prompt": "the first instructions of the\nlanguage model (the prompt)",
    "Flux": "model Flux",
    "SQLite": "a file (SQLite)",
    "PostgreSQL": "a server of yours (PostgreSQL)",
    "DynamoDB": "a database of AWS",
    "DB": "Cosmos DB       a database of Azure",
    "workers": "all copies of the server (its workers)",
    "worker": "all copies of the server (its workers)",
    "AWS_REGION": "environment variable AWS_REGION",
    "AGENT_MODEL": "environment variable AGENT_MODEL",
}
"""Each other term, and the words that explain it: in the same question, or in one before it."""

FIELD = (
    r"prompts?|turn|workers?|tokens?|tunnel|tenants?|runtime|webhooks?|queue|hand-off|handoff|inference|latency|TwiML"
)
TERM = re.compile(rf"\b(?:[A-Z][A-Z_]+\w*|[A-Z]\w*[a-z][A-Z]\w*|{FIELD}|{'|'.join(EXPLAINED)})\b")


def test_every_term_of_a_question_is_explained_by_then() -> None:
    """Acronyms, names of products and words of the field, in help texts and titles of choices."""
    read = ""
    for name, details in ASKED.items():
        text = "\n".join([details["help"], *map(str, details.get("choices", []))])
        read += f"{text}\n"
        for term in {*TERM.findall(re.sub(r"\b[a-z]{2}-[A-Z]{2}\b", "", text))} - EVERYDAY:  # without en-US
            assert EXPLAINED.get(term, "\0") in read, f"{name}: what is {term}?"


def test_every_explanation_is_needed() -> None:
    texts = "\n".join(f"{each['help']}\n{list(each.get('choices', []))}" for each in ASKED.values())
    assert [term for term in EXPLAINED if not re.search(rf"\b{term}\b", texts)] == []
