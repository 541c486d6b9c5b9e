"""What a capability may do to a phone call, beside what it may do to every conversation."""

from __future__ import annotations

from agent import phrases
from app.connection import Connection
from app.tests.test_capability import TWO, Hanging, nothing_seen, seen
from kit.agent_app import build_app
from kit.caller import calls_of
from kit.voice_fixtures import Dial

__all__ = ["nothing_seen"]  # a fixture


async def test_a_call_that_comes_back_does_not_start_again(dial: Dial) -> None:
    call = await dial({"says": "Yes."}, capabilities=TWO)
    await call.drops()
    await call.says("Hello")
    assert seen[:4] == ["first.on_start", "second.on_start", "first.on_resume", "second.on_resume"]


async def test_a_caller_is_told_to_hold_while_a_hook_hangs(dial: Dial) -> None:
    call = await dial({"says": "Yes."}, deadline=0.05, capabilities=[Hanging])
    turn = await call.says("Hello")
    assert turn.text.startswith(phrases.HOLD) and turn.text.endswith(phrases.APOLOGY)


async def test_calls_in_progress_are_ended_when_the_server_stops() -> None:
    app = build_app(capabilities=TWO)
    async with app.router.lifespan_context(app):
        await calls_of(app).start("CA1", caller="+1500", called="+1501", connection=Connection())
    assert seen[-1] == "second.on_end after 0 messages"
