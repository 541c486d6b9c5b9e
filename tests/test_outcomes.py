"""Each outcome has a prompt, first words, tools and scenarios of its own, for calls and for messages."""

from __future__ import annotations

import ast
from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.questionnaire import choices
from tests.renderer import project

CHANNELS = {
    "voice": ("agent/phrases.py", "GREETING", "scenarios/call-"),
    "messaging": ("agent/texts.py", "INTRODUCTION", "scenarios/text-"),
}


def module(text: str) -> dict[str, Any]:
    """The constants and the async functions of a module, by name."""
    values: dict[str, Any] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.AsyncFunctionDef):
            values[node.name] = ast.unparse(node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            values[ast.unparse(node.targets[0])] = node.value.value
    return values


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_outcome_has_its_own(channel: str) -> None:
    file, first_words, scenario = CHANNELS[channel]
    own: dict[str, dict[str, Any]] = {}
    for outcome in choices("outcome"):
        files = project({"outcome": outcome, "channels": channel})
        played = {name: yaml.safe_load(text) for name, text in files.items() if name.startswith(scenario)}
        own[outcome] = {
            "prompt": files["agent/prompt.md"],
            "first words": module(files[file])[first_words],
            "tools": {name for name in module(files["agent/tools.py"]) if name.islower()},
            "scenarios": frozenset(played),
            "called": {tool for each in played.values() for rule in each["model"] for tool in rule.get("calls", {})},
        }
    for one, other in combinations(own.values(), 2):
        for what in ("prompt", "first words", "tools", "scenarios"):
            assert one[what] != other[what], what
    sample = module(project({})["kit/sample_tools.py"])
    for each in own.values():
        assert each["tools"] <= each["called"] <= sample.keys()  # a scenario plays each tool, with any agent/tools.py
