"""The account and its phone numbers (api.twilio.com, 2010-04-01). Buying one is possible, and is noticed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID, CALLED
from kit.simulated_twilio.product import Answer, NotFound, Product, Request, route

# What a number that was just bought answers with.
DEMO = "https://demo.twilio.com/welcome/voice/"
DEMO_SMS = "https://demo.twilio.com/welcome/sms/reply"
ACCOUNT = "/2010-04-01/Accounts/{account}"


@dataclass
class Numbers(Product):
    """`known` maps SIDs to numbers, `applications` to TwiML applications; `bought` is what somebody has asked for.

    `status` is that of the account.
    """

    host = "api.twilio.com"
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    bought: list[dict[str, Any]] = field(default_factory=list)
    status: str = "active"
    page_size: int = 50

    def __post_init__(self) -> None:
        self.has(CALLED)

    def has(self, phone_number: str, **fields: Any) -> dict[str, Any]:
        """A number of this account. `fields` as in IncomingPhoneNumber, such as `voice_url` or `trunk_sid`."""
        sid = f"PN{len(self.known) + 1:032x}"
        self.known[sid] = {
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
        return self.known[sid]

    @route("GET", ACCOUNT + ".json")
    async def account(self, request: Request, account: str) -> Answer:
        self._own(account)
        return 200, {"sid": account, "friendly_name": "Simulated", "status": self.status, "type": "Full"}

    @route("GET", ACCOUNT + "/IncomingPhoneNumbers.json")
    async def list(self, request: Request, account: str) -> Answer:
        self._own(account)
        size, number = int(request.query.get("PageSize", self.page_size)), int(request.query.get("Page", 0))
        wanted = request.query.get("PhoneNumber", "")
        found = [each for each in self.known.values() if wanted in each["phone_number"]]
        after = f"{request.path}?PageSize={size}&Page={number + 1}&PageToken=PA{sid_of(number)}"
        return 200, {
            "incoming_phone_numbers": found[number * size : (number + 1) * size],
            "page": number,
            "page_size": size,
            "next_page_uri": after if len(found) > (number + 1) * size else None,
            "uri": request.path,
        }

    @route("GET", ACCOUNT + "/IncomingPhoneNumbers/{sid}.json")
    async def fetch(self, request: Request, account: str, sid: str) -> Answer:
        return 200, self._get(account, sid)

    @route("POST", ACCOUNT + "/IncomingPhoneNumbers/{sid}.json")
    async def update(self, request: Request, account: str, sid: str) -> Answer:
        """A trunk and an application take each other's place; either takes the calls away from the voice URL."""
        number = self._get(account, sid)
        for name, value in request.body.items():
            number[re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()] = value
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
        return 201, self.has(request.body.get("PhoneNumber", "+15005550099"))

    @route("GET", ACCOUNT + "/Applications/{sid}.json")
    async def application(self, request: Request, account: str, sid: str) -> Answer:
        self._own(account)
        if sid not in self.applications:
            raise NotFound(f"{sid} was not found")
        return 200, {"sid": sid, "voice_method": "POST", **self.applications[sid]}

    def _own(self, account: str) -> None:
        if account != ACCOUNT_SID:
            raise NotFound(f"{account} was not found")

    def _get(self, account: str, sid: str) -> dict[str, Any]:
        self._own(account)
        if sid not in self.known:
            raise NotFound(f"{sid} was not found")
        return self.known[sid]


@dataclass
class Regions(Product):
    """Where calls are processed. `known` maps numbers to regions; a number that is not there has no route."""

    host = "routes.twilio.com"
    known: dict[str, str] = field(default_factory=dict)

    @route("GET", "/v2/PhoneNumbers/{number}")
    async def fetch(self, request: Request, number: str) -> Answer:
        if number not in self.known:
            raise NotFound(f"{number} was not found")
        return 200, {"phone_number": number, "voice_region": self.known[number]}


def sid_of(number: int) -> str:
    return f"{number:032x}"
