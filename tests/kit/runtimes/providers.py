"""Model providers on this machine: each is a loopback server that speaks the wire format of one, for its real client.

A script answers each request: the status of a refusal, or a list of steps. A step is a word, a Call, a THOUGHT, a
failure inside the stream (OVERLOADED, FILTERED), a pause in seconds, or how the connection ends (CUT, END).
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

CUT = "<cut>"  # the connection breaks
END = "<end>"  # the body ends properly, though the answer does not
THOUGHT = "<thought>"
OVERLOADED = "<overloaded>"
FILTERED = "<filtered>"
FOREVER = 3600.0


@dataclass
class Call:
    name: str
    arguments: dict[str, Any]


@dataclass
class Refusal:
    """An answer without a stream."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    code: str = "server_error"


Answer = Refusal | Sequence[str | float | Call]


class Provider:
    """One wire format. `answers` are taken in order; the last one is repeated. `requests` are the bodies so far."""

    content_type = "text/event-stream"
    overload = 503
    model = ""
    extra = ""  # the module of its client
    thinks = True
    asks_again = True  # its client, after a failure of the server
    keeps_alive = False  # botocore closes a stream that hangs only when its connection is kept

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []
        self.address = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[Any]] = set()

    @property
    def connection(self) -> dict[str, str]:
        return {} if self.keeps_alive else {"connection": "close"}

    def environment(self) -> dict[str, str]:
        """What the client reads from the environment."""
        raise NotImplementedError

    async def __aenter__(self) -> Provider:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            await self._answer(reader, writer)
            while self.keeps_alive and not writer.is_closing():
                await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self._open.discard(task)
            with suppress(Exception):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if "expect: 100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
        self.requests.append(json.loads(await reader.readexactly(length)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Refusal):
            body = json.dumps(self.error(answer)).encode()
            headers = {"content-type": "application/json", "content-length": str(len(body)), **answer.headers}
            writer.write(head_of(answer.status, {**self.connection, **headers, **self.error_headers(answer)}) + body)
            await writer.drain()
            return
        if answer and answer[0] != FOREVER:
            streamed = {"content-type": self.content_type, "transfer-encoding": "chunked"}
            writer.write(head_of(200, {**self.connection, **streamed}))
        steps = list(answer)
        if steps and isinstance(steps[0], float):
            await asyncio.sleep(steps.pop(0))  # type: ignore[arg-type]
        stream = Stream(self)
        for step in [*steps, None]:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif step == CUT:
                writer.transport.abort()
                return
            else:
                for chunk in () if step == END else stream.chunks(step):
                    writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
                if step in (END, FILTERED):
                    break
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def error(self, refusal: Refusal) -> Any:
        return {"error": {"message": "the order of Ada", "type": refusal.code, "code": refusal.code}}

    def error_headers(self, refusal: Refusal) -> dict[str, str]:
        return {}

    # Each of these yields chunks of the body. `text` and the others are called between `begin` and `end`.
    def begin(self) -> Iterator[bytes]:
        raise NotImplementedError

    def open_text(self, index: int) -> Iterator[bytes]:
        return iter(())

    def text(self, index: int, word: str) -> Iterator[bytes]:
        raise NotImplementedError

    def call(self, index: int, call: Call) -> Iterator[bytes]:
        raise NotImplementedError

    def thought(self, index: int) -> Iterator[bytes]:
        raise NotImplementedError

    def overloaded(self) -> Iterator[bytes]:
        raise NotImplementedError

    def end(self, reason: str) -> Iterator[bytes]:
        """`reason` is "text", "call" or "filtered"."""
        raise NotImplementedError


class Stream:
    """The chunks of one answer."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.index = 0
        self.text_index: int | None = None
        self.begun = False
        self.reason = "text"

    def chunks(self, step: Any) -> Iterator[bytes]:
        if not self.begun:
            self.begun = True
            yield from self.provider.begin()
        if step is None or step == FILTERED:
            yield from self.provider.end("filtered" if step else self.reason)
        elif step == OVERLOADED:
            yield from self.provider.overloaded()
        elif step == THOUGHT:
            yield from self.provider.thought(self.index)
            self.index += 1
        elif isinstance(step, Call):
            self.reason = "call"
            yield from self.provider.call(self.index, step)
            self.index += 1
        else:
            if self.text_index is None:
                self.text_index = self.index
                self.index += 1
                yield from self.provider.open_text(self.text_index)
            if step:
                yield from self.provider.text(self.text_index, step)


def head_of(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def sse(data: Any, event: str | None = None) -> bytes:
    return (f"event: {event}\n" if event else "").encode() + f"data: {json.dumps(data)}\n\n".encode()


class OpenAI(Provider):
    """Responses API: https://platform.openai.com/docs/api-reference/responses-streaming"""

    model = "openai:gpt-6-luna"
    extra = "openai"

    def environment(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{self.address}/v1"}

    def event(self, type: str, **fields: Any) -> bytes:
        return sse({"type": type, "sequence_number": 0, **fields}, type)

    def response(self, status: str, **fields: Any) -> dict[str, Any]:
        response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-6-luna", "output": []}
        more = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "status": status, "error": None}
        return {**response, **more, "incomplete_details": None, **fields}

    def item(self, index: int, item: dict[str, Any]) -> bytes:
        return self.event("response.output_item.added", output_index=index, item=item)

    def begin(self) -> Iterator[bytes]:
        yield self.event("response.created", response=self.response("in_progress"))
        yield self.event("response.in_progress", response=self.response("in_progress"))

    def open_text(self, index: int) -> Iterator[bytes]:
        message = {"type": "message", "id": "m1", "role": "assistant", "status": "in_progress", "content": []}
        yield self.item(index, message)
        part = {"type": "output_text", "text": "", "annotations": []}
        where = {"item_id": "m1", "output_index": index, "content_index": 0}
        yield self.event("response.content_part.added", **where, part=part)

    def text(self, index: int, word: str) -> Iterator[bytes]:
        where = {"item_id": "m1", "output_index": index, "content_index": 0}
        yield self.event("response.output_text.delta", **where, delta=word, logprobs=[])

    def call(self, index: int, call: Call) -> Iterator[bytes]:
        item = {"type": "function_call", "id": f"f{index}", "call_id": f"c{index}", "name": call.name}
        arguments = json.dumps(call.arguments)
        yield self.item(index, {**item, "arguments": "", "status": "in_progress"})
        where = {"item_id": f"f{index}", "output_index": index}
        yield self.event("response.function_call_arguments.delta", **where, delta=arguments)
        yield self.event("response.function_call_arguments.done", **where, arguments=arguments, name=call.name)
        done = {**item, "arguments": arguments, "status": "completed"}
        yield self.event("response.output_item.done", output_index=index, item=done)

    def thought(self, index: int) -> Iterator[bytes]:
        yield self.item(index, {"type": "reasoning", "id": "r1", "summary": []})
        where = {"item_id": "r1", "output_index": index, "summary_index": 0}
        yield self.event("response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""})
        yield self.event("response.reasoning_summary_text.delta", **where, delta="Hm.")

    def overloaded(self) -> Iterator[bytes]:
        error = {"code": "server_error", "message": "the order of Ada"}
        yield self.event("response.failed", response=self.response("failed", error=error))

    def end(self, reason: str) -> Iterator[bytes]:
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        if reason == "filtered":
            more = {"incomplete_details": {"reason": "content_filter"}}
            yield self.event("response.incomplete", response=self.response("incomplete", **more))
            return
        yield self.event("response.completed", response=self.response("completed", usage={**usage, **details}))


class Azure(Provider):
    """Chat completions: https://learn.microsoft.com/azure/ai-services/openai/reference"""

    model = "azure:gpt-6-luna"
    extra = "openai"
    thinks = False

    def environment(self) -> dict[str, str]:
        key = {"AZURE_OPENAI_API_KEY": "k", "OPENAI_API_VERSION": "2026-06-01"}
        return {**key, "AZURE_OPENAI_ENDPOINT": self.address}

    def chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        about = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-6-luna"}
        return sse({**about, "choices": [choice]})

    def begin(self) -> Iterator[bytes]:
        about = {"id": "", "object": "", "created": 0, "model": ""}
        yield sse({**about, "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
        yield self.chunk({"role": "assistant", "content": ""})

    def text(self, index: int, word: str) -> Iterator[bytes]:
        yield self.chunk({"content": word})

    def call(self, index: int, call: Call) -> Iterator[bytes]:
        function = {"name": call.name, "arguments": ""}
        yield self.chunk(
            {"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": function}]}
        )
        arguments = {"arguments": json.dumps(call.arguments)}
        yield self.chunk({"tool_calls": [{"index": index, "function": arguments}]})

    def overloaded(self) -> Iterator[bytes]:
        yield sse({"error": {"message": "the order of Ada", "type": "server_error", "code": "overloaded"}})

    def end(self, reason: str) -> Iterator[bytes]:
        yield self.chunk({}, {"text": "stop", "call": "tool_calls", "filtered": "content_filter"}[reason])
        yield b"data: [DONE]\n\n"


class Anthropic(Provider):
    """Messages API: https://docs.anthropic.com/en/docs/build-with-claude/streaming"""

    model = "anthropic:claude-haiku-5-5"
    extra = "anthropic"
    overload = 529

    def environment(self) -> dict[str, str]:
        return {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": self.address}

    def error(self, refusal: Refusal) -> Any:
        return {"type": "error", "error": {"type": refusal.code, "message": "the order of Ada"}}

    def event(self, type: str, **fields: Any) -> bytes:
        return sse({"type": type, **fields}, type)

    def begin(self) -> Iterator[bytes]:
        message = {"id": "m1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5", "content": []}
        usage = {"input_tokens": 1, "output_tokens": 1}
        yield self.event(
            "message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage}
        )
        yield self.event("ping")

    def open_text(self, index: int) -> Iterator[bytes]:
        yield self.event("content_block_start", index=index, content_block={"type": "text", "text": ""})

    def text(self, index: int, word: str) -> Iterator[bytes]:
        yield self.event("content_block_delta", index=index, delta={"type": "text_delta", "text": word})

    def call(self, index: int, call: Call) -> Iterator[bytes]:
        block = {"type": "tool_use", "id": f"c{index}", "name": call.name, "input": {}}
        yield self.event("content_block_start", index=index, content_block=block)
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)}
        yield self.event("content_block_delta", index=index, delta=delta)
        yield self.event("content_block_stop", index=index)

    def thought(self, index: int) -> Iterator[bytes]:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        yield self.event("content_block_start", index=index, content_block=block)
        yield self.event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": "Hm."})

    def overloaded(self) -> Iterator[bytes]:
        yield self.event("error", error={"type": "overloaded_error", "message": "the order of Ada"})

    def end(self, reason: str) -> Iterator[bytes]:
        stop = {"text": "end_turn", "call": "tool_use", "filtered": "refusal"}[reason]
        delta = {"stop_reason": stop, "stop_sequence": None}
        yield self.event("message_delta", delta=delta, usage={"output_tokens": 2})
        yield self.event("message_stop")


class Google(Provider):
    """streamGenerateContent: https://ai.google.dev/api/generate-content"""

    model = "google:gemini-3.8-flash"
    extra = "google.genai"
    asks_again = False

    def environment(self) -> dict[str, str]:
        return {"GOOGLE_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": self.address}

    def error(self, refusal: Refusal) -> Any:
        return {"error": {"code": refusal.status, "message": "the order of Ada", "status": refusal.code.upper()}}

    def candidate(self, parts: list[Any], **fields: Any) -> bytes:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **fields}
        return sse({"candidates": [candidate], "modelVersion": "gemini-3.8-flash", "responseId": "r1"})

    def begin(self) -> Iterator[bytes]:
        return iter(())

    def text(self, index: int, word: str) -> Iterator[bytes]:
        yield self.candidate([{"text": word}])

    def call(self, index: int, call: Call) -> Iterator[bytes]:
        yield self.candidate([{"functionCall": {"name": call.name, "args": call.arguments}}])

    def thought(self, index: int) -> Iterator[bytes]:
        yield self.candidate([{"text": "Hm.", "thought": True}])

    def overloaded(self) -> Iterator[bytes]:
        yield sse({"error": {"code": 503, "message": "the order of Ada", "status": "UNAVAILABLE"}})

    def end(self, reason: str) -> Iterator[bytes]:
        if reason == "filtered":
            yield sse({"candidates": [{"finishReason": "SAFETY", "index": 0}], "modelVersion": "m", "responseId": "r1"})
        else:
            yield self.candidate([], finishReason="STOP")


