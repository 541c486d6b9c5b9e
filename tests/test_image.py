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
import uv
import yaml
from pathspec import GitIgnoreSpec

from tests.conftest import Render
from tests.questionnaire import ROOT

ENVIRONMENT = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "nobody",
    "PUBLIC_URL": "https://agent.example",
    "OPENAI_API_KEY": "nobody",
    "HOST": "127.0.0.1",
}

IMAGE_OF_A_REGISTRY = re.compile(
    r"\b((?:(?:ghcr|quay|docker)\.io|public\.ecr\.aws|mcr\.microsoft\.com|(?<=image: )grafana)/[\w./-]+)(?=[:@])(.*)"
)


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
    for command in installs(project):
        installed = install(command, build, project.parent / "venv")
        assert installed.returncode == 0, installed.stderr
    (project.parent / "srv").mkdir()
    shutil.rmtree(build)
    yield project.parent


def installs(project: Path) -> list[str]:
    """The commands of the Dockerfile that install."""
    return re.findall(r"^RUN (.*\buv sync .+)$", (project / "Dockerfile").read_text(encoding="utf-8"), re.M)


def install(command: str, folder: Path, environment: Path) -> subprocess.CompletedProcess[str]:
    """Run an install command of a project as its container and GitHub do."""
    variables = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment), "UV_PYTHON": sys.executable}
    variables["PATH"] = f"{Path(uv.find_uv_bin()).parent}{os.pathsep}{os.environ['PATH']}"
    command_line = ["bash", "-e", "-c", command]
    return subprocess.run(command_line, cwd=folder, env=variables, capture_output=True, encoding="utf-8")


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


def test_a_lock_that_is_out_of_date_is_installed_nowhere(render: Render, tmp_path: Path) -> None:
    project = render(tmp_path / "project", path="manual")
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    commands = [*installs(project), *(step for step in steps if "uv sync" in step)]
    assert len(commands) == 3 and "uv.loc[k]" in (project / "Dockerfile").read_text(encoding="utf-8")
    assert install("uv lock", project, tmp_path / "venv").returncode == 0
    for command in commands:
        assert install(f"{command} --dry-run", project, tmp_path / "venv").returncode == 0
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace("dependencies = [", 'dependencies = ["six",', 1))
    for command in commands:
        refused = install(f"{command} --dry-run", project, tmp_path / "venv")
        assert refused.returncode and "uv.lock" in refused.stderr, refused.stderr
    (project / "uv.lock").unlink()
    for command in commands:
        assert install(f"{command} --dry-run", project, tmp_path / "venv").returncode == 0


def test_an_image_of_a_release_is_a_digest_with_its_version_beside_it() -> None:
    """A release is never built again, so its digest loses no patch. The image of Python is: docs/decisions/012."""
    lines: dict[str, set[str]] = {}
    for path in (ROOT / "template").rglob("*"):
        if path.suffix in {".jinja", ".yml", ".yaml", ".bicep", ".json"}:
            for image, rest in IMAGE_OF_A_REGISTRY.findall(path.read_text(encoding="utf-8")):
                lines.setdefault(image.rpartition("/")[2], set()).add(rest)
    assert lines.keys() == {"opentelemetry-collector-contrib", "otel-lgtm"}
    for image, found in lines.items():
        for rest in found:
            assert re.search(r"@sha256:[0-9a-f]{64}\b", rest) and re.search(r"\b\d+\.\d+\.\d+", rest), f"{image}{rest}"
        assert len({re.findall(r"[0-9a-f]{64}|\d+\.\d+\.\d+", rest)[0] for rest in found}) == 1, f"two of {image}"


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
