"""Runs inside a project of level 2 on the TAC path: benchmarks/first_turn.py makes one. Prints milliseconds as JSON."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import statistics
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it

import httpx
import httpx2
from fastapi import FastAPI
from tac import TAC, TACConfig
from tac.adapters import MemoryPromptBuilder
from tac.channels.voice import VoiceChannel, VoiceTwiMLOptionsConversationRelay
from tac.server import TACFastAPIServer

from app.brain import Brain
from app.capability import Services
from app.log import configure_logging
from app.runtimes.models import Models
from app.session import Session
from app.store import InProcess
from app.voice.tac import ForwardedHeaders
from kit import defaults
from kit.agent_app import build_app
from kit.caller import dial_app
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount

SPEAKS_AFTER = 1.5  # seconds
MODEL = [{"hears": "", "says": "It is.", "delay": 0.3}]
KNOWN = {"memory": {"callers": {defaults.CALLER: {"observations": ["Drinks tea."], "summaries": ["Asked for tea."]}}}}
SETTINGS: Any = defaults.settings()
App = tuple[SimulatedAccount, FastAPI]


def account() -> SimulatedAccount:
    simulated = SimulatedAccount(pace=1.0)
    simulated.set_state(copy.deepcopy(KNOWN))
    return simulated


def ours(**options: Any) -> App:
    simulated = account()
    return simulated, build_app(*MODEL, account=simulated, **options)


def no_memory() -> App:
    return ours(capabilities=[])


def tac(mode: str) -> App:
    """TAC's own memory, in the prompt of the same brain."""
    simulated, app = account(), FastAPI()
    answer_httpx(simulated)
    agent = TAC(
        TACConfig(
            account_sid=SETTINGS.account_sid,
            auth_token=SETTINGS.auth_token.get_secret_value(),
            api_key=SETTINGS.api_key,
            api_secret=SETTINGS.api_secret.get_secret_value(),
            phone_number=defaults.CALLED,
            conversation_configuration_id=SETTINGS.conversation_configuration_id,
            voice_public_domain=SETTINGS.public_url,
            log_level="CRITICAL",
        )
    )
    options = VoiceTwiMLOptionsConversationRelay(welcome_greeting="Hello!", report_input_during_agent_speech="any")
    voice = VoiceChannel(agent, {"memory_mode": mode, "default_twiml_options": options})
    session = Session("", "", "", "en-US", lambda: datetime.now(UTC))

    async def answer(text: str, conversation: Any, memory: Any) -> None:
        runtime = Models([scripted(*MODEL)], 30.0)
        prompt = str(MemoryPromptBuilder.build(memory, conversation, None))
        services = Services(SETTINGS, InProcess(), session.now)
        brain = Brain(runtime, prompt, [], services, 30.0)
        await voice.send_response(conversation.conversation_id, brain.reply(session, text))

    agent.on_message_ready(answer)
    TACFastAPIServer(agent, voice, app=app)
    app.add_middleware(ForwardedHeaders, public_url=SETTINGS.public_url)
    calls = SimpleNamespace(get=lambda sid: session)
    app.state.conversations = SimpleNamespace(channel=lambda name: SimpleNamespace(calls=calls))
    return simulated, app


def answer_httpx(simulated: SimulatedAccount) -> None:
    """TAC's own requests reach the simulated Twilio too. What it fetches before it starts is given here."""
    configuration = {
        "id": SETTINGS.conversation_configuration_id,
        "displayName": "benchmark",
        "description": "",
        "conversationGroupingType": "GROUP_BY_PROFILE",
        "memoryStoreId": SETTINGS.memory_store_id,
        "channelSettings": {},
        "statusCallbacks": [],
    }

    def at_start(self: Any, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=configuration, request=request)

    async def later(self: Any, request: httpx.Request) -> httpx.Response:
        sent = httpx2.Request(request.method, str(request.url), headers=request.headers, content=await request.aread())
        answer = await simulated.transport.handle_async_request(sent)
        return httpx.Response(answer.status_code, content=await answer.aread(), request=request)

    httpx.HTTPTransport.handle_request = at_start  # type: ignore[method-assign]
    httpx.AsyncHTTPTransport.handle_async_request = later  # type: ignore[method-assign]


AGENTS: dict[str, Callable[[], App]] = {
    "no memory": no_memory,
    "ours": ours,
    "TAC once": lambda: tac("once"),
    "TAC always": lambda: tac("always"),
}


async def first_word(name: str) -> float:
    """Milliseconds from the caller's last word to the agent's first."""
    simulated, app = AGENTS[name]()
    with suppress(defaults.Problem):  # TAC answers the end of a call with an empty body
        async with dial_app(app, pace=1.0, account=simulated) as line:
            await asyncio.sleep(SPEAKS_AFTER)
            turn = await line.begins("Is my tea here?")
            async with asyncio.timeout(60):
                while turn.first is None:
                    await asyncio.sleep(0.001)
            told = str([getattr(message, "instructions", "") for message in line.session.turn.messages])
    assert ("Drinks tea." in told) == (name != "no memory"), f"{name}: the model was told {told}"
    return turn.first


async def run(repetitions: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in AGENTS}
    for _ in range(repetitions):
        for name, milliseconds in taken.items():
            milliseconds.append(await first_word(name))
    print(json.dumps({name: statistics.median(milliseconds) for name, milliseconds in taken.items()}))


configure_logging("critical")
asyncio.run(run(int(sys.argv[1])))
