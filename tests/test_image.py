"""The instructions of the Dockerfile, followed without Docker: install, serve, answer the health check, stop."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

from tests.conftest import Render

ENVIRONMENT = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "nobody",
    "PUBLIC_URL": "https://agent.example",
    "OPENAI_API_KEY": "nobody",
    "HOST": "127.0.0.1",
}


def instruction(dockerfile: str, name: str) -> list[str]:
    """The exec form of an instruction, as a list of words."""
    found = re.search(rf"^{name}\b[^\[]*(\[.+\])$", dockerfile, re.M)
    assert found, f"{name} is missing or not in exec form"
    words: list[str] = json.loads(found.group(1))
    return words


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module", params=["tac", "manual"])
def image(request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The last stage's file system: a virtual environment made of what the build sees, and not the sources."""
    project = render(tmp_path_factory.mktemp("image") / "project", path=request.param)
    build = copied(project, project.parent / "build")
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(project.parent / "venv")}
    for command in re.findall(r"^RUN uv (sync .+)$", (project / "Dockerfile").read_text(encoding="utf-8"), re.M):
        uv = [sys.executable, "-m", "uv", *command.split(), "--quiet", "--python", sys.executable]
        subprocess.run(uv, cwd=build, env=environment, check=True)
    (project.parent / "srv").mkdir()
    shutil.rmtree(build)
    yield project.parent


def copied(project: Path, build: Path) -> Path:
    """The files that `COPY . .` copies: all but those of .dockerignore."""
    ignored = GitIgnoreSpec.from_lines((project / ".dockerignore").read_text(encoding="utf-8").splitlines())
    for path in project.rglob("*"):
        name = path.relative_to(project).as_posix()
        if path.is_file() and not ignored.match_file(name):
            (build / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, build / name)
    return build


def test_the_image_has_the_server_and_nothing_of_the_workbench(image: Path) -> None:
    python = [str(image / "venv" / "bin" / "python"), "-c"]
    found = "import app.main, agent, importlib.util as u; print([n for n in ({}) if u.find_spec(n)])"
    absent = "'kit', 'app.voice.checks', 'app.voice.resources', 'app.voice.fake', 'app.voice.tests', 'pytest'"
    told = subprocess.run([*python, found.format(absent)], cwd=image / "srv", capture_output=True, encoding="utf-8")
    assert told.stdout == "[]\n", told.stdout + told.stderr
    assert not (image / "venv" / "bin" / "agent").exists()


def test_the_dockerfiles_are_linted(render: Render, tmp_path: Path) -> None:
    project = render(tmp_path / "project", path="aws", aws_runtime="agentcore")
    dockerfiles = sorted(project.rglob("Dockerfile*"))
    assert project / "Dockerfile" in dockerfiles
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run([hadolint, *dockerfiles], capture_output=True, encoding="utf-8")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_image_serves_is_healthy_and_stops(image: Path) -> None:
    dockerfile = (image / "project" / "Dockerfile").read_text(encoding="utf-8")
    port = free_port()
    environment = {**ENVIRONMENT, "PATH": f"{image / 'venv' / 'bin'}:{os.environ['PATH']}", "PORT": str(port)}
    health = instruction(dockerfile, "HEALTHCHECK.*\n.*CMD")
    assert subprocess.run(health, cwd=image / "srv", env=environment, capture_output=True).returncode == 1
    with subprocess.Popen(
        instruction(dockerfile, "CMD"),
        cwd=image / "srv",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as server:
        try:
            deadline = time.monotonic() + 30
            while subprocess.run(health, cwd=image / "srv", env=environment, capture_output=True).returncode:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=10) == 0
        finally:
            server.kill()


def test_the_image_runs_without_root_and_has_no_secret(image: Path) -> None:
    dockerfile = (image / "project" / "Dockerfile").read_text(encoding="utf-8")
    last_stage = dockerfile.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER (?!root)\w+$", last_stage, re.M)
    assert ".env" in (image / "project" / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_an_incomplete_environment_stops_the_image_with_code_2(image: Path) -> None:
    environment = {"PATH": f"{image / 'venv' / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["python", "-m", "app", "serve"], cwd=image / "srv", env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 2
    assert [line.split()[0] for line in done.stderr.splitlines()[:4]] == [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "PUBLIC_URL",
        "OPENAI_API_KEY",
    ]
