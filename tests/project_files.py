"""Whether the files of a rendered project belong together: every import has its file, and every file has a use."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

from tests.pages import faults, variables_in
from tests.renderer import TEMPLATE_OF

CHANGING = {name for name, path in TEMPLATE_OF.items() if path.suffix == ".jinja"}
OF_A_CLOUD = {"AWS_PROXY"}
PACKAGES = ("agent", "app", "kit", "tests")
CONVENTIONAL = {"checks", "resources", "commands", "fake"}
# Modules that are started by name, not imported.
STARTED = {"app.__main__"}


def problems(files: Mapping[str, str]) -> list[str]:
    """The faults of a project's files, by path. `agent_runtime/` and `lambda_proxy/` stand alone."""
    return [*faults_of_modules(files), *faults(files), *lonely_variables(files)]


def lonely_variables(files: Mapping[str, str]) -> list[str]:
    """Variables that a file names which the answers change, and no other file of the project."""
    named = Counter(name for text in files.values() for name in variables_in(text))
    return [
        f"{file} names {name}, and no other file does"
        for file in sorted(CHANGING.intersection(files))
        for name in sorted(variables_in(files[file]))
        if named[name] == 1 and name not in OF_A_CLOUD and not file.endswith(".md")
    ]


def faults_of_modules(files: Mapping[str, str]) -> list[str]:
    sources = {name: text for name, text in sorted(files.items()) if name.split("/")[0] in PACKAGES}
    modules = {module_name(name): text for name, text in sources.items() if name.endswith(".py")}
    imported = tuple((module, imports(module, text), loaded(text)) for module, text in modules.items())
    found = list(faults_of_imports(imported))
    names = {module: defined(text) for module, text in modules.items()}
    for module, text in modules.items():
        for target, name in names_of_modules(text):
            package, _, last = target.rpartition(".")
            is_object = target not in modules or last in names.get(package, ())
            if not (is_object or f"{target}.{name}" in modules or name in names[target]):
                found.append(f"{module} reads {target}.{name}, which is not there")
    found += [f"{module} imports for types only" for module, text in modules.items() if only_for_types(module, text)]
    read = set[str]().union(*map(files_named_in, sources.values()))
    for name in sources:
        if name.startswith("agent/") and not name.endswith(".py") and name.removeprefix("agent/") not in read:
            found.append(f"{name} is not read")
    return found


@cache
def names_of_modules(text: str) -> frozenset[tuple[str, str]]:
    """The names that a module reads of modules of the project: what it imports from them, and `module.name`."""
    tree = ast.parse(text)
    found, known = set[tuple[str, str]](), dict[str, set[str]]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            found |= {(node.module, alias.name) for alias in node.names}
            for alias in node.names:
                known.setdefault(alias.asname or alias.name, set()).add(f"{node.module}.{alias.name}")
    given = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    given |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in given:
            targets = known.get(node.value.id, set())
            found |= {(target, node.attr) for target in targets if len(targets) == 1}
    return frozenset(found)


@cache
def defined(text: str) -> frozenset[str]:
    """The names of the top level of a module, those below `if`, `try` and `with` too."""
    found, bodies = {"__doc__", "__file__", "__name__", "__path__"}, list[ast.stmt](ast.parse(text).body)
    while bodies:
        node = bodies.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        bodies += [child for child in ast.walk(node) if isinstance(child, ast.FunctionDef | ast.ClassDef)]
        found |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        found |= {each.asname or each.name.split(".")[0] for each in ast.walk(node) if isinstance(each, ast.alias)}
    return frozenset(found)


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
