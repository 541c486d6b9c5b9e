"""A payment and its result. Nothing of a card is kept: no number, no token, no date.

Source of the results and fields: https://www.twilio.com/docs/voice/twiml/pay (read on 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from uuid import uuid4

import structlog
from pydantic import BaseModel, Field, ValidationError

from app.store import Store

log = structlog.get_logger()

LETTERS = str.maketrans("0123456789", "ghijklmnop")  # an id of digits may look like the number of a card
KEPT = 4 * 3600.0  # seconds; Twilio ends a call after four hours


class Status(StrEnum):
    """REQUESTED → STARTED → one of the others, or from REQUESTED to CANCELLED."""

    REQUESTED = "requested"
    STARTED = "started"
    PAID = "paid"
    UNCONFIRMED = "unconfirmed"  # the card may have been charged
    DECLINED = "declined"
    CANCELLED = "cancelled"
    FAILED = "failed"  # nothing was charged


OPEN = {Status.REQUESTED, Status.STARTED}

# `Result` -> status. Any other leaves open whether the card was charged.
RESULTS = {
    "too-many-failed-attempts": Status.FAILED,
    "": Status.FAILED,  # after the last attempt, Twilio may follow the next verb instead
    "validation-error": Status.FAILED,
    "caller-interrupted-with-star": Status.CANCELLED,
    "caller-hung-up": Status.CANCELLED,
    "payment-connector-error": Status.UNCONFIRMED,
    "internal-error": Status.UNCONFIRMED,
}
MEANINGS = {
    Status.PAID: "paid",
    Status.UNCONFIRMED: (
        "not confirmed: the card may or may not have been charged. Do not take it again; somebody has to check it first"
    ),
    Status.DECLINED: "not paid, the card was declined. The caller may try another card",
    Status.CANCELLED: "not paid, the caller cancelled it. Offer it again only when the caller asks",
    Status.FAILED: "not paid, no valid card was entered or the payment could not start. The caller may try again",
}


class Payment(BaseModel):
    """`amount` in units of `currency`. `confirmation` is the code of the payment processor."""

    id: str = Field(default_factory=lambda: uuid4().hex.translate(LETTERS))
    amount: Decimal
    currency: str
    purpose: str = ""
    status: Status = Status.REQUESTED
    confirmation: str = ""

    @property
    def spoken(self) -> str:
        return f"{self.amount:f} {self.currency.upper()}"

    def finish(self, form: Mapping[str, str]) -> None:
        """Set the status by the form of the action URL.

        It is PAID only with a confirmation of the processor: `success` alone says that Twilio took the card.
        """
        result, self.confirmation = form.get("Result", ""), form.get("PaymentConfirmationCode", "")[:100]
        self.status = RESULTS.get(result, Status.UNCONFIRMED)
        if result == "success" and self.confirmation:
            self.status = Status.PAID
        elif result == "payment-connector-error" and "declined" in form.get("PaymentError", "").lower():
            self.status = Status.DECLINED

    def same_as(self, other: Payment) -> bool:
        """Whether both ask for the same money for the same purpose."""
        purposes = (" ".join(each.purpose.casefold().split()) for each in (self, other))
        return self.amount == other.amount and len(set(purposes)) == 1

    def described(self) -> str:
        """For the model."""
        code = f", confirmation code {self.confirmation}" if self.status is Status.PAID else ""
        return f"{self.spoken} for {self.purpose or 'what the caller asked for'}: {MEANINGS[self.status]}{code}."


class Payments:
    """The latest payment of each call, in the store: any worker may get the result."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def get(self, call_sid: str) -> Payment | None:
        text = await self.store.get(f"payment:{call_sid}")
        try:
            return Payment.model_validate_json(text) if text else None
        except ValidationError:
            log.error("payment.unreadable", call=call_sid)
            return None

    async def put(self, call_sid: str, payment: Payment) -> None:
        await self.store.put(f"payment:{call_sid}", payment.model_dump_json(), KEPT)
