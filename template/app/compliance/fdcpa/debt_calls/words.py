"""Words that say that a call is about money: before the person is confirmed, no sentence with one of them is spoken.

They are the second gate. The first is that the model does not know the reason of the call.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

SENTENCE_END = re.compile(r"[.!?…]+(?=\s)|[。！？\n]+")
# English and Spanish, whatever the language of the project: people in the USA are called in both.
WORDS = (
    *(
        r"accounts?\b",
        "amount",
        "arrears",
        "balance",
        "borrow",
        r"collect(?:ors?|ions?|ing)\b",
        "credit",
        "debt",
        "delinquen",
    ),
    *(
        "dollar",
        r"due\b",
        r"fees?\b",
        "financ",
        "foreclos",
        "instal",
        r"interest\b",
        "invoice",
        "lawsuit",
        "loan",
        "money",
    ),
    *("mortgage", "outstanding", "overdue", r"ow(?:e[ds]?|ing)\b", "paid", r"pay(?:s|ing|ments?|off)?\b", "settle"),
    *(
        "acreedor",
        "adeud",
        r"atras(?:os?|ad[oa]s?)\b",
        r"cobr[aeoóa]",
        "crédito",
        "cuota",
        "deud",
        "dinero",
        "dólar",
        "embarg",
    ),
    *("factura", "hipoteca", r"intereses\b", r"mora\b", r"pag(?:[aoueó]|ué|ar)\w*", "préstamo", "saldo", "vencid"),
)
SUMS = r"[$€£¥]\s?\d|\d\s?[$€£¥]"
DEBT = re.compile(rf"\b(?:{'|'.join(WORDS)})|{SUMS}", re.IGNORECASE)


def is_about_debt(text: str, more: Sequence[str] = ()) -> bool:
    """Whether the text has one of the words, an amount, or one of `more`, of which parts of words count too."""
    return bool(DEBT.search(text)) or any(each.casefold() in text.casefold() for each in more if each)


async def without_debt(
    tokens: AsyncGenerator[str], may_pass: Callable[[], bool], more: Sequence[str], instead: Callable[[], str]
) -> AsyncGenerator[str]:
    """The tokens, sentence by sentence, without those about a debt. `instead` is said for the first of them."""
    held, replaced = "", False
    async with aclosing(tokens):
        async for token in tokens:
            held += token
            if may_pass():
                yield held
                held = ""
            while end := SENTENCE_END.search(held):
                sentence, held = held[: end.end()], held[end.end() :]
                if not is_about_debt(sentence, more):
                    yield sentence
                elif not replaced:
                    replaced = True
                    yield instead()
    if held and (may_pass() or not is_about_debt(held, more)):
        yield held
    elif held and not replaced:
        yield instead()
