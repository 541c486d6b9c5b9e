"""What a model writes beside words: nothing of it is heard, and plain text passes token by token."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from app import markup
from app.markup import MarkupFilter

THOUGHT = "I must not say PIN 4711. "
SPOKEN: dict[str, tuple[str, str]] = {
    # thoughts
    "think": (f"<think>{THOUGHT}</think>\n\nIt arrives tomorrow.", "It arrives tomorrow."),
    "thinking": (f"<thinking>\n{THOUGHT}\n</thinking>It arrives.", "It arrives."),
    "reasoning": (f"Sure. <reasoning>{THOUGHT}</reasoning> It arrives.", "Sure. It arrives."),
    "capitals": (f"<THINKING>{THOUGHT}</Thinking>Yes.", "Yes."),
    "attributes": (f'<thinking budget="3" mode=deep >{THOUGHT}</thinking >Yes.', "Yes."),
    "double brackets": (f"[[thinking]]{THOUGHT}[[/thinking]]Yes.", "Yes."),
    "brackets": (f"[THINK]{THOUGHT}[/THINK]Yes.", "Yes."),
    "triangles": (f"◁think▷{THOUGHT}◁/think▷Yes.", "Yes."),
    "bars": (f"<|think|>{THOUGHT}<|/think|>Yes.", "Yes."),
    "begin and end": (f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>Yes.", "Yes."),
    "a prefix": (f"<seed:think>{THOUGHT}</seed:think>Yes.", "Yes."),
    "longer names": ("<inner_monologue>a</inner_monologue><chain_of_thought>b</chain_of_thought>Yes.", "Yes."),
    "a process": (f"<thinking_process>{THOUGHT}</thinking_process>Yes.", "Yes."),
    "channels": (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
        "Yes.",
    ),
    "a call of a tool as text": ('One moment. <tool_call>\n{"name": "a"}\n</tool_call>Yes.', "One moment. Yes."),
    "calls of tools": ("<function_calls><invoke name='a'>1</invoke></function_calls>Yes.", "Yes."),
    "scratchpad": (f"<scratchpad>{THOUGHT}</scratchpad>Yes.", "Yes."),
    "reflection": (f"<reflection>{THOUGHT}</reflection>Yes.", "Yes."),
    "markup inside": (f"<think>**a** <b>x < 5</b> {THOUGHT}</think>Yes.", "Yes."),
    "one inside another": (f"<reasoning>a <think>{THOUGHT}</think> b</reasoning>Yes.", "Yes."),
    "a tag that is named inside": (f"<think>No <think> here. {THOUGHT}</think>Yes.", "Yes."),
    "another end": (f"<think>{THOUGHT}</reasoning>Yes.", "Yes."),
    "two": (f"<think>{THOUGHT}</think>One. <think>{THOUGHT}</think>Two.", "One. Two."),
    "never closed": (f"Yes. <think>{THOUGHT}", "Yes. "),
    "never opened": ("Yes.</think> No.", "Yes. No."),
    # angle brackets
    "less than": ("if x < 5 and y > 3", "if x < 5 and y > 3"),
    "less than without spaces": ("x<5, y>3, a<=b, a<-b", "x<5, y>3, a<=b, a<-b"),
    "less than a name": ("if a <b and c> d", "if a <b and c> d"),
    "a heart": ("I <3 you", "I <3 you"),
    "an end that is less than": ("x <", "x <"),
    "the tag never ends": ("we say <em and stop", "we say <em and stop"),
    "break": ('Wait <break time="500ms"/> a moment.', "Wait a moment."),
    "say-as": ('Code <say-as interpret-as="digits">4711</say-as>.', "Code 4711."),
    "speak": ("<speak><p>Hello <emphasis level='strong'>Ada</emphasis>.</p></speak>", "Hello Ada. "),
    "html": ("One<br>two<br/>three <b>bold</b> <span class=x>four</span>", "One two three bold four"),
    "a comment": ("One <!-- a > b\n --> two", "One two"),
    "entities": ("Q&A at AT&T, Ben &amp; Jerry&#39;s", "Q&A at AT&T, Ben & Jerry's"),
    # markdown
    "bold": ("It is **very** good.", "It is very good."),
    "bold with underscores": ("It is __very__ good.", "It is very good."),
    "italic": ("It is *very* _very_ good.", "It is very very good."),
    "both": ("It is ***very*** good.", "It is very good."),
    "bold in a language without spaces": ("这是**重要**的。", "这是重要的。"),
    "struck": ("Not ~~ten~~ nine, ~5 minutes.", "Not ten nine, ~5 minutes."),
    "code": ("Say `help` or ``a`b``.", "Say help or ab."),
    "products": ("2 * 3 and 2*3 and 2**3", "2 * 3 and 2*3 and 2**3"),
    "names with underscores": ("my_file_name and ada_l@example.com", "my_file_name and ada_l@example.com"),
    "codes with underscores": ("Your code is _wA= or __x, and A_B_.", "Your code is _wA= or __x, and A_B_."),
    "a gap": ("Name: ______ please", "Name:  please"),
    "a star at the end": ("Terms apply*", "Terms apply"),
    "a fence": ("Run:\n```python\nprint(1)\n```\nDone.", "Run:\nprint(1)\nDone."),
    "headings": ("# One\nText.\n### X-rays\nThe #1 and # 5.", "One\nText.\nX-rays\nThe #1 and # 5."),
    "bullets": ("- one\n* two\n  + three\n• four\n-5 degrees", "one\ntwo\n  three\nfour\n-5 degrees"),
    "tasks": ("- [x] one\n- [ ] two", "one\ntwo"),
    "numbers": ("1. One\n2) Two\n10. Ten", "1. One\n2) Two\n10. Ten"),
    "a quotation": ("> Wise words\n>> again\nx > 5", "Wise words\nagain\nx > 5"),
    "a rule": ("One\n---\nTwo\n* * *\nThree", "One\nTwo\nThree"),
    "a dash": ("We are open - really - today — yes", "We are open - really - today — yes"),
    "a table": ("| Day | Open |\n|:---|---:|\n| Mon | 9-5 |\n\nBye", "Day, Open\nMon, 9-5\n\nBye"),
    "a choice": ("yes|no, a | b", "yes|no, a | b"),
    "escapes": (r"2 \* 3 \_ \# 1", "2 * 3 _ # 1"),
    "a footnote": ("Free.[^1] Really.【4:0†source】", "Free. Really."),
    # links
    "a link": ("See [our **shop**](https://shop.example.com/a?b=c#d) now.", "See our shop now."),
    "a link with a title": ('See [it](https://example.com "The (best) page").', "See it."),
    "a link with parentheses": ("See [it](https://example.com/a_(b)) now.", "See it now."),
    "a link without text": ("See [](https://example.com/a).", "See example.com."),
    "a link that is its text": ("[https://www.example.com/a](https://www.example.com/a)", "example.com"),
    "an image": ("![A map](https://example.com/m.png) here", "A map here"),
    "an image in a link": ("[![A map](https://e.com/m.png)](https://e.com) here", "A map here"),
    "a reference": ("See [the page][1].\n[1]: https://example.com/a\nBye", "See the page.\nBye"),
    "brackets that are none": ("Press [1] or [two] (or three).", "Press [1] or [two] (or three)."),
    "a bare link": (
        "Go to https://www.example.com/reset?token=abc_d*e&x=1, then call.",
        "Go to example.com, then call.",
    ),
    "a link at the end": ("It is at http://example.com/help.", "It is at example.com."),
    "a link with user and port": ("https://ada:pw@example.com:8443/x", "example.com"),
    "a link in parentheses": ("(see https://example.com/a)", "(see example.com)"),
    "a link in angle brackets": ("<https://example.com/a?b> or <ada@example.com>", "example.com or ada@example.com"),
    "a link without a scheme": ("www.example.co.uk/a and example.com/a/b?c=d.", "example.co.uk and example.com."),
    "a link in bold": ("**https://example.com/a** now", "example.com now"),
    "a link of another script": ("https://münchen.example/über", "münchen.example"),
    "what begins inside a word": ("Say awww.x or ahttp:// to it.", "Say awww.x or ahttp:// to it."),
    "a line break before a space": ("One<br> two</p> three", "One two three"),
    "an address in angle brackets": ("Write to <mailto:ada@example.com>.", "Write to ada@example.com."),
    "an address": ("Write to ada+l@mail.example.com.", "Write to ada+l@mail.example.com."),
    "what is no link": ("and/or, 24/7, 1/2, he/she, http is old", "and/or, 24/7, 1/2, he/she, http is old"),
    # emoji
    "emoji": ("Great 👍 thanks 🎉!", "Great thanks !"),
    "a skin": ("Great 👍🏽 thanks", "Great thanks"),
    "a family": ("The 👨‍👩‍👧‍👦 plan", "The plan"),
    "a flag": ("In 🇩🇪 and 🏴󠁧󠁢󠁥󠁮󠁧󠁿 now", "In and now"),
    "a key": ("Press 1️⃣ or #️⃣", "Press 1 or #"),
    "signs": ("Acme™ ❤️ © 2026 ☎ 5 €", "Acme™ © 2026 5 €"),
    "joiners of other scripts": ("क्‍ष और می‌خواهم", "क्‍ष और می‌خواهم"),
}


def read(tokens: list[str], reader: str = "spoken") -> str:
    words = MarkupFilter(reader)
    return "".join([*(words.feed(token) for token in tokens), words.feed("", last=True)])


def places(text: str) -> list[int]:
    """Where a text may be split. The filter holds no exclamation mark, though an image may begin with it."""
    return [at for at in range(1, len(text)) if not f"{text[at - 1]}|{text[at:]}".startswith("!|[")]


@pytest.mark.parametrize(("text", "heard"), SPOKEN.values(), ids=SPOKEN.keys())
def test_the_caller_hears_words(text: str, heard: str) -> None:
    assert read([text]) == heard


@pytest.mark.parametrize(("text", "heard"), SPOKEN.values(), ids=SPOKEN.keys())
def test_it_is_the_same_however_the_text_is_split(text: str, heard: str) -> None:
    for at in places(text):
        assert read([text[:at], text[at:]]) == heard, f"split at {at}"
    rng = random.Random(7)
    for size in (2, 3, 5, 8, 13):
        for _ in range(5):
            cuts = sorted({0, len(text), *rng.choices(places(text) or [0], k=len(text) // size)})
            assert read([text[a:b] for a, b in itertools.pairwise(cuts)]) == heard, cuts


@pytest.mark.parametrize(
    ("text", "heard"),
    [each for each in SPOKEN.values() if len(places(each[0])) == len(each[0]) - 1],
    ids=[name for name, each in SPOKEN.items() if len(places(each[0])) == len(each[0]) - 1],
)
def test_it_is_the_same_character_by_character(text: str, heard: str) -> None:
    assert read(list(text)) == heard


PLAIN = [
    "Your order, number 4711, is on its way; it arrives at 9:30. That's 5 % of what we've said!",
    "Ja, natürlich — wir öffnen um neun. Où êtes-vous ? ¿Cómo está?",
    "您的订单明天到达。मैं आपकी मदद कर सकता हूँ। هل تريد شيئًا آخر؟ 도와드릴까요?",
    'First line.\n\nSecond line: well-known, ada@example.com, at example.com, 1.5 and $20 (or so) "quoted".',
    "1. One\n2. Two",
]


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_plain_text_passes_at_once(text: str, size: int) -> None:
    tokens = [text[at : at + size] for at in range(0, len(text), size)] if size else text.split(" ")
    words, heard = MarkupFilter(), ""
    for number, token in enumerate(tokens, start=1):
        heard += words.feed(token)
        begun = "".join(tokens[:number]).removeprefix(heard)
        assert not begun or re.search(rf"\b{begun}$", heard + begun) and begun in "hwW"  # of a link, or of a word
    assert heard + words.feed("", last=True) == "".join(tokens)


def test_text_after_markup_passes_at_once_again() -> None:
    words = MarkupFilter()
    tokens = ["**", "Bold", " words", "**", " and", " 2", " <", " 5", " <think>", "no", "</think>", "yes", " so"]
    said = ["", "Bold", " words", "", " and", " 2", " ", "< 5", " ", "", "", "yes", " so"]
    assert [words.feed(token) for token in tokens] == said


@pytest.mark.parametrize("start", ["<a", "[a", "https://a", '<a b="', "```", "&", "| - "])
def test_what_never_ends_is_said_after_a_while(start: str) -> None:
    words = MarkupFilter()
    said = "".join(words.feed("b") for _ in [words.feed(f"One\n{start}"), *range(5000)])
    assert len(said) > 1000


def test_a_long_reply_costs_little() -> None:
    import time

    for text in (
        "<" * 5000,
        "[" * 5000,
        "*_" * 5000,
        "<a " * 3000,
        "[a](" * 3000,
        "|" * 5000,
        "http" * 3000,
        "👍" * 5000,
    ):
        began = time.process_time()
        read([text[at : at + 3] for at in range(0, len(text), 3)])
        assert time.process_time() - began < 5, text[:5]  # seconds of this process; idle it is a tenth


WRITTEN: dict[str, tuple[str, str]] = {
    "thoughts": (f"<think>{THOUGHT}</think>Yes.", "Yes."),
    "codes": ("Your code is _wA=, by @_ada_l and __x.", "Your code is _wA=, by @_ada_l and __x."),
    "marks": ("# One\nIt is **very** `good`.", "One\nIt is very good."),
    "bullets": ("- one\n* two\n1. three", "- one\n* two\n1. three"),
    "a link": (
        "See [our shop](https://shop.example.com/a_b?c=*d*).",
        "See our shop: https://shop.example.com/a_b?c=*d*.",
    ),
    "a link that is its text": ("[https://e.com/a](https://e.com/a)", "https://e.com/a"),
    "a link without words": ("See [](https://e.com/a).", "See https://e.com/a."),
    "a bare link": ("See https://www.example.com/a_b_c?d=e.", "See https://www.example.com/a_b_c?d=e."),
    "a link without a scheme": ("See example.com/a_b?c.", "See example.com/a_b?c."),
    "emoji": ("Great 👍🏽 👨‍👩‍👧", "Great 👍🏽 👨‍👩‍👧"),
    "a tag": ("<b>One</b><br>two", "One two"),
    "a table": ("| Day | Open |\n|---|---|\n| Mon | 9-5 |", "Day, Open\nMon, 9-5"),
}


@pytest.mark.parametrize(("text", "read_as"), WRITTEN.values(), ids=WRITTEN.keys())
def test_the_customer_reads_no_markup(text: str, read_as: str) -> None:
    for at in range(len(text)):
        assert read([text[:at], text[at:]], "written") == read_as


def test_a_channel_that_shows_markup_gets_it_without_thoughts() -> None:
    text = "# One\nIt is **very** [good](https://e.com) <b>x</b> 👍 | a |"
    for at in range(len(text)):
        tokens = [text[:at], "<think>", THOUGHT, "</think>", text[at:]]
        assert read(tokens, "shown").replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")


def test_the_owner_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"👍": "thumbs up", "→": "to", "km/h": "kilometres an hour"}
    monkeypatch.setattr(markup, "rules", markup.Rules(["plan"], ["break"], "our page {domain}", said))
    assert read(["<plan>no</plan>A → B <break time='1s'/>👍 5 km/h https://e.com/x <think>"]) == (
        "A to B <break time='1s'/>thumbs up 5 kilometres an hour our page e.com "
    )
