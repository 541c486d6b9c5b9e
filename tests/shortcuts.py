"""Copier renders a combination in 12 ms instead of 300 when it does not do the same work each time again.

Each shortcut skips work whose result cannot differ between two renders of one unchanged folder.
`test_the_fast_render_equals_the_real_command` holds them to that.
"""

from __future__ import annotations

import functools
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier._main
import copier._template
import jinja2
import pytest


def remember(function: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        name = key(*args, **kwargs)
        if name not in known:
            known[name] = function(*args, **kwargs)
        return known[name]

    return wrapped


def all_of_them(patch: pytest.MonkeyPatch, template: Path, clones: Path) -> None:
    compile_once(patch)
    parse_once(patch)
    plain_text_as_it_is(patch)
    without_git(patch, template)
    clone_once(patch, clones)


def compile_once(patch: pytest.MonkeyPatch) -> None:
    """Two thirds of a render are spent on compiling the same templates and path parts."""

    def source(env: Any, source: Any, name: Any = None, filename: Any = None, *how: Any, **more: Any) -> Any:
        return (source, name, filename, how, tuple(more.items()))

    patch.setattr(jinja2.Environment, "compile", remember(jinja2.Environment.compile, source))


def parse_once(patch: pytest.MonkeyPatch) -> None:
    """Most of the rest is parsing copier.yml and its includes again for each render."""
    load = copier._template.load_template_config
    pickled = remember(
        lambda path, quiet=False: pickle.dumps(load(path, quiet)),
        lambda path, quiet=False: tuple(
            (part, part.stat().st_mtime_ns) for part in (path, *path.parent.glob("copier/*.yml"))
        ),
    )
    patch.setattr(copier._template, "load_template_config", lambda *args: pickle.loads(pickled(*args)))


def plain_text_as_it_is(patch: pytest.MonkeyPatch) -> None:
    """Almost every part of a path is plain text, and so is the name of the answers file, which is asked for each."""
    worker = copier._main.Worker
    render = worker._render_string

    def rendered(self: Any, text: str, extra_context: Any = None) -> str:
        return render(self, text, extra_context) if "{" in text else text

    patch.setattr(worker, "_render_string", rendered)
    patch.setattr(worker, "answers_relpath", property(lambda self: self.template.answers_relpath))


def without_git(patch: pytest.MonkeyPatch, template: Path) -> None:
    """`template` is a plain folder, and so is what is rendered: nothing to ask git about either."""
    address: Any = copier._template
    get_repo = address.get_repo
    patch.setattr(address, "get_repo", lambda url: None if url == str(template) else get_repo(url))
    patch.setattr(copier._main.Worker, "_sync_git_index_executable_bit", lambda *_: None)


def clone_once(patch: pytest.MonkeyPatch, kept: Path) -> None:
    """An update clones one release four times. Its tag stays where it is; a template without tags may move."""
    template: Any = copier._template
    clone = template.clone

    def into(url: str, ref: str, location: str) -> Any:
        return clone(url, ref, location if ref == "HEAD" else tempfile.mkdtemp(dir=kept))

    def name(url: str, ref: str, location: str) -> Any:
        return (url, location if ref == "HEAD" else ref)

    patch.setattr(template, "clone", remember(into, name))
