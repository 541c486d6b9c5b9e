"""Taking a card: sentences, amounts and the TwiML."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from app.compliance.pay import greeting
from app.compliance.pay.payment import Payment, Status
from app.compliance.pay.phrases import phrases
from app.compliance.pay.twiml import pay_language, pay_twiml
from app.config import FIRST_LANGUAGE
from kit.doctor.check import Context, check
from kit.twiml import TwimlError, read

PAY = "https://www.twilio.com/docs/voice/twiml/pay"
STEPS = ("payment-card-number", "expiration-date", "security-code")


@check(
    "PAY001",
    hint="Correct the sentence in agent/phrases.py, or the variable in .env.",
    docs=PAY,
    requires=("ENV001",),
)
def payment_speakable(context: Context) -> Iterator[str]:
    """The caller hears the amount before the card is asked for, and the result afterwards, in valid TwiML."""
    payment = Payment(amount=Decimal("1.50"), currency=context.settings.pay_currency)
    try:
        document = read(pay_twiml(context.settings, payment, FIRST_LANGUAGE))
    except TwimlError as error:
        yield f"POST /connect-action before a payment: {str(error).splitlines()[0]}"
        return
    if payment.spoken not in document.said:
        yield "PAY_AMOUNT of agent/phrases.py lacks {amount}: callers would not hear what they pay."
    for status in Status:
        if not greeting(status).strip() or not phrases.PAY_CONNECTING.strip():
            yield "A sentence of agent/phrases.py about payments is empty: callers hear silence."
            return


@check(
    "PAY002", hint="Add what is missing to PAY_PROMPTS in agent/phrases.py.", docs=f"{PAY}/prompt", requires=("ENV001",)
)
def steps_speakable(context: Context) -> Iterator[str]:
    """`<Pay>` speaks the first language of the project, or PAY_PROMPTS has the words."""
    if pay_language(FIRST_LANGUAGE) or FIRST_LANGUAGE == "multi":
        return
    for step in STEPS:
        if not str(phrases.PAY_PROMPTS.get(step, "")).strip():
            yield f"PAY_PROMPTS has no {step}, and <Pay> does not speak {FIRST_LANGUAGE}: it would ask in English."
