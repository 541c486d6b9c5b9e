"""`agent setup`: plan, apply, verify and undo, also after an interruption at every request."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from app.twilio_http import Http
from kit import defaults
from kit.cli import app as cli
from kit.setup import command, env_file
from kit.setup import journal as state
from kit.setup.api import SetupError
from kit.setup.apply import resources
from kit.setup.env_file import EnvFile
from kit.setup.resource import without_passwords
from tests.kit.account import Account, Killed
from tests.kit.account import state as state_of

SECRETS = [
    defaults.AUTH_TOKEN,
    *([defaults.settings().api_secret.get_secret_value()] if hasattr(defaults.settings(), "api_secret") else []),
]
RUN = CliRunner()


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


async def test_verify_proves_an_applied_account_and_undo_restores_it(account: Account) -> None:
    account.env.write_text("# mine\nKEEP=1\n", encoding="utf-8")
    before, planned = state_of(account.simulated), await account.plan()
    assert account.wire.written() == [] and not account.journal.exists()
    assert "keep" not in planned.values()

    await account.apply()
    assert set((await account.plan()).values()) == {"keep"}
    assert await account.broken() == []

    await account.undo()
    assert state_of(account.simulated) == before
    assert account.env.read_text(encoding="utf-8") == "# mine\nKEEP=1\n"
    assert not account.journal.exists()


async def test_a_second_apply_changes_nothing(account: Account) -> None:
    await account.apply()
    written, made, kept = len(account.wire.written()), state_of(account.simulated), files(account)
    await account.apply()
    assert len(account.wire.written()) == written
    assert (state_of(account.simulated), files(account)) == (made, kept)


def files(account: Account) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in account.folder.iterdir()}


async def test_an_apply_that_is_killed_after_any_step_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each request that changes something and each file that is written: nothing is kept in between."""
    write, step, limit = env_file.write_atomically, 0, 0

    def survived() -> None:
        nonlocal step
        step += 1
        if step == limit:
            raise Killed

    def writing(path: Path, text: str, mode: int = 0o600) -> None:
        write(path, text, mode)
        survived()

    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # hundreds of them
    monkeypatch.setattr(env_file, "write_atomically", writing)
    monkeypatch.setattr(state, "write_atomically", writing)
    reference = Account(tmp_path)
    await reference.apply()
    steps = step
    most = {place: len(parts or ()) for place, parts in state_of(reference.simulated)[0].items()}
    steps += len(reference.wire.written())
    for number in range(1, steps + 1):
        (folder := tmp_path / str(number)).mkdir()
        account = Account(folder)
        before = state_of(account.simulated)
        account.wire.after = lambda request: survived() if request.method != "GET" else None
        step, limit = 0, number
        with pytest.raises(Killed):
            await account.apply()
        limit = 0
        await account.apply()
        for place, parts in state_of(account.simulated)[0].items():
            assert len(parts or ()) <= most[place], f"made twice, killed after step {number}: {place}"
        assert set((await account.plan()).values()) == {"keep"}, f"killed after step {number}"
        await account.undo()
        assert state_of(account.simulated) == before, f"killed after step {number}"


