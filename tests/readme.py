"""Runs a README: what a reader would paste, block after block, in one shell.

A fenced `sh` block is run. One that cannot be is marked, directly above it: `<!-- not run: reason -->`.
"""

from __future__ import annotations

import os
import re
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pexpect

from tests.offline import offline

FENCE = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
SHELLS = {"bash", "shell", "console", "zsh", "shell-session"}


@dataclass(frozen=True)
class Block:
    body: str
    reason: str | None


def blocks(readme: Path) -> list[Block]:
    return blocks_in(readme.read_text(encoding="utf-8"), readme.name)


def blocks_in(text: str, name: str) -> list[Block]:
    found = list(FENCE.finditer(text))
    wrong = [match["language"] for match in found if match["language"] in SHELLS]
    assert not wrong, f"{name} has a block of {wrong[0]}, which nothing runs: call it sh"
    return [Block(textwrap.dedent(match["body"]), match["reason"]) for match in found if match["language"] == "sh"]


def run(readme: Path, where: Path, timeout: float = 600, refused: Path | None = None) -> list[str]:
    """Run every block that is not marked, for a reader who presses Enter at every question.

    With `refused`, offline: what tries to leave the machine is written into that file. Returns the reasons of the
    blocks that are marked.
    """
    listed = blocks(readme)
    script = "\n".join(["set -euo pipefail", *(block.body for block in listed if block.reason is None)])
    command, environment = ["bash", "-c", script], dict(os.environ)
    if refused:
        command, environment = offline(command, refused)
        environment |= {
            "UV_OFFLINE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }  # nor is a role of the machine looked for
    reader = pexpect.spawn(
        command[0], command[1:], cwd=str(where), env=environment, encoding="utf-8", echo=False, dimensions=(50, 200)
    )
    seen, deadline = "", time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            seen += reader.read_nonblocking(10_000, timeout=0.5)
        except pexpect.TIMEOUT:
            reader.send("\r")
        except pexpect.EOF:
            break
    reader.close(force=True)
    assert reader.exitstatus == 0, f"{readme.name} ended with {reader.exitstatus}:\n{seen[-6000:]}"
    return [block.reason for block in listed if block.reason is not None]
