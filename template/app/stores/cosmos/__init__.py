"""Calls in progress live in a container of Azure Cosmos DB: a call that drops can come back on another worker.

The container has the partition key `/id` and a default time to live of -1; deploy/ creates it, the app never does.
Each item has `ttl`, in whole seconds since its last change, and `expires`, in milliseconds since 1970, at which every
read looks: the clocks of the workers have to agree, as they do in Azure. A queue is one item; who changes it names the
version that it has read (its etag), and it says who took its last messages, so that nothing is lost or taken twice. The
account should have strong consistency: with less, a call that comes back at once may meet what was written before the
last turn.

An id may not have `/`, `\\`, `?` or `#`, and stands in URLs, which are logged: it is a hash of the key.
learn.microsoft.com/azure/cosmos-db/nosql/time-to-live, learn.microsoft.com/azure/cosmos-db/concepts-limits
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import math
import time
import zlib
from collections.abc import Awaitable
from contextlib import suppress
from typing import Annotated, Any
from uuid import uuid4

import structlog
from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from pydantic import AfterValidator, Field, SecretStr

from app.runtimes.azure import AzureSettings, default_credential
from app.store import InProcess, Store
from app.stores.shared import ALONE, ANSWER, LISTEN, Down, SharedStore, milliseconds

log = structlog.get_logger()

CONNECT = 4.0  # seconds for a token, the account and the container; callers wait for it no longer than ANSWER
LOOK = 0.05  # seconds between the first looks into an empty queue
REST = 0.8  # seconds between the later ones: nothing wakes who waits, and every look is paid for
TRIES = 5  # for a key that is there for a write and not there for a read
AGAIN = LISTEN + ANSWER  # seconds in which a change may be sent again: nobody asks for longer
TAKEN = 10  # messages of which a queue says who took them: more than others take before a change is sent again
LARGEST = 1_900_000  # bytes; an item of Cosmos DB may have 2 MB
NO_CONTAINER = 1003  # sub-status of a 404: what the item would belong to is not there

Item = dict[str, Any]


def usable(key: SecretStr) -> SecretStr:
    try:
        base64.b64decode(key.get_secret_value(), validate=True)
    except binascii.Error:
        raise ValueError("not a key of Cosmos DB") from None
    return key


class CosmosSettings(AzureSettings):
    cosmos_endpoint: str = Field(
        alias="AZURE_COSMOS_ENDPOINT",
        pattern=rf"^(https://[^\s/?#]+/?|http://(localhost|127\.0\.0\.1)(:\d+)?/?|{ALONE})$",
        examples=[ALONE],
        description="Write https://NAME.documents.azure.com:443/, or process for one worker without it.",
    )
    cosmos_key: Annotated[SecretStr, AfterValidator(usable)] | None = Field(
        None,
        alias="AZURE_COSMOS_KEY",
        description="Copy a key of the Cosmos DB account from the Azure portal, or leave it out for an identity.",
    )
    cosmos_database: str = Field(
        "agent",
        alias="AZURE_COSMOS_DATABASE_NAME",
        pattern=r"^[^/\\?#\s]{1,255}$",
        description="Write the name of the database in the Cosmos DB account.",
    )
    cosmos_container: str = Field(
        "sessions",
        alias="AZURE_COSMOS_CONTAINER_NAME",
        pattern=r"^[^/\\?#\s]{1,255}$",
        description="Write the name of the container, whose partition key is /id.",
    )


class CosmosStore(SharedStore):
    settings = CosmosSettings
    failures = (AzureError, OSError)
    hint = "AZURE_COSMOS_ENDPOINT, its database and container, and the key or the role of this server"

    def __init__(self, endpoint: str, credential: str | AsyncTokenCredential, database: str, container: str) -> None:
        super().__init__()
        logging.getLogger("azure.cosmos").setLevel(logging.ERROR)  # below it quotes every request
        self.credential = credential
        # A request is tried twice: a connection dies now and then. Whatever is sent twice counts once.
        self.client = CosmosClient(
            endpoint,
            credential,
            connection_timeout=ANSWER,
            read_timeout=ANSWER,
            retry_total=1,
            retry_throttle_total=3,
            no_response_on_write=True,
        )
        self.items = self.client.get_database_client(database).get_container_client(container)
        self.connecting: asyncio.Task[None] | None = None

    @classmethod
    def build(cls, settings: Any) -> Store:
        if settings.cosmos_endpoint == ALONE:
            return InProcess()
        key = settings.cosmos_key
        credential = key.get_secret_value() if key else default_credential()
        return cls(settings.cosmos_endpoint, credential, settings.cosmos_database, settings.cosmos_container)

    async def _get(self, key: str) -> str | None:
        found = await self._read(value_id(key))
        return text_of(found) if found and is_alive(found) else None

    async def _put(self, key: str, value: str, seconds: float) -> None:
        item = fitting({"id": value_id(key), **kept(value, seconds)})
        await self._connected()
        await self.items.upsert_item(item)

    async def _claim(self, key: str, seconds: float) -> bool:
        mine = uuid4().hex  # a claim that is sent twice is still ours
        item = {"id": value_id(key), **kept("", seconds), "claim": mine}
        for _ in range(TRIES):
            if await self._create(item):
                return True
            found = await self._read(item["id"])
            if found and found.get("claim") == mine:
                return True
            if found and is_alive(found):
                return False
            if found and await self._replace(item, found["_etag"]):
                return True
        raise Down

    async def _release(self, key: str) -> None:
        await self._delete(value_id(key))

    async def _push(self, key: str, value: str, seconds: float) -> None:
        message = {"id": uuid4().hex, **kept(value, seconds)}
        while True:
            found = await self._read(queue_id(key))
            messages, taken = waiting(found), taken_from(found)
            if message["id"] in [each["id"] for each in [*messages, *taken]]:
                return  # it was sent twice
            item = fitting(queue(key, [*messages, message], taken))
            if await (self._replace(item, found["_etag"]) if found else self._create(item)):
                return

    async def _pop(self, key: str, wait: float) -> str | None:
        until, pause = time.monotonic() + wait, LOOK
        while (value := await self._oldest(key)) is None and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(1.5 * pause, REST)
        return value

    async def _oldest(self, key: str) -> str | None:
        """Take the first message that nobody else takes and that has not expired."""
        mine = uuid4().hex
        first: Item | None = None
        while True:
            found = await self._read(queue_id(key))
            if first and mine in [each["by"] for each in taken_from(found)]:
                return text_of(first)  # it was sent twice
            messages = waiting(found)
            if not found or not messages:
                return None
            first, *others = messages
            item = queue(key, others, [*taken_from(found), {"id": first["id"], "by": mine}])
            if await self._replace(item, found["_etag"]):
                return text_of(first)

    async def reach(self) -> object:
        return await self._read(value_id("reach"))

    def _reason(self, error: Exception) -> str:
        if isinstance(error, CosmosHttpResponseError):
            return f"{type(error).__name__} {error.status_code}"
        no_answer = isinstance(error, ServiceRequestError | ServiceResponseError)
        return "ConnectionError" if no_answer else super()._reason(error)

    async def close(self) -> None:
        if self.connecting:
            self.connecting.cancel()
            await asyncio.wait([self.connecting])
        with suppress(*self.failures):
            await self.client.close()
            if not isinstance(self.credential, str):
                await self.credential.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    async def _read(self, id: str) -> Item | None:
        await self._connected()
        try:
            return await self.items.read_item(id, partition_key=id)
        except CosmosResourceNotFoundError as error:
            if is_about(error, id):
                return None
            raise

    async def _create(self, item: Item) -> bool:
        """Whether it is done: not when there is one."""
        await self._connected()
        return await self._done(item["id"], self.items.create_item(item))

    async def _replace(self, item: Item, version: str) -> bool:
        """Whether it is done: not when it is gone, or another version by now."""
        replacing = self.items.replace_item(
            item["id"], item, etag=version, match_condition=MatchConditions.IfNotModified
        )
        return await self._done(item["id"], replacing)

    async def _delete(self, id: str) -> bool:
        """Whether it is done: not when it is gone."""
        await self._connected()
        return await self._done(id, self.items.delete_item(id, partition_key=id))

    async def _done(self, id: str, request: Awaitable[Any]) -> bool:
        try:
            await request
        except (CosmosResourceExistsError, CosmosAccessConditionFailedError):
            return False
        except CosmosResourceNotFoundError as error:
            if is_about(error, id):
                return False
            raise
        return True

    async def _connected(self) -> None:
        """Know the account and the container. It goes on when nobody waits any longer: a first token takes its time."""
        if self.connecting is None:
            self.connecting = asyncio.create_task(self._connect())
            self.connecting.add_done_callback(self._tried)
        await asyncio.shield(self.connecting)

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT):
            await self.client.__aenter__()
            await self.items.read()

    def _tried(self, connecting: asyncio.Task[None]) -> None:
        error = None if connecting.cancelled() else connecting.exception()
        if error or connecting.cancelled():
            self.connecting = None
        if isinstance(error, Exception) and self.down:  # nobody waits for it any more
            log.info("store.not_reached", error=self._reason(error))


def now() -> int:
    return int(1000 * time.time())


def value_id(key: str) -> str:
    return hashlib.sha256(f"value:{key}".encode()).hexdigest()


def queue_id(key: str) -> str:
    return hashlib.sha256(f"queue:{key}".encode()).hexdigest()


def kept(value: str, seconds: float) -> Item:
    """What an item or a message says beside its id."""
    expires = now() + milliseconds(seconds)
    return {
        "content": base64.b64encode(zlib.compress(value.encode())).decode(),
        "expires": expires,
        "ttl": ttl(expires),
    }


def queue(key: str, messages: list[Item], taken: list[Item]) -> Item:
    """With who took which messages. It stays when it is empty: not for long, but until no change is sent again."""
    expires = [each["expires"] for each in messages]
    if taken:
        expires.append(now() + milliseconds(AGAIN))
    return {"id": queue_id(key), "messages": messages, "taken": taken[-TAKEN:], "ttl": ttl(max(expires))}


def ttl(expires: int) -> int:
    """Seconds from now on; one more, because Cosmos DB counts from the whole second of the change."""
    return max(1, math.ceil((expires - now()) / 1000)) + 1


def fitting(item: Item) -> Item:
    """Raises Down for what no item can hold: it stays with this worker."""
    size = sum(len(each["content"]) for each in item.get("messages", [item]))
    if size > LARGEST:
        log.warning("store.too_large", bytes=size, hint="calls this long do not go on on another worker")
        raise Down
    return item


def waiting(found: Item | None) -> list[Item]:
    return [message for message in found["messages"] if is_alive(message)] if found else []


def taken_from(found: Item | None) -> list[Item]:
    return list(found.get("taken", [])) if found else []


def is_alive(item: Item) -> bool:
    return now() < int(item["expires"])


def text_of(item: Item) -> str:
    return zlib.decompress(base64.b64decode(item["content"])).decode()


def is_about(error: CosmosResourceNotFoundError, id: str) -> bool:
    """Whether it is the item that is missing. It may be the container or the database, which is an outage."""
    answer: Any = error.response
    return f"/docs/{id}" in answer.request.url and error.sub_status != NO_CONTAINER
