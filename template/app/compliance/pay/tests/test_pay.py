"""A call leaves for `<Pay>` and comes back with the result; nothing of a card stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.capability import Capability
from app.compliance.pay import Pay, greeting
from app.compliance.pay.payment import Payments, Status
from app.compliance.pay.phrases import phrases
from app.compliance.pay.twiml import pay_language
from app.registry import CAPABILITIES
from app.session import Session, dump_session
from app.store import InProcess
from kit import twiml
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.plugin import Web
from kit.scenario import last_instructions
from kit.simulated_twilio.pay import CARD, RESULTS
from kit.voice_fixtures import Dial, contents, leave

PAYS = {"hears": "pay", "calls": {"take_payment": {"amount": "49.90", "purpose": "invoice 12"}}}
OTHER = {"hears": "other", "calls": {"take_payment": {"amount": "5", "purpose": "a stamp"}}}
YES = {"hears": "", "says": "Yes."}
CARD_NUMBER = "4111 1111 1111 1111"
STATUSES = {
    "success": Status.PAID,
    "too-many-failed-attempts": Status.FAILED,
    "payment-connector-error": Status.DECLINED,
    "caller-interrupted-with-star": Status.CANCELLED,
    "validation-error": Status.FAILED,
    "internal-error": Status.UNCONFIRMED,
}
NO_CODE = {"Result": "success", "PaymentConfirmationCode": ""}
NO_CONNECTION = {"Result": "payment-connector-error", "PaymentError": ""}


@pytest.fixture
def store() -> InProcess:
    return InProcess()


async def in_pay(dial: Dial, **options: Any) -> Call:
    """A call that is in `<Pay>`."""
    call = await dial(PAYS, OTHER, YES, **options)
    await call.says("I want to pay")
    await call.wait_for_end()
    return call


async def paid(dial: Dial, result: Any = "success", **options: Any) -> Call:
    """A call that is back with this result."""
    call = await in_pay(dial, **options)
    await comes_back(call, result)
    return call


async def comes_back(call: Call, result: Any) -> None:
    """The payment ends, and the agent has the call again."""
    before = len(results(call))
    await call.account.simulate(call, {"pay": result})
    await wait_until(lambda: len(results(call)) > before, "the agent does not know the result")


def results(call: Call) -> list[str]:
    """What became of the payments that the session knows."""
    return [payment["status"] for payment in call.session.state.get("payments", [])]


# --- the way there ------------------------------------------------------------------------------------------------


async def test_the_caller_hears_the_amount_before_the_card_is_asked_for(dial: Dial) -> None:
    call = await in_pay(dial)
    assert (call.turns[0].text, call.turns[0].tools) == (phrases.PAY_CONNECTING, ["take_payment"])
    assert call.farewell.startswith(phrases.PAY_AMOUNT.replace("{amount}", "49.90 USD"))
    assert "49.90 USD" in call.farewell
    assert call.payment and (call.payment.charge_amount, call.payment.currency) == ("49.90", "usd")
    assert call.payment.connector == "Default"


async def test_the_handoff_has_an_id_and_nothing_else(dial: Dial) -> None:
    call = await in_pay(dial)
    assert set(call.handoff) == {"reasonCode", "payment"} and call.handoff["reasonCode"] == "pay"


async def test_connector_and_currency_are_those_of_the_settings(dial: Dial) -> None:
    call = await in_pay(dial, pay_connector="Stripe_1", pay_currency="eur")
    assert call.payment and (call.payment.connector, call.payment.currency) == ("Stripe_1", "eur")


async def test_the_model_says_nothing_after_the_announcement(dial: Dial) -> None:
    call = await dial({**PAYS, "says": "Let me see. ", "then": "Paid!"})
    turn = await call.says("I want to pay")
    assert turn.text.split() == f"Let me see. {phrases.PAY_CONNECTING}".split()


async def test_another_handoff_is_no_payment(dial: Dial) -> None:
    call = await dial({"hears": "", "calls": {"leave": {"reason": "bye"}}}, tools=[leave])
    await call.says("Bye")
    await call.wait_for_end()
    assert call.payment is None and call.ended_by == "agent"


async def test_a_tool_of_the_project_takes_a_payment_by_the_action(dial: Dial) -> None:
    async def take_payment(invoice: str) -> str:
        """Pay an invoice."""
        from app import this_session

        begun = await this_session().actions["pay"]("12.50", f"invoice {invoice}")
        return f"begun: {begun}"

    call = await dial({"hears": "", "calls": {"take_payment": {"invoice": "7"}}}, tools=[take_payment])
    await call.says("I want to pay")
    await call.wait_for_end()
    assert call.payment and call.payment.charge_amount == "12.50"


# --- the way back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", STATUSES)
async def test_the_call_comes_back_with_each_result(dial: Dial, result: str) -> None:
    call = await paid(dial, result)
    status = STATUSES[result]
    assert greeting(status) in call.greeting and call.ended_by is None
    assert results(call) == [status]
    assert contents(call.session)[-1] == call.greeting
    await call.says("What now?")
    assert "49.90 USD for invoice 12" in last_instructions(call.session)
    assert call.session.id == call.sid and "I want to pay" in contents(call.session)


def test_every_result_of_twilio_is_known() -> None:
    assert {*STATUSES, "caller-hung-up"} == set(RESULTS)


def test_the_caller_hears_whether_money_was_taken() -> None:
    assert len({greeting(status) for status in (Status.PAID, Status.UNCONFIRMED, Status.FAILED)}) == 3
    assert greeting(Status.FAILED) == greeting(Status.CANCELLED) == greeting(Status.DECLINED)


@pytest.mark.parametrize("result", [NO_CODE, NO_CONNECTION], ids=["no code", "no connection"])
async def test_without_the_word_of_the_processor_nothing_is_paid(dial: Dial, result: Any) -> None:
    call = await paid(dial, result)
    assert results(call) == [Status.UNCONFIRMED] and phrases.PAY_UNCONFIRMED in call.greeting


async def test_a_payment_that_the_processor_confirms_is_paid(dial: Dial) -> None:
    call = await paid(dial, {"Result": "success", "PaymentConfirmationCode": "ch_7"})
    await call.says("Thanks")
    assert results(call) == [Status.PAID] and "ch_7" in last_instructions(call.session)


async def test_after_the_last_attempt_twilio_may_follow_the_next_verb(dial: Dial) -> None:
    call = await paid(dial, "next-verb")
    assert results(call) == [Status.FAILED] and phrases.NOT_PAID in call.greeting


async def test_the_first_result_of_a_payment_counts(dial: Dial, store: InProcess) -> None:
    call = await paid(dial, "caller-interrupted-with-star", store=store)
    again = call.form(Result="success", PaymentConfirmationCode="ch_7", CallStatus="in-progress")
    document = twiml.read(await call.post("/pay/result", again))
    assert document.relay and phrases.NOT_PAID in document.relay.greeting
    payment = await Payments(store).get(call.sid)
    assert payment and payment.status is Status.CANCELLED


async def test_a_caller_who_hangs_up_in_pay_ends_the_call(dial: Dial) -> None:
    call = await in_pay(dial)
    await call.hangs_up()
    assert call.ended_by == "caller" and calls_of(call.app).get(call.sid) is None


async def test_a_result_without_a_payment_is_answered_with_words(web: Web) -> None:
    form = {"CallSid": "CA" + "9" * 32, "CallStatus": "in-progress", "Result": "internal-error"}
    document = twiml.read((await web.post("/pay/result", form)).text)
    assert document.relay and phrases.PAY_UNCONFIRMED in document.relay.greeting


async def test_a_result_that_twilio_did_not_sign_is_refused(web: Web) -> None:
    form = {"CallSid": "CA" + "9" * 32, "Result": "success", "PaymentConfirmationCode": "ch_7"}
    assert (await web.post("/pay/result", form, signature="")).status_code == 403


# --- no payment twice, none too large, none against the caller ----------------------------------------------------


async def test_the_same_payment_is_not_taken_twice(dial: Dial) -> None:
    call = await paid(dial)
    assert "already paid" in (await call.says("I want to pay")).text
    assert call.payment is None


async def test_another_payment_is_taken_in_the_same_call(dial: Dial) -> None:
    call = await paid(dial)
    await call.says("The other one too")
    await call.wait_for_end()
    assert call.payment and call.payment.charge_amount == "5"
    await comes_back(call, "success")
    assert results(call) == [Status.PAID, Status.PAID]


@pytest.mark.parametrize("text", ["I want to pay", "The other one"])
async def test_nothing_is_taken_while_a_payment_is_not_confirmed(dial: Dial, text: str) -> None:
    call = await paid(dial, "internal-error")
    assert "not confirmed" in (await call.says(text)).text
    assert call.payment is None


@pytest.mark.parametrize("result", ["caller-interrupted-with-star", "payment-connector-error", "next-verb"])
async def test_a_payment_that_took_no_money_may_be_tried_again(dial: Dial, result: str) -> None:
    call = await paid(dial, result)
    await call.says("I want to pay after all")
    await call.wait_for_end()
    assert call.payment


@pytest.mark.parametrize("amount", ["1000.01", "0", "-5", "49.999", "much", "", "NaN", "Infinity"])
async def test_an_amount_that_is_none_or_too_large_is_refused(dial: Dial, amount: str) -> None:
    call = await dial({"hears": "", "calls": {"take_payment": {"amount": amount, "purpose": "x"}}})
    assert "No payment has begun" in (await call.says("I want to pay")).text
    assert call.payment is None and call.session.connection.open


@pytest.mark.parametrize("amount", ["1000", "0.01", "5.5"])
async def test_an_amount_up_to_the_limit_is_taken(dial: Dial, amount: str) -> None:
    call = await dial({"hears": "", "calls": {"take_payment": {"amount": amount, "purpose": "x"}}})
    await call.says("I want to pay")
    await call.wait_for_end()
    assert call.payment and call.payment.charge_amount == amount


def pay_of(store: InProcess) -> Pay:
    (pay,) = [each for each in build_app(store=store).state.conversations.capabilities if isinstance(each, Pay)]
    return pay


async def begun(session: Session, pay: Pay) -> dict[str, Any]:
    """The handoff data of a payment that has begun, and whose card is not asked for yet."""
    await pay.begin(session, "49.90", "invoice 12")
    return dict(session.connection.handoff)  # type: ignore[attr-defined]


async def test_a_caller_who_speaks_before_pay_is_not_asked_for_a_card(session: Session, store: InProcess) -> None:
    pay = pay_of(store)
    handoff = await begun(session, pay)
    assert "the caller cancelled it" in str(await pay.context(session, "No, wait"))
    document = twiml.read(str(await pay.on_detour(session, handoff)))
    assert document.payment is None and document.relay and phrases.NOT_PAID in document.relay.greeting


async def test_a_caller_who_says_nothing_is_asked_for_a_card_once(session: Session, store: InProcess) -> None:
    pay = pay_of(store)
    handoff = await begun(session, pay)
    assert twiml.read(str(await pay.on_detour(session, handoff))).payment
    assert twiml.read(str(await pay.on_detour(session, handoff))).payment is None


async def test_a_handoff_that_names_another_payment_is_none(session: Session, store: InProcess) -> None:
    pay = pay_of(store)
    handoff = await begun(session, pay)
    assert await pay.on_detour(session, {**handoff, "payment": "another"}) is None


async def test_a_second_payment_waits_for_the_first(session: Session, store: InProcess) -> None:
    pay = pay_of(store)
    await begun(session, pay)
    session.connection.open = True
    (take_payment,) = pay.tools(session)
    assert "in progress" in await take_payment("5", "a stamp")


# --- nothing of a card ----------------------------------------------------------------------------------------------


async def test_nothing_of_the_card_is_kept(dial: Dial, store: InProcess, logged: Callable[[], str]) -> None:
    token = {"PaymentToken": "tok_4242", "ProfileId": "cus_9", "PaymentCardPostalCode": "94109"}
    call = await paid(dial, {"Result": "success", **token}, store=store)
    await call.says("Thanks")
    kept = json.dumps(dump_session(call.session)) + str(store.values) + logged() + last_instructions(call.session)
    for value in [CARD["PaymentCardNumber"], CARD["ExpirationDate"], *token.values()]:
        assert value not in kept


async def test_a_card_number_in_the_purpose_does_not_leave(session: Session, store: InProcess) -> None:
    await pay_of(store).begin(session, "5", f"card {CARD_NUMBER}")
    payment = await Payments(store).get(session.id)
    assert payment and payment.purpose.startswith("card ") and "4111" not in payment.purpose


# --- recordings -----------------------------------------------------------------------------------------------------


class Recorded(Capability):
    """Records what it is asked for, and fails at what is named."""

    asked: list[str]
    fails: tuple[str, ...] = ()

    def __init__(self) -> None:
        Recorded.asked = []

    async def pause_recording(self, call_sid: str) -> None:
        self.note("pause")

    async def resume_recording(self, call_sid: str) -> None:
        self.note("resume")

    def note(self, what: str) -> None:
        self.asked.append(what)
        if what in self.fails:
            raise RuntimeError(what)


class CannotPause(Recorded):
    fails = ("pause",)


class CannotResume(Recorded):
    fails = ("resume",)


async def test_a_recording_pauses_before_pay_and_goes_on_afterwards(dial: Dial) -> None:
    call = await in_pay(dial, capabilities=[Recorded, *CAPABILITIES])
    assert Recorded.asked == ["pause"]
    await call.account.simulate(call, {"pay": "success"})
    assert Recorded.asked == ["pause", "resume"]


async def test_no_card_is_asked_for_while_a_recording_goes_on(dial: Dial) -> None:
    call = await dial(PAYS, YES, capabilities=[CannotPause, *CAPABILITIES])
    await call.says("I want to pay")
    await wait_until(lambda: results(call), "the agent does not know the result")
    assert phrases.NOT_PAID in call.greeting
    assert call.payment is None and results(call) == [Status.FAILED]
    assert (await call.says("And now?")).text == "Yes."


async def test_a_recording_that_cannot_go_on_does_not_keep_the_caller(dial: Dial) -> None:
    call = await paid(dial, capabilities=[CannotResume, *CAPABILITIES])
    assert phrases.PAID in call.greeting


# --- languages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "of_pay"),
    [("de-DE", "de-DE"), ("en-US", "en-US"), ("es-MX", "es-MX"), ("es-US", "es-MX"), ("ja-JP", None), ("multi", None)],
)
def test_the_language_of_pay_is_the_nearest_one(language: str, of_pay: str | None) -> None:
    assert pay_language(language) == of_pay


def test_every_sentence_has_words() -> None:
    for name in ("PAY_CONNECTING", "PAY_AMOUNT", "PAID", "NOT_PAID", "PAY_UNCONFIRMED"):
        assert getattr(phrases, name).strip()
    assert "{amount}" in phrases.PAY_AMOUNT
