"""Cards and codes in the fourteen languages of the questionnaire, and numbers of other kinds in them."""

from __future__ import annotations

import time

import pytest

from app.compliance.pci.cards import CARD, CODE, WITHHELD, complete_until, is_card, redact_data, redact_user_text
from app.compliance.pci.spoken_numbers import SMALL, UNSPACED, runs

ALL = (*SMALL, *UNSPACED)
DIGITS = {
    "en": "zero one two three four five six seven eight nine",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "it": "zero uno due tre quattro cinque sei sette otto nove",
    "pt": "zero um dois três quatro cinco meia sete oito nove",
    "nl": "nul één twee drie vier vijf zes zeven acht negen",
    "pl": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
    "hi": "शून्य एक दो तीन चार पाँच छह सात आठ नौ",
    "ja": "〇 一 二 三 四 五 六 七 八 九",
    "zh": "零 幺 二 三 四 五 六 七 八 九",
    "ko": "공 일 이 삼 사 오 육 칠 팔 구",
}
CARDS = ["4539578763621486", "378282246310005", "5555555555554444", "6011000990139424", "30569309025904"]
SENTENCES = {
    "en": "my card number is {}, thank you",
    "es": "mi tarjeta es {}, gracias",
    "fr": "ma carte est {}, merci",
    "de": "meine Kreditkarte ist {}, danke",
    "it": "la mia carta è {}, grazie",
    "pt": "meu cartão é {}, obrigado",
    "nl": "mijn kaart is {}, dank je",
    "pl": "moja karta to {}, dziękuję",
    "hi": "मेरा कार्ड {} है",
    "ja": "カード番号は{}です",
    "zh": "我的卡号是{}谢谢",
    "ko": "카드 번호는 {} 입니다",
}
CODES = {
    "en": "the security code is {}",
    "es": "el código de seguridad es {}",
    "fr": "le cryptogramme est {}",
    "de": "die Prüfnummer ist {}",
    "it": "il codice di sicurezza è {}",
    "pt": "o código de segurança é {}",
    "nl": "de beveiligingscode is {}",
    "pl": "kod CVV to {}",
    "hi": "सुरक्षा कोड {} है",
    "ja": "セキュリティコードは {} です",
    "zh": "安全码是 {} 谢谢",
    "ko": "보안 코드는 {} 입니다",
}
# In pairs and in hundreds, as people read them out too: 4111 or 4971.
READ_OUT = {
    "en": ("forty-one eleven", "4111"),
    "es": ("cuatro mil ciento once", "4111"),
    "fr": ("quarante-neuf soixante et onze", "4971"),
    "de": ("einundvierzig elf", "4111"),
    "it": ("quarantuno undici", "4111"),
    "pt": ("quarenta e um onze", "4111"),
    "nl": ("eenenveertig elf", "4111"),
    "pl": ("czterdzieści jeden jedenaście", "4111"),
    "hi": ("इकतालीस ग्यारह", "4111"),
    "ja": ("よんじゅういち じゅういち", "4111"),
    "zh": ("四十一十一", "4111"),
    "ko": ("사십일 십일", "4111"),
}


def spoken(digits: str, language: str) -> str:
    words = DIGITS[language].split()
    return ("" if language in ("ja", "zh") else " ").join(words[int(digit)] for digit in digits)


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("language", DIGITS)
def test_a_spoken_card_number_is_found(language: str, card: str) -> None:
    text = SENTENCES[language].format(spoken(card, language))
    assert redact_user_text(text, [], "", (language, "en")).text == SENTENCES[language].format(CARD)
    assert redact_data(text, (language, "en")) == SENTENCES[language].format(CARD)


@pytest.mark.parametrize("language", DIGITS)
def test_a_spoken_card_number_is_found_with_every_language_of_a_multilingual_call(language: str) -> None:
    text = SENTENCES[language].format(spoken(CARDS[0], language))
    assert CARD in redact_user_text(text, [], "", ALL).text or WITHHELD in redact_user_text(text, [], "", ALL).text


@pytest.mark.parametrize("language", DIGITS)
def test_a_part_is_withheld_after_the_word_for_card(language: str) -> None:
    text = SENTENCES[language].format(spoken("41114", language))
    assert redact_user_text(text, [], "", (language, "en")).text == SENTENCES[language].format(WITHHELD)
    later = redact_user_text(spoken("41114", language), [SENTENCES[language].format("…")], "", (language, "en"))
    assert later.text == WITHHELD


