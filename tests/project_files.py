"""Whether the files of a rendered project belong together: every import has its file, and every file has a use."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from tests.pages import faults

PACKAGES = ("agent", "app", "kit", "tests")
CONVENTIONAL = {"checks", "resources", "commands", "fake"}
# Modules that are started by name, not imported.
STARTED = {"app.__main__"}


def problems(files: Mapping[str, bytes]) -> list[str]:
    """The faults of a project's files, by path. `agent_runtime/` and `lambda_proxy/` stand alone."""
    sources = {name: body.decode() for name, body in files.items() if name.split("/")[0] in PACKAGES}
    modules = {module_name(name): text for name, text in sources.items() if name.endswith(".py")}
    found: list[str] = []
    used: set[str] = set()
    for module, text in modules.items():
        for wanted in imports(module, text):
            target = wanted if wanted in modules else wanted.rpartition(".")[0]
            if target not in modules:
                found.append(f"{module} imports {wanted}, which is not there")
            elif target != module:
                used |= {target, *parents(target)}
    found += [
        f"{module} is not used" for module in sorted(modules) if not (module in used or is_entry(module, modules))
    ]
    found += circles({module: text for module, text in modules.items() if module.startswith("app.")})
    found += [f"{module} imports for types only" for module, text in modules.items() if only_for_types(module, text)]
    text = "\n".join(sources.values())
    for name in sources:
        if name.startswith("agent/") and not name.endswith(".py") and name.removeprefix("agent/") not in text:
            found.append(f"{name} is not read")
    return found + faults(files)


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def parents(module: str) -> Iterator[str]:
    while module := module.rpartition(".")[0]:
        yield module


def imports(module: str, text: str) -> Iterator[str]:
    """The modules of the project that a module names in its imports; a name behind the last dot may be a function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "AgentModule":
            names = [f"agent.{ast.literal_eval(node.args[0])}"]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in PACKAGES)


def is_entry(module: str, modules: Mapping[str, str]) -> bool:
    """Found by its place instead of by an import: tests, conventional modules of folders, the user's files."""
    parts = module.split(".")
    conventional = parts[-1] in CONVENTIONAL or parts[-2:-1] == ["checks"]
    holds_an_entry = any(other.startswith(f"{module}.") and is_entry(other, modules) for other in modules)
    return "tests" in parts or parts[0] == "kit" or conventional or module in STARTED or holds_an_entry


def circles(modules: Mapping[str, str]) -> list[str]:
    """Modules that import each other when they are loaded."""
    graph = {
        module: {name for name in loaded(text) if name in modules and name != module}
        for module, text in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"a circle of imports: {' -> '.join(error.args[1])}"]
    return []


def loaded(text: str) -> Iterator[str]:
    """The modules that the top level of a module imports, and those of names that may be modules."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def only_for_types(module: str, text: str) -> bool:
    return module.startswith("app.") and "if TYPE_CHECKING" in text
