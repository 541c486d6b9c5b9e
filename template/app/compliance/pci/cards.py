"""Which digits of a text are of a payment card, and the text without them. Nothing here keeps a digit.

User text is judged strictly, with the turns before it: one part that stays betrays a card that the caller reads out.
Data of tools has ids, times and prices, so there a number must look like that of a card network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.compliance.pci.spoken_numbers import TOKEN, Group, Run, fold, runs, tokens, vocabulary
from app.log import has_card, luhn

CARD = "[card number]"
CODE = "[security code]"
WITHHELD = "[number withheld]"
MARKS = (CARD, CODE, WITHHELD)

FEWEST_WITH_CUE = 5  # digits that are withheld when a card was mentioned; the last four may stay (PCI DSS 3.4.1)
FEWEST = 12  # digits that are withheld in any case; phone numbers without "+" have up to 11
EARLIER = 8  # user texts before, in which a number may have begun
GAP = 3  # words between two parts of a number in one text
DICTATION = 6  # other words in a text that continues a number

# First digits and lengths of card networks. Source: github.com/braintree/credit-card-type, card-types.ts (2026-11-28).
NETWORK = re.compile(
    r"4\d{12}(?:\d{3}|\d{5,6})?|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|220[0-4]\d{12,15}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)(?:\d{11}|\d{13}|\d{16})|35\d{14,17}|(?:5[06-9]|6\d)\d{11,17}"
)
CARD_WORDS = re.compile(
    r"card\b|cards\b|\bvisa\b|mastercard|master card|\bamex\b|american express|maestro|\btarjetas?\b|\bcartes?\b|karte"
    r"|\bkart(?:a|y|ę|ą|o)\b|\bcart[ae]\b|cart(?:ão|ões|ao)\b|kaart|कार्ड|カード|카드|卡|咭"
)
CODE_WORDS = re.compile(
    r"\bc[ .]?v[ .]?[vc2]\b|\bcid\b|security code|verification (?:code|value|number)|on the back"
    r"|sicherheitscode|prüf(?:nummer|ziffer|code)|auf der rückseite|c[óo]digo de (?:seguridad|segurança|verifica)"
    r"|cryptogramme|code de s[ée]curit[ée]|au dos de|codice di sicurezza|sul retro"
    r"|(?:beveiligings|veiligheids)code|achterop|kod\w* (?:cvv|cvc|zabezpiecz|bezpiecz)|na odwrocie|no verso"
    r"|सुरक्षा कोड|सीवीवी|セキュリティ ?コード|보안 ?코드|安全[码碼]|校验码|校驗碼"
)


@dataclass(frozen=True)
class Span:
    start: int
    end: int
    mark: str


def without(text: str, spans: Iterable[Span]) -> str:
    """The text with each span replaced by its mark; spans that overlap become one."""
    parts, end = [], 0
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if span.start >= end:
            parts += [text[end : span.start], span.mark]
        end = max(end, span.end)
    return "".join([*parts, text[end:]])


def is_card(digits: str) -> bool:
    """Whether these are all digits of a card number: check digit, first digits and length of a network."""
    return 13 <= len(digits) <= 19 and luhn(digits) and NETWORK.fullmatch(digits) is not None


# --- data of models, tools and capabilities -------------------------------------------------------------------------


def redact_data(text: str, languages: tuple[str, ...]) -> str:
    """The text without card numbers."""
    spans = [Span(*place, CARD) for run in runs(text, languages) if not is_phone(run) for place in cards_in(run, text)]
    return without(text, spans)


def cards_in(run: Run, text: str) -> list[tuple[int, int]]:
    """The places of neighbouring groups that are a card number in a usual writing."""
    found, count = [], len(run.groups)
    for first in range(count):
        for last in range(first, min(first + 19, count)):
            groups = run.groups[first : last + 1]
            if is_card("".join(group.digits for group in groups)) and is_usual(groups, text):
                found.append((groups[0].start, groups[-1].end))
    return found


def is_usual(groups: Sequence[Group], text: str) -> bool:
    """4111 1111 1111 1111, 3782 822463 10005, digit by digit, or in pairs with the same between them: no price list."""
    sizes = [len(group.digits) for group in groups]
    if len(sizes) == 1 or set(sizes) == {1} or sizes[:2] == [4, 6]:
        return True
    if set(sizes[:-1]) == {4}:
        return True
    between = {text[one.end : other.start] for one, other in zip(groups, groups[1:], strict=False)}
    return max(sizes) <= 2 and len(between) == 1


def is_phone(run: Run) -> bool:
    """Written with a plus, as E.164 is, which has 15 digits at most."""
    return run.plus in ("+", "＋") and len(run.digits) <= 15  # noqa: RUF001


# --- user text --------------------------------------------------------------------------------------------------------


@dataclass
class Redacted:
    """A user text, and those before it, without what belongs to a card. `digits` were split between them."""

    text: str
    earlier: list[str]
    digits: str = ""


def redact_user_text(text: str, earlier: Sequence[str], agent: str, languages: tuple[str, ...]) -> Redacted:
    """`earlier` are the user texts before, oldest first, `agent` the last words of the agent."""
    earlier = list(earlier)
    found = runs(text, languages)
    said = " ".join([text, agent, *earlier[-1:]]).casefold()
    marked = any(mark in each for each in earlier[-2:] for mark in MARKS)
    cued = marked or CARD_WORDS.search(said) is not None
    coded = CODE_WORDS.search(said) is not None
    spans: list[Span] = []
    for run in found:
        after_card = marked or any(span.mark != CODE for span in spans)
        if mark := mark_of(run, cued, coded, after_card):
            spans.append(Span(run.start, run.end, mark))
    spans += in_parts(text, found, cued)
    digits = ""
    if found and earlier:
        split = over_turns(text, found[0], earlier, cued, languages)
        if split.digits:
            spans.append(Span(found[0].start, found[0].end, CARD))
            earlier, digits = split.earlier, split.digits
    return Redacted(without(text, spans), earlier, digits)


def mark_of(run: Run, cued: bool, coded: bool, after_card: bool) -> str | None:
    """What stands in place of a number. None when it stays."""
    count = len(run.digits)
    if is_phone(run):
        return None
    if run.plus and count <= 15:  # "plus" as a word
        return CARD if is_card(run.digits) else None
    if count >= 13 and has_card([group.digits for group in run.groups]):
        return CARD
    if count >= FEWEST or (cued and count >= FEWEST_WITH_CUE):
        return WITHHELD
    if count in (3, 4) and (coded or after_card):
        return CODE if coded else WITHHELD
    return None


def in_parts(text: str, found: Sequence[Run], cued: bool) -> list[Span]:
    """Numbers of one text with a few words between their parts, which are a card number together, or may be."""
    spans: list[Span] = []
    parts: list[Run] = []

    def close() -> None:
        groups = [group.digits for run in parts for group in run.groups]
        count = sum(map(len, groups))
        is_one = count >= 13 and has_card(groups)
        if len(parts) > 1 and (is_one or (cued and count >= FEWEST_WITH_CUE)):
            spans.extend(Span(run.start, run.end, CARD if is_one else WITHHELD) for run in parts)
        parts.clear()

    for run in found:
        if run.plus or len(run.digits) < 2:
            continue
        if parts and len(TOKEN.findall(text[parts[-1].end : run.start])) > GAP:
            close()
        parts.append(run)
    close()
    return spans


def over_turns(text: str, head: Run, earlier: list[str], cued: bool, languages: tuple[str, ...]) -> Redacted:
    """A number that began in user texts before and goes on with the first one of this text."""
    tails: list[tuple[int, Run]] = []  # the latest first
    without_number = 0
    for place in range(len(earlier) - 1, max(len(earlier) - 1 - EARLIER, -1), -1):
        found = runs(earlier[place], languages)
        if not found:
            without_number += 1
            if without_number > 2:
                break
            continue
        if found[-1].plus:
            break
        tails.append((place, found[-1]))
        if len(found) > 1:
            break
    if head.plus or not tails:
        return Redacted(text, earlier)
    tails.reverse()
    groups = [group.digits for _, run in tails for group in run.groups]
    border = len(groups)
    groups += [group.digits for group in head.groups]
    crossing = [
        first
        for first in range(border)
        for last in range(border, min(first + 19, len(groups)))
        if is_card("".join(groups[first : last + 1]))
    ]
    if crossing:
        first, used = min(crossing), []
        for place, run in tails:
            first -= len(run.groups)
            if first < 0:
                used.append((place, run))
        tails = used
    elif not is_dictated(text, head, [(earlier[place], run) for place, run in tails], cued):
        return Redacted(text, earlier)
    cleaned = list(earlier)
    for place, run in tails:
        cleaned[place] = without(earlier[place], [Span(run.start, run.end, CARD)])
    return Redacted(text, cleaned, "".join([*(run.digits for _, run in tails), head.digits]))


def is_dictated(text: str, head: Run, tails: Sequence[tuple[str, Run]], cued: bool) -> bool:
    """Whether these may be parts of a card number, read out turn by turn: in groups of four, or after its mention."""
    said = [*tails, (text, head)]
    if any(len(TOKEN.findall(each[: run.start] + each[run.end :])) > DICTATION for each, run in said):
        return False
    sizes = [len(run.digits) for _, run in said]
    if cued:
        return sum(sizes) >= FEWEST_WITH_CUE and min(sizes) >= 3
    return sum(sizes) >= FEWEST and all(size % 4 == 0 for size in sizes)


def without_digits(text: str, digits: str, languages: tuple[str, ...]) -> str:
    """The text without numbers that are a part of `digits`: the agent may have repeated them."""
    found = [run for run in runs(text, languages) if len(run.digits) >= 4 and run.digits in digits]
    return without(text, [Span(run.start, run.end, CARD) for run in found])


# --- a reply, token by token ------------------------------------------------------------------------------------------


def complete_until(text: str, languages: tuple[str, ...]) -> int:
    """Where a number begins that the text may not have in full yet; its length when there is none."""
    at = len(text)
    for token in reversed(list(tokens(text, languages))):
        if token.is_number or (token.end == len(text) and begins_number(fold(text[token.start :]), languages)):
            at = token.start
        elif not token.filler:
            break
    return at


def begins_number(start: str, languages: tuple[str, ...]) -> bool:
    return any(word.startswith(start) for word in vocabulary(languages))
