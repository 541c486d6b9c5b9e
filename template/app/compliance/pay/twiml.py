"""The TwiML that says the amount and takes the card.

Source: https://www.twilio.com/docs/voice/twiml/pay and /prompt (read on 2026-11-28).
"""

from __future__ import annotations

from typing import Any

from twilio.twiml.voice_response import VoiceResponse

from app.compliance.pay.payment import Payment
from app.compliance.pay.phrases import phrases
from app.voice.connect_action import SAY_LANGUAGE

LANGUAGES = ("en-US", "en-AU", "en-CA", "en-GB", "en-IN", "es-MX", "es-ES", "fr-FR", "fr-CA", "de-DE", "it-IT")
KEY_PAUSE = 10  # seconds until the next key
ATTEMPTS = 3
RESULT = "/pay/result"


def pay_twiml(settings: Any, payment: Payment, language: str) -> str:
    """Say the amount, then `<Pay>`. `language` is that of the conversation.

    No `statusCallback`: it would report each step. The postal code is not asked for: keypads have no letters.
    """
    response = VoiceResponse()
    response.say(phrases.PAY_AMOUNT.replace("{amount}", payment.spoken), language=SAY_LANGUAGE)
    spoken = pay_language(language)
    pay = response.pay(
        action=f"{settings.public_url}{RESULT}",
        payment_connector=settings.pay_connector,
        charge_amount=f"{payment.amount:f}",
        currency=payment.currency,
        description=payment.purpose or None,
        timeout=KEY_PAUSE,
        max_attempts=ATTEMPTS,
        postal_code=False,
        security_code=True,
        language=spoken or "en-US",
    )
    for step, text in phrases.PAY_PROMPTS.items() if spoken is None else ():
        pay.prompt(for_=step).say(text, language=SAY_LANGUAGE)
    response.redirect(f"{settings.public_url}{RESULT}", method="POST")
    return str(response)


def pay_language(language: str) -> str | None:
    """The language of `<Pay>` for a language of the conversation: the same, or another of its regions; or None."""
    own = language.partition("-")[0]
    return language if language in LANGUAGES else next((each for each in LANGUAGES if each.startswith(f"{own}-")), None)
