"""Sessions in a table of Amazon DynamoDB: a call that disconnects can resume on another worker.

The table has `pk` (string, partition key), `sk` (string, sort key) and time to live on `ttl`, in seconds; each item
also has `content` (compressed text) and `expires` (milliseconds). DynamoDB deletes expired items within some days
(docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html), so every read checks `expires`. The clocks of the
workers have to agree, as they do on AWS.

Requests are those of botocore, which the project has anyway, in threads: aiobotocore requires an older botocore.
"""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import botocore.session
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from app.runtimes.aws import AwsSettings
from app.store import InProcess, Store
from app.stores.polling import poll
from app.stores.shared import ALONE, REQUEST_TIMEOUT, RETRY_WINDOW, STAMP, Down, SharedStore, milliseconds

log = structlog.get_logger()

THREADS = 32  # requests at once; more of them wait for a thread, some milliseconds each
MAX_BYTES = 390_000  # an item of DynamoDB may have 400 KB

Item = dict[str, dict[str, Any]]


class DynamoDBSettings(AwsSettings):
    table: str = Field(
        "agent-sessions",
        alias="AGENT_TABLE",
        pattern=r"^[A-Za-z0-9_.-]{3,255}$",
        examples=[ALONE],
        description="Write the name of the DynamoDB table, or process for one worker without it.",
    )


class DynamoDBStore(SharedStore):
    settings = DynamoDBSettings
    failures = (BotoCoreError, ClientError, OSError)
    hint = "AGENT_TABLE, AWS_REGION and the role of the task"

    def __init__(self, table: str, region: str) -> None:
        super().__init__()
        self.table = table
        # A failed request is sent once more. A change that is sent twice counts once.
        self.client: Any = botocore.session.Session().create_client(
            "dynamodb",
            region_name=region,
            config=Config(
                connect_timeout=REQUEST_TIMEOUT,
                read_timeout=REQUEST_TIMEOUT,
                retries={"total_max_attempts": 2, "mode": "standard"},
                max_pool_connections=THREADS,
            ),
        )
        self.threads = ThreadPoolExecutor(THREADS, "dynamodb")

    @classmethod
    def build(cls, settings: Any) -> Store:
        return InProcess() if settings.table == ALONE else cls(settings.table, settings.region)

    async def _get(self, key: str) -> str | None:
        found = await self._request("get_item", Key=value_key(key), ConsistentRead=True)
        item = found.get("Item")
        return text_of(item) if item and is_alive(item) else None

    async def _put(self, key: str, value: str, seconds: float) -> None:
        await self._request("put_item", Item=value_key(key) | content(value, seconds))

    async def _claim(self, key: str, value: str, seconds: float) -> bool:
        mine = {"claim": {"S": uuid4().hex}}  # recognizes our claim when the client has sent it twice
        return await self._on_condition(
            "put_item",
            Item=value_key(key) | content(value, seconds) | mine,
            ConditionExpression="attribute_not_exists(pk) OR expires <= :now OR claim = :mine",
            ExpressionAttributeValues={":now": {"N": str(now())}, ":mine": mine["claim"]},
        )

    async def _release(self, key: str) -> None:
        await self._request("delete_item", Key=value_key(key))

    async def _push(self, key: str, value: str, seconds: float) -> None:
        message_key = {"pk": {"S": f"queue:{key}"}, "sk": {"S": f"{value[:STAMP]}:{uuid4().hex}"}}
        await self._on_condition(
            "put_item", Item=message_key | content(value, seconds), ConditionExpression="attribute_not_exists(pk)"
        )

    async def _pop(self, key: str, wait: float) -> str | None:
        return await poll(lambda: self._oldest(key), wait)

    async def _oldest(self, key: str) -> str | None:
        """Take the first message that has not expired and that no other worker takes.

        One that is taken leaves a mark, by which the client that has sent that twice knows its own.
        """
        mine = {"S": uuid4().hex}
        found = await self._request(
            "query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"queue:{key}"}},
            ConsistentRead=True,
        )
        for item in found["Items"]:
            item_key = {"pk": item["pk"], "sk": item["sk"]}
            if not is_alive(item):
                await self._request("delete_item", Key=item_key)
            elif "taken" not in item and await self._on_condition(
                "put_item",
                Item=item_key | content("", RETRY_WINDOW) | {"taken": mine},
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(taken) OR taken = :mine)",
                ExpressionAttributeValues={":mine": mine},
            ):
                return text_of(item)
        return None

    async def reach(self) -> object:
        return await self._request("get_item", Key=value_key("reach"))

    def _reason(self, error: Exception) -> str:
        return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else super()._reason(error)

    async def close(self) -> None:
        await super().close()
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    async def _on_condition(self, operation: str, **parameters: Any) -> bool:
        """True when the condition was met."""
        try:
            await self._request(operation, **parameters)
        except ClientError as error:  # by its code: threads that fail together do not get one class of exceptions
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    async def _request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The response of DynamoDB. Raises BotoCoreError or ClientError."""
        request = partial(getattr(self.client, operation), TableName=self.table, **parameters)
        response: dict[str, Any] = await asyncio.get_running_loop().run_in_executor(self.threads, request)
        return response


def now() -> int:
    return int(1000 * time.time())


def value_key(key: str) -> Item:
    return {"pk": {"S": f"value:{key}"}, "sk": {"S": "value"}}


def content(value: str, seconds: float) -> Item:
    """The attributes of an item beside its key. Raises Down for a text that is too large: it stays with this worker."""
    compressed = zlib.compress(value.encode())
    if len(compressed) > MAX_BYTES:
        log.warning("store.too_large", bytes=len(compressed), hint="a call this long cannot resume on another worker")
        raise Down
    expires = now() + milliseconds(seconds)
    return {"content": {"B": compressed}, "expires": {"N": str(expires)}, "ttl": {"N": str(math.ceil(expires / 1000))}}


def is_alive(item: Item) -> bool:
    return now() < int(item["expires"]["N"])


def text_of(item: Item) -> str:
    return zlib.decompress(item["content"]["B"]).decode()
