"""TWILIO_REGION and TWILIO_EDGE: every client sends its requests to the hosts of the region, and nowhere else."""

from __future__ import annotations

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from app.twilio_http import Http, regional
from kit import defaults
from kit.setup.api import Api, SetupError, SetupSettings
from kit.simulated_twilio.account import SimulatedAccount


@pytest.mark.parametrize(
    ("region", "edge", "url", "host"),
    [
        ("us1", "", "https://api.twilio.com/x", "api.twilio.com"),
        ("us1", "umatilla", "https://api.twilio.com/x", "api.umatilla.us1.twilio.com"),
        ("us1", "umatilla", "https://memory.twilio.com/x", "memory.twilio.com"),
        ("ie1", "", "https://api.twilio.com/x", "api.dublin.ie1.twilio.com"),
        ("ie1", "", "https://api.ie1.twilio.com/x", "api.dublin.ie1.twilio.com"),
        ("ie1", "london-ix", "https://api.london-ix.ie1.twilio.com/x", "api.london-ix.ie1.twilio.com"),
        ("ie1", "", "https://taskrouter.twilio.com/x", "taskrouter.dublin.ie1.twilio.com"),
        ("ie1", "", "https://conversations.ie1.twilio.com/x", "conversations.twilio.com"),
        ("au1", "", "https://api.twilio.com/x", "api.sydney.au1.twilio.com"),
        ("au1", "", "https://taskrouter.twilio.com/x", "taskrouter.twilio.com"),
        ("au1", "", "http://127.0.0.1/x", "127.0.0.1"),
        ("us1", "", "http://localhost/x", "localhost"),
    ],
)
def test_a_host_is_that_of_the_region_if_the_region_has_the_product(
    region: str, edge: str, url: str, host: str
) -> None:
    settings = defaults.settings(twilio_region=region, twilio_edge=edge)
    assert regional(f"{url}?a=b%20c", settings) == f"{url.partition(':')[0]}://{host}/x?a=b%20c"


@pytest.fixture
def account() -> SimulatedAccount:
    """An account whose credentials are those of Australia, where no regulation keeps a product out."""
    account = SimulatedAccount()
    account.transport.region = "au1"
    return account


@pytest.mark.parametrize("variables", [{}, {"TWILIO_REGION": "au1"}, {"TWILIO_REGION": "au1", "TWILIO_EDGE": "sydney"}])
async def test_the_library_reaches_the_region_whatever_it_reads_itself(
    account: SimulatedAccount, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads these variables too, and makes hosts without a city of the region alone."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = defaults.settings(twilio_region="au1")
    http = Http(account.transport, 5.0, settings)
    client = Client(defaults.ACCOUNT_SID, defaults.AUTH_TOKEN, http_client=http)
    numbers = client.api.v2010.account.incoming_phone_numbers
    assert [each.phone_number for each in await numbers.page_async()] == [defaults.CALLED]
    assert account.transport.hosts == {"api.sydney.au1.twilio.com"}


async def test_setup_changes_the_number_in_the_region(account: SimulatedAccount) -> None:
    token = defaults.AUTH_TOKEN
    settings = SetupSettings(
        account_sid=defaults.ACCOUNT_SID, auth_token=token, public_url=defaults.PUBLIC_URL, twilio_region="au1"
    )
    api = Api(settings, account.transport)
    numbers = f"https://api.twilio.com/2010-04-01/Accounts/{defaults.ACCOUNT_SID}/IncomingPhoneNumbers.json"
    assert await api.list_all(numbers, "incoming_phone_numbers")
    assert account.transport.hosts == {"api.sydney.au1.twilio.com"}
    with pytest.raises(SetupError, match="401 to GET memory.twilio.com.* of another region than TWILIO_REGION"):
        await api.get("https://memory.twilio.com/v1/ControlPlane/Stores")


@pytest.mark.parametrize("region", ["us1", "ie1"])
async def test_credentials_are_those_of_one_region(account: SimulatedAccount, region: str) -> None:
    http = Http(account.transport, 5.0, defaults.settings(twilio_region=region))
    client = Client(defaults.ACCOUNT_SID, defaults.AUTH_TOKEN, http_client=http)
    with pytest.raises(TwilioRestException) as refused:
        await client.api.v2010.accounts(defaults.ACCOUNT_SID).fetch_async()
    assert refused.value.status == 401
