"""Run a command that ends when the process that started it does, whatever ended that one.

`python -m kit.dev.child COMMAND…` runs until its standard input is closed, which the system does for a process that was
killed. It has a session of its own, so that Ctrl-C reaches the parent alone, which then decides what ends first.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence

STOP_TIMEOUT = 5.0  # seconds between SIGTERM and SIGKILL


class Child:
    """A running command. `lines` are the last ones of its output if that is captured."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: deque[str] = deque(maxlen=5)

    @classmethod
    async def start(cls, command: Sequence[str], env: Mapping[str, str] | None = None, captured: bool = False) -> Child:
        output = asyncio.subprocess.PIPE if captured else None
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "kit.dev.child", *command],
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT if captured else None,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        return cls(process)

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    async def next_line(self) -> str | None:
        """The next line of captured output, or None at its end. Reading on keeps the command from blocking."""
        assert self.process.stdout
        line = (await self.process.stdout.readline()).decode(errors="replace")
        if not line:
            return None
        self.lines.append(line.strip())
        return line

    async def wait(self) -> int:
        return await self.process.wait()

    async def stop(self) -> None:
        """End the command, and wait for its end."""
        if self.process.stdin:
            self.process.stdin.close()
        if self.process.stdout:
            await self.process.stdout.read()
        await self.process.wait()


def main() -> None:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end() -> None:
        sys.stdin.buffer.read()
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=end, daemon=True).start()
    code = child.wait()
    sys.stdout.flush()
    os._exit(code if code >= 0 else 128 - code)  # the thread may hold the lock of stdin


if __name__ == "__main__":
    main()
