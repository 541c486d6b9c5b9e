"""Calls on several workers that share a store in this process: the floor for every other shared store."""

from __future__ import annotations

import pytest

from app.stores.tests.shared_store_calls import EveryWorker
from kit.workers import Shared, nothing_ended

__all__ = ["nothing_ended"]  # a fixture


class TestShared(EveryWorker):
    @pytest.fixture
    def store(self) -> Shared:
        return Shared()
