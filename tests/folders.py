"""Which folder, and which file by itself, belongs to which answer: once more, and without what copier/ computes.

A project has a file if every row holds whose pattern is the file or a folder around it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pathspec import GitIgnoreSpec

from tests.questionnaire import Answers, listed
from tests.renderer import ALL_FILES

Condition = Callable[[Answers], bool]


def calls(a: Answers) -> bool:
    return bool(a["channels"] != "messaging")


def messages(a: Answers) -> bool:
    return bool(a["channels"] != "voice")


def chat(a: Answers) -> bool:
    return a["channels"] in ("omnichannel", "messaging")


def manual(a: Answers) -> bool:
    return bool(a["path"] == "manual" and calls(a))


def own_models(a: Answers) -> bool:
    return a["path"] in ("tac", "manual")


def aws(a: Answers, *runtimes: str) -> bool:
    return bool(a["path"] == "aws" and a["aws_runtime"] in runtimes)


def azure(a: Answers, *runtimes: str) -> bool:
    return bool(a["path"] == "azure" and a["azure_runtime"] in runtimes)


def microsoft_agents(a: Answers) -> bool:
    return azure(a, "agent_framework", "foundry")


def inside_agentcore(a: Answers) -> bool:
    return aws(a, "agentcore") and bool(a["deploy_target"] == "lambda")


def strands(a: Answers) -> bool:
    return aws(a, "strands") or inside_agentcore(a)


def agentcore(a: Answers) -> bool:
    return aws(a, "agentcore") and not inside_agentcore(a)


def remembers(a: Answers) -> bool:
    return bool(a["memory"] if a["level"] == "custom" else a["level"] in "234")


def remembers_in(a: Answers, backend: str) -> bool:
    return remembers(a) and bool(a["memory_backend"] == backend)


def judges(a: Answers) -> bool:
    return bool(a["intelligence"] if a["level"] == "custom" else a["level"] in "34")


def judges_itself(a: Answers) -> bool:
    return judges(a) and under(a, "hipaa", "pci")


def script(a: Answers) -> bool:
    wanted = a["operators"] if a["operators"] != "auto" else ()
    by_itself = a["operators"] == "auto" and (a["profile"] == "enterprise" or a["regulations"])
    return judges(a) and bool("script_adherence" in wanted or by_itself)


def hands_over(a: Answers) -> bool:
    return bool(a["escalation"] if a["level"] == "custom" else a["level"] == "4")


def keypad_menu(a: Answers) -> bool:
    return calls(a) and (a["fallback_menu"] == "always" or a["fallback_menu"] == "auto" and hands_over(a))


def voicemail(a: Answers) -> bool:
    return bool(not under(a, "pci") and (a["recording"] or not under(a, "hipaa")))


def dials(a: Answers) -> bool:
    return bool(calls(a) and a["outcome"] == "outbound")


def orchestrator(a: Answers) -> bool:
    return remembers_in(a, "twilio") or messages(a) or (judges(a) and not judges_itself(a))


def under(a: Answers, *regulations: str) -> bool:
    return not set(regulations).isdisjoint(a["regulations"])


def discloses(a: Answers) -> bool:
    return under(a, "hipaa", "eu_ai_act")


def records(a: Answers) -> bool:
    return bool(calls(a) and a["regulations"] and a["recording"])


def observes(a: Answers) -> bool:
    return bool(a["observability"] == "otlp")


def error_logs(a: Answers) -> bool:
    return observes(a) and not under(a, "pci")


def cluster(a: Answers) -> bool:
    return bool(a["profile"] == "enterprise" and own_models(a))


def shares(a: Answers, *stores: str) -> bool:
    return a["session_store"] in (stores or ("redis", "dynamodb", "cosmos"))


FOLDERS: dict[str, Condition] = {
    "agent_runtime": agentcore,
    "agent/baa.yml": lambda a: under(a, "hipaa"),
    "agent/disclosure.yml": discloses,
    "agent/handoff.py": hands_over,
    "agent/keypad_menu.py": keypad_menu,
    "agent/operator.yml": lambda a: judges(a) and "custom" in a["operators"],
    "agent/outbound.py": dials,
    "agent/phrases.py": calls,
    "agent/reactions.py": judges,
    "agent/recording.yml": records,
    "agent/routing.yml": hands_over,
    "agent/script.md": script,
    "agent/texts.py": messages,
    "app/**/*_calls.py": calls,
    "app/**/call-*.yml": calls,
    "app/**/text-*.yml": messages,
    "app/account_client.py": lambda a: records(a) or dials(a),
    "app/agentcore_host": inside_agentcore,
    "app/compliance": lambda a: bool(a["regulations"]),
    "app/compliance/checks.py": calls,
    "app/compliance/disclosure": discloses,
    "app/compliance/fdcpa": lambda a: under(a, "fdcpa"),
    "app/compliance/gdpr": lambda a: under(a, "gdpr"),
    "app/compliance/gdpr/database_memory": lambda a: remembers_in(a, "database"),
    "app/compliance/gdpr/failed_signals": judges,
    "app/compliance/gdpr/orchestrator": orchestrator,
    "app/compliance/gdpr/outbound": dials,
    "app/compliance/gdpr/twilio_memory": lambda a: remembers_in(a, "twilio"),
    "app/compliance/hipaa": lambda a: under(a, "hipaa"),
    "app/compliance/pay": lambda a: under(a, "pci") and manual(a),
    "app/compliance/pci": lambda a: under(a, "pci"),
    "app/compliance/recorder.py": lambda a: under(a, "pci") and manual(a),
    "app/compliance/recording": records,
    "app/compliance/recording/consent": lambda a: under(a, "gdpr"),
    "app/compliance/speech": lambda a: under(a, "pci"),
    "app/compliance/tcpa": lambda a: under(a, "tcpa"),
    "app/compliance/wording.py": lambda a: discloses(a) or records(a),
    "app/database": lambda a: remembers_in(a, "database") or dials(a),
    "app/escalation": hands_over,
    "app/escalation/enqueue": calls,
    "app/escalation/flex": messages,
    "app/intelligence": judges,
    "app/intelligence/local": judges_itself,
    "app/intelligence/twilio": lambda a: not judges_itself(a),
    "app/memory": remembers,
    "app/memory/**/test_forget.py": lambda a: not under(a, "gdpr"),
    "app/memory/commands.py": lambda a: not under(a, "gdpr"),
    "app/memory/database": lambda a: remembers_in(a, "database"),
    "app/memory/twilio": lambda a: remembers_in(a, "twilio"),
    "app/messaging": messages,
    "app/messaging/chat": chat,
    "app/number_settings.py": lambda a: messages(a) or dials(a),
    "app/observability": observes,
    "app/observability/agent_framework": microsoft_agents,
    "app/observability/agentcore": agentcore,
    "app/observability/pydantic_ai": own_models,
    "app/observability/strands": strands,
    "app/observability/twilio_events": error_logs,
    "app/observability/twilio_events/insights": lambda a: calls(a) and not under(a, "hipaa"),
    "app/orchestrator": orchestrator,
    "app/outbound": dials,
    "app/runtimes/agent_framework": lambda a: azure(a, "agent_framework"),
    "app/runtimes/agentcore": agentcore,
    "app/runtimes/aws": lambda a: bool(a["path"] == "aws"),
    "app/runtimes/aws/scripted_strands.py": lambda a: not aws(a, "bedrock_agents"),
    "app/runtimes/aws/tests/test_deploy.py": lambda a: not inside_agentcore(a),
    "app/runtimes/azure": lambda a: bool(a["path"] == "azure"),
    "app/runtimes/bedrock_agents": lambda a: aws(a, "bedrock_agents"),
    "app/runtimes/foundry": lambda a: azure(a, "foundry"),
    "app/runtimes/microsoft_agents": microsoft_agents,
    "app/runtimes/models": own_models,
    "app/runtimes/sockets.py": lambda a: agentcore(a) or azure(a, "voice_live"),
    "app/runtimes/strands": strands,
    "app/runtimes/streams.py": lambda a: not own_models(a),
    "app/runtimes/tests": lambda a: not own_models(a),
    "app/runtimes/tool_schemas.py": lambda a: aws(a, "bedrock_agents") or azure(a, "foundry"),
    "app/runtimes/voice_live": lambda a: azure(a, "voice_live"),
    "app/signals.py": lambda a: judges(a) or messages(a),
    "app/stores": shares,
    "app/stores/cosmos": lambda a: shares(a, "cosmos"),
    "app/stores/dynamodb": lambda a: shares(a, "dynamodb"),
    "app/stores/polling.py": lambda a: shares(a, "cosmos", "dynamodb"),
    "app/stores/redis": lambda a: shares(a, "redis"),
    "app/tests/test_kubernetes.py": cluster,
    "app/turn_end.py": lambda a: hands_over(a) or keypad_menu(a) or dials(a) or (under(a, "pci") and manual(a)),
    "app/twilio_api.py": orchestrator,
    "app/twilio_pages.py": lambda a: (
        orchestrator(a) or under(a, "gdpr") or (error_logs(a) and calls(a) and not under(a, "hipaa"))
    ),
    "app/voice": calls,
    "app/voice/joined_twiml.py": lambda a: records(a) or dials(a),
    "app/voice/keypad_menu": keypad_menu,
    "app/voice/keypad_menu/scenarios/voicemail.yml": voicemail,
    "app/voice/languages": lambda a: len(listed(a["languages"])) > 1,
    "app/voice/relay": manual,
    "app/voice/tac": lambda a: not manual(a),
    "app/voice/voicemail.py": lambda a: keypad_menu(a) or hands_over(a),
    "deploy": lambda a: a["path"] in ("aws", "azure") or cluster(a),
    "deploy/agentcore.yml": inside_agentcore,
    "deploy/azure.yaml": lambda a: bool(a["path"] == "azure"),
    "deploy/cloudformation.yml": lambda a: bool(a["path"] == "aws" and not inside_agentcore(a)),
    "deploy/infra": lambda a: bool(a["path"] == "azure"),
    "deploy/infra/modules/cosmos.bicep": lambda a: shares(a, "cosmos"),
    "deploy/kubernetes.yml": cluster,
    "deploy/network.yml": lambda a: bool(a["path"] == "aws" and not inside_agentcore(a)),
    "docs/outbound.md": dials,
    "lambda_proxy": inside_agentcore,
    "observability": observes,
    "scenarios/call-*.yml": calls,
    "scenarios/*-note.yml": lambda a: bool(a["outcome"] == "internal_tool"),
    "scenarios/*-order.yml": lambda a: bool(a["outcome"] == "commerce"),
    "scenarios/call-*-time.yml": dials,
    "scenarios/text-*.yml": messages,
    "scenarios/text-reply.yml": lambda a: bool(a["outcome"] == "outbound"),
    "tests/test_reactions.py": judges,
}


@cache
def matched(pattern: str) -> frozenset[str]:
    return frozenset(GitIgnoreSpec.from_lines([f"/{pattern}"]).match_files(ALL_FILES))


def files_of(answers: Answers) -> frozenset[str]:
    """The files of a project with these answers, by the table."""
    absent = [matched(pattern) for pattern, condition in FOLDERS.items() if not condition(answers)]
    return frozenset(ALL_FILES).difference(*absent)
