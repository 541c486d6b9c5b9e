"""A channel: the routes that conversations come in by, their signatures, and the conversations in progress."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Self

import structlog
from fastapi import FastAPI, HTTPException, Request
from starlette.datastructures import MultiDict
from twilio.request_validator import RequestValidator

from app.brain import Brain
from app.capability import Capability, Services
from app.connection import Connection
from app.history import clean
from app.limits import MAX_FIELDS
from app.session import Session
from app.settings import Settings

log = structlog.get_logger()


class Channel(ABC):
    """Voice, or messaging. Converts webhooks or frames to turns, and replies to frames or API calls."""

    name: ClassVar[str]
    signed_path: ClassVar[str]  # a webhook that rejects requests without Twilio's signature
    settings: type[Settings] = Settings

    @classmethod
    @abstractmethod
    def build(cls, services: Services, brain: Brain) -> Self: ...

    @abstractmethod
    def connect(self, app: FastAPI) -> None:
        """Add the routes of this channel."""

    @property
    @abstractmethod
    def active(self) -> int:
        """How many conversations are in progress."""

    async def connection_to(self, session: Session) -> Connection | None:
        """A connection to a conversation that is between two turns, or None."""
        return None

    async def close(self) -> None:  # noqa: B027 (optional)
        """Finish what is in progress: the server stops."""


class Conversations:
    """Every conversation of this server. `draining` is True after the first signal to stop."""

    def __init__(self, channels: Sequence[Channel], capabilities: Sequence[Capability]) -> None:
        self.channels = channels
        self.capabilities = capabilities
        self.draining = False

    @property
    def active(self) -> int:
        return sum(channel.active for channel in self.channels)

    def channel(self, name: str) -> Any:
        """The channel of that name. Raises StopIteration for one that the project does not have."""
        return next(channel for channel in self.channels if channel.name == name)


def signed_body(settings: Settings, lists: bool = False) -> Callable[[Request], Awaitable[dict[str, Any]]]:
    """A dependency that returns the fields of a signed form, or the object of signed JSON.

    The signature is validated against the public URL, with all values of a field that comes more than once; the last
    is returned. Raises HTTPException: 403 without a valid signature, 413 for too many fields, which take seconds to
    parse, 400 for JSON that is no object. JSON is signed by the SHA-256 of the body in the query (`bodySHA256`). If
    `lists` may come, one is returned as `items`.
    Source: https://www.twilio.com/docs/usage/security#validating-requests
    """
    validator = RequestValidator(settings.auth_token.get_secret_value())

    async def body(request: Request) -> dict[str, Any]:
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{settings.public_url}{request.url.path}{query}"  # Twilio signs this one, a proxy may forward another
        is_json = request.headers.get("Content-Type", "").startswith("application/json")
        fields: Any = {}
        if is_json and "bodySHA256" in request.query_params:
            fields = (await request.body()).decode(errors="replace")
        elif not is_json:
            if (await request.body()).count(b"&") >= MAX_FIELDS:
                raise HTTPException(413, "Too many fields.")
            fields = MultiDict((key, str(value)) for key, value in (await request.form()).multi_items())
        signature = request.headers.get("X-Twilio-Signature")
        unsigned_json = is_json and not isinstance(fields, str)
        if unsigned_json or not signature or not validator.validate(url, fields, signature):
            log.warning("signature.refused", url=url, hint="PUBLIC_URL and TWILIO_AUTH_TOKEN must be the number's own")
            raise HTTPException(403, "Not signed by Twilio.")
        if not is_json:
            return {key: clean(value) for key, value in fields.items()}
        try:
            parsed = clean(json.loads(fields))
        except (ValueError, RecursionError):
            raise HTTPException(400, "Not JSON.") from None
        if lists and isinstance(parsed, list):
            return {"items": parsed}
        if not isinstance(parsed, dict):
            raise HTTPException(400, "Not a JSON object.")
        return parsed

    return body
