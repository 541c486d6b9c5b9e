"""`<Pay>`: a call waits in it until `simulate` says what the payment comes to. There is no card and no processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kit.simulated_twilio.product import Product

if TYPE_CHECKING:
    from kit.caller import Call

# What Twilio sends of a card: source https://www.twilio.com/docs/voice/twiml/pay, read on 2026-11-28.
CARD = {
    "PaymentMethod": "credit-card",
    "PaymentCardNumber": "xxxxxxxxxxxx1111",
    "PaymentCardType": "visa",
    "ExpirationDate": "1229",
    "SecurityCode": "xxx",
}
# Fields of the action URL, by the value of `Result`.
RESULTS: dict[str, dict[str, str]] = {
    "success": CARD,
    "too-many-failed-attempts": {"PaymentError": "invalid-card-number"},
    "payment-connector-error": {**CARD, "PaymentError": "card is declined", "ConnectorError": "card_declined"},
    "caller-interrupted-with-star": {},
    "caller-hung-up": {},
    "validation-error": {"PaymentError": "paymentAmount='-0.59' (not a number between 0.00 - 1,000,000.00)"},
    "internal-error": {},
}
NEXT_VERB = "next-verb"  # Twilio follows the verb behind <Pay> instead of its action


@dataclass
class Pay(Product):
    """Payments by keypad, during calls."""

    setting = "pay_connector"

    async def simulate(self, call: Call, event: Any) -> None:
        """The payment ends: a value of `Result`, `next-verb`, or fields of the request that replace the usual ones."""
        fields = {"Result": event} if isinstance(event, str) else dict(event)
        result = fields.get("Result")
        if result not in (known := [*RESULTS, NEXT_VERB]):
            raise ValueError(f"a payment cannot be {result!r}; it can be {', '.join(known)}")
        payment, call.payment = call.payment, None
        if payment is None:
            raise ValueError("this call is not in <Pay>")
        if result == NEXT_VERB:
            url, form = payment.following, {"CallStatus": "in-progress"}
        else:
            charged = result == "success" and float(payment.charge_amount or 0) > 0
            code = {"PaymentConfirmationCode": f"ch_{uuid4().hex[:12]}"} if charged else {}
            hung_up = result == "caller-hung-up"
            call.ended_by = "caller" if hung_up else call.ended_by
            status = {"CallStatus": "completed" if hung_up else "in-progress"}
            url, form = payment.action, {**RESULTS[str(result)], **code, **status, **fields}
        if url:
            await call.goes_on(await call.fetch(url, **form))
        else:
            call.ended_by = call.ended_by or "agent"
