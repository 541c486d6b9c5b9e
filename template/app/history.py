"""The seam where text and tool data enter the history: valid, bounded, and such that providers and stores take it.

A provider refuses a request for one bad message in it, and the history is sent again with every turn.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import regex
from pydantic_ai import messages as m
from pydantic_core import to_json

MAX_TEXT = 20_000  # characters of one tool result or user text; the rest is cut
UNANSWERED = "(They said something that could not be answered.)"
MESSAGE_SIZE = 50  # characters that a message counts beside its content

NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
DECODER = codecs.getincrementaldecoder("utf-16-le")
WORD = regex.compile(r"[[\p{L}\p{N}]--\p{Default_Ignorable_Code_Point}]", regex.V1)
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")  # in names of tools: OpenAI, Anthropic and Amazon Bedrock refuse these

Part = TypeVar("Part")
Message = TypeVar("Message", bound=m.ModelMessage)


def clean(value: Any) -> Any:
    """A text, or JSON data with its texts, that UTF-8, JSON, XML and SQL can hold.

    Halves of surrogate pairs that follow each other become a character. Single halves and control characters are
    dropped; a number that JSON or Python cannot read back is None.
    """
    match value:
        case str() if NOT_TEXT.search(value):
            return text_cleaner()(value)
        case float() | int() if not -1e308 < value < 1e308:  # NaN, infinite, or more digits than `int` parses
            return None
        case dict():
            return {clean(key): clean(each) for key, each in value.items()}
        case list() | tuple():
            return [clean(each) for each in value]
    return value


def has_words(transcript: str) -> bool:
    """Whether the transcript has a letter or a digit. That of a noise is blank or a mark."""
    return WORD.search(transcript) is not None


def text_cleaner() -> Callable[[str], str]:
    """Cleans the tokens of one text. A surrogate pair may be split between two tokens."""
    decode = DECODER("ignore").decode
    return lambda token: NOT_TEXT.sub("", decode(token.encode("utf-16-le", "surrogatepass")))


def unchanged(value: Any) -> Any:
    """The filter of a conversation in which no capability filters."""
    return value


def clean_json(text: str, filtered: Callable[[Any], Any] = unchanged) -> str:
    """JSON with clean texts, since parsers refuse all of it for half a surrogate pair. What is no JSON is unchanged."""
    try:
        return json.dumps(filtered(clean(json.loads(text))))
    except (ValueError, RecursionError):
        return text


def bounded(text: str) -> str:
    """The text, or its beginning with a note for the model. A text that was cut is not cut again."""
    kept = MAX_TEXT - 60  # room for the note
    left_out = len(text) - kept
    return text if len(text) <= MAX_TEXT else f"{text[:kept]}\n[Cut: {left_out} more characters are left out.]"


def bounded_result(result: Any) -> Any:
    """A tool's result as it may enter the history. Data that is too large becomes text."""
    result = clean(result)
    if isinstance(result, str):
        return bounded(result)
    text = to_json(result, bytes_mode="base64", serialize_unknown=True).decode()
    return bounded(text) if len(text) > MAX_TEXT else result


def arguments_of(call: Any) -> dict[str, Any]:
    """The arguments of a tool call, as JSON or parsed. What is no object gives none: the tool says what is missing."""
    try:
        arguments = json.loads(call) if isinstance(call, str) else call
    except (ValueError, RecursionError):
        arguments = None
    return clean(arguments) if isinstance(arguments, dict) else {}


def tidy(messages: Sequence[m.ModelMessage]) -> list[m.ModelMessage]:
    """The messages with clean texts, valid tool names, arguments as objects, and bounded texts of user and tools."""
    return [tidy_message(message) for message in messages]


def tidy_message(message: Message) -> Message:
    return clean_fields(message, parts=[tidy_part(part) for part in message.parts])


def tidy_part(part: Part) -> Part:
    match part:
        case m.ToolCallPart():
            return clean_fields(part, tool_name=tool_name(part.tool_name), args=arguments_of(part.args))
        case m.ToolReturnPart():
            return clean_fields(part, tool_name=tool_name(part.tool_name), content=bounded_result(part.content))
        case m.UserPromptPart(content=str(text)):
            return clean_fields(part, content=bounded(clean(text)))
    return clean_fields(part)


