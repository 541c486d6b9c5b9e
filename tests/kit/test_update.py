"""Before and after an update: names in the way, and `agent migrate`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import Result
from pydantic import ValidationError
from typer.testing import CliRunner

from app.config import ANSWERS_FILE
from kit import cli
from kit.doctor.update import taken
from kit.migrations import MIGRATIONS, MOVED, RENAMED_KEYS, ZONE, Texts, with_imports, with_keys, zone
from kit.plugin import silence_logs
from kit.scenario_file import Expect
from tests.kit.cases_update import write
from tests.kit.healthy_project import PROJECT

OLD = "from app.session import Session\n"
NEW = "from app import Session\n"


@pytest.mark.parametrize(
    ("name", "mine", "finding"),
    [
        ("here", "here", "here is a file: an update that brings the template's folder here/ breaks off."),
        ("here", "here/mine.txt", "here/ is there: an update that brings the template's folder of this name mixes the"),
        ("here", "here.py", "here.py is there: the template's folder here/, which an update may bring, would hide it."),
        ("here", "here/__pycache__/old.pyc", ""),
        ("here", "there", ""),
        ("here/one.py", "here/one.py", "here/one.py is there: an update that brings the template's file of this name"),
        ("here/one.py", "here/one.py/mine.txt", "here/one.py/ is a folder: an update that brings the template's file"),
        ("here/one.py", "here/one/__init__.py", "here/one/ is there: it and the template's here/one.py, which an"),
        ("agent/here.py", "agent/here.py", "agent/here.py is there: an update keeps yours, which then needs every"),
        ("agent/here.py", "agent/here.yml", ""),
    ],
)
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str, mine: str, finding: str) -> None:
    write(tmp_path / mine)
    (message,) = list(taken(tmp_path, name)) or [""]
    assert message.startswith(finding) and bool(message) == bool(finding)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of earlier, in git."""
    write(tmp_path / "agent" / "tools.py", f"{OLD}\n\ndef hello() -> None: ...\n")
    write(tmp_path / "tests" / "test_mine.py", NEW)
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    commit()
    yield tmp_path
    silence_logs()


