"""The files of agent/ as they are delivered to a project with calls."""

from __future__ import annotations

from agent import tools
from kit.testing import Dial, RecordedConnection, Session


async def test_the_tool_hangs_up(session: Session) -> None:
    await tools.end_call("done")  # `this_session()` is `session` here
    assert isinstance(session.connection, RecordedConnection)
    assert session.connection.handoff == {"reasonCode": "done"}


def test_the_prompt_is_written_for_a_voice(agent_prompt: str) -> None:
    assert "read aloud" in agent_prompt


async def test_the_agent_remembers_only_what_the_caller_heard(dial: Dial) -> None:
    call = await dial({"hears": "story", "says": "Once upon a time there was a dragon."}, {"says": "All right."})
    await call.begins("Tell me a story.")
    await call.interrupts(after="Once upon a time")
    await call.says("Stop, please.")
    history = str(call.session.history)
    assert "Once upon a time" in history and "dragon" not in history
