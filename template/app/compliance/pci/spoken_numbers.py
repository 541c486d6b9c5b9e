"""Digits in a text, in figures and in words of the project's languages: "4111", "four double one", "einundvierzig".

Words are folded: lower case, without accents, hiragana for katakana.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

# By language: 0 to 19, tens from 20, and other numbers. Variants stand with "|". French has no word for 17 to 19, Hindi
# has one for each number up to 99.
SMALL = {
    "en": "zero|oh|o|nought|naught|nil one two three four five six seven eight nine|niner ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis diecisiete dieciocho diecinueve",
    "fr": "zéro un|une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
    "de": "null eins zwei|zwo drei vier fünf|fuenf sechs sieben acht neun zehn elf zwölf|zwoelf dreizehn "
    "vierzehn fünfzehn|fuenfzehn sechzehn siebzehn achtzehn neunzehn",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici "
    "quindici sedici diciassette diciotto diciannove",
    "pt": "zero um|uma dois|duas três quatro cinco seis|meia sete oito nove dez onze doze treze "
    "quatorze|catorze quinze dezesseis|dezasseis dezessete|dezassete dezoito dezenove|dezanove",
    "nl": "nul één|een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien "
    "zestien zeventien achttien negentien",
    "pl": "zero jeden|jedna|jedno dwa|dwie trzy cztery pięć sześć siedem osiem dziewięć dziesięć jedenaście "
    "dwanaście trzynaście czternaście piętnaście szesnaście siedemnaście osiemnaście dziewiętnaście",
    "hi": "शून्य|ज़ीरो|जीरो एक|वन दो|टू तीन|थ्री चार|फोर|फ़ोर पाँच|पांच|फाइव|फ़ाइव छह|छः|छे|छ|सिक्स "
    "सात|सेवन आठ|एट नौ|नाइन दस ग्यारह बारह तेरह चौदह पंद्रह|पन्द्रह सोलह सत्रह अठारह उन्नीस बीस "
    "इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस|अठाईस उनतीस तीस इकतीस|इकत्तीस बत्तीस तैंतीस "
    "चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस चालीस इकतालीस बयालीस तैंतालीस चवालीस|चौवालीस पैंतालीस "
    "छियालीस सैंतालीस अड़तालीस उनचास पचास इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ साठ "
    "इकसठ बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर सत्तर इकहत्तर बहत्तर तिहत्तर चौहत्तर "
    "पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी|उनासी अस्सी इक्यासी बयासी तिरासी चौरासी पचासी छियासी "
    "सत्तासी अट्ठासी नवासी नब्बे इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे "
    "निन्यानवे",
}
TENS = {
    "en": "twenty thirty forty|fourty fifty sixty seventy eighty ninety",
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "fr": "vingt|vingts trente quarante cinquante soixante septante octante|huitante nonante",
    "de": "zwanzig dreißig|dreizig vierzig fünfzig|fuenfzig sechzig siebzig achtzig neunzig",
    "it": "venti trenta quaranta cinquanta sessanta settanta ottanta novanta",
    "pt": "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa",
    "nl": "twintig dertig veertig vijftig zestig zeventig tachtig negentig",
    "pl": "dwadzieścia trzydzieści czterdzieści pięćdziesiąt sześćdziesiąt siedemdziesiąt osiemdziesiąt "
    "dziewięćdziesiąt",
}
LARGE = {
    "en": {100: "hundred", 1000: "thousand"},
    "es": {100: "cien|ciento", 200: "doscientos", 300: "trescientos", 400: "cuatrocientos", 500: "quinientos"}
    | {600: "seiscientos", 700: "setecientos", 800: "ochocientos", 900: "novecientos", 1000: "mil"},
    "fr": {100: "cent|cents", 1000: "mille"},
    "de": {100: "hundert", 1000: "tausend"},
    "it": {100: "cento", 1000: "mille|mila"},
    "pt": {100: "cem|cento", 200: "duzentos", 300: "trezentos", 400: "quatrocentos", 500: "quinhentos"}
    | {600: "seiscentos", 700: "setecentos", 800: "oitocentos", 900: "novecentos", 1000: "mil"},
    "nl": {100: "honderd", 1000: "duizend"},
    "pl": {100: "sto", 200: "dwieście", 300: "trzysta", 400: "czterysta", 500: "pięćset", 600: "sześćset"}
    | {700: "siedemset", 800: "osiemset", 900: "dziewięćset", 1000: "tysiąc|tysiące|tysięcy"},
    "hi": {100: "सौ", 1000: "हज़ार|हजार"},
}
# Languages that write no space between numbers: 0 to 10, 100 and 1000.
HAN = "零|〇|○ 一|幺 二|两|兩 三 四 五 六 七 八 九 十 百 千"
UNSPACED = {
    "ja": f"{HAN} れい|ぜろ|まる|ゼロ いち に さん よん|し ご ろく なな|しち はち きゅう|く じゅう ひゃく せん",
    "zh": HAN,
    "ko": "영|공|제로 일|하나 이|둘 삼|셋 사|넷 오|다섯 육|륙|여섯 칠|일곱 팔|여덟 구|아홉 십 백 천",
}
UNSPACED_VALUES = [*range(11), 100, 1000]
KOREAN_ENDINGS = "이에요|예요|입니다|이고|이요|요|번|에|의|은|는|이|가|을|를|하고"
REPEATS = {
    "double": 2, "triple": 3, "treble": 3, "doble": 2, "doppel": 2, "doppelt": 2, "doppio": 2, "doppia": 2, "triplo": 3,
    "duplo": 2, "dubbel": 2, "podwójne": 2, "podwójna": 2, "डबल": 2, "ट्रिपल": 3, "더블": 2, "孖": 2,
}  # fmt: skip
FILLERS = (
    "and then next uh um er hm dash hyphen space stop comma y luego después guión espacio et puis tiret espace euh und "
    "dann äh ähm strich leerzeichen e poi trattino spazio depois traço espaço hífen en dan eh spatie streepje i potem "
    "kreska myślnik spacja और फिर डैश と の えっと 그리고 다음 어 然后 然後"
)

WORD = r"(?:[^\W\d_]|[\u0300-\u036f\u0900-\u0963])+"  # with the vowel signs of Hindi
TOKEN = re.compile(rf"\d+|{WORD}")
PLUS = re.compile(r"(?:[+＋]|\b(?:plus|más|più|mais))[ (]{0,2}\Z", re.IGNORECASE)  # noqa: RUF001
BREAK = re.compile(r"[:;=<>\[\]{}|&?!@$€£%\"]")  # ends a number; a dot, a comma or a line does not


@dataclass(frozen=True)
class Group:
    """Neighbouring digits as they were spoken or written: "4111", or 41 of "forty-one"."""

    digits: str
    start: int
    end: int


@dataclass
class Run:
    """Groups with nothing but separators and fillers between them. `plus` is "+", "plus" or "" before them."""

    groups: list[Group] = field(default_factory=list)
    plus: str = ""

    @property
    def digits(self) -> str:
        return "".join(group.digits for group in self.groups)

    @property
    def start(self) -> int:
        return self.groups[0].start

    @property
    def end(self) -> int:
        return self.groups[-1].end


@dataclass(frozen=True)
class Token:
    """`value` of a number word, `digits` of figures, `repeat` of "double", or none of them: a filler or a word."""

    start: int
    end: int
    digits: str = ""
    value: int | None = None
    language: str = ""
    repeat: int = 0
    filler: bool = False

    @property
    def is_number(self) -> bool:
        return bool(self.digits) or self.value is not None or self.repeat > 0


def fold(word: str) -> str:
    text = "".join(chr(ord(each) - 0x60) if "ァ" <= each <= "ヶ" else each for each in word.casefold())
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", text)))


@cache
def vocabulary(languages: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Value and language by folded word. The first language that has a word decides."""
    found: dict[str, tuple[int, str]] = {}
    for language in languages:
        rows = [(value, words) for value, words in enumerate(SMALL.get(language, "").split())]
        rows += [(10 * ten, words) for ten, words in enumerate(TENS.get(language, "").split(), 2)]
        rows += LARGE.get(language, {}).items()
        own = {fold(word): value for value, words in rows for word in words.split("|")}
        for word, value in [*own.items(), *compounds(language, own)]:
            found.setdefault(word, (value, language))
    return found


