"""All tools of the agent, for commands that describe them to a service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2

from app.capability import Capability, Services, run_hooks
from app.environment import ToolsError, exit_on_settings_error
from app.log import configure_logging
from app.registry import CAPABILITIES, PARTS, ProjectSettings, load_tools
from app.runtimes.tools import tool_problems
from app.session import Session
from app.store import InProcess


def all_tools() -> list[Callable[..., Any]]:
    """The tools of `agent/tools.py` and of the capabilities, as a call has them. Sends no request.

    Exits with 2 when one of them has no schema.
    """
    configure_logging("error")
    own = load_tools()
    names = {tool.__name__ for tool in own}
    found = [*own, *(tool for tool in asyncio.run(capability_tools()) if tool.__name__ not in names)]
    with exit_on_settings_error("Nothing was printed."):
        if problems := tool_problems(found):
            raise ToolsError(problems)
    return found


async def capability_tools() -> list[Callable[..., Any]]:
    """What the capabilities have for a session, with the examples of the settings in place of an environment."""
    examples = {name: field.examples[0] for name, field in ProjectSettings.model_fields.items() if field.examples}
    services = Services(ProjectSettings(**examples), InProcess(), now, httpx2.MockTransport(refuse), parts=PARTS)
    services.capabilities = capabilities = [capability.build(services) for capability in CAPABILITIES]
    session = Session("CA0", "+15005550006", "+15005550001", "en-US", now)
    await run_hooks(capabilities, Capability.open)
    await run_hooks(capabilities, Capability.on_start, session)
    found = await run_hooks(capabilities, Capability.tools, session)
    await run_hooks(capabilities, Capability.close)
    return [tool for tools in found for tool in tools]


def now() -> datetime:
    return datetime.now(UTC)


def refuse(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(503)
