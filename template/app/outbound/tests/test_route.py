"""`POST /outbound/calls`: closed without a token, limited, and through the same gate as every call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from app.event_loop import MAX_LAG, RECENT, Load
from app.outbound.tests.dialing import ADA, Clock, contact
from kit.agent_app import build_app
from kit.simulated_twilio.account import SimulatedAccount

TOKEN = "a-token-for-tests-of-32-characters"
BODY = {**contact().model_dump(mode="json"), "campaign": "spring"}


class Route:
    def __init__(self, http: httpx2.AsyncClient, account: SimulatedAccount, load: Load) -> None:
        self.http, self.account, self.load = http, account, load

    async def post(self, token: str | None = TOKEN, **changes: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await self.http.post("/outbound/calls", json={**BODY, **changes}, headers=headers)


Open = Callable[..., Any]


@pytest.fixture
async def opened() -> AsyncGenerator[Open]:
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Route:
            app = build_app(now=Clock(), **{"dial_token": TOKEN, **settings})
            await stack.enter_async_context(app.router.lifespan_context(app))  # closes the database
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            http = httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000")
            return Route(await stack.enter_async_context(http), app.state.account, app.state.brain.services.load)

        yield start


async def test_a_call_is_placed(opened: Open) -> None:
    route = await opened()
    answer = await route.post()
    assert answer.status_code == 200 and answer.json()["result"] == "called"
    assert answer.json()["call_sid"] in route.account.calls.records
    assert (await route.post()).json()["gate"] == "once"  # a request that is repeated places no second call


async def test_a_server_that_cannot_keep_up_places_no_call(opened: Open) -> None:
    route = await opened()
    for _ in range(RECENT):
        route.load.add(2 * MAX_LAG)
    answer = await route.post()
    assert answer.status_code == 503 and "keep up" in answer.json()["detail"] and not route.account.calls.records
    route.load.add(0.0)
    assert (await route.post()).json()["result"] == "called"


async def test_it_passes_the_gate(opened: Open) -> None:
    route = await opened()
    answer = (await route.post(consent="none", consent_at="", consent_how="", consent_wording="")).json()
    assert (answer["result"], answer["gate"]) == ("refused", "consent") and not route.account.calls.records


async def test_a_dry_run_places_no_call(opened: Open) -> None:
    route = await opened()
    assert (await route.post(dry_run=True)).json() == {"allowed": True, "gate": "", "reason": "", "dry_run": True}
    assert not route.account.calls.records


@pytest.mark.parametrize("token", [None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper()])
async def test_another_token_is_refused(opened: Open, token: str | None) -> None:
    route = await opened()
    assert (await route.post(token)).status_code == 401 and not route.account.calls.records


async def test_it_is_closed_without_a_token_of_its_own(opened: Open) -> None:
    route = await opened(dial_token=None)
    for token in (None, "", "None", TOKEN):
        assert (await route.post(token)).status_code == 404


async def test_too_many_requests_are_refused_but_those_without_the_token_do_not_count(opened: Open) -> None:
    route = await opened(dial_rate=2)
    for _ in range(5):
        await route.post("wrong")
    assert [(await route.post()).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    "changes", [{"number": "Ada"}, {"campaign": ""}, {"campaign": None}, {"dry_run": "no"}, {"nickname": "Ada"}]
)
async def test_a_body_that_is_no_contact_is_refused(opened: Open, changes: dict[str, Any]) -> None:
    route = await opened()
    answer = await route.post(**changes)
    assert answer.status_code == 400 and ADA not in answer.text and not route.account.calls.records


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"[]", b"1", b""])
async def test_hostile_json_is_refused(opened: Open, content: bytes) -> None:
    route = await opened()
    answer = await route.http.post("/outbound/calls", content=content, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 400


def test_a_short_token_is_refused() -> None:
    with pytest.raises(ValueError, match="dial_token"):
        build_app(dial_token="short")
