"""Records of calls and messages, and transcriptions (api.twilio.com, 2010-04-01; intelligence.twilio.com, v2).

Sources: https://www.twilio.com/docs/voice/api/call-resource, /docs/messaging/api/message-resource,
/docs/voice/api/recording-transcription and /docs/conversational-intelligence/api (read in November 2026).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID, CALLED
from kit.simulated_twilio.numbers import ACCOUNT
from kit.simulated_twilio.product import (
    Answer,
    ApiError,
    BadRequest,
    NotFound,
    Product,
    Request,
    get,
    route,
    sid,
    timestamp,
)

NOT_OVER = 20009  # Twilio's error code for a record that cannot be deleted yet
LIVE = ("queued", "ringing", "in-progress", "sending")


@dataclass
class Records(Product):
    """Records by SID, each with `from`, `to` and `status`."""

    host = "api.twilio.com"
    prefix = ""
    path = ""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, sender: str, recipient: str, id: str | None = None, **fields: Any) -> dict[str, Any]:
        own = id or sid(self.prefix)
        self.records[own] = {
            "sid": own,
            "account_sid": ACCOUNT_SID,
            "from": sender,
            "to": recipient,
            "direction": "inbound",
            "date_created": timestamp(),
            **fields,
        }
        return self.records[own]

    def _list(self, request: Request, account: str, key: str) -> Answer:
        check_account(account)
        wanted = {name: request.query[name] for name in ("From", "To") if name in request.query}
        found = [each for each in self.records.values() if all(each[k.lower()] == v for k, v in wanted.items())]
        records, place, following = self.numbered_page(request, found)
        if following:
            following += "".join(f"&{name}={value.replace('+', '%2B')}" for name, value in wanted.items())
        return 200, {key: records, **place, "next_page_uri": following and request.path + following}

    def _delete(self, account: str, id: str) -> Answer:
        check_account(account)
        if get(self.records, id)["status"] in LIVE:
            raise ApiError(409, f"{id} is not over", NOT_OVER)
        del self.records[id]
        return 204, None


# https://www.twilio.com/docs/voice/answering-machine-detection (2026-11-29)
ANSWERED_BY = (
    "human",
    "machine_start",
    "machine_end_beep",
    "machine_end_silence",
    "machine_end_other",
    "fax",
    "unknown",
)
INVALID_TO, INVALID_FROM, INVALID_URL = 21211, 21210, 21205  # Twilio's error codes


@dataclass
class Calls(Records):
    prefix = "CA"

    @route("POST", ACCOUNT + "/Calls.json")
    async def create(self, request: Request, account: str) -> Answer:
        """Queues a call. It rings when a simulated person takes it (`kit.caller`)."""
        check_account(account)
        to, sender, url = (str(request.body.get(name, "")) for name in ("To", "From", "Url"))
        if not re.fullmatch(r"\+[1-9]\d{6,14}", to):
            raise BadRequest(f"{to} is not a phone number", INVALID_TO)
        if sender != CALLED:
            raise BadRequest(f"{sender} is not a number of this account", INVALID_FROM)
        if not url.startswith("https://"):
            raise BadRequest(f"{url} is not a valid URL", INVALID_URL)
        kept = {"url": url, "status_callback": request.body.get("StatusCallback")}
        record = self.add(sender, to, direction="outbound-api", status="queued", **kept)
        return 201, {name: value for name, value in record.items() if name not in kept}

    def waiting_for(self, person: str) -> dict[str, Any] | None:
        """The call to a person that has been queued first."""
        queued = (each for each in self.records.values() if (each["to"], each["status"]) == (person, "queued"))
        return next(queued, None)

    @route("GET", ACCOUNT + "/Calls.json")
    async def list(self, request: Request, account: str) -> Answer:
        return self._list(request, account, "calls")

    @route("DELETE", ACCOUNT + "/Calls/{id}.json")
    async def delete(self, request: Request, account: str, id: str) -> Answer:
        return self._delete(account, id)


@dataclass
class Messages(Records):
    prefix = "SM"

    @route("GET", ACCOUNT + "/Messages.json")
    async def list(self, request: Request, account: str) -> Answer:
        return self._list(request, account, "messages")

    @route("DELETE", ACCOUNT + "/Messages/{id}.json")
    async def delete(self, request: Request, account: str, id: str) -> Answer:
        return self._delete(account, id)


@dataclass
class Transcriptions(Product):
    """`records` are transcriptions of recordings, by SID."""

    host = "api.twilio.com"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, recording: str, text: str) -> dict[str, Any]:
        own = {"sid": sid("TR"), "recording_sid": recording, "transcription_text": text, "status": "completed"}
        self.records[own["sid"]] = own
        return own

    @route("GET", ACCOUNT + "/Recordings/{recording}/Transcriptions.json")
    async def list(self, request: Request, account: str, recording: str) -> Answer:
        check_account(account)
        found = [each for each in self.records.values() if each["recording_sid"] == recording]
        return 200, numbered(self, request, "transcriptions", found)

    @route("DELETE", ACCOUNT + "/Recordings/{recording}/Transcriptions/{id}.json")
    async def delete(self, request: Request, account: str, recording: str, id: str) -> Answer:
        check_account(account)
        del self.records[get(self.records, id)["sid"]]
        return 204, None


@dataclass
class Transcripts(Product):
    """Conversation Intelligence v2. `records` are transcripts of calls or recordings, by SID."""

    host = "intelligence.twilio.com"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, source: str, *sentences: str) -> dict[str, Any]:
        own: dict[str, Any] = {"sid": sid("GT"), "source_sid": source, "sentences": [*sentences]}
        self.records[own["sid"]] = own
        return own

    @route("GET", "/v2/Transcripts")
    async def list(self, request: Request) -> Answer:
        found = [each for each in self.records.values() if each["source_sid"] == request.query.get("SourceSid")]
        return 200, {"transcripts": found, "meta": {"key": "transcripts"}}

    @route("GET", "/v2/Transcripts/{id}/Sentences")
    async def sentences(self, request: Request, id: str) -> Answer:
        found = [{"transcript": text} for text in get(self.records, id)["sentences"]]
        return 200, {"sentences": found, "meta": {"key": "sentences"}}

    @route("DELETE", "/v2/Transcripts/{id}")
    async def delete(self, request: Request, id: str) -> Answer:
        del self.records[get(self.records, id)["sid"]]
        return 204, None


def numbered(product: Product, request: Request, key: str, found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    records, place, following = product.numbered_page(request, [*found])
    return {key: records, **place, "next_page_uri": following and request.path + following}


def check_account(account: str) -> None:
    if account != ACCOUNT_SID:
        raise NotFound(account)
