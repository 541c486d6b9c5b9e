"""The parts of a template, between its tags, and the names that decide whether a part is there and what it says.

A text is its parts in their order: where every part was seen with all its values, every line of every text was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from random import Random

from jinja2 import meta, nodes

from tests.questionnaire import BOUND, QUESTIONS, Answers, completed, defaults, drawn, together, values
from tests.renderer import (
    ANSWERS_FILE,
    ENVIRONMENT,
    Computed,
    bringing,
    expected_files,
    file_of,
    names_in,
    questions_behind,
    source,
    written,
)

Names = frozenset[str]
# Loops over tables of all answers: tests/test_combinations.py renders them in whole projects, tests/test_advice.py too.
WHOLE = {ANSWERS_FILE, "ARCHITECTURE.md", "app/features.py"}
LARGEST = 2_000_000


def parts(text: str) -> set[Names]:
    """The names that each part reads, a part's own and those of the conditions around it; no set within another."""
    reader = Reader()
    reader.walk(ENVIRONMENT.parse(text).body, frozenset())
    found = {names.intersection(QUESTIONS) for names in reader.found}
    return {names for names in found if not any(names < other for other in found)}


class Reader:
    def __init__(self) -> None:
        self.found: set[Names] = set()
        self.assigned: dict[str, Names] = {}  # what the names that the template sets or imports were made of

    def names_read(self, node: nodes.Node, around: Names) -> Names:
        return around.union(*(self.assigned.get(name, {name}) for name in undeclared(node)))

    def walk(self, body: Iterable[nodes.Node], around: Names) -> None:
        for node in body:
            match node:
                case nodes.Output():
                    shown = [child for child in node.nodes if not isinstance(child, nodes.TemplateData)]
                    self.found |= {around, *(self.names_read(child, around) for child in shown)}
                case nodes.If():
                    self.walk_branches(node, around)
                case nodes.Assign(target=nodes.Name(name=name)):
                    self.assigned[name] = self.names_read(node.node, around)
                case nodes.Include():
                    self.walk(ENVIRONMENT.parse(source(file_of(node.template))).body, around)
                case nodes.FromImport():
                    names = names_in(source(file_of(node.template)))
                    self.assigned |= {name if isinstance(name, str) else name[1]: names for name in node.names}
                case _:
                    self.take_whole(node, around)

    def walk_branches(self, node: nodes.If, around: Names) -> None:
        for branch in (node, *node.elif_):
            around = self.names_read(branch.test, around)
            self.walk(branch.body, around)
        self.walk(node.else_, around)

    def take_whole(self, node: nodes.Node, around: Names) -> None:
        """A loop is one part. It may add to lists that were set before."""
        names = self.names_read(node, around)
        self.found.add(names)
        self.assigned |= {name: self.assigned[name] | names for name in undeclared(node) if name in self.assigned}


def undeclared(node: nodes.Node) -> set[str]:
    """The names that a part of a template reads and does not set."""
    body = [nodes.Output([node], lineno=1)] if isinstance(node, nodes.Expr) else [node]
    tree = nodes.Template(body, lineno=1)
    tree.environment = ENVIRONMENT
    return meta.find_undeclared_variables(tree)


def combinations_of(names: Names) -> int:
    return prod(len(values(question)) for question in questions_behind(names) if question in BOUND)


def rows(name: str, beside: Names = frozenset()) -> Iterator[Answers]:
    """Answers with which a file has every value of every part of its template, with each value of the names beside.

    Other answers are drawn. Of a template in WHOLE, large parts take the values of some drawn answers.
    """
    random = Random(name)
    if name in WHOLE:
        yield from filter(lambda answers: name in expected_files(answers), (drawn({}, random) for _ in range(300)))
    for part in sorted({part | beside for part in parts(source(name))}, key=sorted):
        if name in WHOLE and combinations_of(part | bringing(name)) > LARGEST:
            continue
        seen: set[tuple[str, ...]] = set()
        for answers in together(questions_behind(part | bringing(name))):
            computed = Computed(defaults(answers) | answers)
            value = written(computed[each] for each in sorted(part))
            if value in seen or not completed(answers):
                continue
            full = drawn(answers, random)
            if name in expected_files(full):
                seen.add(value)
                yield full
