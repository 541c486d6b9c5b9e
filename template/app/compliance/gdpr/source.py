"""A place that holds data of people, and what it holds of one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Any, Literal, Self

from app.capability import Services


@dataclass(frozen=True)
class Person:
    """The person that data belongs to. A phone number is E.164."""

    kind: Literal["phone", "email", "account_id"]
    value: str

    def has(self, address: str) -> bool:
        """Whether an address of Twilio, such as `whatsapp:+15005550006`, is this person's."""
        bare = address.rpartition(":")[2] if self.kind == "phone" else address
        return bare.casefold() == self.value.casefold()


@dataclass
class Item:
    """Something that is held of a person. `kind` is a plural; `delete` raises when the holder refuses.

    `finds_others` is True when items of other kinds are found by this one: it is deleted after them.
    """

    kind: str
    id: str
    data: dict[str, Any]
    delete: Callable[[], Awaitable[Any]]
    finds_others: bool = False
    in_progress: bool = False


class Source(ABC):
    """Built for one command. Every method raises the errors of its service."""

    name: str

    @classmethod
    @abstractmethod
    def build(cls, services: Services) -> Self: ...

    @abstractmethod
    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        """Everything that is held of this person. `found` has the items of the sources before."""

    async def clear(self, found: Sequence[Item]) -> None:  # noqa: B027 (optional)
        """Delete what belongs to these items and cannot be listed."""

    async def expire(self, before: datetime) -> int:
        """Delete memories older than `before`, and return how many. Sources without memories delete nothing."""
        return 0

    async def close(self) -> None:  # noqa: B027 (optional)
        """Close connections."""


def fields_of(record: Any, *names: str) -> dict[str, Any]:
    """Fields of a record of the helper library, as JSON. `from` is `from_` of a message and `_from` of a call there."""
    values = {name.strip("_"): getattr(record, name) for name in names}
    plain = (str, int, dict, list, NoneType)
    return {name: value if isinstance(value, plain) else str(value) for name, value in values.items()}
