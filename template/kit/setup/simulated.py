"""`--simulated`: a new simulated account with one phone number, and this project as the server."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from app.main import create_app
from kit import defaults
from kit.scripted_model import scripted
from kit.setup.api import Api, SetupSettings
from kit.setup.env_file import EnvFile
from kit.setup.journal import FILE, Journal
from kit.setup.resource import Choices, SetupContext, variables
from kit.simulated_twilio.account import SimulatedAccount


@asynccontextmanager
async def simulated_setup(given: Mapping[str, str]) -> AsyncIterator[SetupContext]:
    """A context in a temporary folder; reads no real environment."""
    with tempfile.TemporaryDirectory() as folder:
        own = simulated_context(Path(folder), SimulatedAccount(), given)
        try:
            yield own
        finally:
            await own.api.close()


def simulated_context(
    folder: Path,
    account: SimulatedAccount,
    given: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None = None,
) -> SetupContext:
    """`folder` has `.env` and the journal. `transport` replaces that of the account."""
    known = defaults.settings()
    settings = SetupSettings(account_sid=known.account_sid, auth_token=known.auth_token, public_url=known.public_url)
    journal = Journal(folder / FILE, settings.account_sid)
    env_file = EnvFile(folder / ".env")
    api = Api(settings, transport or account.transport, pace=account.clock.pace)
    choices = Choices(dict(given), dict(journal.choices))
    return SetupContext(settings, api, journal, env_file, choices, {}, web=Server(env_file, account))


class Server(httpx2.AsyncBaseTransport):
    """The server of the project. It is built again for each request, with the ids that `.env` has then."""

    def __init__(self, env_file: EnvFile, account: SimulatedAccount) -> None:
        self.env_file = env_file
        self.account = account

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        ids = {name: value for name in variables() if (value := self.env_file.value(name))}
        app = create_app(defaults.settings(**ids), [scripted({"says": "Yes."})], [], transport=self.account.transport)
        return await httpx2.ASGITransport(app).handle_async_request(request)
