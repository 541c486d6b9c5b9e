"""Takes out of a reply what a model writes beside words: thoughts, tags, markdown, links, emoji. Works on a stream.

Text without markup passes at once; what may be markup is held until that is known. No package does this: parsers of
markdown want whole documents, and filters of voice frameworks come with the framework. `regex` says whether a text may
still become a match (`partial`), and has the tables of Unicode.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import regex
from pydantic_ai import messages as m

from app.agent_module import AgentModule
from app.history import text_cleaner

LONGEST = 1000  # characters that are held
ADDRESS = r"[^\s<>\[\]{}|\\^`\"]"
EMOJI = r"[\p{Extended_Pictographic}--[©®™‼⁉↔]]|[\p{RI}\p{EMod}\ufe0f\u20e3\U000e0020-\U000e007f]"
CHANNEL = r"<\|channel\|>(?:(?P<hidden>analysis|commentary)\b[^<]*|(?P<close>final)(?P<hidden>))<\|message\|>"
ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*+\s*"""
LINE = regex.compile(
    r"(?:```+|~~~+)[^\n`]*(?:\n|\Z)|\|?[ \t]*(?:[*_=:-][ \t|]*){3,}+(?:\n|\Z)|\[[^\[\]\n]+\]:[ \t]+<?https?://[^\n]*(?:\n|\Z)"
)
OPENING = regex.compile(
    r"#{1,6}[ \t]+|>+(?:[ \t>]+|(?=\n))|(?P<bullet>[-*+•◦▪‣][ \t]+)|\[[ xX]\][ \t]+|(?P<row>\|[ \t]*)"
)
INLINE = (
    rf"(?P<tag><(?P<end>/?)(?P<name>[a-z][\w:.-]*+){ATTRIBUTES}/?>|<!--(?:(?!-->).)*-->|<\|(?!channel)\w+\|>)|<(?P<auto>[^\s<>]+[@:][^\s<>]+)>"
    r"|(?P<image>!)?\[(?P<label>(?:[^\[\]\n]|!?\[[^\[\]\n]*\]\([^()\n]*\))*+)\](?:\[\w*\]|\(\s*(?P<target>[^()\s]*"
    r"(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"\n]*\")?\s*\))|\[\^\w+\]|【[^】\n]*】"
    r"|\\(?P<escaped>[\\`*_{}\[\]()\#+.!|<>~-])|(?P<entity>&(?:\#\d{1,7}|\#x[0-9a-f]{1,6}|[a-z]{2,8});)"
    rf"|(?P<mark>\*+|____+|~~+|`+)|(?<!\w)_{{1,3}}(?P<slanted>[^_\n]{{1,80}})_{{1,3}}(?!\w)|(?P<url>(?:https?://|www\.){ADDRESS}+)"
)
CANDIDATE = r"[<\[\\&*_~`【◁|#>=:+•◦‣/-]|!\[|h(?=tt|t?$)|w(?=ww|w?$)"
PLAIN = re.compile(r"(?!.*\b(?:ht|ww|[hw]$))(?:[^\W_]|[ ,.;?!'\"()%$€’“”…。，？！])*+", re.I)  # most tokens
CELL = regex.compile(r"(?P<cell>[ \t]*\|[ \t|]*)")
PATH = regex.compile(rf"(?P<path>/{ADDRESS}*)")
DOMAIN = regex.compile(r"(?<![@\w.-])(?:[\w-]+\.)+(?:com|org|net|edu|gov|info|shop|app|dev|[a-z]{2})$", regex.I)
HOST = regex.compile(r"(?:https?://)?(?:[^\s/@]*@)?(?:www\.)?([^\s/:?#]*)", regex.I)


