"""Every rule of copier.yml refuses the answers that it is for, in one line with the fix, and no others."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import copier
import pytest

from tests.conftest import Render, Update, files, git, mostly_at_night, recorded
from tests.questionnaire import (
    ASKED,
    COMPUTED,
    CUSTOM,
    LANGUAGES,
    PROVIDERS,
    QUESTIONS,
    Answers,
    choices,
    record,
    serves,
)

DOCS = QUESTIONS["language_docs"]["default"]
# Copier hands the answers file's own entries to the questionnaire during an update.
COPIERS_OWN = ["reserved", "zone_delivered", "_src_path", "_commit"]

IN_LAMBDA: Answers = {
    "path": "aws",
    "aws_runtime": "agentcore",
    "session_store": "dynamodb",
    "deploy_target": "lambda",
}
CALLS: Answers = {"outcome": "outbound", "regulations": ["tcpa"]}
PCI: Answers = {"regulations": ["pci"], "path": "manual"}
CUSTOM_MEMORY: Answers = {"level": "custom", "memory": True}


def known_options() -> list[str]:
    """The list in the first validator."""
    listed = re.search(r"set known = (\[.*?\])", ASKED["project_name"]["validator"], re.DOTALL)
    assert listed
    return list(ast.literal_eval(listed[1]))


def providers(stt: str, tts: str, *codes: str) -> Answers:
    return {"stt_provider": stt, "tts_provider": tts, "languages": list(codes)}


def rules() -> Iterator[tuple[str, Answers, list[str], Answers]]:
    """Refused answers, the words that the message must have, and the nearest answers that are accepted."""
    for provider in PROVIDERS:
        other = next(name for name in PROVIDERS if name != provider)
        yield (
            f"{provider} as its own fallback",
            {"model_provider": provider, "fallback_provider": provider},
            [f"fallback_provider={provider}", f"model_provider={provider}", "none"],
            {"model_provider": provider, "fallback_provider": other},
        )
    for code in [*LANGUAGES, "multi"]:
        for stt, tts in itertools.product(choices("stt_provider"), choices("tts_provider")):
            if not serves(stt, tts, code):
                near = next(
                    providers(a, b, code)
                    for a, b in itertools.product(choices("stt_provider"), choices("tts_provider"))
                    if serves(a, b, code)
                )
                yield f"{code} by {stt} and {tts}", providers(stt, tts, code), [f"for languages={code}", DOCS], near
    for wrong, fragment in [
        ({"path": "tac"}, "partial_prompts=true needs path=manual, not tac"),
        ({"path": "manual", "stt_provider": "Google"}, "partial_prompts=true needs stt_provider=Deepgram, not Google"),
    ]:
        near = {"path": "manual", "partial_prompts": True}
        yield f"partial prompts by {wrong}", wrong | {"partial_prompts": True}, [fragment], near
    manual: Answers = {"path": "manual", "partial_prompts": True}
    google: Answers = {"stt_provider": "Google"}
    fragment = "turn_detection=flux needs stt_provider=Deepgram, not Google"
    yield "Flux by Google", google | {"turn_detection": "flux"}, [fragment], google | {"turn_detection": "silence"}
    for code, tts in [("ko-KR", "ElevenLabs"), ("pl-PL", "ElevenLabs"), ("zh-CN", "Amazon"), ("zh-HK", "Google")]:
        speaks: Answers = {"languages": ["en-US", code], "tts_provider": tts}
        fragments = [f"turn_detection=flux does not go with languages={code}", "developers.deepgram.com", "2026-"]
        yield f"Flux in {code}", speaks | {"turn_detection": "flux"}, fragments, speaks | {"turn_detection": "twilio"}
        fragments = [f"partial_prompts=true does not go with languages={code}", "Take partial_prompts=false"]
        yield f"partial prompts in {code}", speaks | manual, fragments, manual | {"languages": ["hi-IN", "es-MX"]}
    for who in ["twilio", "silence"]:
        fragments = [f"turn_detection={who} does not go with partial_prompts=true", "Take turn_detection=auto"]
        yield (
            f"partial prompts by {who}",
            manual | {"turn_detection": who},
            fragments,
            manual | {"turn_detection": "flux"},
        )
    for time in ["599", "5001", "1.5", "often", "1,000"]:
        yield (
            f"{time} as a silence",
            {"speech_timeout": time},
            ["Write auto, or milliseconds"],
            {"speech_timeout": "600"},
        )
    aws: Answers = {"path": "aws"}
    for name, value, fragment in [
        ("model_provider", "anthropic", "model_provider=anthropic does not go with path=aws"),
        ("fallback_provider", "google", "fallback_provider=google does not go with path=aws"),
        ("partial_prompts", True, "partial_prompts=true needs path=manual, not aws"),
    ]:
        yield f"{name} on AWS", aws | {name: value}, [fragment], aws
    theirs = aws | {"aws_runtime": "bedrock_agents"}
    fragment = "aws_model=amazon.nova-pro-v1:0 does not go with aws_runtime=bedrock_agents"
    yield "a model beside Bedrock Agents", theirs | {"aws_model": "amazon.nova-pro-v1:0"}, [fragment], theirs
    for name, value, malformed in [
        ("aws_runtime", "strands", None),
        ("aws_region", "eu-central-1", "Frankfurt"),
        ("aws_model", "amazon.nova-pro-v1:0", "nova pro"),
    ]:
        yield f"{name} without AWS", {name: value}, [f"{name}={value} needs path=aws, not tac"], aws | {name: value}
        if malformed:
            yield f"a wrong {name}", aws | {name: malformed}, [f'{name}="{malformed}" is not a'], aws | {name: value}
    azure: Answers = {"path": "azure"}
    for name, value, fragment in [
        ("model_provider", "azure", "model_provider=azure does not go with path=azure"),
        ("fallback_provider", "openai", "fallback_provider=openai does not go with path=azure"),
        ("partial_prompts", True, "partial_prompts=true needs path=manual, not azure"),
        ("aws_runtime", "strands", "aws_runtime=strands needs path=aws, not azure"),
    ]:
        yield f"{name} on Azure", azure | {name: value}, [fragment], azure
    for runtime in ["foundry", "voice_live"]:
        own = azure | {"azure_runtime": runtime}
        fragment = f"azure_model=gpt-6-sol does not go with azure_runtime={runtime}"
        yield f"a deployment beside {runtime}", own | {"azure_model": "gpt-6-sol"}, [fragment], own
    for channels in ["voice_and_messaging", "omnichannel", "messaging"]:
        written = {"path": "azure", "azure_runtime": "voice_live", "channels": channels}
        fragment = f"azure_runtime=voice_live needs channels=voice, not {channels}"
        yield f"Voice Live with {channels}", written, [fragment], written | {"azure_runtime": "agent_framework"}
    for name, value in [("azure_runtime", "foundry"), ("azure_model", "gpt-6-sol")]:
        yield (
            f"{name} without Azure",
            {name: value},
            [f"{name}={value} needs path=azure, not tac"],
            azure | {name: value},
        )
    wrong = azure | {"azure_model": "gpt 6"}
    yield "a wrong azure_model", wrong, ['azure_model="gpt 6" is not a'], azure | {"azure_model": "gpt-6"}
    for store, cloud, others in [
        ("dynamodb", "aws", ["tac", "manual", "azure"]),
        ("cosmos", "azure", ["tac", "manual", "aws"]),
    ]:
        for path in others:
            away: Answers = {"path": path, "session_store": store}
            fragment = f"session_store={store} needs path={cloud}, not {path}"
            yield f"{store} on {path}", away, [fragment, "session_store=redis"], away | {"session_store": "redis"}
            yield f"{store} on {cloud}, not {path}", away, [fragment], away | {"path": cloud}
    for wrong, fragment in [
        ({"path": "tac", "session_store": "redis", "deploy_target": "lambda"}, "deploy_target=lambda needs path=aws"),
        (IN_LAMBDA | {"aws_runtime": "strands"}, "deploy_target=lambda needs aws_runtime=agentcore, not strands"),
        (IN_LAMBDA | {"session_store": "process"}, "Set session_store=dynamodb or redis too"),
    ]:
        yield f"lambda by {fragment}", wrong, [fragment], IN_LAMBDA
    near = {"regulations": ["gdpr"]}
    yield "no list of regulations", {"regulations": "gdpr; pci"}, ["is not a list. Write ", "regulations=[]"], near
    for name in ["hipaa", "pci"]:
        bound: Answers = {"regulations": ["gdpr", name], "path": "manual"}
        for channels in ["voice_and_messaging", "omnichannel", "messaging"]:
            fragments = [f"regulations={name} needs channels=voice, not {channels}", "not legal advice", "2026-"]
            yield f"{name} with {channels}", bound | {"channels": channels}, fragments, bound
        for path in ["tac", "aws", "azure"]:
            fragments = [f"path={path} does not go with regulations={name}", "not legal advice", "Take path=manual"]
            yield f"{name} on {path}", bound | {"path": path}, fragments, bound
        for who, reason in [("flux", "not known to be allowed"), ("twilio", "may not be used")]:
            fragments = [f"turn_detection={who} does not go with regulations={name}", reason, "not legal advice"]
            yield (
                f"{name} with {who}",
                bound | {"turn_detection": who},
                fragments,
                bound | {"turn_detection": "silence"},
            )
        fragments = [f"partial_prompts=true does not go with regulations={name}", "not legal advice"]
        yield f"{name} with partial prompts", bound | {"partial_prompts": True}, fragments, bound
        ways: list[Answers] = [{"level": "2"}, {"level": "4"}, {"level": "custom", "memory": True}]
        for remembering in ways:
            twilios = bound | remembering | {"memory_backend": "twilio"}
            fragment = f"memory_backend=twilio does not go with regulations={name}"
            yield f"{name} with Twilio's memory by {remembering}", twilios, [fragment], bound | remembering
    for outcome in ("customer_service", "internal_tool", "commerce"):
        wrong = CALLS | {"outcome": outcome}
        yield f"tcpa with {outcome}", wrong, ["regulations=tcpa needs outcome=outbound", "Set outcome=outbound"], CALLS
    yield "tcpa without calls", CALLS | {"channels": "messaging"}, ["Set channels=voice_and_messaging"], CALLS
    both = {"regulations": ["hipaa", "pci"]}
    yield "two regulations on tac", both | {"path": "tac"}, ["regulations=hipaa and pci"], both
    recorded: Answers = {"recording": True}
    yield "a recording without a regulation", recorded, ["Set regulations=[gdpr]"], recorded | {"regulations": ["gdpr"]}
    written = recorded | {"regulations": ["gdpr"], "channels": "messaging"}
    yield "a recording without calls", written, ["channels=messaging has none"], written | {"channels": "omnichannel"}
    for word in ["maybe", "flase"]:
        for name in ("greeting_interruptible", "application_reconnect"):
            yield f"{word} as {name}", {name: word}, [word], {name: "no"}
    for name in CUSTOM:
        custom: Answers = {"level": "custom"}
        yield f"maybe as {name}", custom | {name: "maybe"}, [f"{name}=maybe is neither"], custom | {name: "yes"}
        for level in ["1", "4"]:
            decided: Answers = {"level": level, name: True}
            yield f"{name} of level {level}", decided, [f"{name}=true needs level=custom"], custom | {name: True}
    english = {"languages": ["en-US"]}
    for name, languages, fragment in [
        ("a language that is not confirmed", ["tlh"], f"languages=tlh is not confirmed for ConversationRelay ({DOCS})"),
        ("a language in the wrong case", ["en-us"], "Take one of en-US"),
        ("a language after a good one", ["en-US", "tlh"], "languages=tlh"),
        ("a language twice", ["en-US", "es-MX", "en-US"], "languages=en-US stands twice. Name each language once."),
        ("multi beside a language", ["multi", "en-US"], "Write languages=multi alone"),
        ("multi after a language", ["en-US", "multi"], "Write languages=multi alone"),
        ("no language", [], "languages=[]"),
        ("a mapping of languages", {"en-US": 1}, "as in en-US or en-US, es-MX"),
        ("a number as language", 5, "languages=5"),
        ("nothing as language", None, "languages=null"),
        ("a list in the list", [["en-US"]], "as in en-US or en-US, es-MX"),
        ("a language after a good one, as typed", "en-US, tlh", "languages=tlh"),
        ("nothing but a comma", ", ", 'languages=", " names no language'),
    ]:
        yield name, {"languages": languages}, [fragment], english
    for name, operators, fragment in [
        ("an operator that does not exist", ["mood"], "operators=mood is no operator. Take one of sentiment, summary"),
        ("an operator twice", ["summary", "summary"], "operators=summary stands twice"),
        ("no operator", [], "operators=[]"),
        ("a number as operator", 5, "Write operators=[sentiment]"),
    ]:
        yield name, {"operators": operators}, [fragment], {"operators": "summary"}
    for voice in ["two words", "a\nb", "ends\n", "-x", "é", '"><Say>']:
        yield f"voice {voice!r}", {"voice": voice}, ["voice=", "Use letters, digits"], {"voice": "Joanna-Generative"}
    for question, most in [("project_name", 60), ("description", 300)]:
        for text in ["x" * (most + 1), *["", "   "] * (question == "project_name")]:
            fix = [f"has {len(text)} characters. Take 1 to {most}."]
            yield f"{question} of {len(text)} blanks or letters", {question: text}, fix, {question: "x" * most}


RULES = {name: rule for name, *rule in rules()}
ENUMERATED = [name for name, details in ASKED.items() if "choices" in details]


def refusal(render: Render, project: Path, **answers: Any) -> str:
    """The message that refuses the answers. No file of the project is left."""
    with pytest.raises(ValueError) as refused:
        render(project, **answers)
    assert not project.exists()
    return str(refused.value)


@pytest.mark.parametrize(("wrong", "named", "near"), RULES.values(), ids=RULES)
def test_a_rule_refuses_and_accepts_the_nearest_answers(
    wrong: Answers, named: list[str], near: Answers, render: Render, tmp_path: Path
) -> None:
    reason = refusal(render, tmp_path / "refused", **wrong)
    assert "\n" not in reason and reason.endswith((".", "multi", ")"))
    for fragment in named:
        assert fragment in reason
    assert (render(tmp_path / "accepted", **near) / "pyproject.toml").is_file()


def test_every_validator_has_a_rule_here() -> None:
    tried = {question for wrong, _, _ in RULES.values() for question in wrong}
    assert {name for name, details in ASKED.items() if "validator" in str(details)} <= tried


@pytest.mark.parametrize("question", ENUMERATED)
def test_a_choice_that_is_not_offered_is_refused(question: str, render: Render, tmp_path: Path) -> None:
    reason = refusal(render, tmp_path / "project", **{question: "something-else"})
    for fragment in [question, "something-else", str(choices(question)[0])]:
        assert fragment in reason


def test_the_known_options_are_the_questions() -> None:
    assert known_options() == [*ASKED, *COPIERS_OWN]


@pytest.mark.parametrize("option", ["projectname", "modelprovider", "tier", *sorted(COMPUTED)])
def test_an_unknown_option_is_refused(option: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"Unknown option: {option}. Known options: project_name, .*python_version"):
        copier.run_copy(str(folder), tmp_path / "project", {option: True}, defaults=True, quiet=True)
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("option", ["modelprovider", "has_tac", "provider_table"])
def test_an_update_refuses_it_too(option: str, create: Render, update: Update, tmp_path: Path) -> None:
    project = create(tmp_path / "project")
    before = files(project)
    with pytest.raises(ValueError, match=f"Unknown option: {option}"):
        update(project, **{option: "manual"})
    assert files(project) == before and git(project, "status", "--porcelain") == ""


def test_a_refusal_leaves_an_existing_folder_as_it_was(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Mine.")
    with pytest.raises(ValueError):
        copier.run_copy(str(folder), tmp_path, {"languages": ["tlh"]}, defaults=True, quiet=True)
    assert files(tmp_path) == {"mine.txt": b"Mine."}


def test_the_command_ends_with_the_reason(folder: Path, tmp_path: Path) -> None:
    copy = ["copier", "copy", "--defaults", "-d", "languages=[tlh]", str(folder), str(tmp_path / "project")]
    done = subprocess.run(copy, capture_output=True, encoding="utf-8")
    assert done.returncode != 0 and not (tmp_path / "project").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: Validation error for question 'languages': languages=tlh is not confirmed")
    assert DOCS in last


BREAKING_CHANGES: list[tuple[Answers, Answers, str]] = [
    ({"languages": ["de-DE"]}, {"stt_provider": "Google"}, "stt_provider=Google is not confirmed for languages=de-DE"),
    ({"languages": ["en-US", "de-DE"]}, {"stt_provider": "Google"}, "languages=de-DE"),
    ({"languages": "multi"}, {"stt_provider": "Google"}, "languages=multi"),
    ({"languages": "multi"}, {"tts_provider": "Amazon"}, "languages=multi"),
    ({"tts_provider": "Google", "languages": ["zh-HK"]}, {"tts_provider": "ElevenLabs"}, "languages=zh-HK"),
    ({"stt_provider": "Google"}, {"languages": "en-US, de-DE"}, "Set stt_provider=Deepgram too"),
    ({}, {"languages": ["zh-HK"]}, "Set tts_provider=Google or Amazon too"),
    ({"fallback_provider": "anthropic"}, {"model_provider": "anthropic"}, "fallback_provider=anthropic"),
    ({"model_provider": "google"}, {"fallback_provider": "google"}, "model_provider=google"),
    ({"path": "manual", "partial_prompts": True}, {"path": "tac"}, "partial_prompts=true"),
    ({"path": "manual", "partial_prompts": True}, {"stt_provider": "Google"}, "partial_prompts=true"),
    ({"turn_detection": "flux"}, {"stt_provider": "Google"}, "turn_detection=flux"),
    ({"turn_detection": "flux"}, {"languages": ["ko-KR"]}, "languages=ko-KR cannot have turn_detection=flux"),
    ({"path": "manual", "partial_prompts": True}, {"languages": ["ko-KR"]}, "ko-KR cannot have partial_prompts=true"),
    ({"turn_detection": "silence"}, {"path": "manual", "partial_prompts": True}, "turn_detection=silence"),
    ({"path": "manual", "turn_detection": "flux"}, {"regulations": ["pci"]}, "pci cannot have turn_detection=flux"),
    ({"path": "manual", "turn_detection": "twilio"}, {"regulations": ["hipaa"]}, "cannot have turn_detection=twilio"),
    ({"path": "manual", "partial_prompts": True}, {"regulations": ["hipaa"]}, "cannot have partial_prompts=true"),
    ({"path": "aws", "session_store": "dynamodb"}, {"path": "tac"}, "path=tac cannot have session_store=dynamodb"),
    ({"path": "aws", "session_store": "dynamodb"}, {"path": "manual"}, "session_store=dynamodb"),
    ({"path": "azure", "session_store": "cosmos"}, {"path": "aws"}, "path=aws cannot have session_store=cosmos"),
    (
        {"path": "azure", "azure_runtime": "voice_live"},
        {"channels": "omnichannel"},
        "channels=omnichannel cannot have azure_runtime=voice_live",
    ),
    (IN_LAMBDA, {"session_store": "process"}, "session_store=process cannot have deploy_target=lambda"),
    ({"tts_provider": "Amazon", "voice": "Joanna-Generative"}, {"tts_provider": "Google"}, "voice=Joanna-Generative"),
    ({"tts_provider": "Amazon", "voice": "Joanna-Generative"}, {"languages": ["de-DE"]}, "voice=Joanna-Generative"),
    ({}, {"regulations": ["gdpr", "hipaa"]}, "regulations=hipaa cannot have path=tac"),
    ({"path": "aws"}, {"regulations": ["pci"]}, "regulations=pci cannot have path=aws"),
    (PCI, {"path": "tac"}, "path=tac does not go with regulations=pci"),
    (PCI, {"channels": "omnichannel"}, "channels=omnichannel cannot have regulations=pci"),
    ({"channels": "omnichannel", "path": "manual"}, {"regulations": ["pci"]}, "needs channels=voice, not omnichannel"),
    ({"path": "manual", "level": "2"}, {"regulations": ["hipaa"]}, "cannot have memory_backend=twilio"),
    ({"path": "manual"} | CUSTOM_MEMORY, {"regulations": ["hipaa"]}, "cannot have memory_backend=twilio"),
    (CALLS, {"outcome": "commerce"}, "outcome=commerce cannot have regulations with tcpa"),
    (CALLS, {"channels": "messaging"}, "channels=messaging cannot have regulations with tcpa"),
    (PCI | {"memory_backend": "twilio"}, {"level": "4"}, "level=4 cannot have memory_backend=twilio"),
    (PCI | {"memory_backend": "twilio"}, CUSTOM_MEMORY, "memory=true cannot have memory_backend=twilio"),
    (
        {"tts_provider": "Google", "voice": "en-US-Standard-A"},
        {"languages": ["es-ES", "en-US"]},
        "voice=en-US-Standard-A",
    ),
]


@pytest.mark.parametrize(("given", "change", "named"), mostly_at_night(BREAKING_CHANGES, 3))
def test_an_update_never_resets_a_recorded_answer_without_a_message(
    given: Answers, change: Answers, named: str, create: Render, update: Update, tmp_path: Path
) -> None:
    """Copier replaces a recorded answer that has become invalid by the default: a validator must refuse before that."""
    project = create(tmp_path / "project", **given)
    before = files(project)
    with pytest.raises(ValueError) as refused:
        update(project, **change)
    assert named in str(refused.value) and "\n" not in str(refused.value)
    assert files(project) == before and git(project, "status", "--porcelain") == ""


BOTH: list[tuple[Answers, Answers]] = [
    ({"languages": ["de-DE"]}, {"stt_provider": "Google", "languages": ["en-US"]}),
    ({"fallback_provider": "anthropic"}, {"model_provider": "anthropic", "fallback_provider": "openai"}),
    ({"fallback_provider": "anthropic"}, {"model_provider": "anthropic", "fallback_provider": "none"}),
    ({"tts_provider": "Amazon", "voice": "Joanna-Generative"}, {"tts_provider": "Google", "voice": ""}),
    (
        {"tts_provider": "Amazon", "voice": "Joanna-Generative"},
        {"languages": ["de-DE"], "voice": "Vicki-Generative"},
    ),
    ({"tts_provider": "Google", "languages": ["zh-HK"]}, {"tts_provider": "Amazon"}),
    ({"path": "manual", "partial_prompts": True}, {"path": "tac", "partial_prompts": False}),
    ({"turn_detection": "flux"}, {"languages": ["ko-KR"], "turn_detection": "auto"}),
    ({"path": "aws", "session_store": "dynamodb"}, {"path": "manual", "session_store": "redis"}),
    ({"path": "azure", "session_store": "cosmos"}, {"path": "aws", "session_store": "dynamodb"}),
    ({"path": "azure", "azure_runtime": "voice_live"}, {"channels": "messaging", "azure_runtime": "foundry"}),
    (IN_LAMBDA, {"session_store": "process", "deploy_target": "fargate"}),
    ({}, {"regulations": ["hipaa"], "path": "manual"}),
    (PCI, {"regulations": ["gdpr"], "channels": "omnichannel", "path": "tac"}),
    (PCI | {"memory_backend": "twilio"}, {"level": "4", "memory_backend": "database"}),
    ({"path": "manual", "level": "4"}, {"regulations": ["pci"], "memory_backend": "database"}),
    ({"path": "manual", "level": "4"}, {"regulations": ["pci"], "level": "1"}),
]


@pytest.mark.parametrize(("given", "change"), mostly_at_night(BOTH, 3))
def test_both_answers_at_once_are_taken(
    given: Answers, change: Answers, create: Render, update: Update, tmp_path: Path
) -> None:
    project = create(tmp_path / "project", **given)
    update(project, **change)
    answers = recorded(project)
    assert {name: answers[name] for name in given | change} == given | change


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ({"tts_provider": "Amazon", "voice": "Joanna-Generative"}, {"tts_provider": "Amazon", "languages": ["en-US"]}),
        ({"tts_provider": "Amazon", "voice": "Joanna-Generative"}, {"languages": ["en-US", "de-DE"]}),
        ({"voice": "some.Voice-1"}, {"languages": ["de-DE"]}),
    ],
)
def test_a_voice_stays_where_it_can_speak(
    given: Answers, change: Answers, create: Render, update: Update, tmp_path: Path
) -> None:
    """The same provider and first language, or ElevenLabs, whose voices speak every language."""
    project = create(tmp_path / "project", **given)
    update(project, **change)
    assert recorded(project) == record(given | change)
