"""A local server with the part of the REST API of Azure Cosmos DB that the store needs.

It follows Microsoft's reference of that API, version 2020-07-15, and keeps the shapes that the client reads:
learn.microsoft.com/rest/api/cosmos-db/ with the pages `access-control-on-cosmosdb-resources` (the signature),
`get-a-collection`, `create-a-document`, `get-a-document`, `replace-a-document`, `delete-a-document`,
`common-cosmosdb-rest-request-headers` and `http-status-codes-for-cosmosdb`; learn.microsoft.com/azure/cosmos-db/nosql/
`time-to-live` defines when an item expires.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

DATABASE, CONTAINER = "agent", "sessions"
REASONS = {200: "OK", 201: "Created", 204: "No Content"}

Headers = dict[str, str]
Reply = tuple[int, Headers, dict[str, Any] | None]


class ErrorResponse(Exception):
    """An error response with its sub-status."""

    def __init__(self, status: int, code: str, sub_status: int = 0, **headers: str) -> None:
        self.status = status
        self.body = {"code": code, "message": f"Message: {code}"}
        self.headers = {"x-ms-substatus": str(sub_status)} | headers


class CosmosServer:
    """An account with one database and one container. It can fail and come back at the same address."""

    def __init__(self, key: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.key = key
        self.tls = tls
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/"
        self.stored: dict[str, dict[str, Any]] = {}
        self.partition_key = "/id"
        self.requests: list[tuple[str, str, Headers]] = []  # method, path, headers
        self.throttled = 0  # how many of the next requests for items get a 429
        self.lost = 0  # how many of the next responses to writes are lost
        self.before: Callable[[str], Awaitable[None]] | None = None  # awaited before each request, with its method
        self.error: ErrorResponse | None = None  # for every request but the first of a client
        self.now: Callable[[], float] = time.time
        self.running = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()

    # --- failures ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.running.set()
        self._go(self._serve(socket.create_server(("127.0.0.1", self.port))))

    def terminate(self) -> None:
        for task in self.tasks:
            task.cancel()
        for writer in self.writers:
            writer.transport.abort()

    def hang(self) -> None:
        self.running.clear()

    def refuse(self) -> None:
        self.error = ErrorResponse(403, "Forbidden", 5301)

    def drop_container(self) -> None:
        self.error = ErrorResponse(404, "NotFound", 1003)

    # --- items ------------------------------------------------------------------------------------------------------

    def items(self) -> list[dict[str, Any]]:
        return [item for item in self.stored.values() if not self._expired(item)]

    def _expired(self, item: dict[str, Any]) -> bool:
        return "ttl" in item and self.now() >= item["_ts"] + item["ttl"]

    def _keep(self, item: dict[str, Any]) -> dict[str, Any]:
        if "ttl" in item and (not isinstance(item["ttl"], int) or item["ttl"] == 0 or item["ttl"] < -1):
            raise ErrorResponse(400, "BadRequest")
        system = {"_rid": uuid4().hex, "_ts": int(self.now()), "_etag": f'"{uuid4()}"', "_attachments": "attachments/"}
        self.stored[item["id"]] = item | system
        return self.stored[item["id"]]

    # --- the API ----------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        """Raises ErrorResponse."""
        parts = [unquote(part) for part in path.split("?")[0].strip("/").split("/") if part]
        kind = parts[::2][-1] if parts else ""
        self._check_signature(method, kind, "/".join(parts if len(parts) % 2 == 0 else parts[:-1]), headers)
        if not parts:
            return 200, {}, self._account()
        if self.error:
            raise self.error
        if parts[:4] != ["dbs", DATABASE, "colls", CONTAINER]:
            raise ErrorResponse(404, "NotFound", 1003)
        if parts[4:] == []:
            return 200, {}, self._container()
        if self.throttled:
            self.throttled -= 1
            raise ErrorResponse(429, "TooManyRequests", 3200, **{"x-ms-retry-after-ms": "10"})
        return self._item(method, parts[5:], headers, json.loads(body) if body else {})

    def _item(self, method: str, parts: list[str], headers: Headers, body: dict[str, Any]) -> Reply:
        id = parts[0] if parts else body["id"]
        if json.loads(headers["x-ms-documentdb-partitionkey"]) != [id] or (body and body["id"] != id):
            raise ErrorResponse(400, "BadRequest", 1001)
        found = self.stored.get(id)
        if found and self._expired(found):
            found = self.stored.pop(id, None) and None
        if method == "POST":
            upsert = headers.get("x-ms-documentdb-is-upsert", "").lower() == "true"
            if found and not upsert:
                raise ErrorResponse(409, "Conflict")
            return self._written(201 if found is None else 200, self._keep(body), headers)
        if not found:
            raise ErrorResponse(404, "NotFound")
        if headers.get("if-match", found["_etag"]) != found["_etag"]:
            raise ErrorResponse(412, "PreconditionFailed")
        if method == "GET":
            return 200, {"etag": found["_etag"]}, found
        if method == "PUT":
            return self._written(200, self._keep(body), headers)
        assert method == "DELETE", method
        del self.stored[id]
        return 204, {}, None

    def _written(self, status: int, item: dict[str, Any], headers: Headers) -> Reply:
        minimal = headers.get("prefer") == "return=minimal"
        return status, {"etag": item["_etag"]}, None if minimal else item

    def _account(self) -> dict[str, Any]:
        region = {"name": "East US", "databaseAccountEndpoint": self.url}
        return {
            "id": "agent",
            "writableLocations": [region],
            "readableLocations": [region],
            "enableMultipleWriteLocations": False,
            "userConsistencyPolicy": {"defaultConsistencyLevel": "Strong"},
        }

    def _container(self) -> dict[str, Any]:
        key = {"paths": [self.partition_key], "kind": "Hash", "version": 2}
        return {"id": CONTAINER, "_rid": "Vk8QAJ2XIWU=", "partitionKey": key, "defaultTtl": -1}

    def _check_signature(self, method: str, kind: str, link: str, headers: Headers) -> None:
        if not self.key:
            return
        text = f"{method.lower()}\n{kind}\n{link}\n{headers['x-ms-date'].lower()}\n\n"
        digest = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()
        expected = f"type=master&ver=1.0&sig={base64.b64encode(digest).decode()}"
        if unquote(headers["authorization"]) != expected:
            raise ErrorResponse(401, "Unauthorized")

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._on_connection, sock=listener, ssl=self.tls)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has disconnected
        finally:
            self.writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its response. False when the connection is closed instead."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((method, path, headers))
        await self.running.wait()
        if self.before:
            await self.before(method)
        try:
            status, more, result = self.answer(method, path, headers, body)
        except ErrorResponse as error:
            status, more, result = error.status, error.headers, error.body
        if self.lost and method in ("POST", "PUT", "DELETE"):
            self.lost -= 1
            return False
        text = b"" if result is None else json.dumps(result).encode()
        more |= {"content-type": "application/json", "content-length": str(len(text)), "x-ms-request-charge": "1"}
        head = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        writer.write(f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\n{head}\r\n".encode() + text)
        await writer.drain()
        return True
