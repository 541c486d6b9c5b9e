"""Calls on several workers that share a container."""

from tests.shared_store_calls import EverySharedWorker
from tests.test_cosmos_store import OnCosmos
from tests.test_store_calls import noting

__all__ = ["noting"]  # fixtures


class TestCosmos(OnCosmos, EverySharedWorker):
    """The same tests as of any shared store."""
