"""Fixtures of phone calls: a caller, a model that waits, and a WebSocket without a caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket

from app.session import Session, this_session
from kit import defaults
from kit.activity import wait_until
from kit.agent_app import Start, build_app
from kit.caller import Call, dial_app
from kit.conventions import build_model
from kit.scripted_model import last_exchange
from kit.webhook import sign


async def leave(reason: str) -> str:
    """Hang up."""
    await this_session().connection.end({"reasonCode": reason})
    return "The call ends."


async def leave_without_a_word() -> str:
    """Hang up."""
    await this_session().connection.end()
    return "The call ends."


Dial = Start[Call]


@pytest.fixture
async def dial() -> AsyncGenerator[Dial]:
    """Call an agent whose model follows `rules`; hang up at the end. `options` as of `kit.agent_app.build_app`."""
    async with AsyncExitStack() as calls:

        async def ring(*rules: dict[str, Any], **options: Any) -> Call:
            app = build_app(*rules, **options)
            return await calls.enter_async_context(dial_app(app, account=app.state.account))

        yield ring


@pytest.fixture
async def call(dial: Dial) -> Call:
    """A call to an agent that has one reply."""
    return await dial({"hears": "", "says": "You said something."})


LONG = {"hears": "", "says": "One moment please, here is a long story about many things.", "word_delay": 0.002}


class HeldModel:
    """Asked to count, it says "red " and, once it is released, "blue". Else it says "Yes."."""

    def __init__(self) -> None:
        self.released = self.ended = False
        self.models = [build_model(FunctionModel(stream_function=self.stream))]

    async def stream(self, messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        if last_exchange(messages)[0] != "Count":
            yield "Yes."
            return
        try:
            yield "red "
            while not self.released:  # not an event: the model may run in an event loop of its own
                await asyncio.sleep(0.001)
            yield "blue"
        finally:
            self.ended = True

    async def ends(self) -> None:
        """Release the model, and wait until it has said "blue" or was stopped before."""
        self.released = True
        await wait_until(lambda: self.ended, "the model did not end")


@pytest.fixture
def held() -> HeldModel:
    return HeldModel()


async def counting(dial: Dial, held: HeldModel) -> Call:
    """A call in which the model has said "red" and waits."""
    call = await dial(models=held.models)
    await call.begins("Count")
    await call.hears("red")
    return call


def contents(session: Session, *kinds: type[Any]) -> list[str]:
    """The contents of parts of the history, of these types: by default the words of both sides."""
    parts = [part for message in session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, kinds or (m.TextPart, m.UserPromptPart))]


WEBSOCKET_URL = f"wss{defaults.PUBLIC_URL.removeprefix('https')}/ws"


async def websocket(
    address: str, *, signature: str | None = None, headers: Mapping[str, str] | None = None
) -> ClientConnection:
    """A WebSocket to the app. `signature` replaces Twilio's; an empty one sends no signature."""
    signature = sign(WEBSOCKET_URL) if signature is None else signature
    signature_header = {"X-Twilio-Signature": signature} if signature else {}
    return await open_websocket(
        f"ws://{address}/ws", additional_headers={**signature_header, **(headers or {})}, proxy=None
    )
