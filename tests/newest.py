"""The projects with the newest releases of everything: which pin broke, and which guard is not needed any more.

`make newest` prints a report, and exits with 1 when there is something to do.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import copier

from tests.questionnaire import ROOT, Answers
from tests.test_emitted import UV
from tests.test_guards import GUARDS, KINDS, without

PIN = re.compile(
    r'^( *"(?P<name>[a-z0-9-]+)(?P<extras>\[[^]]*\])?(?P<least>>=[^,"]+)),(?P<below><[^"]+)"', re.MULTILINE
)


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, *command], cwd=project, capture_output=True, encoding="utf-8")


def upgrade(project: Path) -> subprocess.CompletedProcess[str]:
    return run(project, "sync", "--quiet", "--all-groups", "--upgrade")


def is_green(project: Path, *tests: str) -> bool:
    return run(project, "run", "--no-sync", "pytest", "-q", "-n", "2", *(tests or ["app"])).returncode == 0


def installed(project: Path) -> dict[str, str]:
    listed = run(project, "pip", "list", "--format=freeze").stdout
    return dict(line.split("==") for line in listed.splitlines() if "==" in line)


def lifted(pyproject: str, name: str) -> str:
    """`pyproject` without the upper bound of one package."""
    return PIN.sub(lambda pin: f'{pin[1]}"' if pin["name"] == name else pin[0], pyproject)


def newer(project: Path) -> Iterator[str]:
    """The packages of which there is a release beyond the pin; the project is left with that one lifted."""
    pyproject = project / "app" / "pyproject.toml"
    pinned = pyproject.read_text(encoding="utf-8")
    upgrade(project)
    before = installed(project)
    for name in dict.fromkeys(pin["name"] for pin in PIN.finditer(pinned)):
        pyproject.write_text(lifted(pinned, name), encoding="utf-8")
        if upgrade(project).returncode == 0 and installed(project).get(name) != before.get(name):
            yield name
        pyproject.write_text(pinned, encoding="utf-8")
    upgrade(project)


def report(answers: Answers) -> Iterator[str]:
    """The tasks for one kind of project, one line each."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        copier.run_copy(str(ROOT), project, data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
        sync = upgrade(project)
        if sync.returncode:
            yield f"{answers}: does not install: {sync.stderr.strip().splitlines()[-1]}"
            return
        if not is_green(project):
            yield f"{answers}: red with the newest releases within the pins"
            return
        for guard in [guard for guard in GUARDS if guard["answers"] == answers]:
            yield from unneeded(guard, project, "within its pin")
        for name in newer(project):
            version = installed(project)[name]
            if is_green(project):
                yield f"{answers}: {name} {version} is green: the pin can be raised"
                for guard in [guard for guard in GUARDS if (guard["answers"], guard["package"]) == (answers, name)]:
                    yield from unneeded(guard, project, f"with {name} {version}")
            else:
                yield f"{answers}: {name} {version} breaks the project: the pin holds"


def unneeded(guard: Answers, project: Path, when: str) -> Iterator[str]:
    path = project / guard["file"]
    kept = path.read_bytes()
    without(guard, project)
    if is_green(project, guard["test"]):
        yield f"{guard['file']}: not needed any more {when}: {guard['guard']}"
    path.write_bytes(kept)


def connector() -> Iterator[str]:
    """A line when the stock connector, which the Azure path does not use, answers by now, or cannot be tried."""
    packages = ["twilio-agent-connect-microsoft", "twilio-agent-connect[server]", "agent-framework-core"]
    needed = [f"--with={package}" for package in packages]
    script = str(ROOT / "tests" / "microsoft_connector.py")
    done = run(ROOT, "run", "--isolated", "--no-project", "--upgrade", *needed, "python", script)
    if done.returncode:
        yield f"{packages[0]}: cannot be tried: {done.stderr.strip().splitlines()[-1]}"
    elif answer := done.stdout.strip():
        yield f"{packages[0]} answers now: {answer!r}. Compare it with what ARCHITECTURE.md of the path on Azure says"
    else:
        print(f"{packages[0]}: still silent", file=sys.stderr)


def main() -> int:
    found = [*(line for answers in KINDS for line in report(answers)), *connector()]
    print("\n".join(f"- {line}" for line in found) or "Nothing to do.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
