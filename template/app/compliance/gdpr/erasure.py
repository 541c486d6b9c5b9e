"""Export and erasure over all sources, and the receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from app.capability import Services
from app.compliance.gdpr.sessions import SessionData
from app.compliance.gdpr.source import Item, Person, Source
from app.config import PROJECT

GONE = 404
# Of the figures: Twilio's pages, as search results of 2026-11-28 quote them.
NOT_REACHED = (
    "Logs of Twilio: texts that were deleted may stay there up to 30 days, logs of messages up to 400.",
    "What your model provider keeps of requests: see its contract.",
    "What tools of yours wrote elsewhere, backups, and files that were exported.",
    "An opt-out from messages: it is kept so that it stays respected.",
)
IN_PROCESS = "Sessions in the memory of the server: they end with the conversation, or when the server restarts."
TASKS = "Tasks of TaskRouter and interactions of Flex: delete them in the Console."
LEDGER = (
    "The ledger of calls: its entries stay, under a pseudonym whose key is destroyed; and for five years a keyed hash "
    "on the do-not-call list, so that the number is not called again."
)
CHATS = "Chats in Conversations (classic), at the other end of the bridge: delete them in the Console."


class InProgressError(Exception):
    """The person is in a call: what is said in it would be stored after the erasure."""


@dataclass
class Held:
    """What was found of a person. `unread` are the sources that did not answer, with the reason."""

    items: list[Item] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)


@dataclass
class Receipt:
    """Proof of an erasure. It names nobody: keep its id with the request of the person.

    `deleted` counts by kind; `left` has what a service refused to delete, or what had to stay to find that again.
    """

    id: str
    at: str
    project: str
    deleted: dict[str, int] = field(default_factory=dict)
    left: list[dict[str, str]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    not_reached: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.left and not self.unread

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "complete": self.complete}


@asynccontextmanager
async def sources_of(services: Services) -> AsyncGenerator[list[Source]]:
    """The sources in the order of their search; sessions are found by calls and conversations."""
    sources = [source.build(services) for source in [*services.parts_of(Source), SessionData]]
    try:
        yield sources
    finally:
        for source in sources:
            await source.close()


async def collect(sources: list[Source], person: Person) -> Held:
    """A source that does not answer is named: it is not taken for one that holds nothing."""
    held = Held()
    for source in sources:
        try:
            held.items += await source.find(person, held.items)
        except Exception as error:  # its text may quote the person
            held.unread[source.name] = reason_of(error)
    return held


async def export(services: Services, person: Person) -> dict[str, Any]:
    """All data of a person by kind, as JSON."""
    async with sources_of(services) as sources:
        held = await collect(sources, person)
    data: dict[str, list[dict[str, Any]]] = {}
    for item in held.items:
        data.setdefault(item.kind, []).append({"id": item.id, **item.data})
    return {
        "person": person.value,
        "at": services.now().isoformat(timespec="seconds"),
        "project": PROJECT,
        "data": data,
        "unread": held.unread,
        "not_reached": not_reached(services),
    }


async def erase(services: Services, person: Person) -> Receipt:
    """Delete everything that is found of a person. Raises InProgressError, and has deleted nothing then.

    What leads to other items is deleted only when nothing else is left, so that a second try finds the rest.
    """
    at = services.now().isoformat(timespec="seconds")
    receipt = Receipt(uuid4().hex, at, PROJECT, not_reached=not_reached(services))
    async with sources_of(services) as sources:
        held = await collect(sources, person)
        if any(item.in_progress for item in held.items):
            raise InProgressError
        for source in sources:
            try:
                await source.clear(held.items)
            except Exception as error:
                held.unread[source.name] = reason_of(error)
        receipt.unread = held.unread
        deleted: Counter[str] = Counter()
        for item in sorted(held.items, key=lambda item: item.finds_others):
            keep = item.finds_others and not receipt.complete
            reason = "kept to find the rest" if keep else await delete(item)
            if reason:
                receipt.left.append({"kind": item.kind, "id": item.id, "reason": reason})
            else:
                deleted[item.kind] += 1
    receipt.deleted = dict(deleted)
    return receipt


async def delete(item: Item) -> str | None:
    """The reason why an item is left, or None. What is gone already counts as deleted."""
    try:
        await item.delete()
    except Exception as error:
        return None if getattr(error, "status", None) == GONE else reason_of(error)
    return None


async def expire(services: Services) -> dict[str, int | str]:
    """Delete memories older than AGENT_MEMORY_DAYS. Returns a count for each source with memories, or the reason."""
    before = services.now() - timedelta(days=services.settings.memory_days)
    done: dict[str, int | str] = {}
    async with sources_of(services) as sources:
        for source in [each for each in sources if type(each).expire is not Source.expire]:
            try:
                done[source.name] = await source.expire(before)
            except Exception as error:
                done[source.name] = reason_of(error)
    return done


def not_reached(services: Services) -> list[str]:
    from app.registry import folders  # which imports this folder

    tasks = [TASKS] if "app.escalation" in folders() else []
    tasks += [LEDGER] if "app.outbound" in folders() else []
    tasks += [CHATS] if "app.messaging.chat" in folders() else []
    return [*NOT_REACHED, *tasks, *([] if services.store.shared else [IN_PROCESS])]


def reason_of(error: Exception) -> str:
    """The kind of an error with Twilio's status and code, without its text."""
    numbers = [str(number) for number in (getattr(error, "status", None), getattr(error, "code", None)) if number]
    return " ".join(dict.fromkeys([type(error).__name__, *numbers]))