@pytest.mark.parametrize("language", DIGITS)
def test_a_card_number_over_two_turns_is_found(language: str) -> None:
    halves = [spoken(CARDS[0][:8], language), spoken(CARDS[0][8:], language)]
    found = redact_user_text(halves[1], halves[:1], "", (language, "en"))
    assert [*found.earlier, found.text] == [CARD, CARD] and found.digits == CARDS[0]


@pytest.mark.parametrize("language", CODES)
@pytest.mark.parametrize("code", ["123", "1234"])
def test_a_security_code_is_withheld(language: str, code: str) -> None:
    for written in (code, spoken(code, language)):
        text = CODES[language].format(written)
        assert redact_user_text(text, [], "", (language, "en")).text == CODES[language].format(CODE)


@pytest.mark.parametrize("language", READ_OUT)
def test_numbers_in_pairs_are_digits(language: str) -> None:
    text, digits = READ_OUT[language]
    assert "".join(run.digits for run in runs(text, (language,))) == digits


@pytest.mark.parametrize(
    "text",
    [
        "call me at 500 555 0006",
        "five oh oh, five five five, oh oh oh six",
        "+49 1512 3456789",
        "plus four nine one five one one two three four five six seven nine",
        "on 12/04/2026 at 10:30, for four people",
        "order 4711, that is four seven one one",
        "I was born on the third of May nineteen eighty-five",
        "12.50, 13.00 and 9.99",
        "one moment, one of my two children is ill",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    found = redact_user_text(text, ["I am at 12 Main Street", "there are 4 of us"], "How can I help?", ("en",))
    assert (found.text, found.earlier) == (text, ["I am at 12 Main Street", "there are 4 of us"])


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("nl", "ik heb een afspraak met een dokter op een dag"),
        ("fr", "un moment, un de mes amis a un rendez-vous"),
        ("zh", "我想问一下，第一次一共一个人"),
        ("ja", "三人で、火曜日に、二時にお願いします"),
        ("ko", "이 일이 사실이에요, 오늘 이사 왔어요"),
        ("de", "ein Termin um acht, für zwei Personen, danke"),
    ],
)
def test_words_that_are_numbers_too_stay(language: str, text: str) -> None:
    assert redact_user_text(text, [], "", (language, "en")).text == text


def test_data_of_tools_keeps_ids_times_and_prices() -> None:
    for text in (
        "2026-11-28T18:02:56.793410Z",
        "order 4111 1111 1111 1112",
        "CA41111111111111111234567890123456",
        "12.50, 13.00, 15.99, 45.10, 41.11, 11.11",
        "+4915112345678",
        "1764352976123",
        "tables 4, 5, 6, 7 and 8",
        "four people, five chairs",
    ):
        assert redact_data(text, ALL) == text


def test_a_number_with_a_few_words_between_its_parts_is_found() -> None:
    text = "4111 1111 and the second half is 1111 1111"
    assert redact_user_text("4111 1111 second half 1111 1111", [], "", ("en",)).text == f"{CARD} second half {CARD}"
    assert "4111" not in redact_user_text(f"my card: {text}", [], "", ("en",)).text


def test_the_networks() -> None:
    assert all(map(is_card, [*CARDS, "2221000000000009", "3530111333300000", "6304000000000000000"]))
    assert not any(map(is_card, ["4111111111111112", "1234567890123452", "0000000000000000", "411111", "9" * 16]))


def test_a_reply_is_held_back_where_a_number_may_go_on() -> None:
    for text, at in (("It costs 12", 9), ("It costs 12 ", 9), ("It costs 12 euros", 17), ("It is fo", 6), ("Yes", 3)):
        assert complete_until(text, ("en",)) == at, text


@pytest.mark.parametrize(
    "text", ["1 ", "4111 ", "+1 ", "four one ", "four x ", "四", "よん", "일", "a", "quatre-vingt "]
)
def test_a_long_text_is_filtered_in_time(text: str) -> None:
    long = (text * 20_000)[:20_000]
    began = time.process_time()
    redact_user_text(long, [long[:1000]] * 8, "", ALL)
    redact_data(long, ALL)
    assert time.process_time() - began < 20
