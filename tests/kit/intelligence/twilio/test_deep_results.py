"""Results of operators whose JSON is too deep to be read."""

from __future__ import annotations

import pytest

from app.intelligence.twilio.payload import Result, signal_of


@pytest.mark.parametrize("payload", ["[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000])
def test_a_deep_result_is_left_as_text(payload: str) -> None:
    signal = signal_of(Result.model_validate({"operator": {"id": "own"}, "result": {"payload": payload}}))
    assert signal.kind == "custom" and signal.result == {"payload": payload}
