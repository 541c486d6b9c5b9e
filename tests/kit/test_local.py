"""The guard refuses connections beyond loopback; models without a key follow their scripts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from kit import network_guard as guard
from kit.network_guard import NetworkBlocked
from kit.scripted_model import arguments_for, echo_model, scripted
from kit.terminal import typed_lines
from kit.testing import Begin

REMOTE = "192.0.2.1"  # reserved for documentation


def test_a_connection_beyond_loopback_is_refused() -> None:
    with guard.offline() as refused, socket.socket() as sock, pytest.raises(NetworkBlocked):
        sock.connect((REMOTE, 443))
    assert refused == [REMOTE]


def test_a_look_up_is_refused() -> None:
    with guard.offline() as refused, pytest.raises(NetworkBlocked):
        socket.getaddrinfo("api.example", 443)
    assert refused == ["api.example"]


async def test_a_look_up_of_the_event_loop_is_refused() -> None:
    with guard.offline() as refused, pytest.raises(NetworkBlocked):
        await asyncio.get_running_loop().getaddrinfo("api.example", 443)
    assert refused == ["api.example"]


def test_a_datagram_beyond_loopback_is_refused() -> None:
    with (
        guard.offline() as refused,
        socket.socket(type=socket.SOCK_DGRAM) as sock,
        pytest.raises(NetworkBlocked),
    ):
        sock.sendto(b"statistics", (REMOTE, 8125))
    assert refused == [REMOTE]


def test_a_refusal_whose_error_is_swallowed_is_recorded() -> None:
    with guard.offline() as refused, socket.socket() as sock:
        for attempt in (lambda: sock.connect((REMOTE, 443)), lambda: sock.connect_ex((REMOTE, 80))):
            with suppress(OSError):
                attempt()
    assert refused == [REMOTE, REMOTE]


def test_loopback_is_allowed() -> None:
    with guard.offline() as refused, socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert refused == []


def test_the_guard_is_removed() -> None:
    before = socket.socket.connect, socket.socket.sendto, socket.getaddrinfo
    with guard.offline():
        pass
    assert (socket.socket.connect, socket.socket.sendto, socket.getaddrinfo) == before


async def order_status(order_number: str) -> str:
    """Say where an order is."""
    return f"Order {order_number} is on its way."


def count(number: int) -> str:
    """Count to a number."""
    return f"Counted to {number}."


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.scripted_model.WORD_DELAY", 0.001)


async def answered(begin: Begin, text: str, tools: list[Callable[..., Any]]) -> Any:
    talk = await begin(models=[echo_model()], tools=tools)
    return await talk.says(text)


async def test_the_echo_model_repeats_and_says_that_it_is_a_script(quick: None, begin: Begin) -> None:
    reply = await answered(begin, "Nice weather", [])
    assert "Nice weather" in reply.text and "script" in reply.text


async def test_the_echo_model_calls_a_tool_that_it_recognises(quick: None, begin: Begin) -> None:
    reply = await answered(begin, "Where is my order 4711?", [order_status])
    assert (reply.tools, reply.text) == (["order_status"], "Order 4711 is on its way.")


async def test_the_echo_model_does_not_call_a_tool_without_its_arguments(quick: None, begin: Begin) -> None:
    assert (await answered(begin, "Where is my order?", [order_status])).tools == []


async def test_the_echo_model_gives_numbers_where_numbers_are_wanted(quick: None, begin: Begin) -> None:
    assert (await answered(begin, "Please count to 12", [count])).text == "Counted to 12."


def test_the_echo_model_invents_no_arguments() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
    assert arguments_for(schema, "only 1") is None
    assert arguments_for(schema, "12-3 and 45") == {"a": "12-3", "b": 45}
    assert arguments_for(schema, "12-3 and 4-5") == {"a": "12-3", "b": 45}


async def test_a_text_that_no_rule_matches_is_a_model_error(begin: Begin) -> None:
    talk = await begin({"hears": "hello", "says": "Hi."})
    assert talk.apology in (await talk.says("Goodbye")).text


async def test_the_first_matching_rule_is_used(begin: Begin) -> None:
    talk = await begin({"hears": "a", "says": "One."}, {"hears": "ab", "says": "Two."})
    assert (await talk.says("ab")).text == "One."


def test_a_misspelt_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="sayz"):
        scripted({"sayz": "Hi."})


# --- typed lines ----------------------------------------------------------------------------------------------------


class Prompt:
    """A PromptSession that gives these lines, then raises."""

    def __init__(self, lines: list[str], end: BaseException) -> None:
        self.lines = lines
        self.end = end

    async def prompt_async(self, prompt: str) -> str:
        await asyncio.sleep(0)
        if self.lines:
            return self.lines.pop(0)
        raise self.end


async def typed(monkeypatch: pytest.MonkeyPatch, lines: list[str], end: BaseException) -> list[str]:
    """What a conversation that never ends by itself reads from a terminal."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("prompt_toolkit.PromptSession", lambda **_: Prompt(lines, end))
    found = []
    async with asyncio.timeout(5), typed_lines("you  ", "/quit") as entered:
        async for line in entered:
            found.append(line)
    return found


@pytest.mark.parametrize("end", [EOFError(), KeyboardInterrupt()], ids=repr)
async def test_typed_lines_end_with_the_last_one(monkeypatch: pytest.MonkeyPatch, end: BaseException) -> None:
    assert await typed(monkeypatch, ["Hello", " there "], end) == ["Hello", "there", "/quit"]


async def test_a_terminal_that_breaks_ends_the_lines_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="no terminal"):
        await typed(monkeypatch, ["Hello"], OSError("no terminal"))