async def test_an_undo_that_is_killed_goes_on(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state_of(account.simulated)
    await account.apply()
    for number in range(1, 100):
        count = iter(range(1, 10_000))

        def dying(request: httpx2.Request) -> None:
            if request.method != "GET" and next(count) == 2:  # noqa: B023
                raise Killed

        account.wire.after = dying
        try:
            await account.undo()
            break
        except Killed:
            assert number < 50
    assert state_of(account.simulated) == before


async def test_a_field_that_changed_since_is_left(account: Account) -> None:
    await account.apply()
    number = next(iter(account.simulated.numbers.records.values()))
    changed = [name for name in ("voice_url", "sms_url") if name in changes(account)]
    if not changed:
        pytest.skip("setup has changed nothing of the number")
    number[changed[0]] = "https://another.example/else"
    output = await account.undo()
    assert number[changed[0]] == "https://another.example/else"
    assert any(each["action"] == "left" and each["resource"] == "number" for each in output)


def changes(account: Account) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(account.journal.read_text())["entries"].get("number", {})
    return dict(entry.get("before", {}))


async def test_nothing_is_ever_bought(account: Account) -> None:
    account.simulated.numbers.records.clear()
    with pytest.raises(SetupError, match="buys nothing"):
        await account.plan()
    with pytest.raises(SetupError, match="buys nothing"):
        await account.apply()
    account.simulated.numbers.add(defaults.CALLED)
    await account.apply()
    await account.undo()
    assert account.simulated.numbers.bought == []
    paths = {request.url.path for request in account.wire.written()}
    assert not any(path.endswith("/IncomingPhoneNumbers.json") or "Available" in path for path in paths)


async def test_of_several_numbers_one_is_named(account: Account) -> None:
    other = account.simulated.numbers.add("+15005550002")
    with pytest.raises(SetupError, match=r"--number.*15005550002") as error:
        await account.plan()
    assert error.value.code == 2
    with pytest.raises(SetupError, match="no number"):
        await account.plan(number="+15005550003")
    await account.apply(number="+15005550002")
    assert set((await account.plan()).values()) == {"keep"}, "the choice is remembered"
    assert await account.broken() == []
    assert defaults.PUBLIC_URL in other["voice_url"] or not other["sms_url"]
    assert defaults.PUBLIC_URL not in account.simulated.numbers.records["PN" + "1".zfill(32)]["voice_url"]


async def test_a_number_that_the_account_does_not_have_is_not_replaced_by_another(account: Account) -> None:
    account.sets(TWILIO_PHONE_NUMBER="+15005550099")
    with pytest.raises(SetupError, match=r"TWILIO_PHONE_NUMBER is \+15005550099, which the account does not have"):
        await account.apply()
    assert all("PhoneNumbers" not in each.url.path for each in account.wire.written())


async def test_resources_are_ordered_by_requirements(account: Account) -> None:
    order = [
        *("event sink", "event subscription"),
        *("memory store", "conversation configuration", "chat service", "chat bridge"),
        *("operator", "intelligence configuration", "intelligence link"),
        *("number", "workspace", "queue", "workflow"),
    ]
    kinds = list(dict.fromkeys(resource.kind for resource in resources(account.begins())))
    assert kinds == [kind for kind in order if kind in kinds]


# --- responses of Twilio ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "words"), [(401, "TWILIO_AUTH_TOKEN"), (403, "standard"), (400, "answered 400")])
async def test_a_rejected_request_is_reported_with_a_fix(account: Account, status: int, words: str) -> None:
    body = {"code": 20003, "message": "Authenticate", "status": status}
    account.wire.before = lambda request: httpx2.Response(status, json=body)
    with pytest.raises(SetupError, match=words):
        await account.plan()
    assert len(account.wire.requests) == 1


async def test_no_other_host_gets_the_keys(account: Account) -> None:
    setup = account.begins()
    with pytest.raises(SetupError, match="is not Twilio"):
        await setup.api.wait_for_operation({"statusUrl": "https://api.twilio.com.example/steal"})
    await setup.api.close()
    assert account.wire.requests == []


async def test_too_many_requests_are_waited_out(account: Account) -> None:
    answers = iter([429, 429])
    account.wire.before = lambda request: (
        httpx2.Response(status, json={"code": 20429}) if (status := next(answers, 0)) else None
    )
    await account.apply()
    assert set((await account.plan()).values()) == {"keep"}


async def test_a_request_that_creates_is_not_repeated_after_a_server_error(account: Account) -> None:
    account.wire.before = lambda request: httpx2.Response(500, json={}) if request.method != "GET" else None
    with pytest.raises(SetupError, match="answered 500"):
        await account.apply()
    assert len(account.wire.written()) == 1
    account.wire.before = lambda request: None
    await account.apply()
    assert set((await account.plan()).values()) == {"keep"}


async def test_no_secret_is_said_or_kept(account: Account) -> None:
    await account.apply()
    kept = "".join([account.journal.read_text(), *account.said])
    assert not any(secret in kept for secret in SECRETS)
    assert stat.S_IMODE(account.journal.stat().st_mode) == 0o600
    assert without_passwords({"voice_url": "https://me:secret@old.example/x"}) == {
        "voice_url": "https://***@old.example/x"
    }


# --- files -----------------------------------------------------------------------------------------------------------


def test_env_keeps_every_other_byte_and_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"# caf\xc3\xa9\r\nA = 1\r\nexport B='x' # why\nC=\nA=2\nlast=1")
    os.chmod(path, 0o640)
    file = EnvFile(path)
    assert (file.line("C"), file.line("A"), file.line("D")) == ("C=", "A=2", None)
    file.put("C", "C=3")
    file.put("D", "D=4")
    assert path.read_bytes() == b"# caf\xc3\xa9\r\nA = 1\r\nexport B='x' # why\nC=3\nA=2\nlast=1\nD=4\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == [".env"]
    file.put("D", None)
    file.put("C", "C=")
    assert path.read_bytes() == b"# caf\xc3\xa9\r\nA = 1\r\nexport B='x' # why\nC=\nA=2\nlast=1\n"


def test_a_new_env_is_for_its_owner(tmp_path: Path) -> None:
    EnvFile(tmp_path / ".env").put("A", "A=1")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


@pytest.mark.parametrize("kept", ["{", "[]", '{"account": "AC1", "entries": {}, "env": {}, "choices": {}}'])
async def test_a_journal_of_something_else_is_not_touched(account: Account, kept: str) -> None:
    account.journal.write_text(kept)
    with pytest.raises(SetupError, match="agent-setup.json") as error:
        account.begins()
    assert error.value.code == 2 and account.journal.read_text() == kept


# --- the command -----------------------------------------------------------------------------------------------------


