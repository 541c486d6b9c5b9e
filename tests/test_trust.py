"""A copy and an update need neither trust nor the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Note, commit, files
from tests.offline import can_unshare, offline, wall
from tests.questionnaire import CONFIG, choices


def test_nothing_in_the_template_asks_for_trust() -> None:
    assert not {"_tasks", "_jinja_extensions"} & CONFIG.keys()


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=() if path == "tac" else pytest.mark.matrix) for path in choices("path")]
)
def test_copy_and_update_stay_on_this_machine(path: str, repository: Path, tmp_path: Path, note: Note) -> None:
    """The real commands without `--trust`, cut off from the network together with the processes that they start."""
    project, log = tmp_path / "project", tmp_path / "refused"
    other = next(choice for choice in choices("path") if choice != path)

    def copier(*arguments: str) -> None:
        command, environment = offline(["copier", *arguments], log)
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr

    copier("copy", "--defaults", "--data", f"path={path}", str(repository), str(project))
    commit(project)
    before = files(project)
    copier("update", "--defaults", "--vcs-ref=:current:", "--data", f"path={other}", str(project))
    assert files(project) != before
    assert not log.exists(), f"left this machine for {log.read_text()}"
    note(f"copies and updates ran behind {wall()}")


ATTEMPTS = {
    "connect": "import socket; socket.socket().connect(('192.0.2.1', 80))",
    "look-up": "import socket; socket.getaddrinfo('example.com', 443)",
    "a library": "import urllib.request as u; u.urlopen('http://192.0.2.1', timeout=1)",
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_the_wall_holds(attempt: str, tmp_path: Path) -> None:
    command, environment = offline([sys.executable, "-c", attempt], tmp_path / "log")
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode != 0 and "is not on this machine" in done.stderr
    refused, test = (tmp_path / "log").read_text().split(maxsplit=1)
    assert refused in {"192.0.2.1", "example.com"} and "test_the_wall_holds" in test


@pytest.mark.skipif(not can_unshare(), reason="unshare -rn is refused here")
def test_the_wall_holds_without_the_guard() -> None:
    command, _ = offline(["git", "ls-remote", "git://192.0.2.1/nothing"], Path("unused"))
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=20)
    assert done.returncode != 0 and "unreachable" in done.stderr


def test_this_machine_is_inside_the_wall(tmp_path: Path) -> None:
    loopback = (
        "import socket; server = socket.create_server(('127.0.0.1', 0));"
        "socket.create_connection(server.getsockname()).sendall(b'hello');"
        "assert server.accept()[0].recv(5) == b'hello'"
    )
    command, environment = offline([sys.executable, "-c", loopback], tmp_path / "log")
    subprocess.run(command, env=environment, check=True)
    assert not (tmp_path / "log").exists()
