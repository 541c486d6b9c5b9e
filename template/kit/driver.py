"""The interface of a channel for scenarios and tests: take a step, return the reply."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastapi import FastAPI

from app.agent_module import AgentModule
from app.session import Session
from kit.scenario_file import Given, Step
from kit.simulated_twilio.account import SimulatedAccount
from kit.tool_calls import ToolCall


@dataclass
class Reply:
    """A reply. `first` is the latency of its first word in milliseconds; None for a step that expects no reply.

    `introduction` is what the agent's first message in a text conversation begins with.
    """

    text: str = ""
    first: float | None = None
    calls: list[ToolCall] = field(default_factory=list)
    introduction: str = ""

    @property
    def tools(self) -> list[str]:
        """The names of the tools that the model called, in order."""
        return [call.name for call in self.calls]


class Driver(ABC):
    """One simulated conversation. Raises Problem when the agent is silent."""

    party: Any  # kit.caller.Call or kit.texter.Texter
    channel: ClassVar[str]
    phrases: AgentModule  # with the sentences of this channel
    unsupported: frozenset[str] = frozenset()  # fields of Step and Ending that the channel lacks
    ended_by: str | None = None
    hung_up_in: str = ""  # where a call was when the caller hung up, as in kit.caller.Call
    handoff: Any = None
    task: dict[str, Any] | None = None
    remarks: str = ""  # text between the replies and after them

    @classmethod
    def settings(cls, given: Given) -> dict[str, Any]:
        """The settings of the app that depend on the scenario."""
        return {"deadline": given.deadline}

    @classmethod
    @abstractmethod
    def begins(
        cls, app: FastAPI, address: str, given: Given, account: SimulatedAccount, pace: float, watch: bool
    ) -> AbstractAsyncContextManager[Driver]:
        """Begin a conversation with the app that is served at `address`. `watch` prints it."""

    @abstractmethod
    async def takes(self, step: Step) -> Reply:
        """Take a step and wait for the reply."""

    @abstractmethod
    async def ends(self) -> None:
        """End the conversation."""

    @abstractmethod
    async def session(self) -> Session:
        """The session of the app."""
