"""What a player of scenarios does, whatever the conversation goes over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from fastapi import FastAPI

from app.session import Session
from kit.simulated_twilio.account import SimulatedAccount

if TYPE_CHECKING:
    from kit.scenario import Given, Step


@dataclass
class Reply:
    """What came back. `first` is how many milliseconds its first word took; None when there was none to wait for."""

    text: str = ""
    first: float | None = None
    tools: list[str] = field(default_factory=list)


class Driver(ABC):
    """One conversation, as a scenario plays it. Raises Problem for silence."""

    somebody: Any  # who talks to the agent, for what happens at Twilio meanwhile
    channel: ClassVar[str]
    phrases: ModuleType  # the module of agent/ that has the sentences of this channel
    cannot: frozenset[str] = frozenset()  # steps and expectations that make no sense here
    ended_by: str | None = None
    handoff: Any = None
    task: dict[str, Any] | None = None
    remarks: str = ""  # what was said between the replies and after them

    @classmethod
    def settings(cls, given: Given) -> dict[str, Any]:
        """The app's settings that a scenario decides."""
        return {"deadline": given.deadline}

    @classmethod
    @abstractmethod
    def begins(
        cls, app: FastAPI, address: str, given: Given, account: SimulatedAccount, pace: float, watch: bool
    ) -> AbstractAsyncContextManager[Driver]:
        """A conversation with an app that is being served. `watch` shows it in the terminal."""

    @abstractmethod
    async def takes(self, step: Step) -> Reply:
        """Do what a step says, and wait for what comes of it."""

    @abstractmethod
    async def ends(self) -> None:
        """Let the conversation be over."""

    @abstractmethod
    async def session(self) -> Session:
        """What the app knows of the conversation by now."""
