"""Sentences of `agent/` that cannot be spoken."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.agent_module import AgentModule

MARKUP = re.compile(r"[*_#`<>\[\]{}|\\]|https?://")


def empty(name: str, module: AgentModule) -> str:
    return f"{name} of {module.file} is empty: people would hear or read nothing."


def unspeakable(module: AgentModule) -> Iterator[str]:
    """One sentence for each text in capitals that is empty, or has what a voice reads aloud."""
    for name in dir(module):
        sentence = getattr(module, name)
        if not name.isupper() or not isinstance(sentence, str):
            continue
        if not sentence.strip():
            yield empty(name, module)
        elif markup := MARKUP.search(sentence):
            yield f"{name} of {module.file} has {markup[0]!r}, which is read aloud."
