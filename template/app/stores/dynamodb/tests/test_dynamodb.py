"""DynamoDB as the store: the tests of every shared store, on a simulated AWS that responds over HTTP."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any
from uuid import uuid4

import botocore.session
import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from app.environment import problem
from app.registry import STORE
from app.runtimes.aws.tests.deployed import RESOURCES, many, statements
from app.store import InProcess
from app.stores.dynamodb import DynamoDBStore, text_of
from app.stores.polling import FIRST_POLL, MAX_POLL
from app.stores.shared import RETRY_WINDOW
from app.stores.tests.shared_store import PASSWORD, EverySharedStore, check_pauses
from kit import defaults
from kit.plugin import Begin

REGION = "us-east-1"
SESSIONS: dict[str, Any] = RESOURCES["Sessions"]["Properties"]
SCHEMA = {name: SESSIONS[name] for name in ("AttributeDefinitions", "KeySchema", "BillingMode")}


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def aws() -> Iterator[Any]:
    """A client of a simulated AWS, one for each test run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not listening(port):
        assert running.poll() is None and time.monotonic() < deadline, "moto does not start"
        time.sleep(0.05)
    yield botocore.session.Session().create_client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="invented",
        aws_secret_access_key=PASSWORD,
    )
    running.kill()
    running.wait()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "invented")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    return monkeypatch


class Table:
    """A new table."""

    def __init__(self, aws: Any) -> None:
        self.aws = aws
        self.url = str(aws.meta.endpoint_url)
        self.name = f"sessions-{uuid4().hex}"
        aws.create_table(TableName=self.name, **SCHEMA)

    def items(self) -> list[dict[str, Any]]:
        return list(self.aws.scan(TableName=self.name)["Items"])


