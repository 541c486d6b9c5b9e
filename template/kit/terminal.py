"""Print a conversation in the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Terminal:
    """Prints one line for each message. `pace` 1 is the speed of people, 8 eight times as fast."""

    def __init__(self, pace: float = 1.0) -> None:
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
        self.pace = pace

    def line(self, who: str, text: str, note: str = "", style: str = "") -> None:
        row = Table.grid(padding=(0, 2))
        row.add_column(width=8, justify="right", no_wrap=True)
        row.add_column()
        content = Text.assemble((text, style if who == "problem" else ""), (f"  ({note})" if note else "", "dim"))
        row.add_row(Text(who, f"bold {style}"), content if who else Text(text, "dim"))
        self.console.print(row)

    def agent(self, text: str, note: str = "") -> None:
        self.line("agent", text, note, style="green")

    def note(self, text: str) -> None:
        """Print each line of `text`."""
        for line in text.splitlines():
            self.line("", line)

    def problem(self, text: str) -> None:
        self.line("problem", text, style="red")


@asynccontextmanager
async def typed_lines(
    prompt: str, last: str, is_over: Callable[[], bool] = lambda: False, **options: Any
) -> AsyncGenerator[AsyncIterator[str]]:
    """The lines typed in the terminal, and `last` after Ctrl-D; or the lines of stdin if it is not a terminal.

    `options` are those of `PromptSession`. Raises what the terminal raises.
    """
    if not sys.stdin.isatty():
        yield _piped()
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.patch_stdout import patch_stdout

    entered: asyncio.Queue[str] = asyncio.Queue()

    async def enter() -> None:
        session: PromptSession[str] = PromptSession(erase_when_done=True, **options)
        try:
            while True:
                entered.put_nowait((await session.prompt_async(prompt)).strip())
        except (EOFError, KeyboardInterrupt):
            entered.put_nowait(last)

    async def lines(entering: asyncio.Task[None]) -> AsyncIterator[str]:
        while not is_over():
            if not entered.empty():
                yield entered.get_nowait()
            elif entering.done():
                entering.result()
                return
            else:
                await asyncio.sleep(0.05)

    with patch_stdout(raw=True):
        entering = asyncio.create_task(enter())
        try:
            yield lines(entering)
        finally:
            entering.cancel()
            await asyncio.wait([entering])


async def _piped() -> AsyncIterator[str]:
    while text := await asyncio.to_thread(sys.stdin.readline):
        yield text.strip()
