"""What the Dockerfile says is done here without an engine: install, serve, answer the health check, stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    """The last stage's file system: a virtual environment, and not the project's sources."""
    project = render(tmp_path_factory.mktemp("image") / "project", path=request.param)
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(project.parent / "venv")}
    command = [sys.executable, "-m", "uv", "sync", "--quiet", "--no-dev", "--no-editable", "--python", sys.executable]
    subprocess.run(command, cwd=project, env=environment, check=True)
    (project.parent / "srv").mkdir()
    yield project.parent


def test_a_linter_has_nothing_to_say_of_the_dockerfiles(render: Render, tmp_path: Path) -> None:
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


def test_the_image_runs_as_nobody_in_particular_and_has_no_secret(image: Path) -> None:
    dockerfile = (image / "project" / "Dockerfile").read_text(encoding="utf-8")
    last_stage = dockerfile.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER (?!root)\w+$", last_stage, re.M)
    assert ".env" in (image / "project" / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_an_incomplete_environment_stops_the_image_with_code_2(image: Path) -> None:
    environment = {"PATH": f"{image / 'venv' / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["agent", "serve"], cwd=image / "srv", env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert [line.split()[0] for line in done.stderr.splitlines()[:4]] == [
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "PUBLIC_URL",
        "OPENAI_API_KEY",
    ]
