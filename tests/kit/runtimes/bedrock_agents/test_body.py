"""The simulated answer of the service stops its script when the client goes, whatever its thread does then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from app.runtimes.bedrock_agents.fake import Body
from kit.activity import wait_until


async def test_a_client_that_goes_between_two_events_ends_the_script() -> None:
    ended: list[bool] = []

    async def script() -> AsyncGenerator[bytes]:
        try:
            yield b"red"
            yield b"blue"
        finally:
            ended.append(True)

    body = Body(script(), asyncio.get_running_loop())
    events = body.stream()
    assert await asyncio.to_thread(next, events) == b"red"
    body.shutdown()  # the thread has the event, and has not asked for the next
    assert await asyncio.to_thread(next, events, None) is None
    await wait_until(lambda: bool(ended), "the script did not end")