class Rules:
    """What is taken out: by reader a pattern, and what it begins with, in text and in a row of a table."""

    def __init__(self, hidden: Sequence[str], kept: Sequence[str], link: str, said: Mapping[str, str]) -> None:
        self.kept, self.link, self.said = {tag.lower() for tag in kept}, link, said
        names, own = ("|".join(map(regex.escape, each)) or "(?!)" for each in (hidden, said))
        name = rf"(?P<close>/|end_of_)?(?:\w+?[_:.-])*(?P<hidden>{names})(?:[_.-]\w+)*{ATTRIBUTES}"
        thought = rf"<\|?{name}\|?>|◁{name}▷|\[\[{name}\]\]|(?<!\[)\[(?=/?think){name}\]|{CHANNEL}"
        emoji = rf"(?P<emoji>{EMOJI}|\u200d(?=\p{{Extended_Pictographic}}))"
        self.rules = {
            reader: [regex.compile(each, regex.V1 | regex.I | regex.S) for each in (found, begin, rf"[ \t\n]|{begin}")]
            for reader, found, begin in (
                ("spoken", rf"{thought}|(?P<said>{own})|{INLINE}|{emoji}", rf"{own}|{CANDIDATE}|\u200d|{EMOJI}"),
                ("written", rf"{thought}|{INLINE}", CANDIDATE),
                ("shown", thought, r"[<\[◁]"),
            )
        }

    def domain(self, address: str) -> str:
        return str(self.link.replace("{domain}", HOST.match(address)[1])) if address else ""


HIDDEN_TAGS = (
    "think thinking thought thoughts reasoning reflection scratchpad analysis monologue antthinking "
    "tool_call tool_calls tool_response function_call function_calls function_response"
)
own = AgentModule("markup", {"HIDDEN_TAGS": HIDDEN_TAGS.split(), "KEPT_TAGS": [], "LINK": "{domain}", "SAID": {}})
rules = Rules(own.HIDDEN_TAGS, own.KEPT_TAGS, own.LINK, own.SAID)


