"""Results of tools whose backends are not there: `given.tools` of a scenario, `given_tools` of a test."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any, Self

from fastapi import FastAPI
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from app.capability import Capability, run_hooks
from app.session import Session

ToolFunction = Callable[..., Any]


class ToolDown(Exception):
    """The error of a tool that `fails`."""


class Outcome(BaseModel):
    """What one call of a tool comes to. With a delay alone, the tool itself is called after it."""

    model_config = ConfigDict(extra="forbid")

    returns: Any = Field(None, description="the result, any JSON")
    fails: str | None = Field(None, min_length=1, description="it raises an error with this text")
    delay: float = Field(0.0, ge=0, le=60, description="seconds before that, at any pace")

    @model_validator(mode="after")
    def has_one_end(self) -> Outcome:
        if len({"returns", "fails"} & self.model_fields_set) == 2:
            raise ValueError("a tool returns or fails: leave one out, or write a list with one for each call")
        return self


def as_outcome(value: Any) -> Any:
    """A text, number, truth value or null is the result. Raises ValueError for an object or list that is not clear."""
    if isinstance(value, Outcome):
        return value
    if isinstance(value, list) or (isinstance(value, dict) and (not value or value.keys() - Outcome.model_fields)):
        raise ValueError(f"an object or a list as the result stands under returns; there are {', '.join(FIELDS)}")
    return value if isinstance(value, dict) else {"returns": value}


FIELDS = tuple(Outcome.model_fields)
AnyOutcome = Annotated[Outcome, BeforeValidator(as_outcome)]
Outcomes = Annotated[
    list[AnyOutcome],
    Field(min_length=1, description="one for each call; the last one is also that of every later call"),
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
]
OUTCOMES: TypeAdapter[dict[str, list[Outcome]]] = TypeAdapter(dict[str, Outcomes])


class ToolStubs:
    """Outcomes by the names of tools. A stub has the name, signature and docstring of its tool, so its schema too."""

    def __init__(self, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        self.outcomes = outcomes
        self.calls = Counter[str]()

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Of data as in `given.tools`. Raises ValueError with one line."""
        try:
            return cls(OUTCOMES.validate_python(given))
        except ValidationError as errors:
            wrong = [(error["loc"][0], error["msg"].removeprefix("Value error, ")) for error in errors.errors()]
            raise ValueError("; ".join(f"{name}: {reason}" for name, reason in wrong)) from None

    def unknown(self, tools: Sequence[ToolFunction]) -> dict[str, str]:
        """Why a name is refused, by the names that are those of no tool."""
        known = [tool.__name__ for tool in tools]
        return {name: no_such_tool(name, known) for name in self.outcomes if name not in known}

    def replace(self, tools: Sequence[ToolFunction]) -> list[ToolFunction]:
        """The tools, with a stub for each that has an outcome."""
        return [self._stub(tool) if tool.__name__ in self.outcomes else tool for tool in tools]

    def replace_in(self, app: FastAPI) -> None:
        """Replace the tools of the capabilities."""
        for capability in app.state.conversations.capabilities:
            setattr(capability, "tools", self._replacing(capability.tools))  # noqa: B010 (not a method for mypy)

    def _replacing(self, tools: Callable[[Session], Sequence[ToolFunction]]) -> Callable[..., Sequence[ToolFunction]]:
        return lambda session: self.replace(tools(session))

    def _stub(self, tool: ToolFunction) -> ToolFunction:
        @wraps(tool)
        async def stub(*args: Any, **kwargs: Any) -> Any:
            outcomes = self.outcomes[tool.__name__]
            outcome = outcomes[min(self.calls[tool.__name__], len(outcomes) - 1)]
            self.calls[tool.__name__] += 1
            await asyncio.sleep(outcome.delay)
            if outcome.fails:
                raise ToolDown(outcome.fails)
            if "returns" in outcome.model_fields_set:
                return outcome.returns
            if iscoroutinefunction(tool):
                return await tool(*args, **kwargs)
            return await asyncio.to_thread(tool, *args, **kwargs)

        return stub


async def tools_of(app: FastAPI, session: Session) -> list[ToolFunction]:
    """The tools that the model has in this session, those of agent/tools.py first."""
    brain = app.state.brain
    offered = await run_hooks(brain.capabilities, Capability.tools, session)
    return [*brain.tools, *brain.without_own([tool for tools in offered for tool in tools])]


def no_such_tool(name: str, known: Collection[str]) -> str:
    """Why `name` is refused, and what to write instead."""
    close = get_close_matches(name, known, 1)
    there_are = f"there are {', '.join(known)}" if known else "this agent has none"
    return f"there is no tool {name}; {f'did you mean {close[0]}?' if close else there_are}"
