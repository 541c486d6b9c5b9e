"""Tests of your own agent: its tools are plain functions, its prompt is a plain text. This file is yours."""

from __future__ import annotations

from agent import tools
from app.loader import load_prompt, load_tools
from kit.plugin import Begin
from kit.scenario import DRIVERS


async def test_an_order_has_a_status() -> None:
    assert "4711" in await tools.order_status("4711")


async def test_the_agent_looks_an_order_up(begin: Begin) -> None:
    talk = await begin({"calls": {"order_status": {"order_number": "4711"}}}, tools=load_tools())
    reply = await talk.says("Where is my order 4711?")
    assert reply.tools == ["order_status"]


def test_the_prompt_is_short() -> None:
    assert len(load_prompt()) < 5000  # the model reads it again before every turn


def test_every_sentence_is_plain() -> None:
    for kind in DRIVERS.values():
        for name, sentence in vars(kind.phrases).items():
            if name.isupper():
                assert sentence.strip() and not set(sentence) & set("*#<>[]{}|_")
