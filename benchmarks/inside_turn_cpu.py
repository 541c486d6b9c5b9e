"""Runs inside a project that benchmarks/turn_cpu.py makes. Prints milliseconds of CPU a turn as JSON."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
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

CALLS = 20  # of each agent in each round; the first one warms up
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


async def cpu(app: FastAPI) -> float:
    """Milliseconds of CPU a turn, of the app and of a caller who only counts."""
    url = f"wss{SETTINGS.public_url.removeprefix('https')}/ws"
    signature = RequestValidator(defaults.AUTH_TOKEN).compute_signature(url, {})
    prompt = json.dumps({"type": "prompt", "voicePrompt": "Tell me about delivery.", "lang": "en-US", "last": True})
    seconds = 0.0
    async with serve(app) as address:
        for number in range(CALLS + 1):
            headers = {"X-Twilio-Signature": signature}
            async with connect(f"ws://{address}/ws", additional_headers=headers, proxy=None) as socket:
                await socket.send(json.dumps(setup(number)))
                started = time.process_time()
                for _ in range(TURNS):
                    await socket.send(prompt)
                    while not json.loads(await socket.recv()).get("last"):
                        pass
                seconds += time.process_time() - started if number else 0.0
    return 1000 * seconds / (CALLS * TURNS)


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
    agents = {"floor": echo, "quickstart": quickstart, "ours": ours}
    taken: dict[str, list[float]] = {name: [] for name in agents}
    for _ in range(repetitions):
        for name, build in agents.items():
            gc.unfreeze()
            gc.collect()  # what one agent leaves behind costs no other one
            taken[name].append(await cpu(build()))
    print(json.dumps({name: statistics.median(values) for name, values in taken.items()}))


if __name__ == "__main__":
    configure_logging("critical")
    asyncio.run(run(int(sys.argv[1])))
