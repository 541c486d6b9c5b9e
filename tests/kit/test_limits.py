"""Bodies, heads and connections that are too large, too slow or too many cost one answer or one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack

import httpx2
import pytest

from app.limits import MAX_BODY, MAX_HEAD, MAX_INCOMPLETE, MOMENT, REQUEST_TIMEOUT
from app.main import create_app
from app.registry import CHANNELS
from kit import defaults
from kit.agent_app import build_app
from kit.plugin import Web, sign
from kit.scripted_model import scripted
from kit.server_fixtures import health, serving

PATHS = [path for path, methods in build_app().openapi()["paths"].items() if "post" in methods]
SIGNED = CHANNELS[0].signed_path
KINDS = ["application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x", "text/plain"]
PART = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
CHUNK = b"a" * 65536


async def chunks(size: int) -> AsyncGenerator[bytes]:
    yield PART
    for _ in range(0, size, len(CHUNK)):
        yield CHUNK


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
async def test_a_large_body_is_refused_on_every_route(web: Web, path: str, kind: str, chunked: bool) -> None:
    size = 2 * MAX_BODY
    content = chunks(size) if chunked else b"a" * size
    answer = await web.http.post(f"{path}?bodySHA256=0", content=content, headers={"Content-Type": kind})
    assert answer.status_code in ((403, 413) if kind == "text/plain" and chunked else (413,))


async def test_a_signature_does_not_allow_a_large_body(web: Web) -> None:
    form = {"CallSid": "CA" + "1" * 32, "Filler": "a" * MAX_BODY}
    assert (await web.post(SIGNED, form)).status_code == 413


async def test_a_body_below_the_limit_is_read(web: Web) -> None:
    form = {"CallSid": "CA" + "1" * 32, "Filler": "a" * (MAX_BODY // 2)}
    assert (await web.post(SIGNED, form)).status_code < 413
    assert (await web.post(SIGNED, form, signature="x")).status_code == 403


@pytest.mark.parametrize("field", [b"a&", b"&", b"a=1&"])
async def test_a_form_of_many_fields_is_refused_unread(web: Web, field: bytes) -> None:
    kind = {"Content-Type": KINDS[0], "X-Twilio-Signature": sign(f"{defaults.PUBLIC_URL}{SIGNED}")}
    assert (await web.http.post(SIGNED, content=field * (MAX_BODY // 4 - 1), headers=kind)).status_code == 413


async def test_a_form_of_some_fields_is_read(web: Web) -> None:
    form = {"CallSid": "CA" + "1" * 32, **{f"Filler{number}": "a" for number in range(500)}}
    assert (await web.post(SIGNED, form)).status_code < 413


# --- the server ---------------------------------------------------------------------------------------------------


class Client:
    """Connections to a server."""

    def __init__(self, address: str) -> None:
        self.host, self.port = address.split(":")
        self.writers: list[asyncio.StreamWriter] = []

    async def opens(self, text: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(self.host, int(self.port))
        self.writers.append(writer)
        writer.write(text)
        return reader

    async def sends(self, text: bytes) -> None:
        for writer in self.writers:
            writer.write(text)

    def closes(self) -> None:
        for writer in self.writers:
            writer.close()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """True when the server closes the connection."""
    try:
        await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.fixture
async def client() -> AsyncGenerator[Client]:
    async with AsyncExitStack() as stack:
        server, address = await stack.enter_async_context(serving())
        client = Client(address)
        yield client
        client.closes()
        server.should_exit = True


HEAD = f"POST {SIGNED} HTTP/1.1\r\nHost: agent.example\r\n".encode()
FORM = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\n"


async def test_the_server_does_not_read_on_after_a_large_body(client: Client) -> None:
    """350 MB took a worker from 102 MB to 799."""
    reader = await client.opens(FORM + b"Transfer-Encoding: chunked\r\n\r\n")
    for sent in range(0, 64 * MAX_BODY, len(CHUNK)):
        client.writers[0].write(b"10000\r\n" + CHUNK + b"\r\n")
        await client.writers[0].drain()
        if sent > 2 * MAX_BODY:
            break
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)


GET = b"GET /healthz HTTP/1.1\r\nHost: agent.example\r\n\r\n"
SLOW = {
    "a connection that says nothing": b"",
    "half a request line": b"POST /tw",
    "headers without an end": HEAD,
    "a body that stops": FORM + b"Content-Length: 1000\r\n\r\nCallSid=",
    "chunks that stop": FORM + b"Transfer-Encoding: chunked\r\n\r\n5\r\na=bcd\r\n",
    "line ends after an answer": GET + b"\r\n\r\n",
    "a second request that stops": GET + b"GET /healthz HTTP/1.1\r\n",
    "a handshake that stops": HEAD.replace(b"POST", b"GET") + b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW.keys())
async def test_a_slow_request_is_closed(client: Client, advance_clock: Callable[[float], None], text: bytes) -> None:
    reader = await client.opens(text)
    await health_of(client)
    await client.sends(b"")
    advance_clock(REQUEST_TIMEOUT + 1)
    assert await is_closed(reader)


async def test_a_byte_now_and_then_does_not_keep_a_connection(
    client: Client, advance_clock: Callable[[float], None]
) -> None:
    reader = await client.opens(HEAD)
    for _ in range(4):
        await health_of(client)
        advance_clock(REQUEST_TIMEOUT / 3)
        await client.sends(b"X: y\r\n")
    assert await is_closed(reader)


@pytest.mark.parametrize("text", [b"G", b"\r\n", HEAD], ids=["a letter", "a line end", "half a head"])
async def test_bytes_after_an_answer_do_not_keep_a_connection(
    client: Client, advance_clock: Callable[[float], None], text: bytes
) -> None:
    reader = await client.opens(GET)
    await reader.readuntil(b'"active":0}')
    await client.sends(text)
    await health_of(client)
    advance_clock(REQUEST_TIMEOUT + 1)
    assert await is_closed(reader)


async def test_a_slow_answer_is_not_closed(advance_clock: Callable[[float], None]) -> None:
    """The time is for the request: a hook may take its own."""
    going = asyncio.Event()

    async def waits() -> dict[str, str]:
        going.set()
        await asyncio.sleep(3 * REQUEST_TIMEOUT)
        return {"status": "done"}

    async with serving() as (server, address):
        server.config.app.add_api_route("/slow", waits)  # type: ignore[union-attr]
        async with httpx2.AsyncClient(base_url=f"http://{address}", verify=False, timeout=None) as http:
            asking = asyncio.create_task(http.get("/slow"))
            await going.wait()
            for _ in range(4):
                advance_clock(REQUEST_TIMEOUT)
                await asyncio.sleep(0.01)
            assert (await asking).json() == {"status": "done"}
        server.should_exit = True


async def health_of(client: Client) -> int:
    status, _ = await health(f"{client.host}:{client.port}")
    return status


async def test_a_large_body_after_a_small_head_is_read(client: Client) -> None:
    body = b"a=" + b"b" * 200_000
    reader = await client.opens(FORM + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert b" 403 " in await asyncio.wait_for(reader.readline(), 5)


async def test_small_chunks_do_not_stop_the_server(client: Client) -> None:
    """A parser in Python took four seconds for what one read brings."""
    await client.opens(FORM + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 40_000)
    stalls = []
    for _ in range(20):
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.01)
        stalls.append(asyncio.get_running_loop().time() - began)
    assert max(stalls) < 1


async def test_hundreds_of_slow_connections_leave_room(client: Client, advance_clock: Callable[[float], None]) -> None:
    """The oldest give way; a request that is complete never does."""
    readers = [await client.opens(HEAD) for _ in range(MAX_INCOMPLETE + 100)]
    assert await health_of(client) == 200
    advance_clock(MOMENT)
    assert all([await is_closed(reader) for reader in readers[:100]])
    assert not readers[-1].at_eof()


async def test_a_burst_of_requests_is_answered(client: Client) -> None:
    """They are all connected before one of them is read, as on a busy machine."""
    readers = [await client.opens(b"") for _ in range(MAX_INCOMPLETE + 100)]
    await client.sends(GET)
    assert [b" 200 " in await asyncio.wait_for(reader.readline(), 5) for reader in readers] == [True] * len(readers)


async def test_a_burst_has_an_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.limits.MAX_BURST", MAX_INCOMPLETE + 10)
    readers = [await client.opens(HEAD) for _ in range(MAX_INCOMPLETE + 30)]
    assert await health_of(client) == 200
    assert all([await is_closed(reader) for reader in readers[:20]])
    assert not readers[30].at_eof()


async def test_idle_connections_of_a_proxy_are_not_counted(client: Client) -> None:
    """They hold nothing, and closing one at a bad time would lose a webhook."""
    reader = await client.opens(GET)
    await reader.readuntil(b'"active":0}')
    idle = client.writers[0]
    for _ in range(MAX_INCOMPLETE + 20):
        await client.opens(HEAD)
    assert await health_of(client) == 200
    idle.write(GET)
    assert b"200" in await asyncio.wait_for(reader.readline(), 5)


async def test_a_large_head_of_a_second_request_is_refused(client: Client) -> None:
    reader = await client.opens(GET)
    await reader.readuntil(b'"active":0}')
    await client.sends(LARGE["headers without an end"])
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)


WHOLE = HEAD + b"X: " + b"a" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n"
LARGE = {
    "a header without an end": HEAD + b"X: " + b"a" * 100_000,
    "headers without an end": HEAD + b"X: a\r\n" * 100_000,
    "a path without an end": b"GET /" + b"a" * 100_000,
    "a whole head": WHOLE,
    "a whole head, byte by byte": WHOLE,
    "a whole path": b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\nHost: agent.example\r\n\r\n",
    "a handshake": WHOLE.replace(b"POST", b"GET").replace(b"X:", b"Upgrade: websocket\r\nConnection: Upgrade\r\nX:"),
}


@pytest.mark.parametrize("name", LARGE)
async def test_a_large_head_is_refused(client: Client, name: str) -> None:
    size = 1000 if "byte by byte" in name else len(LARGE[name])
    reader = await client.opens(LARGE[name][:size])
    for start in range(size, len(LARGE[name]), size):
        await health_of(client)
        await client.sends(LARGE[name][start : start + size])
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    assert await is_closed(reader)


async def test_a_client_that_leaves_is_no_error(client: Client, logged: Callable[[], str]) -> None:
    await client.opens(SLOW["a body that stops"])
    await health_of(client)
    client.closes()
    await asyncio.sleep(0.05)
    assert await health_of(client) == 200
    assert '"level": "error"' not in logged() and "Traceback" not in logged()


def test_the_app_has_the_limit_without_the_server() -> None:
    app = create_app(defaults.settings(), [scripted({"says": "Yes."})], [])
    assert app.max_body_size == MAX_BODY
