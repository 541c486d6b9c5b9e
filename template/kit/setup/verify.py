"""Verify: prove that every resource exists with the wanted fields, and that the server answers webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

from kit.setup.api import SetupError
from kit.setup.apply import resources
from kit.setup.resource import Proof, SetupContext, variables, without_passwords
from kit.webhook import sign, signed_json


async def verify(setup: SetupContext) -> list[Proof]:
    """Verify all resources in order. A failed proof does not stop the later ones."""
    found: list[Proof] = []
    for resource in resources(setup):
        try:
            step = await resource.compare()
            if step.record is None:
                found.append(Proof(resource.key, "exists", False, "It is not there: agent setup apply makes it."))
                continue
            found.append(Proof(resource.key, "exists", True))
            for each in step.changes:
                before, after = without_passwords(each.before), without_passwords(each.after)
                detail = f"It is {before}, not {after}: agent setup apply changes it."
                found.append(Proof(resource.key, each.field, False, detail))
            if (name := resource.variable) in variables():
                id = resource.value(step.record)
                ok = setup.value(name) == id
                detail = "" if ok else f"It does not name {id}: agent setup apply writes it."
                found.append(Proof(resource.key, name, ok, detail))
            found += [proof async for proof in resource.proofs(step.record)]
        except SetupError as error:
            found.append(Proof(resource.key, "answers", False, str(error)))
    return found


async def webhook_proofs(
    setup: SetupContext, resource: str, path: str, form: Mapping[str, str] | None = None, body: Any = None
) -> AsyncIterator[Proof]:
    """Prove that a webhook is reachable, rejects an unsigned request (401, 403) and accepts a signed one (2xx)."""
    url, token = f"{setup.settings.public_url}{path}", setup.settings.auth_token.get_secret_value()
    if body is None:
        content = str(httpx2.QueryParams(dict(form or {}))).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": sign(url, form, token)}
    else:
        url, content, headers = signed_json(url, body, token)
    without_signature = {"Content-Type": headers["Content-Type"]}
    try:
        async with httpx2.AsyncClient(transport=setup.web, timeout=15) as http:
            unsigned = await http.post(url, content=content, headers=without_signature)
            signed = await http.post(url, content=content, headers=headers)
    except httpx2.TransportError as error:
        hint = f"{type(error).__name__}: is `agent serve` up, PUBLIC_URL right?"
        yield Proof(resource, f"{path} is reachable", False, hint)
        return
    yield Proof(resource, f"{path} is reachable", True)
    ok = unsigned.status_code in (401, 403)
    hint = f"It answered {unsigned.status_code}: is PUBLIC_URL this project, and not a page before it?"
    yield Proof(resource, f"{path} refuses what is not signed", ok, "" if ok else hint)
    ok = 200 <= signed.status_code < 300
    hint = f"It answered {signed.status_code}: the server's PUBLIC_URL and TWILIO_AUTH_TOKEN must be these."
    yield Proof(resource, f"{path} takes what is signed", ok, "" if ok else hint)
    setup.records[path] = {"text": signed.text}
