"""What `agent setup` has made and changed, in a file: so that it can go on after it broke off, and take it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.setup.api import SetupError
from kit.setup.env_file import write_atomically

FILE = ".agent-setup.json"
Entry = dict[str, Any]


class Journal:
    """Saved before and after each step.

    `entries` maps a resource to `made` (ids that are ours), `begun` (a creation whose end is unknown, with what is
    known of it), `before` and `after` (fields of what was there already). `env` maps a variable to its line before and
    its value after. `choices` are the answers given.
    """

    def __init__(self, path: Path, account: str) -> None:
        self.path = path
        self.account = account
        self.entries: dict[str, Entry] = {}
        self.env: dict[str, Entry] = {}
        self.choices: dict[str, str] = {}
        if path.exists():
            self._load()

    def _load(self) -> None:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            account = kept["account"]
            self.entries, self.env, self.choices = kept["entries"], kept["env"], kept["choices"]
        except (ValueError, KeyError, TypeError):
            raise SetupError(
                f"{self.path.name} is not what `agent setup` wrote. Move it away to begin anew.", 2
            ) from None
        if account != self.account:
            raise SetupError(
                f"{self.path.name} is of account {account}, and TWILIO_ACCOUNT_SID is {self.account}. "
                "Undo it there first, or move the file away.",
                2,
            )

    def entry(self, key: str) -> Entry:
        """What is known of a resource, to read."""
        return self.entries.get(key, {})

    def note(self, key: str, **facts: Any) -> None:
        """Add to what is known of a resource, and save."""
        self.entries.setdefault(key, {}).update(facts)
        self.save()

    def made(self, key: str, id: str) -> None:
        """A creation has ended well: this is ours."""
        entry = self.entries.setdefault(key, {})
        entry.pop("begun", None)
        entry["made"] = [*(each for each in entry.get("made", []) if each != id), id]
        self.save()

    def gone(self, key: str, id: str) -> None:
        """Something of ours has been deleted."""
        entry = self.entries[key]
        entry["made"] = [each for each in entry.get("made", []) if each != id]
        self.save()

    def changes(self, key: str, id: str, before: Entry, after: Entry) -> None:
        """Fields of something that was there already are about to change. The earliest values are kept."""
        entry = self.entries.setdefault(key, {})
        if entry.get("id", id) != id:
            raise SetupError(
                f"The {key} was {entry['id']} before, and it is changed still. Run agent setup undo first.", 2
            )
        entry["id"] = id
        entry["before"] = {**before, **entry.get("before", {})}
        entry["after"] = {**entry.get("after", {}), **after}
        self.save()

    def forget_begun(self, key: str) -> None:
        """A creation did not come to anything. What it should have replaced stays."""
        entry = self.entries.get(key, {})
        old = entry.pop("begun", {}).get("replaces")
        if replaced := [each for each in entry.pop("replaced", []) if each != old]:
            entry["replaced"] = replaced
        if not self.entries.get(key):
            self.entries.pop(key, None)
        self.save()

    def drop(self, key: str) -> None:
        self.entries.pop(key, None)
        self.save()

    def save(self) -> None:
        """An empty journal is no file."""
        if not (self.entries or self.env):
            self.path.unlink(missing_ok=True)
            return
        kept = {"account": self.account, "entries": self.entries, "env": self.env, "choices": self.choices}
        write_atomically(self.path, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
