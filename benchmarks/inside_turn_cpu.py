"""Runs inside a project that benchmarks/turn_cpu.py makes. Prints milliseconds of CPU a turn as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it

from fastapi import FastAPI, WebSocket
from pydantic_ai import Agent
from tac import TAC, TACConfig
from tac.channels.voice import VoiceChannel, VoiceTwiMLOptionsConversationRelay
from tac.server import TACFastAPIServer
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from agent import tools
from app.log import configure_logging
from app.registry import load_prompt
from app.voice import call_token
from app.voice.tac import ForwardedHeaders
from kit import defaults
from kit.agent_app import build_app
from kit.local_server import serve
from kit.scripted_model import scripted

CALLS = 20  # of each agent in each round
WARM_UP = 3  # calls
TURNS = 8  # of each call: a history that grows costs every agent the same
MODEL = {"hears": "", "says": "Standard delivery takes three days and is free."}
SETTINGS: Any = defaults.settings()
TOOLS: Sequence[Callable[..., Any]] = [tools.order_status]


def ours() -> FastAPI:
    return build_app(MODEL, tools=TOOLS)


def quickstart() -> FastAPI:
    """TAC as its quickstart has it, with the same model, prompt and tools, and a history of its own."""
    app = FastAPI()
    tac = TAC(
        TACConfig(
            account_sid=SETTINGS.account_sid,
            auth_token=SETTINGS.auth_token.get_secret_value(),
            api_key="",
            api_secret="",
            phone_number="",
            voice_public_domain=SETTINGS.public_url,
            log_level="CRITICAL",
        )
    )
    options = VoiceTwiMLOptionsConversationRelay(welcome_greeting="Hello!")
    voice = VoiceChannel(tac, {"memory_mode": "never", "default_twiml_options": options})
    agent = Agent(scripted(MODEL), instructions=load_prompt(), tools=TOOLS)
    histories: dict[str, Any] = {}

    async def words(text: str, conversation: str) -> AsyncGenerator[str]:
        async with agent.run_stream(text, message_history=histories.get(conversation)) as reply:
            async for word in reply.stream_text(delta=True):
                yield word
            histories[conversation] = reply.all_messages()

    async def answer(text: str, conversation: Any, memory: Any) -> None:
        await voice.send_response(conversation.conversation_id, words(text, conversation.conversation_id))

    tac.on_message_ready(answer)
    TACFastAPIServer(tac, voice, app=app)
    app.add_middleware(ForwardedHeaders, public_url=SETTINGS.public_url)
    return app


def echo() -> FastAPI:
    """The floor: the same frames without a brain."""
    app = FastAPI()

    @app.websocket("/ws")
    async def answer(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if json.loads(text)["type"] == "prompt":
                for word in MODEL["says"].split(" "):
                    await websocket.send_text(json.dumps({"type": "text", "token": f"{word} ", "last": False}))
                await websocket.send_text('{"type": "text", "token": "", "last": true}')

    return app


async def call(address: str, number: int) -> float:
    """Milliseconds of CPU a turn, of the app and of a caller who only counts."""
    url = f"wss{SETTINGS.public_url.removeprefix('https')}/ws"
    headers = {"X-Twilio-Signature": RequestValidator(defaults.AUTH_TOKEN).compute_signature(url, {})}
    prompt = json.dumps({"type": "prompt", "voicePrompt": "Tell me about delivery.", "lang": "en-US", "last": True})
    async with connect(f"ws://{address}/ws", additional_headers=headers, proxy=None) as socket:
        await socket.send(json.dumps(setup(number)))
        started = time.process_time()
        for _ in range(TURNS):
            await socket.send(prompt)
            while not json.loads(await socket.recv()).get("last"):
                pass
        return 1000 * (time.process_time() - started) / TURNS


def setup(number: int) -> dict[str, Any]:
    """The first frame of a call."""
    call_sid = f"CA{number:032}"
    return {
        "type": "setup",
        "sessionId": f"VX{number:032}",
        "accountSid": SETTINGS.account_sid,
        "callSid": call_sid,
        "customParameters": {call_token.PARAMETER: call_token.issue(SETTINGS, call_sid, datetime.now(UTC))},
        "from": defaults.CALLER,
        "to": defaults.CALLED,
        "direction": "inbound",
        "callType": "PSTN",
        "callStatus": "IN-PROGRESS",
    }


async def run(repetitions: int) -> None:
    taken: dict[str, list[float]] = {"floor": [], "quickstart": [], "ours": []}
    async with AsyncExitStack() as servers:
        apps = [(name, build()) for name, build in zip(taken, (echo, quickstart, ours), strict=True)]
        addresses = {name: await servers.enter_async_context(serve(app)) for name, app in apps}
        for number in range(repetitions * CALLS + WARM_UP):
            for name, address in addresses.items():
                milliseconds = await call(address, number)
                if number >= WARM_UP:
                    taken[name].append(milliseconds)
    print(json.dumps({name: statistics.median(values) for name, values in taken.items()}))


if __name__ == "__main__":
    configure_logging("critical")
    asyncio.run(run(int(sys.argv[1])))
