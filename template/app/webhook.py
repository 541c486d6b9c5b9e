"""Twilio's signature on a webhook, validated against the public URL."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from fastapi import HTTPException, Request
from twilio.request_validator import RequestValidator

from app.settings import Settings

log = structlog.get_logger()


def signed_body(settings: Settings) -> Callable[[Request], Awaitable[dict[str, Any]]]:
    """A dependency that returns the fields of a signed form, or the object of signed JSON.

    Raises HTTPException: 403 without a valid signature, 400 for JSON that is no object. JSON is signed by the SHA-256
    of the body in the query (`bodySHA256`). Source: https://www.twilio.com/docs/usage/security#validating-requests
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
            fields = {key: str(value) for key, value in (await request.form()).items()}
        signature = request.headers.get("X-Twilio-Signature")
        unsigned_json = is_json and not isinstance(fields, str)
        if unsigned_json or not signature or not validator.validate(url, fields, signature):
            log.warning("signature.refused", url=url, hint="PUBLIC_URL and TWILIO_AUTH_TOKEN must be the number's own")
            raise HTTPException(403, "Not signed by Twilio.")
        if not is_json:
            return dict(fields)
        try:
            parsed = json.loads(fields)
        except ValueError:
            raise HTTPException(400, "Not JSON.") from None
        if not isinstance(parsed, dict):
            raise HTTPException(400, "Not a JSON object.")
        return parsed

    return body
