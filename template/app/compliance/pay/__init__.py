"""Taking a card by `<Pay>`: the call leaves the agent, Twilio takes the card by keypad, and the call comes back.

No digit of a card reaches this server, the model or a recording: while Twilio asks for the card, the agent's session is
closed and recordings are paused. `payment.py` has what a payment can come to. Not legal advice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Self

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_ai.messages import ModelResponse, TextPart
from twilio.twiml.voice_response import VoiceResponse

from app.capability import Capability, Services, with_added_words
from app.channel import signed_body
from app.compliance.pay.payment import OPEN, Payment, Payments, Status
from app.compliance.pay.phrases import phrases
from app.compliance.pay.twiml import RESULT, pay_twiml
from app.compliance.recorder import Recorder
from app.log import without_cards
from app.session import Action, Session
from app.settings import Settings
from app.turn_end import cancel_model, is_in_turn, speak_in_turn
from app.voice import Voice
from app.voice.connect_action import respond

log = structlog.get_logger()

REASON = "pay"  # reasonCode of the handoff data, which names the payment by its id and has nothing else
RECORDER_TIMEOUT = 1.5  # seconds; less than a hook may take
MAX_PURPOSE = 100  # characters
AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Annotated[Decimal, Field(gt=0, decimal_places=2)])
STATE = "payments"  # of a session: the payments that have ended, as JSON


class PaySettings(Settings):
    pay_connector: str = Field(
        "Default",
        alias="TWILIO_PAY_CONNECTOR",
        pattern=r"^\S+$",
        description="Copy the unique name of the Pay Connector from the Twilio Console (Voice, Pay Connectors).",
    )
    pay_currency: str = Field(
        "usd",
        alias="AGENT_PAY_CURRENCY",
        pattern="^[a-z]{3}$",
        description="Write the three letters of a currency that your Pay Connector takes, as in usd or eur.",
    )
    pay_limit: Decimal = Field(
        Decimal(1000),
        alias="AGENT_PAY_LIMIT",
        gt=0,
        le=1_000_000,
        description="Write the largest amount that the agent may take at once, up to 1000000.",
    )


class Refused(Exception):
    """Why a payment cannot begin, for the model."""


class Pay(Capability):
    settings = PaySettings
    spoken_only = True

    def __init__(self, services: Services) -> None:
        self.services = services
        self.options = services.settings
        self.payments = Payments(services.store)
        self._form = signed_body(services.settings)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(RESULT, self.result, methods=["POST"])
        return router

    def actions(self, session: Session) -> Mapping[str, Action]:
        async def pay(amount: str, purpose: str = "") -> bool:
            try:
                await self.begin(session, amount, purpose)
            except Refused:
                log.warning("payment.refused", call=session.id)
                return False
            return True

        return {"pay": pay}

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        async def take_payment(amount: str, purpose: str) -> str:
            """Take a payment by card: Twilio asks for the card by keypad, and the call comes back to you. Use it when
            the caller has agreed to the amount. It tells the caller; say nothing afterwards. Ask for no card number.

            Args:
                amount: digits, with a point before the cents, as in 49.90.
                purpose: what it is for, in a few words, as in "invoice 12".
            """
            try:
                await self.begin(session, amount, purpose)
            except Refused as reason:
                return f"No payment has begun: {reason}"
            return "The caller is being taken to the payment."

        return [take_payment]

    async def begin(self, session: Session, amount: str, purpose: str) -> None:
        """Leave the call to `<Pay>` after the words of this turn. Raises Refused."""
        payment = await self._new_payment(session, amount, purpose)
        await self.payments.put(session.id, payment)
        turn = session.turn if is_in_turn(session) else None
        words = phrases.PAY_CONNECTING
        await (speak_in_turn(session, turn, words) if turn else session.say(words))
        await session.connection.end({"reasonCode": REASON, "payment": payment.id})
        cancel_model(turn)

    async def _new_payment(self, session: Session, amount: str, purpose: str) -> Payment:
        if not session.connection.open:
            raise Refused("the call is over.")
        try:
            value = AMOUNT.validate_python(amount)
        except ValidationError:
            raise Refused(f"{amount!r} is no amount. Write one as in 49.90.") from None
        if value > self.options.pay_limit:
            raise Refused(f"{amount} is more than {self.options.pay_limit:f}, the most that you may take.")
        purpose = without_cards(" ".join(purpose.split()))[:MAX_PURPOSE]
        payment = Payment(amount=value, currency=self.options.pay_currency, purpose=purpose)
        latest = await self.payments.get(session.id)
        if latest and latest.status in OPEN:
            raise Refused("another payment is in progress.")
        for other in ended(session):
            if other.status is Status.UNCONFIRMED:
                raise Refused("the last one is not confirmed, and somebody has to check it first.")
            if other.status is Status.PAID and payment.same_as(other):
                raise Refused("this amount was already paid for this purpose.")
        return payment

    async def context(self, session: Session, text: str) -> str | None:
        """The results, for the model. A caller who speaks before the card is asked for has cancelled the payment."""
        latest = await self.payments.get(session.id)
        if latest and latest.status in OPEN:
            latest.status = Status.CANCELLED if latest.status is Status.REQUESTED else Status.UNCONFIRMED
            await self.payments.put(session.id, latest)
            self._take_over(session, latest)
        results = [payment.described() for payment in ended(session)]
        return " ".join(["Payments of this call:", *results]) if results else None

    async def on_start(self, session: Session) -> None:
        await self.on_resume(session)

    async def on_resume(self, session: Session) -> None:
        """The call is back: the caller hears the result as the greeting, and the model knows both."""
        payment = await self.payments.get(session.id)
        if payment and payment.status not in OPEN and self._take_over(session, payment):
            words = with_added_words(greeting(payment.status), self.services.capabilities)
            session.history.append(ModelResponse([TextPart(words)]))

    def _take_over(self, session: Session, payment: Payment) -> bool:
        """Add a payment to those of the session. False when it is there already."""
        known = ended(session)
        if any(payment.id == other.id for other in known):
            return False
        session.state[STATE] = [other.model_dump(mode="json") for other in [*known, payment]]
        return True

    async def on_detour(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """`<Pay>`, once recordings are paused. Otherwise the call goes back to the agent, and nothing is paid."""
        payment = await self.payments.get(session.id)
        if handoff.get("reasonCode") != REASON or payment is None or handoff.get("payment") != payment.id:
            return None
        if payment.status is Status.REQUESTED:
            payment.status = Status.STARTED if await self._pause_recordings(session.id) else Status.FAILED
            await self.payments.put(session.id, payment)
            log.info("payment.begins", call=session.id, status=payment.status)
            if payment.status is Status.STARTED:
                return pay_twiml(self.options, payment, session.language)
        return await self._back({"CallSid": session.id}, payment.status)

    async def result(self, request: Request) -> Response:
        """Twilio requests this when `<Pay>` has ended. The first result of a payment counts."""
        form = await self._form(request)
        call_sid = str(form.get("CallSid", ""))
        known = await self.payments.get(call_sid)
        payment = known or Payment(amount=Decimal(0), currency=self.options.pay_currency)  # the store has lost it
        if payment.status in OPEN:
            payment.finish(form)
            log.info("payment.ended", call=call_sid, status=payment.status, result=form.get("Result", ""))
            if known:
                await self.payments.put(call_sid, payment)
        if form.get("CallStatus", "in-progress") != "in-progress" or form.get("Result") == "caller-hung-up":
            await self._voice.calls.end(call_sid)
            return respond(str(VoiceResponse()))
        return respond(await self._back(form, payment.status))

    async def on_end(self, session: Session) -> None:
        payment = await self.payments.get(session.id)
        if payment and payment.status in (Status.STARTED, Status.UNCONFIRMED):
            log.error("payment.unconfirmed", call=session.id, hint="Look it up at your payment processor")

    async def _back(self, form: Mapping[str, str], status: Status) -> str:
        """TwiML that connects the caller to the agent again, with the result as the greeting."""
        await self._resume_recordings(form.get("CallSid", ""))
        return await self._voice.connect_twiml(form, greeting(status))

    async def _pause_recordings(self, call_sid: str) -> bool:
        """Whether nothing of the call is recorded now."""
        try:
            async with asyncio.timeout(RECORDER_TIMEOUT):
                for recorder in self._recorders:
                    await recorder.pause_recording(call_sid)
        except Exception as error:
            log.error("payment.recording_goes_on", call=call_sid, error=type(error).__name__)
            return False
        return True

    async def _resume_recordings(self, call_sid: str) -> None:
        try:
            async with asyncio.timeout(RECORDER_TIMEOUT):
                for recorder in self._recorders:
                    await recorder.resume_recording(call_sid)
        except Exception as error:
            log.error("payment.recording_not_resumed", call=call_sid, error=type(error).__name__)

    @property
    def _recorders(self) -> list[Recorder]:
        return [each for each in self.services.capabilities if isinstance(each, Recorder)]

    @property
    def _voice(self) -> Voice:
        return next(channel for channel in self.services.channels if isinstance(channel, Voice))


def ended(session: Session) -> list[Payment]:
    """The payments of a session that have ended, in order."""
    return [Payment.model_validate(kept) for kept in session.state.get(STATE, [])]


def greeting(status: Status) -> str:
    """What the caller hears when the call is back."""
    known = {Status.PAID: phrases.PAID, Status.UNCONFIRMED: phrases.PAY_UNCONFIRMED}
    return str(known.get(status, phrases.NOT_PAID))
