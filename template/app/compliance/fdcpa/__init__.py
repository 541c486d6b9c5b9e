"""FDCPA and Regulation F: calls that collect a debt from a person in the USA. Not legal advice.

12 CFR 1006.14(b)(2)(i), text as verified against eCFR on 2026-06-20 (law.lawstack.com/cfr/12/1006.14): at most seven
calls in seven consecutive days for each debt and person, and none in seven consecutive days after a conversation, whose
own day is the first. 1006.6(b)(1): 8:00 to 21:00 where the person is, and no time that is inconvenient. 1006.2(j): what
a message on an answering machine may say. Creditors who collect their own debts are not debt collectors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

from pydantic import Field

from app.agent_module import AgentModule
from app.capability import Services
from app.config import FIRST_LANGUAGE
from app.outbound.contacts import Contact
from app.outbound.dialer import OutboundSettings
from app.outbound.gate import Cap
from app.outbound.terms import Regime, Terms

SEVEN_IN_SEVEN = Cap(calls=7, days=7, each="debt")
DAYS_AFTER_CONVERSATION = 7
# 15 USC 1692e(11): of the first communication and of every one; 12 CFR 1006.2(j): the message. No lawyer has read them.
SENTENCES: dict[str, dict[str, Any]] = {
    "en": {
        "MINI_MIRANDA": "This is from a debt collector. It is an attempt to collect a debt, and any "
        "information obtained will be used for that purpose.",
        "LIMITED_CONTENT": "This is {person} from {business}. Please call me back at {number}. That is {number}.",
        "NOT_YET": "I can tell that only to the person I want to reach.",
    },
    "es": {
        "MINI_MIRANDA": "Esta comunicación es de un cobrador de deudas. Es un intento de cobrar una deuda, y la "
        "información obtenida se usará para ese fin.",
        "LIMITED_CONTENT": "Le habla {person}, de {business}. Por favor, llámeme al {number}. Repito: {number}.",
        "NOT_YET": "Eso solo se lo puedo decir a la persona que busco.",
    },
}
# Before the person is confirmed: the names of tools that the model has, and words of yours that are held back.
BEFORE = {"TOOLS_BEFORE": ["end_call"], "WORDS_AFTER": []}
# `agent/outbound.py` may have sentences of its own under these names.
sentences = AgentModule("outbound", SENTENCES.get(FIRST_LANGUAGE.split("-")[0], SENTENCES["en"]) | BEFORE)


class FdcpaSettings(OutboundSettings):
    contact_person: str = Field(
        alias="AGENT_CONTACT_PERSON",
        min_length=1,
        examples=["Ann Example"],
        description="Write the name of a person whom people reach when they call back: messages must have one.",
    )
    business_name: str = Field(
        alias="AGENT_BUSINESS_NAME",
        min_length=1,
        examples=["Example Company"],
        description="Write your business name for messages. It must not say that you collect debts.",
    )


class Fdcpa(Regime):
    settings = FdcpaSettings

    def __init__(self, settings: Any) -> None:
        self.options = settings

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services.settings)

    async def tighten(self, contact: Contact, terms: Terms) -> Terms:
        if contact.purpose != "debt":
            return terms
        return replace(terms.with_cap(SEVEN_IN_SEVEN), days_after_conversation=DAYS_AFTER_CONVERSATION)

    def message(self, number: str) -> str | None:
        """A limited-content message: business, person, number and the request to call back, and nothing else."""
        names = {"person": self.options.contact_person, "business": self.options.business_name}
        return str(sentences.LIMITED_CONTENT.format(number=number, **names))
