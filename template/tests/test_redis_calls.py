"""Calls on several workers that share a Redis."""

from tests.shared_store_calls import EverySharedWorker
from tests.test_redis_store import OnRedis, running, server
from tests.test_store_calls import noting

__all__ = ["noting", "running", "server"]  # fixtures


class TestRedis(OnRedis, EverySharedWorker):
    """The same tests as of any shared store."""
