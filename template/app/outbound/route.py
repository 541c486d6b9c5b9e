"""`POST /outbound/calls`: another system asks for a call. It passes the same gate as every other."""

from __future__ import annotations

import hmac
import json
import time
from collections import deque
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from app.event_loop import Load
from app.outbound.contacts import Contact, wrong
from app.outbound.dialer import LEDGER, Dialer

CALLS = "/outbound/calls"
MINUTE = 60.0  # seconds
RETRY_AFTER = "5"  # seconds


class CallRoute:
    """Closed without AGENT_DIAL_TOKEN. The body is a contact as JSON, with `campaign` and perhaps `dry_run`."""

    def __init__(self, dialer: Dialer, settings: Any, load: Load) -> None:
        self.dialer = dialer
        self.load = load
        self.token = settings.dial_token
        self.rate = settings.dial_rate
        self.seen: deque[float] = deque()

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(CALLS, self.call, methods=["POST"], include_in_schema=False)  # no webhook

    async def call(self, request: Request) -> JSONResponse:
        """200 with `result`, `gate`, `reason` and `call_sid`; 400, 401, 404 (closed) or 429 for what is no request.

        503 when the ledger does not answer or this server cannot keep up: no call was placed, and the request may be
        repeated.
        """
        self.admit(request)
        try:
            body = json.loads(await request.body())
            campaign, dry_run = body.pop("campaign"), body.pop("dry_run", False)
            contact = Contact.model_validate(body)
        except ValidationError as error:
            raise HTTPException(400, list(wrong(error))) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise HTTPException(400, "Write a JSON object with number, campaign and the fields of a contact.") from None
        if not (isinstance(campaign, str) and campaign and isinstance(dry_run, bool)):
            raise HTTPException(400, "campaign is a name, and dry_run is true or false.")
        if self.load.is_too_high and not dry_run:
            raise HTTPException(503, "No call was placed: this server cannot keep up.", {"Retry-After": RETRY_AFTER})
        work = self.dialer.would_call if dry_run else self.dialer.call
        found: Any = await work(contact, campaign)
        if found.gate == LEDGER:
            raise HTTPException(503, f"No call was placed: {found.reason}.", {"Retry-After": RETRY_AFTER})
        return JSONResponse({**found._asdict(), "dry_run": True} if dry_run else vars(found))

    def admit(self, request: Request) -> None:
        """Raises HTTPException. Requests without the token do not count: they must not close the route for others."""
        if self.token is None:
            raise HTTPException(404, "Not Found")
        wanted = f"Bearer {self.token.get_secret_value()}".encode()
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), wanted):
            raise HTTPException(401, "A bearer token is needed.", {"WWW-Authenticate": "Bearer"})
        now = time.monotonic()
        while self.seen and now - self.seen[0] >= MINUTE:
            self.seen.popleft()
        if len(self.seen) >= self.rate:
            raise HTTPException(429, "Too many requests.", {"Retry-After": str(int(MINUTE))})
        self.seen.append(now)
