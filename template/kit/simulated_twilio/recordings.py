"""Recordings of calls (api.twilio.com, 2010-04-01), and the callbacks that report them.

Source: https://www.twilio.com/docs/voice/api/recording and /docs/voice/twiml/recording (read in November 2026).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.numbers import ACCOUNT
from kit.simulated_twilio.product import Answer, BadRequest, NotFound, Product, Request, get, route, sid, timestamp
from kit.twiml import Recording

if TYPE_CHECKING:
    from kit.caller import Call

LIVE = ("in-progress", "paused")
RECORDING_ENDED = 21220  # Twilio's error code for a recording that cannot change its status any more


@dataclass
class Recordings(Product):
    """`records` maps SIDs to recordings. `log` has every change of a status, in order: (SID, status)."""

    host = "api.twilio.com"
    setting = "recording_channels"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    callbacks: dict[str, Recording] = field(default_factory=dict)

    def add(self, call_sid: str, **fields: Any) -> dict[str, Any]:
        """A recording of a call. `fields` are those of Recording that differ from one in progress."""
        id = sid("RE")
        uri = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{id}"
        self.records[id] = {
            "sid": id,
            "account_sid": ACCOUNT_SID,
            "call_sid": call_sid,
            "status": "in-progress",
            "source": "StartCallRecordingTwiML",
            "channels": 1,
            "duration": None,
            "error_code": None,
            "date_created": timestamp(),
            "date_updated": timestamp(),
            "start_time": timestamp(),
            "media_url": f"https://{self.host}{uri}",
            "uri": f"{uri}.json",
            **fields,
        }
        self.log.append((id, self.records[id]["status"]))
        return self.records[id]

    def of(self, call_sid: str) -> list[dict[str, Any]]:
        """The recordings of a call, in order."""
        return [record for record in self.records.values() if record["call_sid"] == call_sid]

    async def begin(self, call: Call, recording: Recording) -> None:
        """`<Start><Recording>`: the call is recorded from now on."""
        record = self.add(call.sid, channels=2 if recording.channels == "dual" else 1)
        self.callbacks[record["sid"]] = recording
        await self._report(call, record)

    async def end(self, call: Call) -> None:
        """The call is over, and so are its recordings. Twilio reports them."""
        for record in self.of(call.sid):
            if record["status"] in LIVE:
                record.update(status="completed", duration="7", date_updated=timestamp())
                self.log.append((record["sid"], "completed"))
                await self._report(call, record)

    async def _report(self, call: Call, record: dict[str, Any]) -> None:
        asked = self.callbacks.get(record["sid"])
        if asked is None or asked.callback is None or record["status"] not in asked.events:
            return
        form = {
            "AccountSid": ACCOUNT_SID,
            "CallSid": call.sid,
            "RecordingSid": record["sid"],
            "RecordingUrl": record["media_url"],
            "RecordingStatus": record["status"],
            "RecordingChannels": str(record["channels"]),
            "RecordingSource": record["source"],
            "RecordingStartTime": record["start_time"],
            **({"RecordingDuration": record["duration"]} if record["duration"] else {}),
        }
        path = "/" + asked.callback.split("/", 3)[3]
        response = await call.post_form(path, form)
        if response.status_code not in (200, 204):
            call.problems.append(f"POST {path} answered {response.status_code} to {record['status']}")

    @route("GET", ACCOUNT + "/Calls/{call}/Recordings.json")
    async def list_of_call(self, request: Request, account: str, call: str) -> Answer:
        return self._newest_first(request, account, self.of(call))

    @route("GET", ACCOUNT + "/Recordings.json")
    async def list_all(self, request: Request, account: str) -> Answer:
        call = request.query.get("CallSid")
        return self._newest_first(request, account, self.of(call) if call else [*self.records.values()])

    @route("GET", ACCOUNT + "/Recordings/{recording}.json")
    async def fetch(self, request: Request, account: str, recording: str) -> Answer:
        self._own(account)
        return 200, get(self.records, recording)

    @route("POST", ACCOUNT + "/Calls/{call}/Recordings/{recording}.json")
    async def update(self, request: Request, account: str, call: str, recording: str) -> Answer:
        """Pause, resume or stop a recording of a call in progress."""
        self._own(account)
        record, status = get(self.records, recording), request.body.get("Status")
        if record["call_sid"] != call:
            raise NotFound(recording)
        if status not in (*LIVE, "stopped"):
            raise BadRequest(f"Status {status!r} is not in-progress, paused or stopped")
        if record["status"] not in LIVE:
            raise BadRequest(f"{recording} is {record['status']}", RECORDING_ENDED)
        record.update(status=status, date_updated=timestamp())
        self.log.append((recording, status))
        return 200, record

    @route("DELETE", ACCOUNT + "/Recordings/{recording}.json")
    async def delete(self, request: Request, account: str, recording: str) -> Answer:
        self._own(account)
        del self.records[get(self.records, recording)["sid"]]
        return 204, None

    def _newest_first(self, request: Request, account: str, found: list[dict[str, Any]]) -> Answer:
        self._own(account)
        records, place, following = self.numbered_page(request, found[::-1])
        uris = {"next_page_uri": following and request.path + following, "uri": request.path}
        return 200, {"recordings": records, **place, **uris}

    def _own(self, account: str) -> None:
        if account != ACCOUNT_SID:
            raise NotFound(account)
