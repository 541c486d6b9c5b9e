"""The API key is replaced without a moment in which a server has none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from twilio.base.exceptions import TwilioRestException
from typer.testing import CliRunner

from app.__main__ import app
from app.compliance.hipaa import rotation
from app.compliance.hipaa.rotation import KEY, OLD, SECRET, RotationError, assert_works, begin, finish
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount

OLD_KEY, OLD_SECRET = "SK" + "1" * 32, "the-secret-of-before"
TEXT = f"# Mine\n{KEY}={OLD_KEY}\nLOG_LEVEL=info\n{SECRET}={OLD_SECRET}\n"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> SimulatedAccount:
    monkeypatch.setattr(rotation, "DELAYS", (0.0, 0.0))
    account = SimulatedAccount()
    account.api_keys.add(OLD_KEY, OLD_SECRET)
    return account


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def text_of(file: Path) -> str:
    return file.read_text()


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


async def works(account: SimulatedAccount, key: str | None, secret: str | None) -> bool:
    try:
        await assert_works(defaults.settings(), str(key), str(secret), account.transport)
    except RotationError:
        return False
    return True


async def test_both_keys_work_until_the_second_step(account: SimulatedAccount, file: Path) -> None:
    assert await begin(defaults.settings(), file, account.transport) == OLD_KEY
    new = dotenv_values(file)
    assert new[OLD] == OLD_KEY and new[KEY] != OLD_KEY and new[SECRET] != OLD_SECRET
    assert await works(account, new[KEY], new[SECRET]) and await works(account, OLD_KEY, OLD_SECRET)
    assert await finish(defaults.settings(), file, account.transport) == OLD_KEY
    assert await works(account, new[KEY], new[SECRET]) and not await works(account, OLD_KEY, OLD_SECRET)
    assert dotenv_values(file) == {KEY: new[KEY], SECRET: new[SECRET], "LOG_LEVEL": "info"}
    assert text_of(file).startswith("# Mine\n") and "'" not in text_of(file)  # docker --env-file keeps quotes
    assert mode_of(file) == 0o600


async def test_a_second_rotation_waits_for_the_end_of_the_first(account: SimulatedAccount, file: Path) -> None:
    await begin(defaults.settings(), file, account.transport)
    before, keys = text_of(file), len(account.api_keys.records)
    with pytest.raises(RotationError, match="--finish"):
        await begin(defaults.settings(), file, account.transport)
    assert (text_of(file), len(account.api_keys.records)) == (before, keys)


async def test_a_new_key_that_does_not_work_changes_nothing(
    account: SimulatedAccount, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account.api_keys, "accepted", set())  # new keys are added there, and the account has another
    with pytest.raises(RotationError, match="does not take the new key"):
        await begin(defaults.settings(), file, account.transport)
    assert text_of(file) == TEXT and list(account.api_keys.records) == [OLD_KEY]


async def test_a_file_that_cannot_be_written_changes_nothing(
    account: SimulatedAccount, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = rotation.set_key

    def fails_at_the_key(path: Path, name: str, *args: Any, **options: Any) -> Any:
        if name == KEY:
            raise OSError("no space left")
        return real(path, name, *args, **options)

    monkeypatch.setattr(rotation, "set_key", fails_at_the_key)
    with pytest.raises(OSError):
        await begin(defaults.settings(), file, account.transport)
    assert text_of(file) == TEXT and list(account.api_keys.records) == [OLD_KEY]


async def test_the_old_key_is_not_revoked_while_the_new_one_does_not_work(
    account: SimulatedAccount, file: Path
) -> None:
    await begin(defaults.settings(), file, account.transport)
    rewrite(file, text_of(file).replace(f"{SECRET}=", f"{SECRET}=not-"))
    with pytest.raises(RotationError, match="does not take the new key"):
        await finish(defaults.settings(), file, account.transport)
    assert await works(account, OLD_KEY, OLD_SECRET)


@pytest.mark.parametrize("text", [TEXT, f"{TEXT}{OLD}={OLD_KEY}\n", f"{OLD}={OLD_KEY}\n", ""])
async def test_there_is_no_second_step_without_a_first(account: SimulatedAccount, file: Path, text: str) -> None:
    rewrite(file, text)
    with pytest.raises(RotationError, match=r"TWILIO_API_KEY"):
        await finish(defaults.settings(), file, account.transport)
    assert await works(account, OLD_KEY, OLD_SECRET)


async def test_the_second_step_can_be_repeated(account: SimulatedAccount, file: Path) -> None:
    await begin(defaults.settings(), file, account.transport)
    between = text_of(file)
    await finish(defaults.settings(), file, account.transport)
    rewrite(file, between)  # as if it had broken off after the key was revoked
    assert await finish(defaults.settings(), file, account.transport) == OLD_KEY
    assert dotenv_values(file).get(OLD) is None


async def test_a_project_without_a_key_gets_its_first(account: SimulatedAccount, file: Path) -> None:
    rewrite(file, "LOG_LEVEL=info\n")
    assert await begin(defaults.settings(), file, account.transport) is None
    known = dotenv_values(file)
    assert OLD not in known and await works(account, known[KEY], known[SECRET])
    with pytest.raises(RotationError, match="no rotation has begun"):
        await finish(defaults.settings(), file, account.transport)


async def test_a_wrong_file_or_an_account_that_is_down_changes_nothing(account: SimulatedAccount, file: Path) -> None:
    rewrite(file, "")
    with pytest.raises(RotationError, match="--file"):
        await begin(defaults.settings(), file, account.transport)
    account.numbers.fault.status = 500
    rewrite(file, TEXT)
    with pytest.raises((TwilioRestException, RotationError)):
        await begin(defaults.settings(), file, account.transport)
    assert text_of(file) == TEXT


def test_the_command_prints_no_secret(
    account: SimulatedAccount, file: Path, monkeypatch: pytest.MonkeyPatch, environment: pytest.MonkeyPatch
) -> None:
    for step in ("begin", "finish"):
        real = getattr(rotation, step)
        monkeypatch.setattr(
            f"app.compliance.hipaa.commands.{step}",
            lambda settings, path, real=real: real(settings, path, account.transport),
        )
    runner, arguments = CliRunner(), ["rotate-key", "--file", str(file)]
    first = runner.invoke(app, arguments)
    assert first.exit_code == 0 and OLD_KEY in first.output and "--finish" in first.output
    secret = str(dotenv_values(file)[SECRET])
    again, last = runner.invoke(app, arguments), runner.invoke(app, [*arguments, "--finish"])
    assert again.exit_code == 2 and last.exit_code == 0 and f"{OLD_KEY} is revoked" in last.output
    assert secret not in first.output + again.output + last.output
    assert not asyncio.run(works(account, OLD_KEY, OLD_SECRET))
