"""Calls on several workers that share a table."""

from app.stores.dynamodb.tests.test_dynamodb import OnDynamoDB, aws, credentials
from app.stores.tests.shared_store_calls import EverySharedWorker
from kit.workers import nothing_ended

__all__ = ["aws", "credentials", "nothing_ended"]  # fixtures


class TestDynamoDB(OnDynamoDB, EverySharedWorker):
    """The same tests as of any shared store."""
