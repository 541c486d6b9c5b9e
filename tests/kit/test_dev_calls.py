"""`agent dev`: the number leads here while it runs, and to where it led before whatever ends it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from app.registry import RUNTIME, ProjectSettings
from kit import defaults
from kit.dev.addresses import JOURNAL, context, put_back_leftovers
from kit.dev.command import SERVER, develop
from kit.dev.tunnel import TUNNELS, open_tunnel
from kit.setup.api import SetupError
from kit.setup.apply import plan
from kit.simulated_twilio.account import SimulatedAccount
from tests.kit.account import Account, Killed, Wire, state
from tests.kit.healthy_project import DATABASE, PROJECT, SHAPED
from tests.kit.test_cli import KEYS, alone, run

__all__ = ["alone"]  # fixture

URL = "https://two-words.trycloudflare.com"
PRINTED = {
    "cloudflared": "INF Requesting new quick Tunnel on trycloudflare.com...\\nINF |  {url}  |",
    "ngrok": 't=2026 lvl=info msg="started tunnel" obj=tunnels addr=http://localhost:{port} url={url}',
    "devtunnel": "Hosting port: {port}\\nConnect via browser: https://abc123.euw.devtunnels.ms:{port}, {url}",
}
ADDRESSES = {
    "cloudflared": URL,
    "ngrok": "https://4f3a.ngrok-free.app",
    "devtunnel": "https://abc123-{port}.euw.devtunnels.ms",
}
# Writes its environment to a file, and answers /healthz until it is told to end, or the file `crash` appears.
FAKE_SERVER = """
import http.server, json, os, sys, threading, time
if os.path.exists("broken"):
    sys.exit(3)
with open("served", "a") as file:
    file.write(json.dumps({name: os.environ.get(name) for name in ("PUBLIC_URL", "PORT", "AGENT_DRAIN")}) + "\\\\n")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *parts): ...
def crash():
    while not os.path.exists("crash"):
        time.sleep(0.01)
    os._exit(7)