def compounds(language: str, own: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Tens and units in one word: "einundvierzig", "eenenveertig", "quarantuno", "veintiuno"."""
    tens = {word: value for word, value in own.items() if value in range(20, 100, 10)}
    for unit, value in [(unit, value) for unit, value in own.items() if value in range(1, 10)]:
        for ten, more in tens.items():
            match language:
                case "de":
                    yield f"{'ein' if value == 1 else unit}und{ten}", more + value
                case "nl":
                    yield f"{unit}en{ten}", more + value
                case "it":
                    yield f"{ten[:-1] if value in (1, 8) else ten}{unit}", more + value
                case "es" if more == 20:
                    yield f"veinti{unit}", more + value
    if language == "de":
        yield from (("ein", 1), ("eine", 1))


@cache
def unspaced(languages: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for language in languages:
        words = UNSPACED.get(language, "").split()
        for place, variants in enumerate(words):
            for word in variants.split("|"):
                found.setdefault(fold(word), (UNSPACED_VALUES[place % len(UNSPACED_VALUES)], language))
    return found


@cache
def unspaced_pattern(languages: tuple[str, ...]) -> re.Pattern[str] | None:
    words = sorted(unspaced(languages), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


REPEAT_WORDS = {fold(word): count for word, count in REPEATS.items()}
FILLER_WORDS = {fold(word) for word in FILLERS.split()}


def tokens(text: str, languages: tuple[str, ...]) -> Iterator[Token]:
    """The words and figures of a text."""
    words = vocabulary(languages)
    for found in TOKEN.finditer(text):
        start, end, word = found.start(), found.end(), found[0]
        if word[0].isdigit():
            yield Token(start, end, digits="".join(str(unicodedata.decimal(each)) for each in word))
            continue
        folded = fold(word)
        if repeat := REPEAT_WORDS.get(folded):
            yield Token(start, end, repeat=repeat)
        elif folded in words:
            value, language = words[folded]
            yield Token(start, end, value=value, language=language)
        elif folded in FILLER_WORDS:
            yield Token(start, end, filler=True)
        elif parts := without_spaces(text, start, word, languages) or split_word(start, end, folded, words):
            yield from parts
        else:
            yield Token(start, end)


def without_spaces(text: str, start: int, word: str, languages: tuple[str, ...]) -> list[Token]:
    """The numbers in a piece of Chinese, Japanese or Korean, and what stands between them."""
    pattern, values = unspaced_pattern(languages), unspaced(languages)
    if pattern is None or word.isascii():
        return []
    folded = fold(word)
    if len(folded) != len(word):
        return []
    if "가" <= word[0] <= "힣":  # syllables of ordinary words are numbers too
        stem = re.fullmatch(rf"((?:{pattern.pattern})+)(?:{KOREAN_ENDINGS})?", folded)
        if not stem:
            return []
        folded = stem[1]
    found: list[Token] = []
    at = 0
    for piece in re.finditer(rf"(?:{pattern.pattern})+", folded):
        around = text[max(start + piece.start() - 1, 0) : start + piece.end() + 1]
        if len(piece[0]) == 1 and sum(map(str.isalnum, around)) > 1:  # a part of a word, as in 一下, or に after one
            continue
        if piece.start() > at:
            found.append(Token(start + at, start + piece.start()))
        for each in pattern.finditer(folded, piece.start(), piece.end()):
            value, language = values[each[0]]
            found.append(Token(start + each.start(), start + each.end(), value=value, language=language))
        at = piece.end()
    if found and at < len(word) and at < len(folded):
        found.append(Token(start + at, start + len(word)))
    return found


def split_word(start: int, end: int, folded: str, words: dict[str, tuple[int, str]]) -> list[Token]:
    """A word of number words, as "vierhundertelf" is. Its tokens have the place of the whole word."""
    if len(folded) < 6 or not folded.isascii():
        return []
    parts: list[tuple[int, str]] = []
    rest = folded
    while rest:
        size = next((size for size in range(min(len(rest), 20), 2, -1) if rest[:size] in words), 0)
        if not size:
            return []
        parts.append(words[rest[:size]])
        rest = rest[size:]
    return [Token(start, end, value=value, language=language) for value, language in parts]


def runs(text: str, languages: tuple[str, ...]) -> list[Run]:
    """The numbers of a text, in order."""
    found: list[Run] = []
    current: list[Token] = []
    ended = 0

    def close() -> None:
        nonlocal current
        if groups := digit_groups(current):
            plus = PLUS.search(text, max(current[0].start - 8, 0), current[0].start)
            found.append(Run(groups, plus[0].strip(" (").casefold() if plus else ""))
        current = []

    for token in tokens(text, languages):
        if current and BREAK.search(text, ended, token.start):
            close()
        ended = token.end
        if token.is_number:
            current.append(token)
        elif not token.filler:
            close()
    close()
    return found


def digit_groups(number: Sequence[Token]) -> list[Group]:
    """The digits of tokens that follow each other: "forty" "one" is 41, "four" "one" is 4 and 1."""
    groups: list[Group] = []
    thousands, part, slot, language = 0, None, 0, ""
    start = end = 0
    repeat = 1

    def flush() -> None:
        nonlocal thousands, part, slot
        if thousands or part is not None:
            groups.append(Group(str(thousands + (part or 0)), start, end))
        thousands, part, slot = 0, None, 0

    for token in number:
        if token.repeat:
            flush()
            repeat = token.repeat
            continue
        if token.digits or repeat > 1:
            flush()
            groups.append(Group((token.digits or str(token.value)) * repeat, token.start, token.end))
            repeat = 1
            continue
        value = token.value or 0
        if part is None and not thousands:
            start = token.start
        merged = merge(thousands, part, slot, value, token.language)
        if merged is None or (language and token.language != language):
            flush()
            start = token.start
            merged = merge(0, None, 0, value, token.language) or (0, value, 1)
        thousands, part, slot = merged
        language, end = token.language, token.end
    flush()
    return groups


def merge(thousands: int, part: int | None, slot: int, value: int, language: str) -> tuple[int, int | None, int] | None:
    """A number and the word after it as one number; None when the word begins another. `slot` is how much fits in."""
    if value == 1000:
        return None if thousands or (part is not None and part == 0) else ((part or 1) * 1000, None, 1000)
    if value == 100 and part is not None:
        return (thousands, part * 100, 100) if 0 < part < 100 else None
    if value == 10 and language in UNSPACED and part is not None:
        if slot == 1 and part % 10 > 1 and part % 100 < 10:
            return thousands, part + 9 * (part % 10), 10
        return (thousands, part + 10, 10) if slot >= 100 else None
    if part is None:
        return None if thousands and value == 0 else (thousands, value, slot_of(value, language))
    if language == "fr" and value == 20 and part % 100 == 4 and slot == 1:
        return thousands, part + 76, 20
    if language == "fr" and slot == 3:  # dix-sept, soixante-dix-sept
        return (thousands, part + value, 1) if value in (7, 8, 9) or (part > 20 and 0 < value < 10) else None
    if not 0 < value < slot:
        return None
    return thousands, part + value, slot_of(value, language)


def slot_of(value: int, language: str) -> int:
    """What fits into a number after this word: units after tens, tens after hundreds."""
    if value >= 100:
        return 100
    if value == 10:
        return 10 if language in UNSPACED else 3 if language == "fr" else 1
    if value >= 20 and value % 10 == 0:
        return 20 if language == "fr" and value in (60, 80) else 10
    return 1
