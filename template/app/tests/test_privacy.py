"""What is told to nobody: the API, numbers, words, secrets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import structlog

from app.environment import SettingsError, load
from kit import defaults
from kit.plugin import Begin, Web


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_nobody_can_read_the_api_description(web: Web, path: str) -> None:
    assert (await web.http.get(path)).status_code == 404


@pytest.mark.parametrize(
    "text", ["+15005550006", "15005550006", "from +15005550006 to +4915112345678", "tel:+15005550006"]
)
async def test_a_phone_number_keeps_its_last_two_digits(logged: Callable[[], str], text: str) -> None:
    structlog.get_logger().warning("event", text=text)
    log = logged()
    assert "500555" not in log and "***06" in log


@pytest.mark.parametrize("text", ["CA" + "1234567890" * 3 + "12", "64107", "2026"])
async def test_other_numbers_are_logged_as_they_are(logged: Callable[[], str], text: str) -> None:
    structlog.get_logger().warning("event", text=text)
    assert text in logged()


def test_settings_do_not_show_secrets() -> None:
    assert defaults.AUTH_TOKEN not in repr(defaults.settings()) + str(defaults.settings())


def test_an_error_in_the_settings_does_not_show_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", defaults.AUTH_TOKEN)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "wrong")
    with pytest.raises(SettingsError) as error:
        load()
    assert defaults.AUTH_TOKEN not in str(error.value) + repr(error.value)


async def test_neither_numbers_nor_words_are_logged(begin: Begin, logged: Callable[[], str]) -> None:
    def look_up(order: str) -> str:
        """Look something up."""
        return "the parcel is in Timbuktu"

    talk = await begin(
        {"hears": "pineapple", "says": "Rhubarb it is."},
        {"hears": "order", "calls": {"look_up": {"order": "marzipan"}}},
        {"hears": "broken", "says": "Sauerkraut", "breaks_off": True},
        tools=[look_up],
    )
    for text in ("pineapple please", "my order, from +1 500 555 0006", "it is broken"):
        await talk.says(text)
    await talk.ends()
    log = logged()
    assert "model.failed" in log
    numbers = ("5550006", "555 0006", "5550001")  # not fewer digits: a time may have four of them
    for secret in ("pineapple", "Rhubarb", "marzipan", "Timbuktu", "Sauerkraut", *numbers, defaults.AUTH_TOKEN):
        assert secret not in log
