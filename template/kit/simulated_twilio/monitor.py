"""Errors and warnings of the account (monitor.twilio.com, v1), and how Twilio reports them: the Debugger's webhook and
Event Streams.

Sources: https://www.twilio.com/docs/usage/troubleshooting/debugging-event-webhooks, /docs/usage/monitor-alert and
/docs/events/event-types/errors/error-logs (read in November 2026).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID, Problem
from kit.simulated_twilio.events import EventStreams
from kit.simulated_twilio.product import Answer, Product, Request, get, route, sid, timestamp

PATH = "/webhooks/debugger"
ERROR_LOGGED = "com.twilio.error-logs.error.logged"


@dataclass
class Monitor(Product):
    """`alerts` maps SIDs to alerts. `webhook` is the path of the Debugger's webhook; None for no webhook."""

    host = "monitor.twilio.com"
    setting = "twilio_event_level"
    events: EventStreams | None = None
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    webhook: str | None = PATH

    def log(self, error_code: int, resource: str, level: str = "error", product: str = "Voice") -> dict[str, Any]:
        """An error, or a warning, of a resource, such as a call."""
        own = sid("NO")
        self.alerts[own] = {
            "sid": own,
            "account_sid": ACCOUNT_SID,
            "log_level": level,
            "error_code": str(error_code),
            "resource_sid": resource,
            "service_sid": None,
            "alert_text": f"{product} failed",
            "date_created": timestamp(),
            "date_generated": timestamp(),
            "url": f"https://{self.host}/v1/Alerts/{own}",
        }
        return self.alerts[own]

    async def simulate(self, customer: Any, event: Any) -> None:
        """Log an error of this call or message (`error_code`, `level`, `product`) and report it, `repeat` times.

        `body` is the content of the request that failed. The error is of `resource`, if it is given.
        """
        resource = event.get("resource", customer.reference)
        level, product = event.get("level", "error"), event.get("product", "Programmable Voice")
        alert = self.log(event["error_code"], resource, level, product)
        own = {"CallSid": customer.reference, "From": customer.caller, "To": customer.called}
        payload = {
            "resource_sid": resource,
            "service_sid": None,
            "error_code": str(event["error_code"]),
            "more_info": {"msg": f"{product} failed: {event.get('body', '')}", "LogLevel": level.upper()},
            "webhook": {
                "type": "application/json",
                "request": {"url": "https://agent.example/twiml", "method": "POST", "parameters": own},
                "response": {"status_code": 500, "headers": {}, "body": event.get("body", "")},
            },
        }
        if self.events:
            self.events.subscribe_once()
        for _ in range(event.get("repeat", 1)):
            await self._report(customer, alert, payload, product)

    async def _report(self, customer: Any, alert: dict[str, Any], payload: Any, product: str) -> None:
        level, text = alert["log_level"], json.dumps(payload)
        if self.webhook:
            form = {
                "Sid": alert["sid"],
                "AccountSid": ACCOUNT_SID,
                "Timestamp": alert["date_created"],
                "Level": level.title(),
                "PayloadType": "application/json",
                "Payload": text,
            }
            answer = await customer.post_form(self.webhook, form)
            if not answer.is_success:
                raise Problem(f"the Debugger's webhook was answered with {answer.status_code}")
        if self.events:
            data = {
                "sid": alert["sid"],
                "account_sid": ACCOUNT_SID,
                "date_created": alert["date_created"],
                "level": level.upper(),
                "master_account_sid": ACCOUNT_SID,
                "request_sid": sid("RQ"),
                "service_sid": "",
                "correlation_sid": alert["resource_sid"],
                "product_name": product,
                "error_code": alert["error_code"],
                "payload": text,
            }
            await self.events.send(customer, ERROR_LOGGED, data, id=alert["sid"])

    @route("GET", "/v1/Alerts")
    async def list(self, request: Request) -> Answer:
        wanted = request.query.get("LogLevel")
        records = [each for each in self.alerts.values() if wanted in (None, each["log_level"])]
        found, place, following = self.numbered_page(request, records)
        url = following and f"https://{self.host}{request.path}{following}"
        return 200, {"alerts": found, "meta": {"key": "alerts", **place, "next_page_url": url}}

    @route("GET", "/v1/Alerts/{alert}")
    async def fetch(self, request: Request, alert: str) -> Answer:
        return 200, get(self.alerts, alert)
