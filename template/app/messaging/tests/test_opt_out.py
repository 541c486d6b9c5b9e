"""STOP is neither answered nor seen by the model, START brings the answers back. Not legal advice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.capability import attach
from app.messaging.opt_out import Barred, OptedOut, OutsideWindow, is_start, is_stop
from app.messaging.tests.test_messaging import sent
from app.session import Session
from kit import defaults
from kit.conventions import build_model
from kit.testing import Reach
from kit.texter import Texter

STOPS = {  # by language, between bars
    "en": "STOP|stop| Stop. |STOP!!!|“Stop”|ＳＴＯＰ|stop 🛑|Please stop|ok stop please|STOPALL|stop it|"
    "Unsubscribe|cancel|END|quit|Revoke|opt out|OPT-OUT|optout|stop stop stop|Stop texting me|"
    "Please don't text me again|I don't want to get any more messages|No more texts please!|Take me off your list|"
    "remove my number from your mailing list|DO NOT CONTACT ME|Never message me again.|I want to opt out|"
    "Stop messaging me or I call my lawyer|Hi. Who is this? Leave me alone.|unsubscribe me|I revoke my consent|"
    "can you stop sending me these texts|If you do not stop texting me I will sue you|stop the spam|"
    "Lose my number|We would like to be removed",
    "es": "ALTO|parar|Baja|Dar de baja|No más mensajes|Dejen de escribirme|no me envíen más mensajes|"
    "Por favor, no me escriban|No quiero recibir mensajes|Quiero darme de baja|Déjeme en paz",
    "fr": "ARRET|arrêtez|ARRÊT|Désabonner|Arrêtez de m’écrire|Ne m'écrivez plus|stop svp|"
    "Je ne veux plus recevoir de messages|Désabonnez-moi|Retirez-moi de votre liste|Laissez-moi tranquille",
    "de": "STOPP|Abmelden|aufhören|Bitte keine Nachrichten mehr|Hören Sie auf, mir zu schreiben|"
    "Schreiben Sie mir nicht mehr|Ich möchte keine SMS mehr|Streichen Sie mich von Ihrer Liste|stop bitte|"
    "Lassen Sie mich in Ruhe|hör auf mir Nachrichten zu schicken",
    "it": "Smettila|Disiscrivimi|Smettete di scrivermi|Non voglio più ricevere messaggi|basta messaggi|"
    "Non scrivetemi più|Lasciatemi in pace|Toglietemi dalla vostra lista",
    "pt": "PARE|Sair|descadastrar|Pare de me mandar mensagens|Não me mandem mais mensagens|"
    "Não quero mais receber mensagens|Me tire da lista|Me deixe em paz|Chega de mensagens",
    "nl": "Stoppen|AFMELDEN|Hou op|Stop met berichten sturen|Stuur mij geen berichten meer|"
    "Ik wil geen berichten meer|Meld mij af|Haal mij van jullie lijst|Laat me met rust",
    "pl": "Przestań|Wypisz mnie|Przestańcie do mnie pisać|Proszę nie pisać do mnie|Nie chcę więcej wiadomości|"
    "Proszę usunąć mnie z listy|Cofam zgodę|Dajcie mi spokój",
    "ja": "停止|配信停止|ストップ|やめてください|メッセージを送らないでください|もう連絡しないでください|"
    "リストから外してください|ﾒｯｾｰｼﾞの送信を停止してください",
    "ko": "수신거부|수신 거부|그만|중지|문자 보내지 마세요|더 이상 연락하지 마세요|문자 그만 보내세요|"
    "목록에서 제 번호를 빼주세요 문자 중단",
    "hi": "बंद करो|रोकें|मुझे मैसेज मत भेजो|मुझे और मैसेज नहीं चाहिए|मैसेज भेजना बंद करें|कृपया मुझसे संपर्क न करें|band karo",
    "zh-CN": "退订|停止|取消订阅|不要再给我发短信|请勿再发信息|别再联系我|我要退订|我不想再收到你们的短信",
    "zh-HK": "取消訂閱|唔好再send|唔好再傳訊息俾我|唔好再搵我|我唔想再收到你哋嘅訊息|停止俾我發訊息",
}
QUESTIONS = {  # by language, between bars
    "en": "Where is my order?|Which bus stop is closest?|Can you stop my subscription to the magazine?|yes|No|"
    "Cancel my appointment on Friday|What are the opening hours at the end of the year?|How do I unsubscribe?|"
    "It does not stop leaking|Don't stop texting me|Why did you stop texting me?|"
    "please do not remove me from the list|I can't stop laughing|The non-stop flight|Remove the item from my list|"
    "Text me the address|START|Start|Did you stop sending me texts?|Do not contact me by phone, write here|"
    "What does stop texting mean?|Stop the textbook order|Don't send me the blue one|I quit my job|"
    "My ex will not leave, tell him to stop texting me||👍|4711|Stop at the corner and turn left|"
    "I never got any messages|I want more messages like this",
    "es": "¿Dónde para el autobús?|Quiero cancelar mi pedido|¿Cómo me doy de baja?|No dejen de escribirme|"
    "para mañana|cancelar",
    "fr": "Où est l'arrêt de bus ?|Je veux annuler ma commande|Comment arrêter l’abonnement ?|annuler|C'est la fin",
    "de": "Wo ist die Haltestelle?|Bitte stornieren|Ende|Wie melde ich mich ab?|Hören Sie nicht auf zu schreiben|"
    "Ich möchte keine Zwiebeln",
    "it": "Dov'è la fermata?|annulla|Basta così, grazie|Non smettete di scrivermi|fine|Come mi cancello?",
    "pt": "Onde para o ônibus?|cancelar|para amanhã|Não parem de me escrever|Não quero mais|Como faço para sair?",
    "nl": "Waar is de bushalte?|annuleren|Hoe kan ik mij afmelden?|einde|Ik wil geen uien",
    "pl": "Gdzie jest przystanek?|anuluj|koniec|Jak mogę się wypisać?|Nie przestawajcie pisać|rezygnuję",
    "ja": "バス停はどこですか|注文をキャンセルしたい|まだ商品を送らないでください|配信停止の方法を教えて|"
    "連絡は不要です",
    "ko": "버스 정류장이 어디예요?|주문 취소해 주세요|어떻게 수신거부 하나요?|문자로 보내 주세요",
    "hi": "बस स्टॉप कहाँ है?|मेरा ऑर्डर रद्द करें|मैसेज कैसे बंद करें|मुझे मैसेज भेजो",
    "zh-CN": "公交站在哪里？|取消订单|怎么退订？|不要停止发货|请给我发短信|不要辣",
    "zh-HK": "巴士站喺邊？|取消訂單|點樣退訂？|唔好辣",
}


@pytest.mark.parametrize("text", "|".join(STOPS.values()).split("|"))
def test_these_words_are_an_opt_out(text: str) -> None:
    assert is_stop(text) and not is_start(text)


@pytest.mark.parametrize("text", "|".join(QUESTIONS.values()).split("|"))
def test_these_words_are_none(text: str) -> None:
    assert not is_stop(text)


@pytest.mark.parametrize(
    "text", ["START", "Start!", "yes", "UNSTOP", "start please", "INICIAR", "anmelden", "再開", "시작", "शुरू करें", "开始"]
)
def test_these_words_bring_the_answers_back(text: str) -> None:
    assert is_start(text) and not is_stop(text)


@pytest.mark.parametrize("text", ["", "Hello", "When do you start?", "no", "yes but where is my order", "ja"])
def test_these_words_do_not(text: str) -> None:
    assert not is_start(text)


@pytest.mark.parametrize(
    "text", ["stop ok ok " * 1000 + "x", "please " * 2000, "why " * 2000, "stop the " * 2000, "a" * 100_000]
)
def test_a_long_message_costs_little(text: str) -> None:
    began = time.perf_counter()
    is_stop(text)
    is_start(text)
    assert time.perf_counter() - began < 0.5  # seconds; idle it is a hundredth of that


# --- in a conversation -------------------------------------------------------------------------------------------


class Model:
    """A model that keeps what it was asked. It answers while `answers` is set."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.answers.set()
        self.models = [build_model(FunctionModel(stream_function=self._stream))]

    async def _stream(self, messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        self.seen += [str(part.content) for part in messages[-1].parts if isinstance(part, m.UserPromptPart)]
        self.asked.set()
        await self.answers.wait()
        yield f"Answer {len(self.seen)}."


async def writes(customer: Texter, *texts: str) -> None:
    for text in texts:
        await customer.posts(customer.writes(text))
        await customer.wait_for_app()


async def test_stop_reaches_no_model_and_has_no_answer_until_start(reach: Reach) -> None:
    model = Model()
    customer = await reach(models=model.models)
    await writes(customer, "Hello", "STOP", "Where is my order?")
    assert (model.seen, sent(customer)) == (["Hello"], ["Answer 1."])
    assert customer.messaging.counts["opted out"] == 2 and customer.messaging.counts["failed"] == 0
    assert set(customer.statuses) == {200}
    await writes(customer, "START", "Where is my order?")
    assert model.seen == ["Hello", "START", "Where is my order?"]
    assert "STOP" not in str((await customer.session()).history)


@pytest.mark.parametrize("first", [True, False])
async def test_free_words_do_the_same(reach: Reach, first: bool) -> None:
    model = Model()
    customer = await reach(models=model.models)
    await writes(customer, *([] if first else ["Hello"]), "Please stop texting me.", "Hello?")
    assert model.seen == ([] if first else ["Hello"])


async def test_the_opt_out_of_a_number_holds_in_its_other_channels_and_conversations(reach: Reach) -> None:
    model = Model()
    customer = await reach(models=model.models, whatsapp_number="+15005550003")
    await writes(customer, "Stop")
    await customer.closes()
    await writes(customer, "Hello")
    customer.author, customer.channel = f"whatsapp:{defaults.CALLER}", "WHATSAPP"
    await writes(customer, "Hello")
    assert (model.seen, sent(customer)) == ([], [])
    customer.author = "whatsapp:+15005550007"
    assert await customer.texts("Hello") == "Answer 1."


async def test_another_number_is_answered(reach: Reach) -> None:
    customer = await reach()
    await writes(customer, "Stop")
    customer.author = "+15005550007"
    assert await customer.texts("Hello") == "Yes."


async def test_a_chat_that_is_opened_anew_is_answered(reach: Reach) -> None:
    customer = await reach(channel="CHAT", author="visitor-17")
    await writes(customer, "stop", "Hello?")
    assert sent(customer) == []
    await customer.closes()
    assert await customer.texts("Hello") == "Yes."


async def test_an_answer_that_is_being_written_is_not_sent_after_stop(reach: Reach) -> None:
    model = Model()
    customer = await reach(models=model.models)
    model.answers.clear()
    await customer.posts(customer.writes("Hello"))
    await model.asked.wait()
    await customer.posts(customer.writes("STOP"))
    model.answers.set()
    await customer.wait_for_app()
    assert sent(customer) == []
    assert (customer.messaging.counts["opted out"], customer.messaging.counts["failed"]) == (2, 0)


async def test_a_message_that_waits_reaches_no_model_after_stop(reach: Reach) -> None:
    model = Model()
    customer = await reach(models=model.models)
    hello = customer.writes("Hello")
    async with customer.messaging.inbox.turn(customer.conversation):
        await customer.posts(hello)
        await customer.posts(customer.writes("STOP"))
    await customer.wait_for_app()
    assert model.seen == []


async def test_a_text_between_two_messages_is_not_sent_after_stop(reach: Reach) -> None:
    customer = await reach()
    await writes(customer, "Hello", "Stop")
    session = await customer.session()
    await attach(session, customer.messaging.services)
    with pytest.raises(OptedOut):
        await session.say("By the way.")
    assert sent(customer) == ["Yes."]


async def test_error_21610_of_twilio_is_an_opt_out(reach: Reach, logged: Callable[[], str]) -> None:
    """Twilio knows of an opt-out that this project does not: an older one, or of another sender of the account."""
    model = Model()
    customer = await reach(models=model.models)
    customer.account.conversations.blocked.add(defaults.CALLER)
    await writes(customer, "Hello", "Hello?")
    assert (model.seen, sent(customer)) == (["Hello"], [])
    assert customer.messaging.counts["failed"] == 0
    customer.account.conversations.blocked.clear()  # as START does at Twilio
    await writes(customer, "Start")
    assert len(sent(customer)) == 1


async def test_another_error_is_none(reach: Reach) -> None:
    customer = await reach()
    customer.account.conversations.refusals = [400]
    await writes(customer, "Hello")
    assert await customer.texts("Hello?") == "Yes."


async def test_a_start_that_stop_has_overtaken_brings_nothing_back(reach: Reach) -> None:
    customer = await reach()
    start, stop = customer.writes("Start"), customer.writes("Stop")
    await customer.posts(stop)
    await customer.posts(start)
    await writes(customer, "Hello")
    assert sent(customer) == []


async def test_a_repeated_stop_does_not_undo_start(reach: Reach) -> None:
    customer = await reach()
    stop: dict[str, Any] = customer.writes("Stop")
    await customer.posts(stop)
    await writes(customer, "Start")
    await customer.posts(stop)
    await writes(customer, "Hello")
    assert sent(customer) == ["Yes.", "Yes."]


async def test_nothing_of_the_words_or_the_number_is_logged(reach: Reach, logged: Callable[[], str]) -> None:
    customer = await reach()
    await writes(customer, "Please stop texting me about the biopsy")
    assert "text.opted_out" in logged()
    assert "biopsy" not in logged() and defaults.CALLER not in logged()


# --- the window of WhatsApp -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "taken"), [(23, True), (25, False)])
async def test_free_text_goes_to_whatsapp_within_24_hours_of_the_last_message(
    reach: Reach, advance_clock: Callable[[float], None], hours: int, taken: bool
) -> None:
    own, theirs = "+15005550003", f"whatsapp:{defaults.CALLER}"
    customer = await reach(whatsapp_number=own, author=theirs, channel="WHATSAPP")
    await writes(customer, "Hello")
    session = await customer.session()
    await attach(session, customer.messaging.services)
    advance_clock(hours * 3600)
    if taken:
        await session.say("By the way.")
    else:
        with pytest.raises(OutsideWindow):
            await session.say("By the way.")
    assert sent(customer) == ["Yes.", "By the way."][: 1 + taken]


TEMPLATE = "HX" + "0" * 32


async def after_a_day(reach: Reach, advance_clock: Callable[[float], None], **settings: Any) -> tuple[Any, Session]:
    """A customer of WhatsApp who wrote 25 hours ago, and their session."""
    author = f"whatsapp:{defaults.CALLER}"
    customer = await reach(whatsapp_number="+15005550003", author=author, channel="WHATSAPP", **settings)
    await writes(customer, "Hello")
    session = await customer.session()
    await attach(session, customer.messaging.services)
    advance_clock(25 * 3600)
    return customer, session


async def test_after_24_hours_a_template_begins_anew(reach: Reach, advance_clock: Callable[[float], None]) -> None:
    customer, session = await after_a_day(reach, advance_clock, whatsapp_template=TEMPLATE)
    with allowed(customer):
        await session.say("By the\nway.")
    assert sent(customer) == ["Yes.", "By the way."]
    assert customer.account.conversations.contents[-1] == {"contentId": TEMPLATE, "variables": {"1": "By the way."}}
    with pytest.raises(OutsideWindow):
        await session.say("x" * 901)


async def test_no_template_goes_to_a_customer_who_has_opted_out(
    reach: Reach, advance_clock: Callable[[float], None]
) -> None:
    customer, session = await after_a_day(reach, advance_clock, whatsapp_template=TEMPLATE)
    await customer.messaging.opt_outs.record("SMS", defaults.CALLER, "")
    with allowed(customer), pytest.raises(OptedOut):
        await session.say("By the way.")
    assert sent(customer) == ["Yes."]


async def test_no_template_is_sent_while_something_bars_it(
    reach: Reach, advance_clock: Callable[[float], None]
) -> None:
    customer, session = await after_a_day(reach, advance_clock, whatsapp_template=TEMPLATE)
    with allowed(customer, "it is night"), pytest.raises(Barred, match="it is night"):
        await session.say("By the way.")
    assert sent(customer) == ["Yes."]


class Bars:
    """What a capability with a do-not-call list answers."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason

    async def is_opted_out(self, number: str) -> bool:
        return False

    async def bars(self, number: str) -> str | None:
        assert number == defaults.CALLER
        return self.reason

    async def on_opt_out(self, number: str) -> None: ...


@contextmanager
def allowed(customer: Any, reason: str | None = None) -> Iterator[None]:
    """In place of what the project has: a capability that bars messages for a reason, or for none."""
    opt_outs = customer.messaging.opt_outs
    sharing, opt_outs.sharing = opt_outs.sharing, [Bars(reason)]
    yield
    opt_outs.sharing = sharing


async def test_sms_has_no_window(reach: Reach, advance_clock: Callable[[float], None]) -> None:
    customer = await reach()
    await writes(customer, "Hello")
    session = await customer.session()
    await attach(session, customer.messaging.services)
    advance_clock(25 * 3600)
    await session.say("By the way.")
    assert sent(customer) == ["Yes.", "By the way."]
