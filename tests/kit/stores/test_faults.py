"""A shared store that is gone, that is frozen, or that is back, as the table of docs/operate.md says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.stores.tests.test_shared import FakeStore
from kit.activity import wait_until
from kit.testing import Begin
from tests.kit.fault_table import ROWS, holds

MODES = {"the session store is gone": "refuses", "the session store is frozen": "hangs"}


@pytest.mark.parametrize("fault", MODES)
async def test_an_outage_and_its_end(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str], fault: str
) -> None:
    monkeypatch.setattr("app.stores.shared.OUTAGE_PAUSE", 0.02)
    monkeypatch.setattr("app.stores.shared.REQUEST_TIMEOUT", 0.05)
    store = FakeStore()
    talk = await begin({"says": "Yes."}, store=store, capabilities=[])
    await talk.says("I am Ada")
    store.mode = MODES[fault]
    assert (await talk.says("Who am I?")).text == "Yes."
    await wait_until(lambda: store.down, "the outage was not noticed")
    assert (await talk.says("And where?")).text == "Yes."
    assert "i am ada" in await talk.history_text()
    during = logged()
    assert holds(ROWS[fault], during) and "Ada" not in during
    store.mode = "up"
    await wait_until(lambda: not store.down and not store.unsent, "the store is not back")
    session = await talk.session()
    assert (await talk.says("Still there?")).text == "Yes."
    kept = await store.server.get(f"session:{session.id}") or ""
    assert "I am Ada" in kept and "And where?" in kept
    assert holds(ROWS["the session store is back"], logged()[len(during) :])