def test_it_can_be_tried_without_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is kept, and the schema of --json is as programs know it."""
    agent = tmp_path / "agent"
    agent.symlink_to(Path("agent").resolve())
    monkeypatch.chdir(tmp_path)
    planned = RUN.invoke(cli, ["setup", "--json", "--simulated"])
    assert planned.exit_code == 0, planned.output
    output = json.loads(planned.stdout)
    assert output.keys() == {"account", "steps", "changes"} and output["changes"] == len(output["steps"])
    for step in output["steps"]:
        assert step.keys() == {"resource", "action", "id", "changes", "one_way", "notes"}
        assert all(each.keys() == {"field", "before", "after"} for each in step["changes"])
    for words, ending in [
        (["apply"], "this project's .env is as it was"),
        (["verify"], "proved."),
        (["undo"], "restored"),
        (["plan"], "agent setup apply"),
    ]:
        done = RUN.invoke(cli, ["setup", *words, "--simulated"])
        assert done.exit_code == 0 and ending in done.stdout, done.output
        as_json = RUN.invoke(cli, ["setup", *words, "--simulated", "--json"])
        assert as_json.exit_code == 0 and json.loads(as_json.stdout)["account"] == defaults.ACCOUNT_SID
    assert [each.name for each in tmp_path.iterdir()] == ["agent"]


@pytest.fixture
def command_line(
    account: Account, environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """The command as people run it, with an account behind it."""
    (account.folder / "agent").symlink_to(Path("agent").resolve())
    monkeypatch.chdir(account.folder)
    for name in [resource.variable for resource in resources(account.begins()) if resource.variable]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        "kit.setup.api.Http", lambda transport, timeout, settings: Http(account.wire, timeout, settings)
    )
    monkeypatch.setattr("kit.setup.api.PAUSES", ())
    monkeypatch.setattr("kit.setup.api.POLL", 0)
    return lambda *words, **more: RUN.invoke(cli, ["setup", *words], **more)


async def first(question: str, options: list[tuple[str, str]]) -> str:
    return options[0][1]


def test_nothing_is_done_without_a_typed_yes(
    account: Account, command_line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command_line("apply").exit_code == 1
    assert account.wire.written() == []
    monkeypatch.setattr(command, "is_interactive", lambda: True)
    monkeypatch.setattr(command, "ask", first)
    refused = command_line("apply", input="y\n")
    assert refused.exit_code == 1 and "Nothing was changed" in refused.output
    assert account.wire.written() == []
    assert command_line("apply", input="yes\n").exit_code == 0
    assert account.wire.written() != []
    assert "Nothing to do" in command_line().output
    assert command_line("undo", input="no\n").exit_code == 1
    assert command_line("undo", input="yes\n").exit_code == 0
    assert "Nothing to undo" in command_line("undo").output


def test_no_option_is_lost_before_a_command(account: Account, command_line: Callable[..., Any]) -> None:
    """Least of all --simulated."""
    done = command_line("--simulated", "apply", "--yes")
    assert done.exit_code == 2 and "after apply" in done.output
    assert account.wire.requests == []


def test_a_missing_setting_is_named(command_line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    monkeypatch.setenv("PUBLIC_URL", "http://plain.example")
    done = command_line("apply", "--yes")
    assert done.exit_code == 2
    assert "TWILIO_AUTH_TOKEN is missing" in done.output
    assert "PUBLIC_URL is 'http://plain.example'. Write the https address" in done.output


@pytest.mark.parametrize("words", [["apply", "--yes"], ["undo", "--yes"]])
def test_what_a_killed_agent_dev_has_moved_is_put_back_first(
    words: list[str], account: Account, command_line: Callable[..., Any]
) -> None:
    assert command_line("apply", "--yes", "--number", defaults.CALLED).exit_code == 0
    (sid, number), *_ = account.simulated.numbers.records.items()
    before = number["voice_url"]
    number["voice_url"] = "https://tunnel.example/twiml"
    entry = {"id": sid, "before": {"voice_url": before}, "after": {"voice_url": number["voice_url"]}}
    left = {"account": defaults.ACCOUNT_SID, "entries": {"number": entry}, "env": {}, "choices": {}}
    (account.folder / ".agent-dev.json").write_text(json.dumps(left))
    seen: list[str] = []
    account.wire.after = lambda request: seen.append(number["voice_url"])
    done = command_line(*words)
    assert done.exit_code == 0 and "The last agent dev was killed." in done.output
    assert "restored number voice_url" in done.output and before in seen
    assert not (account.folder / ".agent-dev.json").exists() and "tunnel.example" not in number["voice_url"]


def test_a_wrong_token_ends_with_one_line(
    command_line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, account: Account
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "a-token-of-another-account")
    monkeypatch.delenv("TWILIO_API_KEY", raising=False)
    done = command_line()
    assert done.exit_code == 1 and "401" in done.output and "a-token-of-another-account" not in done.output
    assert "Traceback" not in done.output
