"""What Strands must not do to a call."""

from __future__ import annotations

from typing import Any

import pytest

from app.converse import as_told
from tests.conftest import Dial


async def test_no_word_is_printed(dial: Dial, capsys: pytest.CaptureFixture[str]) -> None:
    call = await dial({"says": "A secret of the caller."})
    await call.says("Tell me")
    assert "secret" not in "".join(capsys.readouterr())
