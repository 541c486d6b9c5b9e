"""The pages of the projects that read them aloud have every command that any project's pages have."""

from __future__ import annotations

import functools
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.questionnaire import CONFIG, QUESTIONS, ROOT, STRUCTURAL, Answers, combinations, defaults, is_valid
from tests.readme import Block, blocks_in
from tests.test_emitted import READING
from tests.test_render import (
    ENVIRONMENT,
    REGULATIONS,
    TEMPLATE,
    TEMPLATES,
    Computed,
    bringing,
    expected_files,
    names_in,
    questions_behind,
)

PAGES = [name for name in TEMPLATES if name.endswith(".md.jinja") and "```sh\n" in (TEMPLATE / name).read_text("utf-8")]
Found = dict[Block, Answers]


@functools.cache
def source_of(page: str) -> str:
    """The template of a page with the templates that it includes."""
    text = (TEMPLATE / page).read_text(encoding="utf-8")
    return re.sub(r"\{% include '(.+)' %\}\n", lambda found: (ROOT / found[1]).read_text(encoding="utf-8"), text)


def alone(source: str) -> Iterator[str]:
    """For each command block of a template what decides about it: the tags around it, and its own lines."""
    heads: dict[str, str] = {}
    around: list[list[str]] = []
    block: list[str] = []
    before = ""
    for line in source.splitlines(keepends=True):
        tag = re.match(r"\{% (\w+) ", line)
        word = tag[1] if tag else ""
        if block:
            block.append(line)
            if line.strip() == "```":
                inner = "".join([*(tag for tags in around for tag in tags), *block])
                named = set(re.findall(r"\w+", inner))
                ends = [f"{{% end{re.findall(r'for|if', tags[0])[0]} %}}\n" for tags in reversed(around)]
                yield "".join([*(head for name, head in heads.items() if name in named), inner, *ends])
                block = []
        elif line.strip() == "```sh":
            block = [*([before] if "<!-- not run" in before else []), line]
        elif word in ("if", "for"):
            around.append([line])
        elif word in ("elif", "else"):
            around[-1].append(line)
        elif word in ("endif", "endfor"):
            around.pop()
        elif (word == "from" or word == "set") and line.rstrip().endswith("%}"):
            head = re.search(r"(?:import|set) ([\w, ]+?)(?: with context)? (?:%}|=)", line)
            heads |= {name.strip(): line for name in head[1].split(",")} if head else {}
        before = line
    assert not around and not block


def values(template: str, answers: Answers) -> Answers:
    context = Computed(defaults(answers) | answers)
    return {name: context[name] for name in names_in(template) & QUESTIONS.keys()}


def render(template: str, given: Answers) -> str:
    return ENVIRONMENT.from_string(template).render(given, _copier_conf={"answers_file": CONFIG["_answers_file"]})


@functools.cache
def brought(page: str) -> dict[str, Found]:
    """For each path every block that some answers bring into a page, with such answers."""
    emitted, found = page.removesuffix(".jinja"), defaultdict[str, Found](dict)
    for template in alone(source_of(page)):
        seen = set[str]()
        behind = questions_behind(names_in(template) | bringing(emitted)) | {"path"}
        for row in combinations(behind & set(STRUCTURAL)):
            for regulations in ({}, *(REGULATIONS * ("regulations" in behind))):
                answers: Answers = row | regulations
                given = values(template, answers)
                key = f"{row['path']} {given}"
                if key in seen or not is_valid(defaults(answers) | answers) or emitted not in expected_files(answers):
                    continue
                seen.add(key)
                for block in blocks_in(render(template, given), page):
                    found[row["path"]].setdefault(known(block), answers)
    return found


def known(block: Block) -> Block:
    """A block without its comments, which may have any words."""
    return Block(re.sub(r" +#.*", "", block.body), block.reason)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_read_in_a_project_of_its_path(page: str) -> None:
    emitted, source = page.removesuffix(".jinja"), source_of(page)
    read = defaultdict[str, set[Block]](set)
    for answers in READING:
        if emitted in expected_files(answers):
            read[answers["path"]] |= set(map(known, blocks_in(render(source, values(source, answers)), page)))
    missing = {
        f"{path}: {block.body.splitlines()[0]}": answers
        for path, found in brought(page).items()
        for block, answers in found.items()
        if block not in read[path]
    }
    assert not missing, "a row of tests/test_emitted.py has to bring these"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_parses_and_says_why_it_is_not_run(page: str) -> None:
    assert source_of(page).count("<!-- not run") == sum(
        block.reason is not None for block in blocks_in(source_of(page), page)
    )
    for block in {block for found in brought(page).values() for block in found}:
        done = subprocess.run(["bash", "-n"], input=block.body, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, f"{block.body}\n{done.stderr}"
