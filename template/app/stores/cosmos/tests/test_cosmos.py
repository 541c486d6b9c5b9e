"""Cosmos DB as the store: what every shared store does, with the real client, on a server that speaks its REST API."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import ClientAuthenticationError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pycep import BicepParser
from pydantic import ValidationError

from app.environment import problem
from app.registry import STORE
from app.store import InProcess
from app.stores.cosmos import AGAIN, TAKEN, CosmosSettings, CosmosStore, queue_id, value_id
from app.stores.cosmos.tests.cosmos_server import CONTAINER, DATABASE, CosmosServer
from app.stores.tests.shared_store import PASSWORD, EverySharedStore
from kit import defaults
from kit.plugin import Begin

KEY = base64.b64encode(PASSWORD.encode()).decode()
AZ_LOGIN = "Run 'az login' as +15005550006"


class Identity:
    """Who a server in Azure is: a token that takes its time, or none."""

    def __init__(self, token: str | None, delay: float = 0.0) -> None:
        self.token = token
        self.delay = delay
        self.closed = False

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        await asyncio.sleep(self.delay)
        if self.token is None:
            raise ClientAuthenticationError(AZ_LOGIN)
        return AccessToken(self.token, int(time.time()) + 3600)

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        token = await self.get_token(*scopes)
        return AccessTokenInfo(token.token, token.expires_on)

    async def close(self) -> None:
        self.closed = True

    async def __aenter__(self) -> Identity:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


class OnCosmos:
    """The fixtures of every shared store."""

    grace = 1.0

    @pytest.fixture
    async def server(self) -> AsyncGenerator[CosmosServer]:
        server = CosmosServer(KEY)
        server.start()
        yield server
        server.terminate()
        await asyncio.sleep(0.01)

    @pytest.fixture
    async def broken(self) -> AsyncGenerator[CosmosServer]:
        server = CosmosServer(KEY)
        yield server
        server.terminate()
        await asyncio.sleep(0.01)

    @pytest.fixture
    async def connect(self) -> AsyncGenerator[Callable[..., CosmosStore]]:
        stores: list[CosmosStore] = []

        def connect(server: CosmosServer, credential: Any = KEY) -> CosmosStore:
            stores.append(CosmosStore(server.url, credential, DATABASE, CONTAINER))
            return stores[-1]

        yield connect
        for store in stores:
            await store.close()

    @pytest.fixture
    def store(self, server: CosmosServer, connect: Callable[..., CosmosStore]) -> CosmosStore:
        return connect(server)

    @pytest.fixture
    def elsewhere(self, server: CosmosServer, connect: Callable[..., CosmosStore]) -> CosmosStore:
        return connect(server)


class TestCosmos(OnCosmos, EverySharedStore):
    async def test_everything_expires(self, store: CosmosStore, server: CosmosServer) -> None:
        """Cosmos DB counts whole seconds from the whole second of the change, and deletes nothing too early."""
        await store.put("a", "1", 60)
        await store.claim("b", 60)
        await store.push("c", "1", 20)
        await store.push("c", "2", 60)
        assert len(server.items()) == 3
        for item in server.items():
            assert 60 <= item["_ts"] + item["ttl"] - time.time() + 1 < 64
            assert item["ttl"] == int(item["ttl"])

    async def test_the_server_deletes_nothing_that_is_still_alive(
        self, store: CosmosStore, server: CosmosServer
    ) -> None:
        await asyncio.sleep(1 - time.time() % 1 - 0.1 if time.time() % 1 < 0.85 else 0)  # the end of a second
        await store.put("a", "1", 1.0)
        await asyncio.sleep(0.7)
        assert await store.get("a") == "1"

    async def test_a_claim_that_is_sent_twice_is_still_ours(self, store: CosmosStore, server: CosmosServer) -> None:
        await store.get("a")
        server.lost = 1
        assert await store.claim("token", 60)
        assert [method for method, _, _ in server.requests].count("POST") == 2

    async def test_what_is_pushed_twice_comes_once(self, store: CosmosStore, server: CosmosServer) -> None:
        for value in ("1", "2"):
            await store.get("a")
            server.lost = 1
            await store.push("queue", value, 60)
        assert [await store.pop("queue", 0) for _ in range(3)] == ["1", "2", None]

    @pytest.mark.parametrize("messages", [["1", "2"], ["1"]])
    async def test_nothing_is_lost_when_a_message_is_taken_twice(
        self, store: CosmosStore, server: CosmosServer, messages: list[str]
    ) -> None:
        for value in messages:
            await store.push("queue", value, 60)
        server.lost = 1
        assert [await store.pop("queue", 0) for _ in range(3)] == (messages + [None, None])[:3]
        assert server.lost == 0

    @pytest.mark.parametrize("messages", [["1", "2"], ["1"]])
    async def test_nothing_is_lost_when_the_queue_changes_before_it_is_taken_again(
        self, store: CosmosStore, elsewhere: CosmosStore, server: CosmosServer, messages: list[str]
    ) -> None:
        for value in messages:
            await store.push("queue", value, 60)
        await elsewhere.get("a")
        server.lost, others, puts = 1, [], 0

        async def meanwhile(method: str) -> None:
            nonlocal puts
            puts += method == "PUT"
            if puts == 2:
                server.before = None
                others.append(await elsewhere.pop("queue", 0))
                await elsewhere.push("queue", "3", 60)

        server.before = meanwhile
        assert await store.pop("queue", 0) == "1"
        assert server.before is None
        assert others == [messages[1] if len(messages) > 1 else None]
        assert [await store.pop("queue", 0), await store.pop("queue", 0)] == ["3", None]

    async def test_what_is_taken_before_it_is_pushed_again_comes_once(
        self, store: CosmosStore, elsewhere: CosmosStore, server: CosmosServer
    ) -> None:
        await store.get("a")
        await elsewhere.get("a")
        server.lost, posts, taken = 1, 0, []

        async def meanwhile(method: str) -> None:
            nonlocal posts
            posts += method == "POST"
            if posts == 2:
                server.before = None
                taken.append(await elsewhere.pop("queue", 0))

        server.before = meanwhile
        await store.push("queue", "1", 60)
        assert taken == ["1"] and await store.pop("queue", 0) is None

    async def test_a_token_that_expires_is_claimed_by_one_of_two(
        self, store: CosmosStore, elsewhere: CosmosStore, server: CosmosServer
    ) -> None:
        """Both have read that it has expired before either of them writes."""
        assert await store.claim("token", 0.05)
        await asyncio.sleep(0.1)
        both, release = 0, asyncio.Event()

        async def together(method: str) -> None:
            nonlocal both
            if method == "PUT":
                both += 1
                if both == 2:
                    release.set()
                await release.wait()

        server.before = together
        store.own._values.clear()
        async with asyncio.timeout(5):
            assert sorted(await asyncio.gather(store.claim("token", 60), elsewhere.claim("token", 60))) == [False, True]

    async def test_every_message_is_taken_once(self, store: CosmosStore, elsewhere: CosmosStore) -> None:
        await asyncio.gather(*(each.push("queue", f"{number}", 60) for number in range(4) for each in (store,)))
        await asyncio.gather(*(elsewhere.push("queue", f"{number}", 60) for number in range(4, 8)))
        taken = await asyncio.gather(*(each.pop("queue", 0.2) for each in (store, elsewhere) * 5))
        assert sorted(filter(None, taken)) == [f"{number}" for number in range(8)]

    async def test_nothing_is_lost_that_comes_while_the_last_message_is_taken(
        self, store: CosmosStore, elsewhere: CosmosStore, server: CosmosServer
    ) -> None:
        await store.push("queue", "1", 60)

        async def meanwhile(method: str) -> None:
            if method == "PUT":
                server.before = None
                await elsewhere.push("queue", "2", 60)

        server.before = meanwhile
        assert await store.pop("queue", 0) == "1"
        assert server.before is None and await store.pop("queue", 0) == "2"

    async def test_messages_expire_one_by_one(self, store: CosmosStore) -> None:
        await store.push("queue", "1", 0.05)
        await store.push("queue", "2", 60)
        await asyncio.sleep(0.1)
        assert await store.pop("queue", 0) == "2"

    async def test_an_empty_queue_leaves_nothing_behind_for_long(
        self, store: CosmosStore, server: CosmosServer
    ) -> None:
        await store.push("queue", "1", 3600)
        await store.pop("queue", 0)
        (item,) = server.items()
        assert item["messages"] == [] and AGAIN <= item["ttl"] <= AGAIN + 2

    async def test_a_queue_remembers_who_took_a_message_when_the_others_expire_soon(
        self, store: CosmosStore, server: CosmosServer
    ) -> None:
        await store.push("queue", "1", 60)
        await store.push("queue", "2", 0.5)
        await store.pop("queue", 0)
        (item,) = server.items()
        assert AGAIN <= item["ttl"] <= AGAIN + 2

    async def test_a_long_queue_remembers_only_the_last_who_took_from_it(
        self, store: CosmosStore, server: CosmosServer
    ) -> None:
        for number in range(TAKEN + 2):
            await store.push("queue", f"{number}", 60)
            assert await store.pop("queue", 0) == f"{number}"
        (item,) = server.items()
        assert len(item["taken"]) == TAKEN

    async def test_an_empty_queue_is_as_good_as_none(self, store: CosmosStore, elsewhere: CosmosStore) -> None:
        await store.push("queue", "1", 60)
        assert [await store.pop("queue", 0), await elsewhere.pop("queue", 0)] == ["1", None]
        await elsewhere.push("queue", "2", 0.05)
        await asyncio.sleep(0.1)
        assert await store.pop("queue", 0) is None
        await store.push("queue", "2", 60)
        assert [await store.pop("queue", 0), await elsewhere.pop("queue", 0)] == ["2", None]

    async def test_who_waits_asks_ever_more_seldom(self, store: CosmosStore, server: CosmosServer) -> None:
        await store.get("a")
        before = len(server.requests)
        assert await store.pop("queue", 1.2) is None
        assert 3 <= len(server.requests) - before <= 9

    @pytest.mark.parametrize("key", ["a/b", "a\\b", "a?b#c", "a b", "ä%2F", "x" * 2000])
    async def test_any_key_will_do(self, store: CosmosStore, elsewhere: CosmosStore, key: str) -> None:
        await store.put(key, "1", 60)
        assert await elsewhere.get(key) == "1"

    async def test_no_key_stands_in_a_url(self, store: CosmosStore, server: CosmosServer) -> None:
        """URLs are logged on their way."""
        await store.put("caller:+15005550006", "1", 60)
        assert await store.get("caller:+15005550006") == "1"
        assert not [path for _, path, _ in server.requests if "5005550006" in path]

    async def test_too_many_requests_are_sent_again(
        self, store: CosmosStore, server: CosmosServer, logged: Callable[[], str]
    ) -> None:
        await store.get("a")
        server.throttled = 2
        await store.put("a", "1", 60)
        assert [item["id"] for item in server.items()] == [value_id("a")] and "store.down" not in logged()

    async def test_a_server_that_has_had_enough_is_left_alone(
        self, store: CosmosStore, server: CosmosServer, logged: Callable[[], str]
    ) -> None:
        await store.get("a")
        server.throttled = 100
        started = time.monotonic()
        await store.put("a", "1", 60)
        assert time.monotonic() - started < 1.3 and server.throttled > 90
        assert await store.get("a") == "1" and 'CosmosHttpResponseError 429"' in logged()

    async def test_a_long_call_is_kept_small(
        self, store: CosmosStore, elsewhere: CosmosStore, server: CosmosServer
    ) -> None:
        """Every kilobyte is paid for."""
        history = "".join(f"Caller: where is order {number}?" for number in range(20_000))
        await store.put("call", history, 60)
        assert await elsewhere.get("call") == history
        assert len(server.items()[0]["content"]) < len(history) / 4

    async def test_what_no_item_can_hold_stays_with_its_worker(
        self, store: CosmosStore, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr("app.stores.cosmos.LARGEST", 100)
        await store.put("call", "".join(map(chr, range(1000, 2000))), 60)
        assert await store.get("call") and "store.too_large" in logged()
        await store.put("another", "1", 60)
        assert "store.down" not in logged()

    async def test_a_worker_that_starts_without_it_uses_it_when_it_is_there(
        self, broken: CosmosServer, connect: Callable[..., CosmosStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.stores.shared.PAUSE", 0.1)
        store = connect(broken)
        await store.put("a", "1", 60)
        broken.start()
        async with asyncio.timeout(10):
            while not broken.items():
                await asyncio.sleep(0.05)
                await store.put("a", "2", 60)

    async def test_a_container_that_is_gone_is_no_empty_one(
        self, store: CosmosStore, server: CosmosServer, logged: Callable[[], str]
    ) -> None:
        await store.put("a", "1", 60)
        server.drop_container()
        assert await store.get("a") is None
        assert 'CosmosResourceNotFoundError 404"' in logged() and "AZURE_COSMOS_ENDPOINT" in logged()

    async def test_with_a_wrong_key_calls_go_on(
        self, server: CosmosServer, connect: Callable[..., CosmosStore], logged: Callable[[], str]
    ) -> None:
        store = connect(server, "bm9ib2R5")
        await store.put("a", "1", 60)
        assert await store.get("a") == "1" and server.items() == []
        assert "store.down" in logged() and "bm9ib2R5" not in logged()

    async def test_conversations_live_in_the_container(self, server: CosmosServer, begin: Begin) -> None:
        talk = await begin({"says": "Yes."}, cosmos_endpoint=server.url, cosmos_key=KEY)
        await talk.says("Hello")
        assert value_id(f"session:{(await talk.session()).id}") in [item["id"] for item in server.items()]

    def test_a_value_and_a_queue_are_two_items(self) -> None:
        assert value_id("same") != queue_id("same") == queue_id("same")


# --- as an identity -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """The client sends a token over TLS only; on this machine it takes any certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


