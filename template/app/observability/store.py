"""The store of the project, each request to it measured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from app.store import Store

T = TypeVar("T")


class ObservedStore(Store):
    """`measure` gets the name of the operation, the class of the store, and the request."""

    def __init__(self, store: Store, measure: Callable[[str, str, Awaitable[Any]], Awaitable[Any]]) -> None:
        self._store = store
        self._measure = measure
        self.shared = store.shared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def down(self) -> bool:  # type: ignore[override]
        return self._store.down

    async def _observed(self, operation: str, request: Awaitable[T]) -> T:
        result: T = await self._measure(operation, type(self._store).__name__, request)
        return result

    async def get(self, key: str) -> str | None:
        return await self._observed("get", self._store.get(key))

    async def put(self, key: str, value: str, seconds: float) -> None:
        await self._observed("put", self._store.put(key, value, seconds))

    async def claim(self, key: str, seconds: float) -> bool:
        return await self._observed("claim", self._store.claim(key, seconds))

    async def release(self, key: str) -> None:
        await self._observed("release", self._store.release(key))

    async def push(self, key: str, value: str, seconds: float) -> None:
        await self._observed("push", self._store.push(key, value, seconds))

    async def pop(self, key: str, wait: float) -> str | None:
        popped = self._store.pop(key, wait)
        return await (popped if wait else self._observed("pop", popped))

    async def close(self) -> None:
        await self._store.close()
