"""The pages of the projects that read them aloud have every command that any project's pages have."""

from __future__ import annotations

import functools
import re
import subprocess
from collections import defaultdict

import pytest

from tests.parts import rows
from tests.questionnaire import Answers
from tests.readme import Block, blocks_in
from tests.renderer import TEMPLATE_OF, expected_files, situation, source, text_of
from tests.test_emitted import READING

PAGES = [name for name in TEMPLATE_OF if name.endswith(".md") and "```sh\n" in source(name)]
Found = dict[Block, Answers]


@functools.cache
def brought(page: str) -> dict[str, Found]:
    """For each path every block that some answers bring into a page, with such answers."""
    found = defaultdict[str, Found](dict)
    for answers in rows(page, beside=frozenset({"path"})):
        for block in blocks_in(text_of(page, situation(answers)), page):
            found[answers["path"]].setdefault(known(block), answers)
    return found


def known(block: Block) -> Block:
    """A block without its comments, which may have any words."""
    return Block(re.sub(r" +#.*", "", block.body), block.reason)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_read_in_a_project_of_its_path(page: str) -> None:
    read = defaultdict[str, set[Block]](set)
    for answers in READING:
        if page in expected_files(answers):
            read[answers["path"]] |= set(map(known, blocks_in(text_of(page, situation(answers)), page)))
    missing = {
        f"{path}: {block.body.splitlines()[0]}": answers
        for path, found in brought(page).items()
        for block, answers in found.items()
        if block not in read[path]
    }
    assert not missing, "a row of tests/test_emitted.py has to bring these"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_parses_and_says_why_it_is_not_run(page: str) -> None:
    included = re.findall(r"{% include '(.+)' %}", source(page))
    for text in map(source, [page, *included]):
        assert text.count("<!-- not run") == sum(block.reason is not None for block in blocks_in(text, page))
    for block in {block for found in brought(page).values() for block in found}:
        done = subprocess.run(["bash", "-n"], input=block.body, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, f"{block.body}\n{done.stderr}"
