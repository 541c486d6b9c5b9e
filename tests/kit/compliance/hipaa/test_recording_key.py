"""Requests for recordings have the API key, which can be replaced, and not the Auth Token."""

from __future__ import annotations

from base64 import b64decode

import httpx2
import pytest

from app.capability import Services
from app.store import InProcess
from kit import defaults

recording = pytest.importorskip("app.compliance.recording", reason="the project records no calls")


@pytest.mark.parametrize(("secret", "user"), [("example-api-secret", "SK"), (None, "AC")])
async def test_requests_have_the_api_key_if_there_is_one(secret: str | None, user: str) -> None:
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["Authorization"])
        return httpx2.Response(200, json={"recordings": [], "uri": "", "next_page_uri": None})

    settings = defaults.settings().model_copy(update={} if secret else {"api_secret": None})
    capability = recording.Recording.build(
        Services(settings, InProcess(), lambda: None, httpx2.MockTransport(answer))  # type: ignore[arg-type, return-value]
    )
    await capability.client.recordings.page_async(page_size=1)
    await capability.close()
    assert [b64decode(header.removeprefix("Basic ")).decode()[:2] for header in seen] == [user]
