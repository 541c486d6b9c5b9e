"""The account, its phone numbers and their inbound regions (api.twilio.com, 2010-04-01; routes.twilio.com, v2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID, CALLED
from kit.simulated_twilio.product import Answer, NotFound, Product, Request, get, route, snake_case

# The webhooks of a number that has just been bought.
DEMO = "https://demo.twilio.com/welcome/voice/"
DEMO_SMS = "https://demo.twilio.com/welcome/sms/reply"
ACCOUNT = "/2010-04-01/Accounts/{account}"


@dataclass
class Numbers(Product):
    """`records` maps SIDs to numbers, `applications` to TwiML applications; `status` is that of the account.

    `bought` has the forms of the requests that bought a number.
    """

    host = "api.twilio.com"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    bought: list[dict[str, Any]] = field(default_factory=list)
    status: str = "active"

    def __post_init__(self) -> None:
        self.add(CALLED)

    def add(self, phone_number: str, **fields: Any) -> dict[str, Any]:
        """A number of this account. `fields` as in IncomingPhoneNumber, such as `voice_url` or `trunk_sid`."""
        sid = f"PN{len(self.records) + 1:032x}"
        self.records[sid] = {
            "sid": sid,
            "account_sid": ACCOUNT_SID,
            "friendly_name": phone_number,
            "phone_number": phone_number,
            "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
            "voice_url": DEMO,
            "voice_method": "POST",
            "voice_fallback_url": "",
            "voice_fallback_method": "POST",
            "voice_application_sid": "",
            "trunk_sid": None,
            "status_callback": "",
            "status_callback_method": "POST",
            "sms_url": DEMO_SMS,
            "sms_method": "POST",
            "sms_application_sid": "",
            "uri": f"/2010-04-01/Accounts/{ACCOUNT_SID}/IncomingPhoneNumbers/{sid}.json",
            **fields,
        }
        return self.records[sid]

    @route("GET", ACCOUNT + ".json")
    async def account(self, request: Request, account: str) -> Answer:
        self._own(account)
        return 200, {"sid": account, "friendly_name": "Simulated", "status": self.status, "type": "Full"}

    @route("GET", ACCOUNT + "/IncomingPhoneNumbers.json")
    async def list(self, request: Request, account: str) -> Answer:
        self._own(account)
        wanted = request.query.get("PhoneNumber", "")
        found = [each for each in self.records.values() if wanted in each["phone_number"]]
        records, place, following = self.numbered_page(request, found)
        uris = {"next_page_uri": following and request.path + following, "uri": request.path}
        return 200, {"incoming_phone_numbers": records, **place, **uris}

    @route("GET", ACCOUNT + "/IncomingPhoneNumbers/{sid}.json")
    async def fetch(self, request: Request, account: str, sid: str) -> Answer:
        return 200, self._get(account, sid)

    @route("POST", ACCOUNT + "/IncomingPhoneNumbers/{sid}.json")
    async def update(self, request: Request, account: str, sid: str) -> Answer:
        """A trunk replaces an application and the other way round; with either, calls do not use the voice URL."""
        number = self._get(account, sid)
        number.update(snake_case(request.body))
        if request.body.get("TrunkSid"):
            number["voice_application_sid"] = ""
        elif request.body.get("VoiceApplicationSid"):
            number["trunk_sid"] = None
        number["trunk_sid"] = number["trunk_sid"] or None
        return 200, number

    @route("POST", ACCOUNT + "/IncomingPhoneNumbers.json")
    async def buy(self, request: Request, account: str) -> Answer:
        self._own(account)
        self.bought.append(request.body)
        return 201, self.add(request.body.get("PhoneNumber", "+15005550099"))

    @route("GET", ACCOUNT + "/Applications/{sid}.json")
    async def application(self, request: Request, account: str, sid: str) -> Answer:
        self._own(account)
        return 200, {"sid": sid, "voice_method": "POST", **get(self.applications, sid)}

    def _own(self, account: str) -> None:
        if account != ACCOUNT_SID:
            raise NotFound(account)

    def _get(self, account: str, sid: str) -> dict[str, Any]:
        self._own(account)
        return get(self.records, sid)


@dataclass
class Regions(Product):
    """`records` maps numbers to the regions that process their calls; other numbers have no route."""

    host = "routes.twilio.com"
    records: dict[str, str] = field(default_factory=dict)

    @route("GET", "/v2/PhoneNumbers/{number}")
    async def fetch(self, request: Request, number: str) -> Answer:
        return 200, {"phone_number": number, "voice_region": get(self.records, number)}
