"""Runs inside a project that benchmarks/load.py makes: `inside_load.py SERVER PORT`. Serves until a signal comes.

`/benchmark?think=0.3&word=0.02` sets how long the model takes, in seconds to the first word and between words, and
answers what the process has used. Routes below it are the other side of the simulated Twilio.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it
os.environ["PYDANTIC_AI_NO_BANNER"] = "1"

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel

from app.main import create_app, serve
from app.registry import load_prompt, load_tools
from app.session import Session
from kit import defaults
from kit.conventions import build_model
from kit.simulated_twilio import conversations
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.conversations import webhook
from kit.simulated_twilio.product import Product, identifier

SERVER, PORT = sys.argv[1], int(sys.argv[2])
WORDS = ["Standard ", "delivery ", "takes ", "three ", "days ", "and ", "is ", "free."]
ANSWER_TIMEOUT = 30.0  # seconds
DELAYS = {"think": 0.0, "word": 0.0}  # seconds
SETTINGS: Any = defaults.settings(host="127.0.0.1", port=PORT, log_level="info")
NUMBERS = count(1)
conversations.identifier = lambda kind, _: identifier(kind, next(NUMBERS))  # it counts records, which `forget` removes


async def tokens(*_: Any) -> AsyncIterator[str]:
    """The model: it reads nothing, so that a turn costs what the server makes of it."""
    await asyncio.sleep(DELAYS["think"])
    for word in WORDS:
        yield word
        await asyncio.sleep(DELAYS["word"])


def script() -> FunctionModel:
    return FunctionModel(stream_function=tokens, model_name="benchmark")


async def usage(request: Request) -> dict[str, float]:
    """Sets delays; with `count`, collects garbage first, and counts what a call or a conversation may leave behind."""
    DELAYS.update({name: float(value) for name, value in request.query_params.items() if name in DELAYS})
    used: dict[str, float] = {"cpu": time.process_time()}
    if "count" in request.query_params:
        gc.collect()
        used["tasks"] = len(asyncio.all_tasks())
        used["sessions"] = sum(isinstance(each, Session) for each in gc.get_objects())
    return used


def project() -> FastAPI:
    """This project with the settings of the simulator, its own tools, and a simulated Twilio behind it."""
    account = SimulatedAccount()
    model = build_model(script())
    for fake in [model, *(each for each in vars(account).values() if isinstance(each, Product))]:
        if hasattr(fake, "requests"):
            fake.requests = deque(maxlen=1)  # it keeps them all for its tests
    app = create_app(SETTINGS, [model], transport=account.transport)
    app.add_api_route("/benchmark", usage)
    for action in (connected, write, answers, close, forget):
        app.add_api_route(f"/benchmark/{action.__name__}", partial(action, account), methods=["GET"])
    return app


async def connected(account: SimulatedAccount, call: str, configuration: str) -> None:
    """Twilio begins the conversation of a call."""
    account.conversations.begin(configuration, "VOICE", call, defaults.CALLER, defaults.CALLED)


async def write(account: SimulatedAccount, author: str, text: str) -> dict[str, Any]:
    """The webhook of a message."""
    message = account.conversations.write(author, SETTINGS.phone_number, "SMS", text)
    return webhook("COMMUNICATION_CREATED", message)


async def answers(account: SimulatedAccount, conversation: str, number: int) -> bool:
    """Wait until the agent has sent so many messages. False when it does not."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_TIMEOUT):
            while sum(each["conversationId"] == conversation for each in account.conversations.sent) < number:
                await asyncio.sleep(0.02)
            return True
    return False


async def close(account: SimulatedAccount, conversation: str) -> dict[str, Any]:
    """The webhook of the end of a conversation."""
    account.conversations.records[conversation]["status"] = "CLOSED"
    return webhook("CONVERSATION_UPDATED", {"id": conversation, "status": "CLOSED"})


async def forget(account: SimulatedAccount, conversation: str) -> None:
    """What the simulated Twilio keeps does not count as the server's memory."""
    known = account.conversations
    del known.records[conversation], known.people[conversation], known.visible_at[conversation]
    known.messages = [each for each in known.messages if each["conversationId"] != conversation]
    known.sent = [each for each in known.sent if each["conversationId"] != conversation]
    known.contents.clear()


def quickstart() -> FastAPI:
    """TAC as its quickstart has it, with the same model, prompt and tools, and a history of its own."""
    from tac import TAC, TACConfig
    from tac.channels.voice import VoiceChannel, VoiceTwiMLOptionsConversationRelay
    from tac.server import TACFastAPIServer

    app = FastAPI()
    tac = TAC(
        TACConfig(
            account_sid=SETTINGS.account_sid,
            auth_token=SETTINGS.auth_token.get_secret_value(),
            api_key="",
            api_secret="",
            phone_number="",
            voice_public_domain=SETTINGS.public_url,
            log_level="CRITICAL",  # it would log every frame
        )
    )
    options = VoiceTwiMLOptionsConversationRelay(welcome_greeting="Hello!")
    voice = VoiceChannel(tac, {"memory_mode": "never", "default_twiml_options": options})
    agent = Agent(script(), instructions=load_prompt(), tools=load_tools())
    histories: dict[str, Any] = {}

    async def words(text: str, conversation: str) -> AsyncGenerator[str]:
        async with agent.run_stream(text, message_history=histories.get(conversation)) as reply:
            async for word in reply.stream_text(delta=True):
                yield word
            histories[conversation] = reply.all_messages()

    async def answer(text: str, conversation: Any, memory: Any) -> None:
        await voice.send_response(conversation.conversation_id, words(text, conversation.conversation_id))

    async def forget(conversation: Any) -> None:
        histories.pop(conversation.conversation_id, None)

    tac.on_message_ready(answer)
    tac.on_conversation_ended(forget)
    TACFastAPIServer(tac, voice, app=app)
    app.add_api_route("/benchmark", usage)
    return app


def echo() -> FastAPI:
    """The floor: the same frames without a brain, and the TwiML without a signature."""
    app = FastAPI()
    app.add_api_route("/benchmark", usage)
    relay = '<ConversationRelay url="wss://agent.example/ws"/>'
    twiml = f'<Response><Connect action="https://agent.example/connect-action">{relay}</Connect></Response>'

    @app.post("/twiml")
    @app.post("/connect-action")
    async def connect() -> Response:
        return Response(twiml, media_type="application/xml")

    @app.websocket("/ws")
    async def answer(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if json.loads(text)["type"] == "prompt":
                async for word in tokens():
                    await websocket.send_text(json.dumps({"type": "text", "token": word, "last": False}))
                await websocket.send_text('{"type": "text", "token": "", "last": true}')

    return app


if __name__ == "__main__":
    if SERVER == "project":
        serve(SETTINGS, project)
    else:
        app = {"quickstart": quickstart, "echo": echo}[SERVER]()
        uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="info", access_log=False)  # as TACFastAPIServer does