def clean_fields(item: Part, **changes: Any) -> Part:
    names = [field.name for field in fields(item) if field.init and field.name not in changes]  # type: ignore[arg-type]
    return replace(item, **changes, **{name: clean(getattr(item, name)) for name in names})  # type: ignore[type-var]


def filtered_message(message: Message, filtered: Callable[[Any], Any]) -> Message:
    """The message with a filter applied to its texts, and to arguments and results of tools."""
    parts = []
    for part in message.parts:
        given = {name: getattr(part, name) for name in ("content", "args") if hasattr(part, name)}
        left = {name: filtered(value) for name, value in given.items()}
        parts.append(part if left == given else replace(part, **left))
    return message if parts == [*message.parts] else replace(message, parts=parts)  # type: ignore[arg-type]


def tool_name(name: str) -> str:
    return NOT_IN_A_NAME.sub("_", name)[:64] or "unknown"


def exchanges(history: Sequence[m.ModelMessage]) -> list[list[m.ModelMessage]]:
    """The history in pieces, each with a user text and what followed; the first may lack the user text."""
    found: list[list[m.ModelMessage]] = []
    for message in history:
        if not found or any(isinstance(part, m.UserPromptPart) for part in message.parts):
            found.append([])
        found[-1].append(message)
    return found


def fit(history: Sequence[m.ModelMessage], budget: int) -> list[m.ModelMessage]:
    """The latest exchanges of at most `budget` characters in all, at least one; an exchange that exceeds it alone
    without its tools. So a tool call keeps its result, and the user speaks first. Earlier instructions are dropped.
    """
    *earlier, latest = exchanges(history) or [[]]
    kept = [latest if size(latest) <= budget else without_tools(latest)]
    left = budget - size(kept[0])
    for exchange in reversed(earlier):
        left -= size(exchange)
        if left < 0:
            break
        kept.append([without_instructions(message) for message in exchange])
    return [message for exchange in reversed(kept) for message in exchange]


def as_heard(history: Sequence[m.ModelMessage], heard: str) -> list[m.ModelMessage]:
    """The history with its last text cut to `heard`, if that is how the text begins."""
    *earlier, last = history
    if heard and isinstance(last, m.ModelResponse) and (last.text or "").lstrip().startswith(heard.strip()):
        last = replace(last, parts=[m.TextPart(heard)])
    return [*earlier, last]


def views(history: list[m.ModelMessage], last_resort: bool) -> Iterator[list[m.ModelMessage]]:
    """What one turn may try: the history, less of it, and as the last resort nothing."""
    yield history
    fewer = less(history)
    if fewer != history:
        yield fewer
    if fewer and last_resort:
        yield []


def less(history: Sequence[m.ModelMessage]) -> list[m.ModelMessage]:
    """The later half of the exchanges, without tools: for a model that refuses the whole history."""
    pieces = exchanges(history)
    return without_tools([message for exchange in pieces[(len(pieces) + 1) // 2 :] for message in exchange])


def without_tools(messages: Sequence[m.ModelMessage]) -> list[m.ModelMessage]:
    """The texts of both sides."""
    texts = m.UserPromptPart | m.TextPart
    kept = [replace(each, parts=[part for part in each.parts if isinstance(part, texts)]) for each in messages]  # type: ignore[arg-type]
    return [message for message in kept if message.parts]


def size(messages: Sequence[m.ModelMessage]) -> int:
    """The characters of the messages."""
    parts = [part for message in messages for part in message.parts]
    held = [getattr(part, name, "") for part in parts for name in ("content", "args")]
    return MESSAGE_SIZE * len(messages) + sum(len(str(each)) for each in held)


def without_instructions(message: m.ModelMessage) -> m.ModelMessage:
    if isinstance(message, m.ModelRequest) and message.instructions is not None:
        return replace(message, instructions=None)
    return message
