"""The tunnels that `agent dev` can open, by the name of their executable.

Sources (2026-11-29): https://developers.cloudflare.com/cloudflare-one/networks/connectors/cloudflare-tunnel/do-more-with-tunnels/trycloudflare/,
https://ngrok.com/docs/agent/cli and https://learn.microsoft.com/azure/developer/dev-tunnels/cli-commands. Each prints its address.
"""  # noqa: E501

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from kit.dev.child import Child
from kit.setup.api import SetupError

ADDRESS_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Tunnel:
    """`arguments` and `address`, a pattern, have {port} for the port of the server."""

    arguments: str
    address: str


TUNNELS = {
    "cloudflared": Tunnel(
        "tunnel --no-autoupdate --url http://localhost:{port}", r"(https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com)"
    ),
    "ngrok": Tunnel("http {port} --log stdout --log-format logfmt", r"\burl=(https://[^\s\"]+)"),
    "devtunnel": Tunnel("host -p {port} --allow-anonymous", r"(https://[a-z0-9]+-{port}\.[a-z0-9.]+\.devtunnels\.ms)"),
}
NONE = (
    "No tunnel is installed: install cloudflared, which needs no account "
    "(https://github.com/cloudflare/cloudflared/releases), ngrok or devtunnel; or name the address of another by --url."
)


def installed() -> str:
    """The first tunnel on PATH. Raises SetupError without one."""
    found = [name for name in TUNNELS if shutil.which(name)]
    if not found:
        raise SetupError(NONE, 2)
    return found[0]


async def open_tunnel(name: str, port: int) -> tuple[Child, str]:
    """The running tunnel, and its public address. Raises SetupError, with what it printed, when it gives none."""
    tunnel = TUNNELS[name]
    pattern = re.compile(tunnel.address.replace("{port}", str(port)))
    executable = shutil.which(name) or name
    child = await Child.start([executable, *tunnel.arguments.format(port=port).split()], captured=True)
    try:
        async with asyncio.timeout(ADDRESS_TIMEOUT):
            while (line := await child.next_line()) is not None:
                if found := pattern.search(line):
                    return child, found[1].rstrip("/")
        why = f"it ended with {await child.wait()}"
    except TimeoutError:
        why = f"none came within {ADDRESS_TIMEOUT:.0f} s"
    except BaseException:
        await child.stop()
        raise
    await child.stop()
    printed = " | ".join(filter(None, child.lines)) or "nothing"
    raise SetupError(f"{name} gives no public address ({why}). It printed: {printed[-500:]}")


async def until_closed(name: str, child: Child, say: Callable[[str], None]) -> None:
    """Read on until the tunnel ends, which nothing may block."""
    while await child.next_line() is not None:
        pass
    await child.wait()
    printed = " | ".join(filter(None, child.lines))[-500:]
    say(f"{name} has ended{f': {printed}' if printed else '.'}")