threading.Thread(target=crash, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


def executable(folder: Path, name: str, printed: str, then: str = "import time; time.sleep(600)") -> None:
    """A program on PATH that prints, and then does something."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nprint({printed!r}, flush=True)\n{then}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def project(alone: None, tmp_path: Path, bin: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with complete settings, a tunnel, and folders to edit."""
    for name, field in ((str(each.alias), each) for each in ProjectSettings.model_fields.values()):
        if field.is_required() and field.examples:
            monkeypatch.setenv(name, str(field.examples[0]))
    for name in KEYS:
        monkeypatch.setenv(name, SHAPED.get(name, "a-key"))
    monkeypatch.setenv("TWILIO_PHONE_NUMBER", defaults.CALLED)
    monkeypatch.setenv("PORT", str(port))
    for name, value in DATABASE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PUBLIC_URL")
    executable(bin, "cloudflared", PRINTED["cloudflared"].format(url=URL))
    shutil.copytree(PROJECT / "agent", tmp_path / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "app").mkdir()
    return tmp_path


class Run:
    """One `agent dev`."""

    def __init__(self, folder: Path, port: int, wire: Any, **options: Any) -> None:
        self.folder = folder
        self.said: list[str] = []
        server = options.pop("server", [sys.executable, "-c", FAKE_SERVER.replace("\\\\n", "\\n")])
        tunnel = options.pop("tunnel", "cloudflared")
        work = develop(folder, port, tunnel, server=server, transport=wire, say=self.said.append, **options)
        self.task = asyncio.create_task(work)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                if self.task.done():
                    self.task.result()
                    raise AssertionError(self.said)
                await asyncio.sleep(0.01)

    async def is_up(self) -> None:
        await self.until(lambda: any("leads here" in line for line in self.said))

    @property
    def served(self) -> list[dict[str, str]]:
        """The environment of each start of the server."""
        file = self.folder / "served"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def ends(self) -> int:
        """By Ctrl-C, if it has not ended. Returns its exit code; 0 for Ctrl-C."""
        self.task.cancel()
        try:
            return await self.task
        except asyncio.CancelledError:
            return 0


@pytest.fixture
async def account(project: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedAccount:
    """An account after `agent setup apply`, for another address."""
    made = Account(project)
    own = {"id": "own", "displayName": "Own", "version": 1, "author": "SELF"}
    made.simulated.intelligence_configurations.operators["own"] = own
    await made.apply()
    for name, value in dotenv_values(made.env).items():
        monkeypatch.setenv(name, value or "")
    return made.simulated


def number(account: SimulatedAccount) -> dict[str, Any]:
    return next(iter(account.numbers.records.values()))


@asynccontextmanager
async def running(folder: Path, port: int, account: SimulatedAccount, **options: Any) -> AsyncIterator[Run]:
    run = Run(folder, port, options.pop("wire", account.transport), **options)
    try:
        await run.is_up()
        yield run
    finally:
        if not run.task.done():
            await run.ends()


async def test_calls_come_here_while_it_runs_and_go_back_afterwards(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    number(account).update(
        voice_url="https://before.example/x", voice_method="GET", voice_application_sid="AP" + "1" * 32
    )
    before = state(account)
    async with running(project, port, account) as run:
        record = number(account)
        now = (record["voice_url"], record["voice_method"], record["voice_application_sid"])
        assert now == (f"{URL}/twiml", "POST", "")
        assert run.served == [{"PUBLIC_URL": URL, "PORT": str(port), "AGENT_DRAIN": "0"}]
        assert (project / JOURNAL).exists() and "https://before.example/x" in (project / JOURNAL).read_text()
        assert any(defaults.CALLED in line for line in run.said)
        assert await run.ends() == 0
    assert state(account) == before and not (project / JOURNAL).exists() and "PUBLIC_URL" not in os.environ


@pytest.mark.parametrize("name", TUNNELS)
async def test_each_tunnel_says_its_address(name: str, project: Path, bin: Path, port: int) -> None:
    address = ADDRESSES[name].format(port=port)
    executable(bin, name, PRINTED[name].format(url=address, port=port))
    child, url = await open_tunnel(name, port)
    await child.stop()
    assert url == address


async def test_every_address_that_setup_writes_is_moved(project: Path, port: int, account: SimulatedAccount) -> None:
    """A resource that a change would make anew stays, and is named."""
    async with running(project, port, account) as run, context(project, URL, transport=account.transport) as own:
        steps = [step for step in await plan(own) if step.action == "change"]
        left = [step for step in steps if any(URL in json.dumps(change.after) for change in step.changes)]
    assert all(step.resource.is_replaced for step in left)
    assert all(any(step.resource.key in line and "setup apply" in line for line in run.said) for step in left)


async def test_an_edit_starts_the_server_anew_and_keeps_the_tunnel(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    async with running(project, port, account) as run:
        moved = [line for line in run.said if line.startswith("moved")]
        (project / "agent" / "prompt.md").write_text("Be brief.")
        await run.until(lambda: len(run.served) == 2)
        assert [each["PUBLIC_URL"] for each in run.served] == [URL, URL]
        assert [line for line in run.said if line.startswith("moved")] == moved
        assert number(account)["voice_url"] == f"{URL}/twiml"


async def test_an_edit_that_breaks_the_server_waits_for_the_next_edit(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    async with running(project, port, account) as run:
        (project / "broken").touch()
        (project / "agent" / "tools.py").write_text("def")
        await run.until(lambda: any("The next edit starts it again." in line for line in run.said))
        assert number(account)["voice_url"] == f"{URL}/twiml" and not run.task.done()
        (project / "broken").unlink()
        (project / "agent" / "tools.py").write_text("")
        await run.until(lambda: len(run.served) == 2)


async def test_a_crash_of_the_server_puts_everything_back(project: Path, port: int, account: SimulatedAccount) -> None:
    before = state(account)
    async with running(project, port, account) as run:
        (project / "crash").touch()
        assert await run.task == 1
    assert state(account) == before and run.said[-1].startswith("restored") and "ended with 7" in str(run.said)


async def test_a_crash_of_the_tunnel_puts_everything_back(
    project: Path, bin: Path, port: int, account: SimulatedAccount
) -> None:
    wait = "import os, time\nwhile not os.path.exists('closing'): time.sleep(0.01)\n"
    then = f"{wait}print('lost the edge')\nraise SystemExit(1)"
    executable(bin, "cloudflared", PRINTED["cloudflared"].format(url=URL), then)
    before = state(account)
    async with running(project, port, account) as run:
        (project / "closing").touch()
        assert await run.task == 1
    assert state(account) == before and "cloudflared has ended" in str(run.said) and "lost the edge" in str(run.said)


@pytest.mark.parametrize("then", ["raise SystemExit(4)", "raise SystemExit(0)"])
async def test_a_tunnel_without_an_address_is_one_line_with_what_it_printed(
    then: str, project: Path, bin: Path, port: int, account: SimulatedAccount
) -> None:
    executable(bin, "cloudflared", "ERR failed: https://api.trycloudflare.com/tunnel: 429", then)
    before = state(account)
    with pytest.raises(SetupError, match="cloudflared gives no public address .*It printed: ERR failed") as error:
        await Run(project, port, account.transport).task
    assert "\n" not in str(error.value) and state(account) == before


async def test_a_server_that_does_not_start_moves_nothing(project: Path, port: int, account: SimulatedAccount) -> None:
    (project / "broken").touch()
    before = state(account)
    with pytest.raises(SetupError, match="The server did not start"):
        await Run(project, port, account.transport).task
    assert state(account) == before and not (project / JOURNAL).exists()


async def test_a_refusal_of_twilio_puts_back_what_was_moved(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    before, wire = state(account), Wire(account)

    requests: list[str] = []

    def after(request: Any) -> None:
        if request.method in ("POST", "PATCH") and not requests:
            requests.append(str(request.url))
            raise SetupError("Twilio is down.")

    wire.after = after
    with pytest.raises(SetupError, match="Twilio is down"):
        await Run(project, port, wire).task
    assert state(account) == before and not (project / JOURNAL).exists()


async def test_what_a_killed_run_has_moved_is_put_back_by_the_next(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    before = state(account)
    journal = await killed(project, port, account)
    assert number(account)["voice_url"] == f"{URL}/twiml"
    async with running(project, port, account) as run:
        assert "The last agent dev was killed." in run.said[0] and run.said[1].startswith("restored")
    assert journal and state(account) == before and not (project / JOURNAL).exists()


async def killed(project: Path, port: int, account: SimulatedAccount) -> str:
    """Lead the number here and vanish. Returns the journal that is left."""
    wire = Wire(account)
    async with running(project, port, account, wire=wire) as run:

        def gone(request: Any) -> None:
            raise Killed

        wire.before = gone
        with pytest.raises(Killed):
            await run.ends()
    return (project / JOURNAL).read_text()


async def test_a_number_that_somebody_has_pointed_elsewhere_meanwhile_is_left(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    async with running(project, port, account) as run:
        number(account)["voice_url"] = "https://new.example"
        await run.ends()
    assert number(account)["voice_url"] == "https://new.example"
    assert "left number voice_url has been changed since" in run.said


async def test_twilio_that_does_not_answer_at_the_end_leaves_the_journal_and_says_so(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    before = state(account)
    async with running(project, port, account) as run:
        account.numbers.fault.status = 403
        with pytest.raises(SetupError, match="agent setup undo or agent dev puts it back later"):
            await run.ends()
    assert (project / JOURNAL).exists()
    account.numbers.fault.status = 0
    async with context(project, transport=account.transport) as own:
        await put_back_leftovers(own, run.said.append)
    assert not (project / JOURNAL).exists() and state(account) == before


async def test_a_second_one_in_the_folder_is_refused_and_the_first_goes_on(
    project: Path, port: int, account: SimulatedAccount
) -> None:
    async with running(project, port, account):
        with pytest.raises(SetupError, match="agent dev is running in this folder"):
            await Run(project, port, account.transport).task
        async with context(project, transport=account.transport) as own:
            with pytest.raises(SetupError, match="End it first"):
                await put_back_leftovers(own, print)
        assert number(account)["voice_url"] == f"{URL}/twiml"


async def test_an_address_of_a_tunnel_that_runs_already_is_taken(
    project: Path, bin: Path, port: int, account: SimulatedAccount
) -> None:
    (bin / "cloudflared").unlink()
    async with running(project, port, account, tunnel="", url="https://own.example") as run:
        assert number(account)["voice_url"] == "https://own.example/twiml"
        assert run.served[0]["PUBLIC_URL"] == "https://own.example"


KILLED = """
import asyncio, pathlib, sys
from kit.dev.command import develop
from kit.simulated_twilio.account import SimulatedAccount
options = {"server": [sys.executable, "-c", pathlib.Path("server.py").read_text()]}
options["transport"] = SimulatedAccount().transport
asyncio.run(develop(pathlib.Path.cwd(), int(sys.argv[1]), "cloudflared", **options))
"""


async def test_kill_9_ends_tunnel_and_server_and_leaves_the_journal(
    project: Path, bin: Path, port: int, account: SimulatedAccount
) -> None:
    (project / "server.py").write_text(FAKE_SERVER.replace("\\\\n", "\\n"))
    then = "import os, time; open('tunnel.pid', 'w').write(str(os.getpid())); time.sleep(600)"
    executable(bin, "cloudflared", PRINTED["cloudflared"].format(url=URL), then)
    command = [sys.executable, "-u", "-c", KILLED, str(port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=dict(os.environ))
    assert process.stdout
    while b"leads here" not in (line := await process.stdout.readline()):
        assert line, await process.wait()
    pid = int((project / "tunnel.pid").read_text())
    process.send_signal(signal.SIGKILL)
    await process.wait()
    until = time.monotonic() + 30
    while (is_there(pid) or answers(port)) and time.monotonic() < until:
        await asyncio.sleep(0.02)
    assert not is_there(pid) and not answers(port)
    left = json.loads((project / JOURNAL).read_text())["entries"]["number"]
    number(account).update(left["after"])  # as the process left it
    async with context(project, transport=account.transport) as own:
        await put_back_leftovers(own, print)
    assert number(account)["voice_url"] == left["before"]["voice_url"] and not (project / JOURNAL).exists()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_the_real_server_starts_behind_the_tunnel(project: Path, port: int, account: SimulatedAccount) -> None:
    async with running(project, port, account, server=SERVER):
        assert answers(port)


# --- the command ------------------------------------------------------------------------------------------------------


def test_without_credentials_one_line_says_which_variables(alone: None) -> None:
    result = run("dev")
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 2
    assert line.startswith("agent dev needs TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, ")
    assert all(name in line for name in RUNTIME.missing_env()) and "PUBLIC_URL" not in line


def test_a_wrong_value_is_named_beside_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_DEADLINE", "soon")
    result = run("dev")
    assert result.exit_code == 2 and result.stderr.startswith("AGENT_DEADLINE is 'soon'. ")


def test_without_a_tunnel_one_line_says_what_to_install(project: Path, bin: Path) -> None:
    (bin / "cloudflared").unlink()
    result = run("dev")
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 2 and line.startswith("No tunnel is installed: install cloudflared")


def test_a_taken_port_is_one_line(project: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        result = run("dev")
    assert (result.exit_code, result.stderr) == (2, f"Port {port} is taken. End the server that has it, or set PORT.\n")


def test_an_enterprise_has_no_tunnel(project: Path) -> None:
    from app.config import ANSWERS_FILE

    (project / ANSWERS_FILE).parent.mkdir(exist_ok=True)
    (project / ANSWERS_FILE).write_text("profile: enterprise\n")
    result = run("dev")
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 2 and line.startswith("profile=enterprise has no tunnel: ")
