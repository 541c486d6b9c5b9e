"""Sessions in a container of Azure Cosmos DB: a call that disconnects can resume on another worker.

The container has the partition key `/id` and a default time to live of -1; deploy/ creates it, the server never does.
An item has `ttl`, in whole seconds since its last change, and `expires`, in milliseconds since 1970, which every read
checks: the clocks of the workers have to agree, as they do in Azure. A queue is one item. A change of it names the etag
that was read, and the item lists who took its last messages, so that no message is lost or taken twice. The account
should have strong consistency: with less, a call that resumes at once may read a session without its last turn.

An id must not have `/`, `\\`, `?` or `#`, and is part of URLs, which are logged: it is a hash of the key.
Sources: https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live and .../azure/cosmos-db/concepts-limits
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
from app.stores.polling import poll
from app.stores.shared import ALONE, REQUEST_TIMEOUT, RETRY_WINDOW, Down, SharedStore, milliseconds

log = structlog.get_logger()

CONNECT_TIMEOUT = 4.0  # seconds for token, account and container; callers wait for it no longer than REQUEST_TIMEOUT
CLAIM_ATTEMPTS = 5  # for a key that exists for a write and not for a read
MAX_TAKEN = 10  # entries of a queue's list of taken messages: more than others take before a change is repeated
MAX_BYTES = 1_900_000  # an item of Cosmos DB may have 2 MB
NO_CONTAINER = 1003  # sub-status of a 404: the database or the container is missing

Item = dict[str, Any]


def valid_key(key: SecretStr) -> SecretStr:
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
    cosmos_key: Annotated[SecretStr, AfterValidator(valid_key)] | None = Field(
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
        logging.getLogger("azure.cosmos").setLevel(logging.ERROR)  # lower levels log every request
        self.credential = credential
        # A failed request is sent once more. A change that is sent twice counts once.
        self.client = CosmosClient(
            endpoint,
            credential,
            connection_timeout=REQUEST_TIMEOUT,
            read_timeout=REQUEST_TIMEOUT,
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
        item = within_limit({"id": value_id(key), **content(value, seconds)})
        await self._connected()
        await self.items.upsert_item(item)

    async def _claim(self, key: str, value: str, seconds: float) -> bool:
        mine = uuid4().hex  # recognizes our claim when the client has sent it twice
        item = {"id": value_id(key), **content(value, seconds), "claim": mine}
        for _ in range(CLAIM_ATTEMPTS):
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
        message = {"id": uuid4().hex, **content(value, seconds)}
        while True:
            found = await self._read(queue_id(key))
            messages, taken = messages_in(found), taken_in(found)
            if message["id"] in [each["id"] for each in [*messages, *taken]]:
                return  # an earlier attempt arrived
            item = within_limit(queue_item(key, [*messages, message], taken))
            if await (self._replace(item, found["_etag"]) if found else self._create(item)):
                return

    async def _pop(self, key: str, wait: float) -> str | None:
        return await poll(lambda: self._oldest(key), wait)

    async def _oldest(self, key: str) -> str | None:
        """Take the first message that has not expired and that no other worker takes."""
        mine = uuid4().hex
        first: Item | None = None
        while True:
            found = await self._read(queue_id(key))
            if first and mine in [each["by"] for each in taken_in(found)]:
                return text_of(first)  # an earlier attempt arrived
            messages = messages_in(found)
            if not found or not messages:
                return None
            first, *others = messages
            item = queue_item(key, others, [*taken_in(found), {"id": first["id"], "by": mine}])
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
        await super().close()
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
            if is_missing_item(error, id):
                return None
            raise

    async def _create(self, item: Item) -> bool:
        """False when the item exists."""
        await self._connected()
        return await self._succeeds(item["id"], self.items.create_item(item))

    async def _replace(self, item: Item, etag: str) -> bool:
        """False when the item is gone or has changed since `etag`."""
        replacing = self.items.replace_item(item["id"], item, etag=etag, match_condition=MatchConditions.IfNotModified)
        return await self._succeeds(item["id"], replacing)

    async def _delete(self, id: str) -> bool:
        """False when the item is gone."""
        await self._connected()
        return await self._succeeds(id, self.items.delete_item(id, partition_key=id))

    async def _succeeds(self, id: str, request: Awaitable[Any]) -> bool:
        try:
            await request
        except (CosmosResourceExistsError, CosmosAccessConditionFailedError):
            return False
        except CosmosResourceNotFoundError as error:
            if is_missing_item(error, id):
                return False
            raise
        return True

    async def _connected(self) -> None:
        """Connect to account and container. Goes on when the caller stops waiting: a first token takes seconds."""
        if self.connecting is None:
            self.connecting = asyncio.create_task(self._connect())
            self.connecting.add_done_callback(self._on_connected)
        await asyncio.shield(self.connecting)

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await self.client.__aenter__()
            await self.items.read()

    def _on_connected(self, connecting: asyncio.Task[None]) -> None:
        error = None if connecting.cancelled() else connecting.exception()
        if error or connecting.cancelled():
            self.connecting = None
        if isinstance(error, Exception) and self.down:  # no caller waits for the result
            log.info("store.not_reached", error=self._reason(error))


def now() -> int:
    return int(1000 * time.time())


def value_id(key: str) -> str:
    return hashlib.sha256(f"value:{key}".encode()).hexdigest()


def queue_id(key: str) -> str:
    return hashlib.sha256(f"queue:{key}".encode()).hexdigest()


def content(value: str, seconds: float) -> Item:
    """The fields of an item or a message beside its id."""
    expires = now() + milliseconds(seconds)
    return {
        "content": base64.b64encode(zlib.compress(value.encode())).decode(),
        "expires": expires,
        "ttl": time_to_live(expires),
    }


def queue_item(key: str, messages: list[Item], taken: list[Item]) -> Item:
    """A queue. When it is empty, the item stays until no change of it can be repeated."""
    expires = [each["expires"] for each in messages]
    if taken:
        expires.append(now() + milliseconds(RETRY_WINDOW))
    return {"id": queue_id(key), "messages": messages, "taken": taken[-MAX_TAKEN:], "ttl": time_to_live(max(expires))}


def time_to_live(expires: int) -> int:
    """Seconds from now, and one more, because Cosmos DB counts from the whole second of the change."""
    return max(1, math.ceil((expires - now()) / 1000)) + 1


def within_limit(item: Item) -> Item:
    """The item. Raises Down when it is too large: its value stays with this worker."""
    size = sum(len(each["content"]) for each in item.get("messages", [item]))
    if size > MAX_BYTES:
        log.warning("store.too_large", bytes=size, hint="a call this long cannot resume on another worker")
        raise Down
    return item


def messages_in(found: Item | None) -> list[Item]:
    return [message for message in found["messages"] if is_alive(message)] if found else []


def taken_in(found: Item | None) -> list[Item]:
    return list(found.get("taken", [])) if found else []


def is_alive(item: Item) -> bool:
    return now() < int(item["expires"])


def text_of(item: Item) -> str:
    return zlib.decompress(base64.b64decode(item["content"])).decode()


def is_missing_item(error: CosmosResourceNotFoundError, id: str) -> bool:
    """True when the item is missing; False when container or database are, which is an outage."""
    answer: Any = error.response
    return f"/docs/{id}" in answer.request.url and error.sub_status != NO_CONTAINER
