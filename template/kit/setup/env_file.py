"""`.env`, changed line by line: every other byte is kept."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from dotenv import dotenv_values


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a temporary file, then rename. Permissions of an existing file are kept; a new one gets `mode`."""
    path = path.resolve()  # .env may be a link
    if path.exists():
        mode = path.stat().st_mode & 0o777
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class EnvFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def line(self, name: str) -> str | None:
        """The unchanged line that sets a variable; None without one. Of several, the last one, as dotenv does."""
        found = [line for line in self._lines() if sets(line, name)]
        return found[-1].rstrip("\r\n") if found else None

    def value(self, name: str) -> str:
        """The value as dotenv reads it; empty if the variable is not set."""
        return (dotenv_values(self.path, interpolate=False).get(name) or "") if self.path.exists() else ""

    def put(self, name: str, line: str | None) -> None:
        """Replace the line that sets the variable, or append one. None removes the line."""
        lines = self._lines()
        places = [number for number, each in enumerate(lines) if sets(each, name)]
        if line is None:
            lines = [each for number, each in enumerate(lines) if number not in places[-1:]]
        elif places:
            ending = lines[places[-1]][len(lines[places[-1]].rstrip("\r\n")) :]
            lines[places[-1]] = line + ending
        else:
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            lines.append(f"{line}\n")
        write_atomically(self.path, "".join(lines))

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return file.read().splitlines(keepends=True)


def sets(line: str, name: str) -> bool:
    return re.match(rf"\s*(export\s+)?{re.escape(name)}\s*=", line) is not None
