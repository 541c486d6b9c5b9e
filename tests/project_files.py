"""Whether the files of a rendered project belong together: every import has its file, and every file has a use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

from tests.pages import faults

PACKAGES = ("agent", "app", "kit", "tests")
CONVENTIONAL = {"checks", "resources", "commands", "fake"}
# Modules that are started by name, not imported.
STARTED = {"app.__main__"}


def problems(files: Mapping[str, str]) -> list[str]:
    """The faults of a project's files, by path. `agent_runtime/` and `lambda_proxy/` stand alone."""
    return [*faults_of_modules(tuple(sorted(files.items()))), *faults(files)]


def faults_of_modules(files: tuple[tuple[str, str], ...]) -> list[str]:
    sources = {name: text for name, text in files if name.split("/")[0] in PACKAGES}
    modules = {module_name(name): text for name, text in sources.items() if name.endswith(".py")}
    imported = tuple((module, imports(module, text), loaded(text)) for module, text in modules.items())
    found = list(faults_of_imports(imported))
    found += [f"{module} imports for types only" for module, text in modules.items() if only_for_types(module, text)]
    read = set[str]().union(*map(files_named_in, sources.values()))
    for name in sources:
        if name.startswith("agent/") and not name.endswith(".py") and name.removeprefix("agent/") not in read:
            found.append(f"{name} is not read")
    return found


@cache
def files_named_in(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[\w-]+\.\w+", text))


@cache
def faults_of_imports(imported: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]) -> tuple[str, ...]:
    """Of modules with the names that they import anywhere, and at their top level."""
    modules = {module for module, _, _ in imported}
    found: list[str] = []
    used: set[str] = set()
    for module, names, _ in imported:
        for wanted in names:
            target = wanted if wanted in modules else wanted.rpartition(".")[0]
            if target not in modules:
                found.append(f"{module} imports {wanted}, which is not there")
            elif target != module:
                used |= {target, *parents(target)}
    entries = {module for module in modules if is_entry(module)}
    entries |= {parent for module in entries for parent in parents(module)}
    found += [f"{module} is not used" for module in sorted(modules - used - entries)]
    at_once = {module: set(names) for module, _, names in imported if module.startswith("app.")}
    return (*found, *circles(at_once))


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def parents(module: str) -> Iterator[str]:
    while module := module.rpartition(".")[0]:
        yield module


@cache
def imports(module: str, text: str) -> tuple[str, ...]:
    """The modules of the project that a module names in its imports; a name behind the last dot may be a function."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "AgentModule":
            names = [f"agent.{ast.literal_eval(node.args[0])}"]
        else:
            continue
        found += [name for name in names if name.split(".")[0] in PACKAGES]
    return tuple(found)


def is_entry(module: str) -> bool:
    """Found by its place instead of by an import: tests, conventional modules of folders, the user's files."""
    parts = module.split(".")
    conventional = parts[-1] in CONVENTIONAL or parts[-2:-1] == ["checks"]
    return "tests" in parts or parts[0] == "kit" or conventional or module in STARTED


def circles(modules: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other when they are loaded."""
    graph = {module: modules.keys() & names - {module} for module, names in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"a circle of imports: {' -> '.join(error.args[1])}"]
    return []


@cache
def loaded(text: str) -> tuple[str, ...]:
    """The modules that the top level of a module imports, and those of names that may be modules."""
    found: list[str] = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(found)


def only_for_types(module: str, text: str) -> bool:
    return module.startswith("app.") and "if TYPE_CHECKING" in text