class TestIdentity(OnCosmos):
    @pytest.fixture
    async def server(self, tls: ssl.SSLContext) -> AsyncGenerator[CosmosServer]:
        server = CosmosServer(tls=tls)
        server.start()
        yield server
        server.terminate()
        await asyncio.sleep(0.01)

    async def test_without_a_key_it_has_a_token(
        self, server: CosmosServer, connect: Callable[..., CosmosStore]
    ) -> None:
        identity = Identity("a-token")
        store = connect(server, identity)
        await store.put("a", "1", 60)
        assert len(server.items()) == 1
        assert {headers["authorization"] for _, _, headers in server.requests} == {"type=aad&ver=1.0&sig=a-token"}
        await store.close()
        assert identity.closed

    async def test_a_first_token_may_take_longer_than_a_caller_waits(
        self, server: CosmosServer, connect: Callable[..., CosmosStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.stores.shared.ANSWER", 0.2)
        monkeypatch.setattr("app.stores.shared.PAUSE", 0.1)
        store = connect(server, Identity("a-token", delay=0.6))
        started = time.monotonic()
        await store.put("a", "1", 60)
        assert time.monotonic() - started < 0.5 and server.items() == []
        monkeypatch.setattr("app.stores.shared.ANSWER", 1.0)
        async with asyncio.timeout(10):
            while not server.items():
                await asyncio.sleep(0.05)
                await store.put("a", "2", 60)

    async def test_without_an_identity_calls_go_on(
        self, server: CosmosServer, connect: Callable[..., CosmosStore], logged: Callable[[], str]
    ) -> None:
        store = connect(server, Identity(None))
        await store.put("a", "1", 60)
        assert await store.get("a") == "1"
        assert '"error": "ClientAuthenticationError"' in logged() and AZ_LOGIN not in logged()

    async def test_a_reason_that_comes_too_late_is_still_told(
        self,
        server: CosmosServer,
        connect: Callable[..., CosmosStore],
        monkeypatch: pytest.MonkeyPatch,
        logged: Callable[[], str],
    ) -> None:
        monkeypatch.setattr("app.stores.shared.ANSWER", 0.1)
        store = connect(server, Identity(None, delay=0.3))
        await store.put("a", "1", 60)
        async with asyncio.timeout(5):
            while "ClientAuthenticationError" not in logged():
                await asyncio.sleep(0.05)
        assert '"error": "TimeoutError"' in logged()


# --- the container of the deployment ---------------------------------------------------------------------------------


def test_the_container_is_as_the_store_needs_it() -> None:
    file = Path(__file__).parents[1] / "deploy" / "infra" / "modules" / "cosmos.bicep"
    deployed = BicepParser().parse(text=file.read_text(encoding="utf-8"))["resources"]
    account, database, sessions, role = (
        deployed[name]["config"] for name in ("account", "database", "sessions", "mayKeep")
    )
    defaults = {field.alias: field.default for field in CosmosSettings.model_fields.values()}
    assert database["properties"]["resource"]["id"] == defaults["AZURE_COSMOS_DATABASE_NAME"] == DATABASE
    assert sessions["properties"]["resource"]["id"] == defaults["AZURE_COSMOS_CONTAINER_NAME"] == CONTAINER
    assert sessions["properties"]["resource"]["partitionKey"]["paths"] == ["/id"]
    assert "      defaultTtl: -1 " in file.read_text(encoding="utf-8")  # each item says when it goes
    assert account["properties"]["consistencyPolicy"]["defaultConsistencyLevel"] == "Strong"
    assert account["properties"]["disableLocalAuth"] is True
    assert role["properties"]["scope"] == "${account.id}/dbs/${database.name}/colls/${sessions.name}"
    assert role["properties"]["roleDefinitionId"].endswith("/00000000-0000-0000-0000-000000000002")


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"cosmos_endpoint": "agent.documents.azure.com"},
        {"cosmos_endpoint": "http://agent.documents.azure.com/"},
        {"cosmos_key": "not base64!"},
        {"cosmos_database": "a/b"},
        {"cosmos_container": "a b"},
    ],
)
def test_what_cannot_work_is_refused_at_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        defaults.settings(**wrong)


def test_a_key_that_is_none_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_COSMOS_KEY", "a secret !")
    told = problem("AZURE_COSMOS_KEY")
    assert "portal" in told and "a secret" not in told


def test_one_worker_can_do_without_a_container_and_so_does_the_simulator() -> None:
    assert isinstance(STORE.build(defaults.settings()), InProcess)
