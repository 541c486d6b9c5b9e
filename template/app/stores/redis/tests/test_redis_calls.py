"""Calls on several workers that share a Redis."""

from app.stores.redis.tests.test_redis import OnRedis, running, server
from app.stores.tests.shared_store_calls import EverySharedWorker
from kit.workers import nothing_ended

__all__ = ["nothing_ended", "running", "server"]  # fixtures


class TestRedis(OnRedis, EverySharedWorker):
    """The same tests as of any shared store."""
