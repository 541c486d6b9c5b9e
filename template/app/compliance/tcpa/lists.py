"""A do-not-call list that you downloaded: whether a number is on it, and how old it is."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

AS_OF = re.compile(r"#\s*as of (\d{4}-\d\d-\d\d)\s*")


class DoNotCallList:
    """Its first line is `# as of 2026-11-20`; then numbers, one a line: +12125550123, 2125550123 or 212,5550123.

    It is read again when it has changed. A list that cannot be read, or has no such first line, counts as missing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.as_of: date | None = None
        self.numbers: frozenset[int] | None = None
        self._stamp: tuple[float, int] | None = None

    def has(self, number: str) -> bool | None:
        """Whether an E.164 number is on the list; None when there is no list."""
        self._read()
        return None if self.numbers is None else int(number.removeprefix("+")) in self.numbers

    def age(self, now: datetime) -> int | None:
        """In days; None when there is no list."""
        self._read()
        return None if self.as_of is None else (now.date() - self.as_of).days

    def _read(self) -> None:
        try:
            if self.path is None:
                return
            found = self.path.stat()
            stamp = (found.st_mtime, found.st_size)
            if stamp == self._stamp:
                return
            with self.path.open(encoding="utf-8") as file:
                first = AS_OF.fullmatch(file.readline())
                as_of = date.fromisoformat(first[1]) if first else None
                numbers = frozenset(filter(None, map(number_in, file))) if as_of else None
            self._stamp, self.as_of, self.numbers = stamp, as_of, numbers
        except (OSError, ValueError):
            self._stamp = self.as_of = self.numbers = None


def number_in(line: str) -> int | None:
    """A number of the USA without its country code, or any other with it; None for an empty line or a remark.

    Raises ValueError for anything else: a list that is read in part would let a listed number through.
    """
    digits = re.sub(r"[\s,()-]", "", line.partition("#")[0])
    if not digits:
        return None
    if not re.fullmatch(r"\+?\d{7,15}", digits):
        raise ValueError("no number")
    return int(f"1{digits}") if len(digits) == 10 and not digits.startswith("+") else int(digits.removeprefix("+"))
