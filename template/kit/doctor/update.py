"""Updates: names that two files claim, names that moved, and `--before`, which examines a project before an update."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from kit.doctor.check import Context, answers_file, check
from kit.doctor.project import UPDATES
from kit.migrate import uncommitted
from kit.migrations import MIGRATIONS, ZONE, zone

OURS = "Rename the one that is yours, with its imports: git mv OLD NEW. docs/develop.md lists the names to keep free."


@check("PRJ010", hint=OURS, docs="https://docs.python.org/3/reference/import.html", requires=("PRJ001",))
def modules_are_visible(context: Context) -> Iterator[str]:
    """No module has the name of a folder beside it: Python would import one of them only."""
    root = context.root
    for path in sorted([*root.glob("*.py"), *(root / "agent").rglob("*.py"), *(root / "app").rglob("*.py")]):
        module, folder = path.relative_to(root), path.with_suffix("").relative_to(root)
        if (root / folder / "__init__.py").is_file():
            yield f"{module} is hidden by {folder}/: Python imports the folder."
        elif any((root / folder).glob("*.py")):
            yield f"{folder}/ is hidden by {module}: Python imports the module."


@check(
    "PRJ011", hint="Run agent migrate: it lists what to do. With a name it shows the changes and asks.", docs=UPDATES
)
def names_are_current(context: Context) -> Iterator[str]:
    """Your files use no name that has moved."""
    files = zone(context.root)
    for name, changes in MIGRATIONS.items():
        if paths := list(changes(files)):
            more = f" and {len(paths) - 1} more" if paths[1:] else ""
            yield f"agent migrate {name} would change {paths[0]}{more}. {changes.__doc__}"


@check(
    "PRJ014",
    hint="The old name still works. Rename it in the file that the message names.",
    docs=UPDATES,
    requires=("PRJ004",),
)
def agent_names_are_current(context: Context) -> Iterator[str]:
    """Your files in agent/ use no name that the server has renamed."""
    from app.agent_module import AgentModule

    for module in AgentModule.every:
        for new, old in module.renamed.items():
            if hasattr(module.own, old) and not hasattr(module.own, new):
                yield f"{module.file} has {old}, which is called {new} now."


@check(
    "PRJ015",
    hint="Bring the file in step with the answer, or commit it as it is with any change to it.",
    docs=UPDATES,
    requires=("PRJ001",),
)
def files_match_answers(context: Context) -> Iterator[str]:
    """Your files were last changed with the answers that the project has now."""
    for path, answers in (context.answers.get("zone_delivered") or {}).items():
        if answers and (context.root / path).is_file() and not git(context.root, "status", "--porcelain", "--", path):
            commit = git(context.root, "log", "-1", "--format=%H", "--", path)
            then = yaml.safe_load(git(context.root, "show", f"{commit}:./{answers_file()}") or "{}") if commit else {}
            before = (then.get("zone_delivered") or {}).get(path) or {}
            for name, value in answers.items():
                if before.get(name, value) != value:
                    yield f"{path} was written for {name}={before[name]}; the answer is {name}={value} now."


def git(root: Path, *command: str) -> str:
    """The output of a git command; empty where it fails."""
    try:
        return subprocess.run(["git", *command], cwd=root, capture_output=True, encoding="utf-8").stdout.strip()
    except OSError:
        return ""


@check("PRJ012", hint=OURS, docs=UPDATES, requires=("PRJ001",))
def names_are_free(context: Context) -> Iterator[str]:
    """With --before: no file of yours has a name that the template keeps for other answers."""
    for name in context.answers.get("reserved", []) if context.before else []:
        yield from taken(context.root, str(name).strip("/"))


def taken(root: Path, name: str) -> Iterator[str]:
    """How a file of the user meets a file or folder of the template that is not in the project now."""
    path = root / name
    if path.suffix:  # every folder of the template has a name without a dot
        if path.is_dir():
            yield f"{name}/ is a folder: an update that brings the template's file {name} breaks off."
        elif path.exists() and name.split("/")[0] in ZONE:
            yield f"{name} is there: an update keeps yours, which then needs every name that app/ takes from it."
        elif path.exists():
            yield f"{name} is there: an update that brings the template's file of this name conflicts with it."
        elif path.suffix == ".py" and holds_files(path.with_suffix("")):
            yield f"{name[:-3]}/ is there: it and the template's {name}, which an update may bring, hide each other."
    elif path.is_dir() and holds_files(path):
        yield f"{name}/ is there: an update that brings the template's folder of this name mixes the two."
    elif path.exists() and not path.is_dir():
        yield f"{name} is a file: an update that brings the template's folder {name}/ breaks off."
    elif path.with_suffix(".py").exists():
        yield f"{name}.py is there: the template's folder {name}/, which an update may bring, would hide it."


def holds_files(folder: Path) -> bool:
    """Whether there is more than what Python left of a folder that an update took away."""
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


@check(
    "PRJ013",
    hint="Commit, or make the project anew from a clone of the template, with its answers as --data-file.",
    docs=UPDATES,
    requires=("PRJ001",),
)
def update_is_possible(context: Context) -> Iterator[str]:
    """With --before: Copier knows the project's release of the template, and everything is committed."""
    if context.before:
        if not context.answers.get("_commit"):
            yield "The template was not in git when this project was made, so that no update is possible."
        if reason := uncommitted(context.root):
            yield reason
