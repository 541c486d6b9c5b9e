"""Tests of your own agent: its tools are plain functions, its prompt is a plain text. This file is yours."""

from __future__ import annotations

from agent import tools
from app.brain import own_prompt, own_tools
from sim.players import PLAYERS
from tests.conftest import Begin


async def test_an_order_has_a_status() -> None:
    assert "4711" in await tools.order_status("4711")


async def test_the_agent_looks_an_order_up(begin: Begin) -> None:
    talk = await begin({"calls": {"order_status": {"order_number": "4711"}}}, tools=own_tools())
    reply = await talk.says("Where is my order 4711?")
    assert reply.tools == ["order_status"]


def test_the_prompt_is_short() -> None:
    assert len(own_prompt()) < 5000  # the model reads it again before every turn


def test_every_sentence_is_plain() -> None:
    for kind in PLAYERS.values():
        for name, sentence in vars(kind.words).items():
            if name.isupper():
                assert sentence.strip() and not set(sentence) & set("*#<>[]{}|_")