class Bedrock(Provider):
    """ConverseStream: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html"""

    model = "bedrock:global.anthropic.claude-haiku-5-5"
    extra = "boto3"
    asks_again = False
    content_type = "application/vnd.amazon.eventstream"
    keeps_alive = True

    def environment(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        return {**keys, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.address}

    def error(self, refusal: Refusal) -> Any:
        return {"message": "the order of Ada"}

    def error_headers(self, refusal: Refusal) -> dict[str, str]:
        names = {429: "ThrottlingException", 503: "ServiceUnavailableException", 400: "ValidationException"}
        return {"x-amzn-errortype": names.get(refusal.status, "InternalServerException")}

    def frame(self, kind: str, name: str, body: Any) -> bytes:
        payload = json.dumps(body).encode()
        names = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
        headers = b"".join(
            struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
            for key, value in names.items()
        )
        prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
        message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
        return message + struct.pack("!I", crc32(message))

    def begin(self) -> Iterator[bytes]:
        yield self.frame("event", "messageStart", {"role": "assistant"})

    def delta(self, index: int, delta: Any) -> bytes:
        return self.frame("event", "contentBlockDelta", {"contentBlockIndex": index, "delta": delta})

    def text(self, index: int, word: str) -> Iterator[bytes]:
        yield self.delta(index, {"text": word})

    def call(self, index: int, call: Call) -> Iterator[bytes]:
        start = {"toolUse": {"toolUseId": f"c{index}", "name": call.name}}
        yield self.frame("event", "contentBlockStart", {"contentBlockIndex": index, "start": start})
        yield self.delta(index, {"toolUse": {"input": json.dumps(call.arguments)}})
        yield self.frame("event", "contentBlockStop", {"contentBlockIndex": index})

    def thought(self, index: int) -> Iterator[bytes]:
        yield self.delta(index, {"reasoningContent": {"text": "Hm."}})

    def overloaded(self) -> Iterator[bytes]:
        yield self.frame("exception", "throttlingException", {"message": "the order of Ada"})

    def end(self, reason: str) -> Iterator[bytes]:
        stop = {"text": "end_turn", "call": "tool_use", "filtered": "content_filtered"}[reason]
        yield self.frame("event", "contentBlockStop", {"contentBlockIndex": 0})
        yield self.frame("event", "messageStop", {"stopReason": stop})
        usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
        yield self.frame("event", "metadata", {"usage": usage, "metrics": {"latencyMs": 1}})


PROVIDERS: list[type[Provider]] = [OpenAI, Azure, Anthropic, Google, Bedrock]
