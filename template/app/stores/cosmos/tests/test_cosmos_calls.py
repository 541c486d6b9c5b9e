"""Calls on several workers that share a container."""

from app.stores.cosmos.tests.test_cosmos import OnCosmos
from app.stores.tests.shared_store_calls import EverySharedWorker
from kit.workers import nothing_ended

__all__ = ["nothing_ended"]  # fixtures


class TestCosmos(OnCosmos, EverySharedWorker):
    """The same tests as of any shared store."""