def git(*command: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    return subprocess.run(["git", *who, *command], check=True, capture_output=True, encoding="utf-8").stdout


def commit() -> None:
    git("add", "--all")
    git("commit", "-q", "-m", "Everything")


def migrate(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli.app, ["migrate", *arguments], input=typed)


def test_migrations_are_listed_with_those_to_do(root: Path) -> None:
    assert "imports             to do   Imports" in migrate().output
    migrate("imports", "--yes")
    assert "imports             done    Imports" in migrate().output


def test_a_change_is_shown_asked_for_and_written_once(root: Path) -> None:
    result = migrate("imports", typed="y\n")
    assert result.exit_code == 0, result.output
    assert f"--- a/agent/tools.py\n+++ b/agent/tools.py\n@@ -1,4 +1,4 @@\n-{OLD}+{NEW}" in result.output
    assert git("diff", "--numstat").split() == ["1", "1", "agent/tools.py"]
    assert migrate("imports").output == "imports: nothing to do.\n"


@pytest.mark.parametrize("typed", ["n\n", ""])
def test_without_a_yes_nothing_is_written(root: Path, typed: str) -> None:
    assert migrate("imports", typed=typed).exit_code == 1
    assert git("status", "--porcelain") == ""


def refused(line: str) -> None:
    before = zone(Path())
    result = migrate("imports", "--yes")
    assert result.exit_code == 2
    assert result.stderr == f"{line}\n"
    assert zone(Path()) == before


def test_uncommitted_changes_are_refused_in_one_line(root: Path) -> None:
    write(root / "agent" / "new.py")
    refused("There are uncommitted changes: commit or stash them first. Nothing was changed.")


def test_a_file_that_git_ignores_is_refused(root: Path) -> None:
    migrate("imports", "--yes")
    write(root / ".gitignore", "secret.py\n")
    commit()
    write(root / "agent" / "secret.py", OLD)
    refused("git does not know agent/secret.py: git add -f agent/secret.py, and commit. Nothing was changed.")


def test_a_project_without_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "agent" / "tools.py", OLD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    refused("The project is not in git: git init && git add --all && git commit -m Start. Nothing was changed.")


def test_an_unknown_migration_names_those_there_are(root: Path) -> None:
    result = migrate("import")
    assert (result.exit_code, result.stderr) == (2, "There is no migration import. There are imports, scenario-keys.\n")


BROKEN = """
import sys
from kit.__main__ import main

sys.modules["app.features"] = None
sys.argv = ["agent", "migrate"]
main()
"""


@pytest.mark.process(BROKEN)
def test_migrations_need_no_app_that_can_be_imported(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "Imports take names" in output


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from a import x\n", "from b import x\n"),
        ("from a import x as y\n", "from b import x as y\n"),
        ("from a import z\n", "from c import w as z\n"),
        ("from a import x, q\n", "from b import x\nfrom a import q\n"),
        ("from a import (\n    x,\n    q,\n)  # end\n", "from b import x\nfrom a import q  # end\n"),
        ("if True:\n    from a import x, q; y = x\n", "if True:\n    from b import x\n    from a import q; y = x\n"),
        ("if True: from a import x, q\n", "if True: from b import x; from a import q\n"),
        ("é = 1; from a import x; from a import x\r\n", "é = 1; from b import x; from b import x\r\n"),
        (
            "from a import (\n    x,\n)\nfrom a import z; from a import x\n",
            "from b import x\nfrom c import w as z; from b import x\n",
        ),
        ("from a import x, q\r\nz = 1", "from b import x\r\nfrom a import q\r\nz = 1"),
        ("from .a import x\nfrom a import q\nimport a.x\nt = 'from a import x'\n", ""),
        ("from a import (  # why\n    x,\n)\n", ""),
        ("from a import x\n<<<<<<< before\n", ""),
    ],
)
def test_imports_of_moved_names_are_rewritten(before: str, after: str) -> None:
    moved = {"a.x": "b.x", "a.z": "c.w"}
    assert with_imports(before, moved) == (after or before)
    assert with_imports(after, moved) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("turns: [{expect: {told: x, not_told: [y]}}]\n", "turns: [{expect: {new: x, newer: [y]}}]\n"),
        (
            "# told: 1\r\nturns:\r\n  - caller: told: no\r\n",
            "",
        ),
        (
            "turns:\r\n  - expect: &a # é\r\n      'told':  x # told\r\n  - expect: *a\r\n",
            "turns:\r\n  - expect: &a # é\r\n      new:  x # told\r\n  - expect: *a\r\n",
        ),
        ("turns: [{expect: {told: x, new: y}}, {expect: [told]}, {caller: told}, 1]\nexpect: {told: x}\n", ""),
        ("told: x\n", ""),
        ("given: {tools: {told: x}}\nturns: [{expect: {calls: {told: 1, x: {not_told: y}}}}]\n", ""),
        ("", ""),
    ],
)
def test_keys_of_scenarios_are_rewritten(before: str, after: str) -> None:
    renamed = {"told": "new", "not_told": "newer"}
    assert with_keys(before, renamed) == (after or before)
    assert with_keys(after, renamed) == after


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_an_old_key_of_a_scenario_still_works(old: str, new: str) -> None:
    assert getattr(Expect.model_validate({old: "x"}), new) == ["x"]
    for wrong in ({old: "x", new: "y"}, [old], 5):
        with pytest.raises(ValidationError):
            Expect.model_validate(wrong)


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_is_still_the_same(old: str, new: str) -> None:
    here, there = (name.rpartition(".") for name in (old, new))
    try:
        module = import_module(here[0])
    except ModuleNotFoundError:
        pytest.skip("this project has no such module")
    assert getattr(module, here[2]) is getattr(import_module(there[0]), there[2])


@pytest.mark.parametrize("migration", MIGRATIONS.values(), ids=MIGRATIONS)
def test_a_new_project_has_nothing_to_do(migration: Callable[[Texts], dict[str, str]]) -> None:
    new = {path: text for path, text in zone(PROJECT).items() if not path.startswith("tests/kit/")}
    assert new and migration(new) == {}
    assert re.fullmatch(r"[A-Z].{10,110}\.", str(migration.__doc__))


def test_the_zone_is_what_git_and_the_user_write(root: Path) -> None:
    (root / "agent" / "linked.py").symlink_to(root / "agent" / "tools.py")
    (root / "agent" / "latin.md").write_bytes(b"\xe9")
    write(root / "app" / "tools.py")
    assert list(zone(root)) == ["agent/tools.py", "tests/test_mine.py"]
    assert {path.split("/")[0] for path in zone(PROJECT)} == set(ZONE)
    assert (PROJECT / ANSWERS_FILE).is_file()
