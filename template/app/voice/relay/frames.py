"""Every ConversationRelay message: lenient with frames of Twilio, strict with our own.

Source: https://www.twilio.com/docs/voice/conversationrelay/websocket-messages (2026-08). Twilio drops a message that it
cannot read (error 64107) and the caller hears nothing, so a frame that cannot be built correctly is not built at all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from app.history import clean_json

Heard = Annotated[str, BeforeValidator(lambda heard: heard if isinstance(heard, str) else "")]


class Received(BaseModel):
    """Has only what is read, and no type where any value will do: a frame that cannot be read is not taken."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def null_is_missing(cls, frame: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in frame.items() if value is not None}


class Setup(Received):
    type: Literal["setup"]
    account_sid: str = ""
    call_sid: str
    sender: Any = Field("", alias="from")  # placed the call: the agent, when `direction` is outbound
    recipient: Any = Field("", alias="to")
    direction: Any = "inbound"
    custom_parameters: Any = None


class Prompt(Received):
    type: Literal["prompt"]
    voice_prompt: str
    last: bool = True


class Dtmf(Received):
    type: Literal["dtmf"]
    digit: str


class Interrupt(Received):
    type: Literal["interrupt"]
    utterance_until_interrupt: Heard = ""


class Info(Received):
    """An event that TwiML has subscribed to. The value of `tokensPlayed` is the text of one of our frames."""

    type: Literal["info"]
    name: str = ""
    value: Any = None


class Error(Received):
    type: Literal["error"]
    description: str = ""


class Other(Received, coerce_numbers_to_str=False):
    """A type that we do not know yet. Twilio has added some twice in a year."""

    type: str


Frame = Setup | Prompt | Dtmf | Interrupt | Info | Error | Other
_known: TypeAdapter[Frame] = TypeAdapter(
    Annotated[Setup | Prompt | Dtmf | Interrupt | Info | Error, Field(discriminator="type")]
)


class Unreadable(ValueError):
    """What is wrong with a message. Nothing of it is quoted."""


def read(text: str) -> Frame:
    """Raises Unreadable for what is not a ConversationRelay message."""
    text = clean_json(text)
    try:
        try:
            return _known.validate_json(text)
        except ValidationError as error:
            if error.errors()[0]["type"] != "union_tag_invalid":
                raise
        return Other.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        raise Unreadable(f"{'.'.join(map(str, problem['loc'])) or 'message'}: {problem['type']}") from None


class Sent(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Text(Sent):
    type: Literal["text"] = "text"
    token: str
    last: bool = False
    lang: str | None = None
    interruptible: bool | None = None
    preemptible: bool | None = None


class Play(Sent):
    type: Literal["play"] = "play"
    source: str = Field(pattern="^https?://")
    loop: int = Field(1, ge=0)


class SendDigits(Sent):
    type: Literal["sendDigits"] = "sendDigits"
    digits: str = Field(pattern=r"^[0-9w#*]+$")


class Language(Sent):
    type: Literal["language"] = "language"
    tts_language: str
    transcription_language: str


class End(Sent):
    type: Literal["end"] = "end"
    handoff_data: str | None = None
