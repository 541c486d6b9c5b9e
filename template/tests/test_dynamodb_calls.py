"""Calls on several workers that share a table."""

from tests.shared_store_calls import EverySharedWorker
from tests.test_dynamodb_store import OnDynamoDB, aws, credentials
from tests.test_store_calls import noting

__all__ = ["aws", "credentials", "noting"]  # fixtures


class TestDynamoDB(OnDynamoDB, EverySharedWorker):
    """The same tests as of any shared store."""