class Server(Table):
    """A table behind a TCP proxy, which can fail and come back at the same address."""

    def __init__(self, aws: Any) -> None:
        super().__init__(aws)
        self.upstream_port = int(self.url.rpartition(":")[2])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.running = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self.running.set()
        listener = socket.create_server(("127.0.0.1", self.port))
        listener.setblocking(False)
        self._go(self._accept(listener), listener)

    def terminate(self) -> None:
        for task in self.tasks:
            task.cancel()

    def hang(self) -> None:
        self.running.clear()

    def refuse(self) -> None:
        self.aws.delete_table(TableName=self.name)

    def _go(self, work: Coroutine[Any, Any, None], connection: socket.socket) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(lambda _: connection.close())
        task.add_done_callback(self.tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            self._go(self._forward(client), client)

    async def _forward(self, client: socket.socket) -> None:
        with socket.socket() as upstream:
            upstream.setblocking(False)
            await asyncio.get_running_loop().sock_connect(upstream, ("127.0.0.1", self.upstream_port))
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(client, upstream))
                    both.create_task(self._pump(upstream, client))
            except* OSError:
                pass

    async def _pump(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while chunk := await loop.sock_recv(source, 65536):
            await self.running.wait()
            await loop.sock_sendall(target, chunk)
        raise ConnectionResetError


class OnDynamoDB:
    """The fixtures of every shared store."""

    @pytest.fixture
    async def server(self, aws: Any) -> AsyncGenerator[Server]:
        server = Server(aws)
        server.start()
        yield server
        server.terminate()
        await asyncio.sleep(0.01)

    @pytest.fixture
    async def broken(self, aws: Any) -> Server:
        return Server(aws)

    @pytest.fixture
    def table(self, aws: Any) -> Table:
        return Table(aws)

    @pytest.fixture
    async def connect(self, credentials: pytest.MonkeyPatch) -> AsyncGenerator[Callable[..., DynamoDBStore]]:
        stores: list[DynamoDBStore] = []

        def connect(table: Table) -> DynamoDBStore:
            credentials.setenv("AWS_ENDPOINT_URL_DYNAMODB", table.url)
            stores.append(DynamoDBStore(table.name, REGION))
            return stores[-1]

        yield connect
        for store in stores:
            await store.close()

    @pytest.fixture
    def store(self, table: Table, connect: Callable[..., DynamoDBStore]) -> DynamoDBStore:
        return connect(table)

    @pytest.fixture
    def elsewhere(self, table: Table, connect: Callable[..., DynamoDBStore]) -> DynamoDBStore:
        return connect(table)


class TestDynamoDB(OnDynamoDB, EverySharedStore):
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The time of the store, in milliseconds: its one element."""
        clock = [1_800_000_000_900]
        monkeypatch.setattr("app.stores.dynamodb.now", lambda: clock[0])
        return clock

    async def test_everything_expires(self, store: DynamoDBStore, table: Table, clock: list[int]) -> None:
        """By the attribute that time to live reads, in whole seconds."""
        await store.put("a", "1", 60)
        await store.claim("b", 60)
        await store.push("c", "1", 60)
        attribute = SESSIONS["TimeToLiveSpecification"]["AttributeName"]
        assert len(table.items()) == 3
        for item in table.items():
            assert item[attribute]["N"] == "1800000061"

    async def test_the_task_role_allows_every_request_of_the_store(self, store: DynamoDBStore) -> None:
        done: set[str] = set()
        store.client.meta.events.register("before-call", lambda model, **_: done.add(f"dynamodb:{model.name}"))
        await store.put("a", "1", 60)
        await store.push("a", "1", 60)
        assert (await store.get("a"), await store.pop("a", 0)) == ("1", "1")
        await store.release("a")
        allowed = {str(action) for each in statements() for action in many(each["Action"])}
        assert {action for action in allowed if action.startswith("dynamodb")} == done

    @pytest.fixture
    def sent_twice(self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """The response to each first request is lost."""
        request = store._request

        async def twice(operation: str, **parameters: Any) -> dict[str, Any]:
            await request(operation, **parameters)
            return await request(operation, **parameters)

        monkeypatch.setattr(store, "_request", twice)

    @pytest.mark.usefixtures("sent_twice")
    async def test_a_claim_that_is_sent_twice_succeeds(self, store: DynamoDBStore) -> None:
        assert await store.claim("token", 60)

    @pytest.mark.usefixtures("sent_twice")
    async def test_no_message_is_lost_when_a_pop_is_sent_twice(
        self, store: DynamoDBStore, elsewhere: DynamoDBStore
    ) -> None:
        for value in ("1", "2"):
            await elsewhere.push("queue", value, 60)
        assert [await store.pop("queue", 0), await elsewhere.pop("queue", 0)] == ["1", "2"]
        assert not await store.pop("queue", 0)

    async def test_a_message_that_is_taken_before_its_push_is_sent_again_is_received_once(
        self, store: DynamoDBStore, elsewhere: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request, taken = store._request, []

        async def again(operation: str, **parameters: Any) -> dict[str, Any]:
            await request(operation, **parameters)
            taken.append(await elsewhere.pop("queue", 0))
            return await request(operation, **parameters)

        monkeypatch.setattr(store, "_request", again)
        await store.push("queue", "1", 60)
        elsewhere.received.clear()  # as on a worker that has not taken it
        assert taken == ["1"] and not await elsewhere.pop("queue", 0) and not store.down

    async def test_what_was_taken_is_deleted_when_no_request_can_come_again(
        self, store: DynamoDBStore, table: Table, clock: list[int]
    ) -> None:
        await store.push("queue", "a message", 3600)
        assert await store.pop("queue", 0) == "a message"
        (mark,) = table.items()
        assert text_of(mark) == ""
        clock[0] += int(1000 * RETRY_WINDOW)
        assert not await store.pop("queue", 0) and not table.items()

    async def test_a_queue_keeps_the_order_when_the_clock_goes_back(
        self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times = iter([3_000, 2_000, 1_000])
        with monkeypatch.context() as patch:
            patch.setattr("app.stores.dynamodb.time.time_ns", lambda: next(times))
            for value in ("1", "2", "3"):
                await store.push("queue", value, 60)
        assert [await store.pop("queue", 0) for _ in range(3)] == ["1", "2", "3"]

    async def test_a_refused_condition_of_another_class_is_no_outage(
        self, store: DynamoDBStore, elsewhere: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Threads that get their first error together each make classes of exceptions: the client keeps one of them."""
        request = store._request

        async def of_another_class(operation: str, **parameters: Any) -> dict[str, Any]:
            try:
                return await request(operation, **parameters)
            except ClientError as error:
                raise ClientError(error.response, operation) from None

        monkeypatch.setattr(store, "_request", of_another_class)
        assert await elsewhere.claim("token", 60)
        assert not await store.claim("token", 60)
        assert not store.down

    async def test_every_message_is_taken_once(self, store: DynamoDBStore, elsewhere: DynamoDBStore) -> None:
        for number in range(10):
            await store.push("queue", f"{number:02}", 60)
        taken = await asyncio.gather(*(each.pop("queue", 10) for each in (store, elsewhere) * 5))
        assert sorted(filter(None, taken)) == [f"{number:02}" for number in range(10)]

    @pytest.mark.virtual_time
    async def test_an_empty_queue_is_polled_less_and_less_often(
        self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await check_pauses(store, monkeypatch, FIRST_POLL, MAX_POLL)

    async def test_values_are_compressed(self, store: DynamoDBStore, elsewhere: DynamoDBStore) -> None:
        """An item may have 400 KB, and AWS charges for each KB."""
        history = "".join(f"Caller: where is order {number}?" for number in range(20_000))
        await store.put("call", history, 60)
        assert await elsewhere.get("call") == history

    async def test_a_value_too_large_for_an_item_stays_with_its_worker(
        self, store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr("app.stores.dynamodb.MAX_BYTES", 100)
        await store.put("call", "".join(map(chr, range(1000, 2000))), 60)
        assert await store.get("call") and "store.too_large" in logged()
        await store.put("another", "1", 60)
        assert "store.down" not in logged()

    async def test_a_table_that_hangs_occupies_no_thread_for_long(
        self, server: Server, connect: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.stores.dynamodb.REQUEST_TIMEOUT", 0.1)  # real: botocore reads sockets in threads
        store = connect(server)
        server.hang()
        await store.get("a")
        await asyncio.wait_for(asyncio.to_thread(store.threads.shutdown), 60)

    async def test_calls_continue_without_credentials(
        self, table: Table, connect: Callable[..., DynamoDBStore], credentials: Any, logged: Callable[[], str]
    ) -> None:
        credentials.setenv("AWS_ACCESS_KEY_ID", "")
        store = connect(table)
        await store.put("a", "1", 60)
        assert await store.get("a") == "1"
        assert '"error": "NoCredentialsError"' in logged()

    async def test_an_error_of_dynamodb_is_logged_by_its_code(
        self, server: Server, connect: Any, logged: Callable[[], str]
    ) -> None:
        server.refuse()
        await connect(server).put("a", "1", 60)
        assert '"error": "ResourceNotFoundException"' in logged() and "AGENT_TABLE" in logged()

    async def test_sessions_are_stored_in_the_table(
        self, table: Table, credentials: pytest.MonkeyPatch, begin: Begin
    ) -> None:
        credentials.setenv("AWS_ENDPOINT_URL_DYNAMODB", table.url)
        talk = await begin({"says": "Yes."}, table=table.name)
        await talk.says("Hello")
        assert f"value:session:{(await talk.session()).id}" in [item["pk"]["S"] for item in table.items()]


@pytest.mark.parametrize("table", ["", "ab", "two words", "a/b", "x" * 256])
def test_a_name_that_no_table_can_have_is_refused(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_TABLE", table)
    with pytest.raises(ValidationError):
        defaults.settings(table=table)
    assert "DynamoDB table" in problem("AGENT_TABLE")


def test_the_table_of_the_stack_can_be_restored_and_is_encrypted() -> None:
    assert SESSIONS["TimeToLiveSpecification"]["Enabled"] is True
    assert SESSIONS["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert SESSIONS["SSESpecification"] == {"SSEEnabled": True}


def test_one_worker_and_the_simulator_need_no_table() -> None:
    assert isinstance(STORE.build(defaults.settings()), InProcess)
