"""An event loop whose clock jumps to the next timer, for tests of deadlines without waiting and without I/O."""

from __future__ import annotations

import asyncio
from typing import Any

THREAD = 10.0  # real seconds that work in a thread may take while nothing else goes on


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and advances only while every task waits for a timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            events = select(0)
            if not events and timeout is None and self._default_executor:  # type: ignore[attr-defined]
                events = select(THREAD)
            if not events:
                if timeout is None:
                    raise RuntimeError("every task waits, and no timer is set: this would wait for ever")
                self.now += timeout
            return events

        selector.select = jump

    def time(self) -> float:
        return self.now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        await super().shutdown_default_executor()  # without the limit of Python 3.12, to which the clock would jump
