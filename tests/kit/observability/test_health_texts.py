"""What counts when a reply cannot be sent."""

from __future__ import annotations

import pytest

from kit.testing import Reach
from tests.kit.counting import Counted

messaging = pytest.importorskip("app.messaging", reason="calls only")


async def test_a_reply_that_twilio_refuses_is_a_lost_turn(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.outbox.RETRY_DELAYS", ())
    counted = Counted()
    customer = await reach(capabilities=counted.capabilities())
    await customer.texts("Hello")

    async def refuse(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(customer.messaging.outbox, "send", refuse)
    await customer.posts(customer.writes("And now?"))
    await customer.wait_for_app()
    assert counted.of("turn_lost") == [("messaging", "failed")]
