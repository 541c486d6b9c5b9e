"""Cosmos DB as the store: the tests of every shared store, with the real client and a server that has its REST API."""

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
from app.stores.cosmos import (
    MAX_TAKEN,
    RETRY_WINDOW,
    CosmosSettings,
    CosmosStore,
    queue_id,
    value_id,
)
from app.stores.cosmos.tests.cosmos_server import CONTAINER, DATABASE, CosmosServer
from app.stores.polling import FIRST_POLL, MAX_POLL
from app.stores.shared import OUTAGE_PAUSE
from app.stores.tests.shared_store import PASSWORD, REQUEST_TIMEOUT, EverySharedStore, PatientStores, check_pauses
from kit import defaults
from kit.activity import wait_until
from kit.plugin import Begin

KEY = base64.b64encode(PASSWORD.encode()).decode()
AZ_LOGIN = "Run 'az login' as +15005550006"


class Identity:
    """A credential: it gives `token`, or none, once `ready` is set."""

    def __init__(self, token: str | None, ready: bool = True) -> None:
        self.token = token
        self.ready = asyncio.Event()
        self.closed = False
        if ready:
            self.ready.set()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        await self.ready.wait()
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
    @pytest.fixture
    def clock(self, server: CosmosServer, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The time of store and server, in seconds: its one element."""
        clock = [1_800_000_000.9]  # the end of a second
        monkeypatch.setattr("app.stores.cosmos.now", lambda: int(1000 * clock[0]))
        server.now = lambda: clock[0]
        return clock

    async def test_everything_expires(self, store: CosmosStore, server: CosmosServer, clock: list[float]) -> None:
        """Cosmos DB counts whole seconds from the whole second of the change: no item may expire too early."""
        await store.put("a", "1", 60)
        await store.claim("b", 60)
        await store.push("c", "1", 20)
        await store.push("c", "2", 60)
        assert len(server.items()) == 3
        for item in server.items():
            assert 60 <= item["_ts"] + item["ttl"] - clock[0] < 63
            assert item["ttl"] == int(item["ttl"])

    async def test_no_item_is_deleted_before_it_expires(self, store: CosmosStore, clock: list[float]) -> None:
        await store.put("a", "1", 1.0)
        clock[0] += 0.95
        assert await store.get("a") == "1"

    async def test_a_claim_that_is_sent_twice_succeeds(self, store: CosmosStore, server: CosmosServer) -> None:
        await store.get("a")
        server.lost = 1
        assert await store.claim("token", 60)
        assert [method for method, _, _ in server.requests].count("POST") == 2

    async def test_a_message_that_is_sent_twice_is_received_once(
        self, store: CosmosStore, server: CosmosServer
    ) -> None:
        for value in ("1", "2"):
            await store.get("a")
            server.lost = 1
            await store.push("queue", value, 60)
        assert [await store.pop("queue", 0) for _ in range(3)] == ["1", "2", None]

    @pytest.mark.parametrize("messages", [["1", "2"], ["1"]])
    async def test_no_message_is_lost_when_a_pop_is_sent_twice(
        self, store: CosmosStore, server: CosmosServer, messages: list[str]
    ) -> None:
        for value in messages:
            await store.push("queue", value, 60)
        server.lost = 1
        assert [await store.pop("queue", 0) for _ in range(3)] == (messages + [None, None])[:3]
        assert server.lost == 0

    @pytest.mark.parametrize("messages", [["1", "2"], ["1"]])
    async def test_no_message_is_lost_when_the_queue_changes_before_a_pop_is_sent_again(
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

    async def test_a_message_that_is_taken_before_its_push_is_sent_again_is_received_once(
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

    async def test_an_expired_claim_is_taken_by_one_of_two_workers(
        self, store: CosmosStore, elsewhere: CosmosStore, server: CosmosServer, clock: list[float]
    ) -> None:
        """Both read that it has expired before either of them writes."""
        assert await store.claim("token", 5)
        clock[0] += 6
        both, release = 0, asyncio.Event()

        async def together(method: str) -> None:
            nonlocal both
            if method == "PUT":
                both += 1
                if both == 2:
                    release.set()
                await release.wait()

        server.before = together
        store.own.values.clear()
        async with asyncio.timeout(60):
            assert sorted(await asyncio.gather(store.claim("token", 60), elsewhere.claim("token", 60))) == [False, True]

    async def test_every_message_is_taken_once(self, store: CosmosStore, elsewhere: CosmosStore) -> None:
        await asyncio.gather(*(each.push("queue", f"{number}", 60) for number in range(4) for each in (store,)))
        await asyncio.gather(*(elsewhere.push("queue", f"{number}", 60) for number in range(4, 8)))
        taken = await asyncio.gather(*(each.pop("queue", 0) for each in (store, elsewhere) * 5))
        assert sorted(filter(None, taken)) == [f"{number}" for number in range(8)]

    async def test_a_message_that_arrives_while_the_last_one_is_taken_is_kept(
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

    async def test_messages_expire_one_by_one(self, store: CosmosStore, clock: list[float]) -> None:
        await store.push("queue", "1", 5)
        await store.push("queue", "2", 60)
        clock[0] += 6
        assert await store.pop("queue", 0) == "2"

    async def test_the_item_of_an_empty_queue_expires_soon(self, store: CosmosStore, server: CosmosServer) -> None:
        await store.push("queue", "1", 3600)
        await store.pop("queue", 0)
        (item,) = server.items()
        assert item["messages"] == [] and RETRY_WINDOW <= item["ttl"] <= RETRY_WINDOW + 2

    async def test_the_list_of_taken_messages_outlives_messages_that_expire_soon(
        self, store: CosmosStore, server: CosmosServer, clock: list[float]
    ) -> None:
        await store.push("queue", "1", 60)
        await store.push("queue", "2", 0.5)
        await store.pop("queue", 0)
        (item,) = server.items()
        assert RETRY_WINDOW <= item["ttl"] <= RETRY_WINDOW + 2

    async def test_the_list_of_taken_messages_is_limited(self, store: CosmosStore, server: CosmosServer) -> None:
        for number in range(MAX_TAKEN + 2):
            await store.push("queue", f"{number}", 60)
            assert await store.pop("queue", 0) == f"{number}"
        (item,) = server.items()
        assert len(item["taken"]) == MAX_TAKEN

    async def test_an_empty_queue_works_like_a_missing_one(
        self, store: CosmosStore, elsewhere: CosmosStore, clock: list[float]
    ) -> None:
        await store.push("queue", "1", 60)
        assert [await store.pop("queue", 0), await elsewhere.pop("queue", 0)] == ["1", None]
        await elsewhere.push("queue", "2", 5)
        clock[0] += 6
        assert await store.pop("queue", 0) is None
        await store.push("queue", "2", 60)
        assert [await store.pop("queue", 0), await elsewhere.pop("queue", 0)] == ["2", None]

    @pytest.mark.virtual_time
    async def test_an_empty_queue_is_polled_less_and_less_often(
        self, connect: Callable[..., CosmosStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = connect(CosmosServer(KEY))
        await check_pauses(store, monkeypatch, FIRST_POLL, MAX_POLL)

    @pytest.mark.parametrize("key", ["a/b", "a\\b", "a?b#c", "a b", "ä%2F", "x" * 2000])
    async def test_every_key_is_valid(self, store: CosmosStore, elsewhere: CosmosStore, key: str) -> None:
        await store.put(key, "1", 60)
        assert await elsewhere.get(key) == "1"

    async def test_no_url_contains_a_key(self, store: CosmosStore, server: CosmosServer) -> None:
        """URLs are logged."""
        await store.put("caller:+15005550006", "1", 60)
        assert await store.get("caller:+15005550006") == "1"
        assert not [path for _, path, _ in server.requests if "5005550006" in path]

    async def test_a_throttled_request_is_sent_again(
        self, store: CosmosStore, server: CosmosServer, logged: Callable[[], str]
    ) -> None:
        await store.get("a")
        server.throttled = 2
        await store.put("a", "1", 60)
        assert [item["id"] for item in server.items()] == [value_id("a")] and "store.down" not in logged()

    async def test_a_request_is_not_sent_for_ever_to_a_server_that_throttles(
        self, store: CosmosStore, server: CosmosServer, logged: Callable[[], str]
    ) -> None:
        await store.get("a")
        server.throttled = 100
        await store.put("a", "1", 60)
        assert server.throttled > 90
        assert await store.get("a") == "1" and 'CosmosHttpResponseError 429"' in logged()

    async def test_values_are_compressed(
        self, store: CosmosStore, elsewhere: CosmosStore, server: CosmosServer
    ) -> None:
        """Cosmos DB charges for each kilobyte."""
        history = "".join(f"Caller: where is order {number}?" for number in range(20_000))
        await store.put("call", history, 60)
        assert await elsewhere.get("call") == history
        assert len(server.items()[0]["content"]) < len(history) / 4

    async def test_a_value_that_is_too_large_stays_with_its_worker(
        self, store: CosmosStore, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr("app.stores.cosmos.MAX_BYTES", 100)
        await store.put("call", "".join(map(chr, range(1000, 2000))), 60)
        assert await store.get("call") and "store.too_large" in logged()
        await store.put("another", "1", 60)
        assert "store.down" not in logged()

    async def test_a_worker_that_starts_during_an_outage_uses_the_store_afterwards(
        self, broken: CosmosServer, connect: Callable[..., CosmosStore], advance_clock: Callable[[float], None]
    ) -> None:
        store = connect(broken)
        await store.put("a", "1", 60)
        broken.start()
        advance_clock(OUTAGE_PAUSE)
        await wait_until(lambda: not store.down, "the store is not used")
        assert value_id("a") in [item["id"] for item in broken.items()]

    async def test_a_missing_container_is_an_outage(
        self, store: CosmosStore, server: CosmosServer, logged: Callable[[], str]
    ) -> None:
        await store.put("a", "1", 60)
        server.drop_container()
        assert (await store.get("a"), await store.get("b")) == ("1", None)
        assert 'CosmosResourceNotFoundError 404"' in logged() and "AZURE_COSMOS_ENDPOINT" in logged()

    async def test_calls_continue_with_a_wrong_key(
        self, server: CosmosServer, connect: Callable[..., CosmosStore], logged: Callable[[], str]
    ) -> None:
        store = connect(server, "bm9ib2R5")
        await store.put("a", "1", 60)
        assert await store.get("a") == "1" and server.items() == []
        assert "store.down" in logged() and "bm9ib2R5" not in logged()

    async def test_sessions_are_stored_in_the_container(self, server: CosmosServer, begin: Begin) -> None:
        talk = await begin({"says": "Yes."}, cosmos_endpoint=server.url, cosmos_key=KEY)
        await talk.says("Hello")
        assert value_id(f"session:{(await talk.session()).id}") in [item["id"] for item in server.items()]

    def test_a_value_and_a_queue_are_two_items(self) -> None:
        assert value_id("same") != queue_id("same") == queue_id("same")


# --- with an identity ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """The client sends a token over TLS only; on this machine it accepts any certificate."""
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


async def put_in_vain(store: CosmosStore, advance_clock: Callable[[float], None]) -> None:
    """Put a value that the store does not take within REQUEST_TIMEOUT."""
    putting = asyncio.create_task(store.put("a", "1", 60))
    await asyncio.sleep(0)
    advance_clock(REQUEST_TIMEOUT)
    await putting


class TestIdentity(PatientStores, OnCosmos):
    @pytest.fixture
    async def server(self, tls: ssl.SSLContext) -> AsyncGenerator[CosmosServer]:
        server = CosmosServer(tls=tls)
        server.start()
        yield server
        server.terminate()
        await asyncio.sleep(0.01)

    async def test_without_a_key_the_store_uses_a_token(
        self, server: CosmosServer, connect: Callable[..., CosmosStore]
    ) -> None:
        identity = Identity("a-token")
        store = connect(server, identity)
        await store.put("a", "1", 60)
        assert len(server.items()) == 1
        assert {headers["authorization"] for _, _, headers in server.requests} == {"type=aad&ver=1.0&sig=a-token"}
        await store.close()
        assert identity.closed

    async def test_a_slow_first_token_does_not_delay_the_caller(
        self, server: CosmosServer, connect: Callable[..., CosmosStore], advance_clock: Callable[[float], None]
    ) -> None:
        identity = Identity("a-token", ready=False)
        store = connect(server, identity)
        await put_in_vain(store, advance_clock)
        assert server.items() == []
        identity.ready.set()
        advance_clock(OUTAGE_PAUSE)
        await wait_until(lambda: not store.down, "the store is not used")
        assert value_id("a") in [item["id"] for item in server.items()]

    async def test_calls_continue_without_an_identity(
        self, server: CosmosServer, connect: Callable[..., CosmosStore], logged: Callable[[], str]
    ) -> None:
        store = connect(server, Identity(None))
        await store.put("a", "1", 60)
        assert await store.get("a") == "1"
        assert '"error": "ClientAuthenticationError"' in logged() and AZ_LOGIN not in logged()

    async def test_a_connection_failure_after_the_timeout_is_logged(
        self,
        server: CosmosServer,
        connect: Callable[..., CosmosStore],
        advance_clock: Callable[[float], None],
        logged: Callable[[], str],
    ) -> None:
        identity = Identity(None, ready=False)
        store = connect(server, identity)
        await put_in_vain(store, advance_clock)
        identity.ready.set()
        await wait_until(lambda: "ClientAuthenticationError" in logged(), "the failure is not logged")
        assert '"error": "TimeoutError"' in logged()


# --- the container of the deployment ---------------------------------------------------------------------------------


def test_the_deployed_container_fits_the_store() -> None:
    file = Path(__file__).parents[4] / "deploy" / "infra" / "modules" / "cosmos.bicep"
    deployed = BicepParser().parse(text=file.read_text(encoding="utf-8"))["resources"]
    account, database, sessions, role = (
        deployed[name]["config"] for name in ("account", "database", "sessions", "writeItems")
    )
    defaults = {field.alias: field.default for field in CosmosSettings.model_fields.values()}
    assert database["properties"]["resource"]["id"] == defaults["AZURE_COSMOS_DATABASE_NAME"] == DATABASE
    assert sessions["properties"]["resource"]["id"] == defaults["AZURE_COSMOS_CONTAINER_NAME"] == CONTAINER
    assert sessions["properties"]["resource"]["partitionKey"]["paths"] == ["/id"]
    assert "      defaultTtl: -1 " in file.read_text(encoding="utf-8")  # each item has its own
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
def test_invalid_settings_are_rejected(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        defaults.settings(**wrong)


def test_an_invalid_key_is_reported_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_COSMOS_KEY", "a secret !")
    line = problem("AZURE_COSMOS_KEY")
    assert "portal" in line and "a secret" not in line


def test_the_endpoint_process_needs_no_container() -> None:
    assert isinstance(STORE.build(defaults.settings()), InProcess)
