"""The store that all workers share."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.registry import STORE
from app.stores.shared import SharedStore
from kit.doctor.check import Context, check, reason

DOCS = {
    "RedisStore": "https://redis.io/docs/latest/develop/clients/redis-py/",
    "DynamoDBStore": "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AccessingDynamoDB.html",
    "CosmosStore": "https://learn.microsoft.com/azure/cosmos-db/nosql/how-to-connect-role-based-access-control",
}


@check(
    "STO001",
    hint="Start it, or correct the named setting; .env.example says how one worker does without it.",
    docs=DOCS[STORE.__name__],
    live=True,
)
async def store_answers(context: Context) -> AsyncIterator[str]:
    """The store of conversations in progress answers."""
    store = STORE.build(context.settings)
    try:
        if isinstance(store, SharedStore):
            await store.reach()
    except Exception as error:
        yield (
            f"{type(store).__name__} does not answer ({reason(error)}): a call that drops cannot come back on another "
            f"worker. Look at {getattr(store, 'hint', '')}."
        )
    finally:
        await store.close()
