"""The command `agent dev`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from app.environment import SettingsError, load
from app.log import configure_logging
from kit.dev.addresses import NOWHERE, Say, context, move, only_one, put_back, put_back_leftovers
from kit.dev.child import Child
from kit.dev.tunnel import installed, open_tunnel, until_closed
from kit.doctor.check import Context, answers_file
from kit.setup.api import SetupError
from kit.setup.command import ask, is_interactive, say
from kit.setup.resource import Ask

START_TIMEOUT = 60.0  # seconds until the server answers
SERVER = [sys.executable, "-m", "app", "serve"]
WATCHED = ("agent", "app")
WATCH_TIMEOUT = 200  # milliseconds
FORBIDDEN = (
    "profile=enterprise has no tunnel: callers hear silence when it ends. Deploy the server (deploy/README.md), then "
    "agent setup apply; agent call talks to it without a number."
)


def dev(
    url: Annotated[str, typer.Option(help="The https address of a tunnel that runs already.")] = "",
    number: Annotated[str, typer.Option(help="The phone number, as in +15005550001.")] = "",
) -> None:
    """Take real calls on this machine: tunnel, server with reload, and the number's webhook, put back at the end."""
    configure_logging("critical")
    try:
        if (Path.cwd() / answers_file()).is_file() and Context(Path.cwd()).answers.get("profile") == "enterprise":
            raise SetupError(FORBIDDEN, 2)
        port = free_port(checked_settings().port or 8000)
        name = "" if url else installed()
        code = asyncio.run(develop(Path.cwd(), port, name, url, number=number, ask=ask if is_interactive() else None))
    except SetupError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(error.code) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 0
    raise typer.Exit(code)


def checked_settings() -> Any:
    """The settings of the server, whatever PUBLIC_URL is. Raises SettingsError; one line names all that are missing."""
    public_url, os.environ["PUBLIC_URL"] = os.environ.get("PUBLIC_URL"), NOWHERE
    try:
        return load()
    except SettingsError as error:
        missing = [problem.split()[0] for problem in error.problems if " is missing. " in problem]
        wrong = [problem for problem in error.problems if " is missing. " not in problem]
        named = f"agent dev needs {', '.join(missing)}: .env.example explains each, and agent setup makes ids."
        raise SettingsError([*wrong, *([named] if missing else [])]) from None
    finally:
        del os.environ["PUBLIC_URL"]
        os.environ.update({"PUBLIC_URL": public_url} if public_url is not None else {})


def free_port(port: int) -> int:
    """The port. Raises SetupError when another server has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SetupError(f"Port {port} is taken. End the server that has it, or set PORT.", 2) from None
    return port


async def develop(
    folder: Path,
    port: int,
    tunnel: str,
    url: str = "",
    *,
    number: str = "",
    ask: Ask | None = None,
    server: Sequence[str] = SERVER,
    transport: httpx2.AsyncBaseTransport | None = None,
    say: Say = say,
) -> int:
    """Serve until Ctrl-C (0), or until the server or the tunnel ends (1). The account is then as it was before."""
    task = asyncio.current_task()
    assert task
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # Windows
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), task.cancel)
    async with context(folder, transport=transport) as before:
        await put_back_leftovers(before, say)
    async with AsyncExitStack() as stack:
        stack.enter_context(only_one(folder))
        ends: list[asyncio.Task[str]] = []
        if not url:
            child, url = await open_tunnel(tunnel, port)
            stack.push_async_callback(child.stop)
            stack.push_async_callback(cancel, ends)
            ends.append(asyncio.create_task(closed(tunnel, child)))
        own = await stack.enter_async_context(context(folder, url, number=number, ask=ask, transport=transport))
        running = Reloaded(server, {"PUBLIC_URL": url, "PORT": str(port), "AGENT_DRAIN": "0"}, port, say)
        stack.push_async_callback(running.stop)
        await running.start()
        stack.push_async_callback(put_back, own, say)
        await move(own, say)
        called = own.records.get("number", {}).get("phone_number", "")
        changes = edits([folder / name for name in WATCHED])
        await anext(changes)
        say(f"{url} leads here. {f'Call {called}. ' if called else ''}Edits restart the server; Ctrl-C puts all back.")
        stack.push_async_callback(cancel, ends)
        ends.append(asyncio.create_task(running.until_it_ends(changes)))
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        say("; ".join(each.result() for each in done))
        return 1


async def cancel(tasks: Sequence[asyncio.Task[str]]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def closed(name: str, child: Child) -> str:
    said: list[str] = []
    await until_closed(name, child, said.append)
    return said[0]


async def edits(folders: Sequence[Path]) -> AsyncIterator[object]:
    """Nothing once, when the watch has begun; then the changes, whenever files are changed."""
    from watchfiles import awatch

    is_first = True
    async for changed in awatch(*folders, rust_timeout=WATCH_TIMEOUT, yield_on_timeout=True):
        if changed or is_first:
            yield changed
        is_first = False


class Reloaded:
    """The server, which an edit starts anew. Calls in progress break off, as they would with a new release."""

    def __init__(self, command: Sequence[str], env: dict[str, str], port: int, say: Say) -> None:
        self.command = command
        self.env = env
        self.health = f"http://127.0.0.1:{port}/healthz"
        self.say = say
        self.child: Child | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers. Raises SetupError when it ends before."""
        self.child = child = await Child.start(self.command, self.env)
        async with httpx2.AsyncClient(timeout=1.0, trust_env=False) as http:
            try:
                async with asyncio.timeout(START_TIMEOUT):
                    while not child.ended:
                        with suppress(httpx2.TransportError):
                            if (await http.get(self.health)).status_code == 200 and not child.ended:
                                return
                        await asyncio.sleep(0.05)
            except TimeoutError:
                raise SetupError(f"The server does not answer in {START_TIMEOUT:.0f} s. Its log says why.") from None
        raise SetupError("The server did not start. Its log says why.")

    async def stop(self) -> None:
        if self.child:
            await self.child.stop()

    async def until_it_ends(self, edits: AsyncIterator[object]) -> str:
        """Start it anew after each edit. One that an edit has broken waits for the next; any other end is returned."""
        edited = asyncio.ensure_future(anext(edits))
        broken = False
        try:
            while True:
                assert self.child
                ended = asyncio.ensure_future(self.child.wait())
                await asyncio.wait([edited] if broken else [edited, ended], return_when=asyncio.FIRST_COMPLETED)
                if not edited.done():
                    return f"The server has ended with {ended.result()}: its log says why."
                edited = asyncio.ensure_future(anext(edits))
                self.say("edited   the server starts anew")
                await self.child.stop()
                try:
                    await self.start()
                    broken = False
                except SetupError as error:
                    broken = True
                    self.say(f"{error} The next edit starts it again.")
        finally:
            edited.cancel()
