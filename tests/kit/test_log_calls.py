"""What calls do not write to the log. Prompts, tools and models: test_server.py."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from app.voice.tests.test_security import FORM
from kit import defaults
from kit.plugin import Web
from kit.testing import Dial


async def test_interruptions_errors_and_reconnects_log_neither_numbers_nor_words(
    dial: Dial, logged: Callable[[], str]
) -> None:
    call = await dial({"says": "Rhubarb it is.", "word_delay": 0.002})
    await call.begins("pineapple please, from +1 500 555 0006")
    await call.interrupts(after="Rhubarb")
    await call.sends('{"type": "interrupt", "utteranceUntilInterrupt": ["pineapple"]}')
    await call.sends('{"type": "prompt", "voicePrompt": 7, "lang": "pineapple"}')
    await call.sends(
        '{"type": "error", "description": "Invalid message: {\\"token\\": \\"Rhubarb\\"} to +15005550006"}'
    )
    await call.drops()
    await call.says("pineapple again")
    await call.hangs_up()
    log = logged()
    assert "call.ended" in log and "twilio.error" in log
    numbers = ("5550006", "555 0006", "5550001")  # not fewer digits: a time may have four of them
    for secret in ("pineapple", "Rhubarb", *numbers, defaults.AUTH_TOKEN):
        assert secret not in log


async def test_an_error_is_logged_with_its_place_and_without_its_text(
    address: str, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError(f"{defaults.CALLER} said pineapple")

    monkeypatch.setattr("app.voice.calls.Calls.find", breaks)
    async with httpx2.AsyncClient(base_url=f"http://{address}", verify=False) as http:
        await Web(http).post("/connect-action", FORM)
    log = logged()
    assert "RuntimeError" in log and "test_log_calls.py" in log
    assert "pineapple" not in log and defaults.CALLER not in log
