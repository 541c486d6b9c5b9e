"""Journal of `agent setup`: created and changed resources, for resuming apply and for undo."""

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

    `entries` maps a resource to `created` (ids), `pending` (facts of a creation whose result is unknown), `before` and
    `after` (changed fields of an existing resource). `env` maps a variable to its line before and its value after.
    `choices` maps flags to the answers of the user.
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
                f"{self.path.name} was not written by `agent setup`. Move it away to begin anew.", 2
            ) from None
        if account != self.account:
            raise SetupError(
                f"{self.path.name} is of account {account}, and TWILIO_ACCOUNT_SID is {self.account}. "
                "Undo it there first, or move the file away.",
                2,
            )

    def entry(self, key: str) -> Entry:
        """The entry of a resource, read only; empty without one."""
        return self.entries.get(key, {})

    def update(self, key: str, **facts: Any) -> None:
        """Set fields of the entry of a resource, and save."""
        self.entries.setdefault(key, {}).update(facts)
        self.save()

    def record_created(self, key: str, id: str) -> None:
        """A creation has succeeded; undo deletes the resource."""
        entry = self.entries.setdefault(key, {})
        entry.pop("pending", None)
        entry["created"] = [*(each for each in entry.get("created", []) if each != id), id]
        self.save()

    def record_deleted(self, key: str, id: str) -> None:
        """A created resource has been deleted."""
        entry = self.entries[key]
        entry["created"] = [each for each in entry.get("created", []) if each != id]
        self.save()

    def record_change(self, key: str, id: str, before: Entry, after: Entry) -> None:
        """Fields of an existing resource are about to change. The earliest values are kept."""
        entry = self.entries.setdefault(key, {})
        if entry.get("id", id) != id:
            raise SetupError(
                f"The {key} was {entry['id']} before, and it is changed still. Run agent setup undo first.", 2
            )
        entry["id"] = id
        entry["before"] = {**before, **entry.get("before", {})}
        entry["after"] = {**entry.get("after", {}), **after}
        self.save()

    def discard_pending(self, key: str) -> None:
        """A creation has failed. The resource that it would have replaced stays."""
        entry = self.entries.get(key, {})
        old = entry.pop("pending", {}).get("replaces")
        if replaced := [each for each in entry.pop("replaced", []) if each != old]:
            entry["replaced"] = replaced
        if not self.entries.get(key):
            self.entries.pop(key, None)
        self.save()

    def drop(self, key: str) -> None:
        self.entries.pop(key, None)
        self.save()

    def save(self) -> None:
        """An empty journal removes the file."""
        if not (self.entries or self.env):
            self.path.unlink(missing_ok=True)
            return
        kept = {"account": self.account, "entries": self.entries, "env": self.env, "choices": self.choices}
        write_atomically(self.path, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
