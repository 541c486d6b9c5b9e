"""Names of spans, attributes and metrics. Each attribute is classified here; `telemetry.py` exports no other.

The GenAI semantic conventions are in development (https://github.com/open-telemetry/semantic-conventions-genai), so
their literals stand here alone. A turn is `invoke_agent` in their voice draft (pull request 390, read in November
2026); hops without a name there have that of TAC's draft.
"""

from __future__ import annotations

SCOPE = "app"

# Spans.
HOPS = {"turn": "invoke_agent", "context": "memory.recall", "model": "llm.completion", "tool": "execute_tool"}

# Attributes.
OPERATION = "gen_ai.operation.name"
CONVERSATION = "gen_ai.conversation.id"
AGENT = "gen_ai.agent.name"
TOOL_NAME = "gen_ai.tool.name"
END_REASON = "gen_ai.agent.invocation.end_reason"
CHANNEL = "app.channel"

# Each key that may leave this process, with the reason why its values are about nobody.
CLASSIFIED: dict[str, str] = {
    OPERATION: "one of a few words",
    CONVERSATION: "an id of Twilio",
    AGENT: "the name of the project",
    TOOL_NAME: "a name in the code",
    END_REASON: "one of a few words",
    CHANNEL: "voice or messaging",
    "error.type": "the name of a class",
}
