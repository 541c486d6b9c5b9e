"""A card number that a caller reads out is in nothing that the model, a log, a tool or the store gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app import config
from app.compliance.pci import CARD, WITHHELD, CardFilter, project_languages
from app.compliance.pci.cards import redact_data, redact_user_text
from app.compliance.pci.spoken_numbers import runs
from app.session import dump_session, this_session
from app.store import InProcess
from kit.conventions import build_model
from kit.plugin import Begin
from kit.scripted_model import tool_calls

DIGITS = "4111111111111111"
SPOKEN = "four" + " one" * 15
CARDS = [
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    SPOKEN,
    "forty-one eleven, eleven eleven, eleven eleven, eleven eleven",
    "four triple one double one one one one one, one one one one double one",
]
ENGLISH = ("en",)


class RecordingModel:
    """A model that keeps what it is sent, a text for each request, and says Yes."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.models = [build_model(FunctionModel(stream_function=self.stream))]

    async def stream(self, messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        parts = [part for message in messages for part in message.parts]
        self.sent.append("\n".join(str(getattr(part, "content", "")) for part in parts))
        yield "Yes."

    @property
    def last(self) -> str:
        return self.sent[-1]


class RecordingStore(InProcess):
    """A store of several workers that keeps what is written to it."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    async def put(self, key: str, value: str, seconds: float) -> None:
        self.written.append(value)
        await super().put(key, value, seconds)


def longest(text: str) -> int:
    """The most digits of DIGITS that stand in a text one after the other, in figures or in words; ids have four."""
    return max(
        (count for run in runs(text, ENGLISH) if (count := len(run.digits)) > 4 and run.digits in DIGITS), default=0
    )


@pytest.mark.parametrize("card", CARDS)
async def test_the_model_never_sees_a_card_number(begin: Begin, card: str, logged: Callable[[], str]) -> None:
    model, store = RecordingModel(), RecordingStore()
    talk = await begin(models=model.models, store=store)
    await talk.says(f"I want to pay. It is {card}, thanks.")
    await talk.ends()
    session = await talk.session()
    for text in (*model.sent, *store.written, json.dumps(dump_session(session)), logged()):
        assert longest(text) == 0, text
    assert CARD in model.last and "I want to pay" in model.last and "thanks" in model.last


async def test_a_card_number_over_two_turns(begin: Begin) -> None:
    model, store = RecordingModel(), RecordingStore()
    talk = await begin(models=model.models, store=store)
    await talk.says("four one one one one one one one")
    await talk.says("one one one one, one one one one")
    assert longest(model.last) == 0 and model.last.count(CARD) >= 2
    assert longest(json.dumps(dump_session(await talk.session()))) == 0


async def test_a_card_number_over_four_turns(begin: Begin) -> None:
    model = RecordingModel()
    talk = await begin(models=model.models)
    for part in ("4111", "1111", "and then 1111", "1111"):
        await talk.says(part)
    seen = [sum(map(str.isdigit, text)) for text in model.sent]
    assert seen == [4, 8, 0, 0]


async def test_after_the_word_card_not_even_a_part_is_seen(begin: Begin) -> None:
    model = RecordingModel()
    talk = await begin(models=model.models)
    await talk.says("My card is four one one one one one")
    assert longest(model.last) == 0 and WITHHELD in model.last
    await talk.says("nine nine nine")  # of the code, or of the rest
    assert "nine" not in model.last


async def test_what_the_agent_repeated_is_taken_back(begin: Begin) -> None:
    talk = await begin({"hears": "11 11", "says": "So 4111 1111. Go on."}, {"says": "I see."})
    await talk.says("41 11 11 11")
    assert "4111" in await talk.history_text()
    await talk.says("1111 1111")
    assert longest(await talk.history_text()) == 0


async def test_a_security_code_is_withheld(begin: Begin) -> None:
    model = RecordingModel()
    talk = await begin(models=model.models)
    await talk.says("The security code is one two three")
    assert "[security code]" in model.last and "one two" not in model.last


async def test_other_numbers_reach_the_model(begin: Begin) -> None:
    model = RecordingModel()
    talk = await begin(models=model.models)
    for text in ("Call me at 500 555 0006", "two people at seven thirty", "order 4711", "+49 151 12345678 is mine"):
        await talk.says(text)
        assert text in model.last


async def test_tools_neither_get_nor_return_a_card_number(begin: Begin) -> None:
    given: list[Any] = []

    async def note(text: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        """Note something."""
        given.extend([text, lines])
        this_session().state["note"] = f"{text} {DIGITS}"
        return {"noted": ["4111 1111 1111 1111", 4111111111111111, "order 4711"]}

    arguments = {"text": f"pays with {SPOKEN}", "lines": [{"card": "4111-1111-1111-1111"}]}
    talk = await begin({"calls": {"note": arguments}, "then": "Noted: {result}"}, tools=[note])
    reply = await talk.says("Note this")
    session = await talk.session()
    assert given == [f"pays with {CARD}", [{"card": CARD}]]
    assert "order 4711" in reply.text and longest(reply.text) == 0
    assert longest(json.dumps(dump_session(session))) == 0


async def test_the_model_that_called_a_tool_reads_no_card_number(begin: Begin) -> None:
    async def cards() -> list[str]:
        """Say the cards."""
        return [SPOKEN, "order 4711"]

    read: list[str] = []

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        results = [part.content for part in messages[-1].parts if isinstance(part, m.ToolReturnPart)]
        read.extend(map(str, results))
        yield "Yes." if results else tool_calls({"cards": {}})

    talk = await begin(models=[build_model(FunctionModel(stream_function=stream))], tools=[cards])
    await talk.says("Which cards?")
    assert read == [str([CARD, "order 4711"])]


@pytest.mark.parametrize("delay", [0.0, 0.001])
async def test_the_agent_says_no_card_number(begin: Begin, delay: float) -> None:
    reply = {"says": "Your card 4111 1111 1111 1111 and four one one one one one is 12 days old.", "word_delay": delay}
    said = await (await begin(reply)).says("Hello")
    assert longest(said.text) == 6  # six digits are no card number
    assert f"Your card {CARD}" in said.text and said.text.endswith("is 12 days old.")


async def test_instructions_have_no_card_number(begin: Begin) -> None:
    async def note() -> str:
        """Note something."""
        this_session().guidance.append(f"They pay with {DIGITS}.")
        return "Noted."

    talk = await begin({"hears": "note", "calls": {"note": {}}, "then": "Yes."}, {"says": "Yes."}, tools=[note])
    await talk.says("Note this")
    await talk.says("Go on")
    assert f"They pay with {CARD}." in await talk.instructions()


async def test_a_filter_that_fails_costs_the_text(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    model = RecordingModel()
    talk = await begin(models=model.models)
    monkeypatch.setattr("app.compliance.pci.redact_user_text", fail)
    monkeypatch.setattr("app.compliance.pci.redact_data", fail)
    reply = await talk.says(f"It is {DIGITS}")
    assert longest(model.last) == 0 and reply.text == WITHHELD


def test_the_words_of_the_projects_languages_are_known() -> None:
    assert {code.partition("-")[0] for code in config.LANGUAGES} - {"multi"} <= set(project_languages())
    data = {SPOKEN: [SPOKEN, True, 7, 1.5, None]}
    assert CardFilter(project_languages()).filter_data(data) == {CARD: [CARD, True, 7, 1.5, None]}


def test_what_may_stay() -> None:
    assert redact_data("12.50, 13.00, 15.99, 45.10", ENGLISH) == "12.50, 13.00, 15.99, 45.10"
    assert redact_user_text("my card ends in 1111", [], "", ENGLISH).text == "my card ends in 1111"