class MarkupFilter:
    """Filters one reply. `reader`: spoken for the voice, written for plain text, shown where markdown is formatted."""

    def __init__(self, reader: str = "spoken") -> None:
        self.reader = reader
        self.pattern, self.begins, self.begins_in_row = rules.rules[reader]
        self.held = ""
        self.line = ""  # what was said of the present line
        self.inside: set[str] = set()  # hidden tags that are open
        self.row = self.eats = False  # inside a table; the next spaces are dropped

    def feed(self, token: str, last: bool = False) -> str:
        """What can be said now."""
        if not (self.held or self.inside or self.eats or self.row or rules.said) and PLAIN.fullmatch(token):
            self.line = (self.line + token)[-100:]
            return token
        text, self.held, said, at = self.held + token, "", list[str](), 0
        while at < len(text):
            match: Any = None
            if self.inside:
                match = rules.rules["shown"][0].search(text, at, partial=not last)
                if match is None or match.partial:
                    self.held = text[match.start() :][:LONGEST] if match else ""
                    break
            elif self.eats and text[at] in (" \t" if self.line else " \t\n"):
                at += 1
                continue
            else:
                self.eats = False
                found = (self.begins_in_row if self.row else self.begins).search(text, at)
                if start := (found.start() if found else len(text)) - at:
                    said.append(self._say(text[at : at + start]))
                    at += start
                    continue
                known, match = self._match(text, at, last)
                if not known and len(text) - at < LONGEST:
                    self.held = text[at:]
                    break
            said.append(self._say(self._words(match) if match else text[at]))
            at = match.end() if match else at + 1
        return "".join(said)

    def _match(self, text: str, at: int, last: bool) -> tuple[bool, Any]:
        """Whether it is known what is at `at`, and the match if that is markup."""
        patterns = [self.pattern]
        char = text[at]
        if self.reader != "shown":
            if self.row and char in " \t\n|":
                patterns = [CELL]
            elif not self.line.strip():
                patterns = [LINE, OPENING, *patterns]
            elif char in "hHwW" and self.line[-1:].isalnum():
                patterns = []
            elif char == "/":
                patterns = [PATH] if self.reader == "spoken" and DOMAIN.search(self.line) else []
        for pattern in patterns:
            match = pattern.match(text, at, partial=not last)
            if match is None:
                continue
            found = match.groupdict()
            goes_on = pattern in (LINE, OPENING) or any(
                found.get(kind) for kind in ("mark", "slanted", "url", "path", "cell")
            )
            goes_on = goes_on and match.end() == len(text) and not match[0].endswith("\n")
            return (False, None) if not last and (match.partial or goes_on) else (True, match)
        return True, None

    def _words(self, match: Any) -> str:
        """What is said of markup."""
        found = {kind: text for kind, text in match.groupdict().items() if text is not None}
        spoken, after = self.reader == "spoken", match.string[match.end() : match.end() + 1]
        match found:
            case {"auto": url} if "@" in url and "/" not in url:
                return str(url.removeprefix("mailto:"))
            case {"url": url} | {"auto": url}:
                end = end_of(url)
                return f"{rules.domain(url[:end]) if spoken else url[:end]}{url[end:].strip('_~*')}"
            case {"path": path}:
                return str(path[end_of(path) :])
            case {"label": label}:
                label = MarkupFilter(self.reader).feed(label, last=True).strip()
                target = found.get("target", "")
                if spoken or not label:
                    return label or (rules.domain(target) if spoken else target)
                is_page = target.startswith("http") and target != label and "image" not in found
                return f"{label}: {target}" if is_page else label
            case {"slanted": text}:
                return MarkupFilter(self.reader).feed(text, last=True)
            case {"cell": _}:
                return "" if after in ("", "\n") else ", "
            case {"escaped": text}:
                return str(text)
            case {"entity": text}:
                return html.unescape(text)
            case {"said": text}:
                return rules.said.get(text, text)
            case {"mark": mark}:
                return "" if is_mark(mark, self.line[-1:] or " ", after or " ") else str(mark)
            case {"bullet": text} if not spoken:
                return str(text)
            case {"tag": text, "name": name} if name.lower() in rules.kept:
                return str(text)
        self.eats = not self.line or self.line[-1].isspace()
        self.row = self.row or "row" in found
        if not self.eats and found.get("name", "").lower() in ("br", "p", "li", "tr", "td", "div"):  # between words
            self.eats = True
            return " "
        if "hidden" in found:
            name, others = found["hidden"].lower(), self.inside - {found["hidden"].lower()}
            # Another end than the beginning had ends everything.
            self.inside = {*others, name} if "close" not in found else others if name in self.inside else set()
        return ""

    def _say(self, text: str) -> str:
        if text:
            self.row = self.row and "\n" not in text
            self.line = (self.line + text).rpartition("\n")[2][-100:]
        return text


def is_mark(mark: str, before: str, after: str) -> bool:
    """Whether it formats. A sign of multiplication does not, nor a character inside a name."""
    if mark[0] in "`~_":
        return True
    around = before + after
    return not (around.isdigit() if len(mark) > 1 else around.isspace() or (around.isalnum() and around.isascii()))


def end_of(address: str) -> int:
    """Where an address ends: what follows belongs to the sentence."""
    end = len(address)
    while end and (address[end - 1] in ".,;:!?'»”’…_~*" or address[:end].count("(") < address[:end].count(")")):
        end -= 1
    return end


async def without_markup(tokens: AsyncGenerator[str], reader: str) -> AsyncGenerator[str]:
    """The tokens of a model, valid and without markup; none for a token of which nothing is left."""
    markup, cleaned = MarkupFilter(reader), text_cleaner()
    async with aclosing(tokens):
        async for token in tokens:
            if text := markup.feed(cleaned(token)):
                yield text
    if text := markup.feed("", last=True):
        yield text


def said(messages: Sequence[m.ModelMessage], reader: str) -> list[m.ModelMessage]:
    """The messages of a turn with the texts of the model as they were said."""
    markup, found = MarkupFilter(reader), []
    for message in messages:
        parts = []
        for part in message.parts:
            text = markup.feed(part.content, last=True) if isinstance(part, m.TextPart) else ""
            if not isinstance(part, m.TextPart) or part.content == text:
                parts.append(part)
            elif text.strip():
                parts.append(replace(part, content=text))
        if parts:
            found.append(replace(message, parts=parts))  # type: ignore[arg-type]
    return found
