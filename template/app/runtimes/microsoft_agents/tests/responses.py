"""The Responses API of Azure as a transport of the real client: its events, and a record of the requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-6-luna",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": []}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "sequence_number": 0, "output_index": 0, **fields}


def response(status: str) -> dict[str, Any]:
    failed = {"code": "server_error", "message": "a secret"} if status == "failed" else None
    return event(f"response.{status}", response={**RESPONSE, "status": status, "error": failed})


def text(*tokens: str) -> list[dict[str, Any]]:
    """One text: its tokens, then the whole."""
    part = {"item_id": "msg_1", "content_index": 0, "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return [
        event("response.output_item.added", item=item),
        event(
            "response.content_part.added",
            **part,
            part={"type": "output_text", "text": "", "annotations": []},
        ),
        *(event("response.output_text.delta", **part, delta=token) for token in tokens),
        event("response.output_text.done", **part, text="".join(tokens)),
    ]


def tool_call(name: str, arguments: str = "{}", number: int = 1) -> list[dict[str, Any]]:
    item = {"id": f"fc_{number}", "type": "function_call", "call_id": f"call_{number}", "name": name}
    whole = {**item, "arguments": arguments, "status": "completed"}
    return [
        event("response.output_item.added", item={**item, "arguments": ""}, output_index=number),
        event("response.function_call_arguments.delta", item_id=item["id"], delta=arguments, output_index=number),
        event(
            "response.function_call_arguments.done",
            item_id=item["id"],
            name=name,
            arguments=arguments,
            output_index=number,
        ),
        event("response.output_item.done", item=whole, output_index=number),
    ]


def reasoning(**fields: Any) -> list[dict[str, Any]]:
    item = {**REASONING, **fields}
    return [event("response.output_item.added", item=item), event("response.output_item.done", item=item)]


class ResponsesAPI:
    """Responds to each request with the next of `responses`, or with the last; a number is an HTTP status."""

    def __init__(self, *responses: Sequence[dict[str, Any]] | int) -> None:
        self.responses = list(responses)
        self.requests: list[httpx2.Request] = []
        self.silent = asyncio.Event()
        self.closed = asyncio.Event()
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.respond))

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]

    async def respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(answer, int):
            return httpx2.Response(answer, json={"error": {"message": "a secret", "code": "none"}})
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=self.stream(answer))

    async def stream(self, events: Sequence[dict[str, Any]]) -> AsyncIterator[bytes]:
        try:
            ended = any(each["type"] in ("response.failed", "silence") for each in events)
            for each in [response("created"), *events, *([] if ended else [response("completed")])]:
                if each["type"] == "silence":
                    self.silent.set()
                    await asyncio.Event().wait()
                yield f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode()
        finally:
            self.closed.set()
