"""Cut a command off from the network, as far as this machine allows.

Inside `unshare -rn` there is no network but loopback, for any program. Where a machine forbids that, a guard in every
Python process refuses instead (tests/guard/sitecustomize.py); it stands in both cases and writes down what it refused.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

GUARD = Path(__file__).parent / "guard"

# A new network namespace has a loopback that is down. 0x8914 is SIOCSIFFLAGS, 0x1 is IFF_UP.
LOOPBACK_UP = (
    "import fcntl, os, socket, struct, sys;"
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1));"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
UNSHARED = ["unshare", "-rn", sys.executable, "-S", "-c", LOOPBACK_UP]


@functools.cache
def can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARED, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def wall() -> str:
    """How commands are kept offline on this machine, for the test report."""
    return "unshare -rn, and a guard in Python" if can_unshare() else "a guard in Python (unshare -rn is refused here)"


def offline(command: list[str], log: Path, guard_only: bool = False) -> tuple[list[str], dict[str, str]]:
    """`command` and its environment behind the wall. What the guard refuses, it appends to `log`.

    A namespace makes every user root, and some servers refuse to run as root: they need `guard_only`. Every start of
    pytest closes its folder of temporary files to other users, PostgreSQL's among them: a command has one of its own.
    """
    guarded = {"PYTHONPATH": str(GUARD), "NETWORK_GUARD_LOG": str(log), "PYTEST_DEBUG_TEMPROOT": str(log.parent)}
    return [*(UNSHARED if can_unshare() and not guard_only else []), *command], {**os.environ, **guarded}
