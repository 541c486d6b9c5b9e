"""Whose memories a conversation has: of one person, and of nobody who shares a word with others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from app import Session
from app.memory.backend import Identity, identity_of
from app.memory.tests.test_memory import ADA, BOB, DictBackend
from kit import defaults

NOBODY = ["anonymous", "Anonymous", "unknown", "Restricted", "client:anonymous", "+266696687", "", "  "]


@pytest.mark.parametrize("name", NOBODY)
@pytest.mark.parametrize("caller", ["", "anonymous", "+266696687", "client:ada", "sip:ada@example.com"])
def test_a_name_that_many_share_is_no_identity(caller: str, name: str) -> None:
    assert identity_of(caller, {"account_id": name}) is None


@pytest.mark.parametrize("email", ["private@example.com", "unknown@example.com"])
def test_an_email_address_may_have_any_name(email: str) -> None:
    assert identity_of("anonymous", {"email": email}) == Identity("email", email)


async def test_memories_of_one_customer_are_not_given_to_the_next_of_the_conversation() -> None:
    backend = DictBackend()
    backend.observations |= {ADA: ["Drinks oolong."], BOB: ["Drinks coffee."]}
    memory = backend.capability()(backend, defaults.settings())  # type: ignore[arg-type]
    await memory.open()
    session = Session("conv_1", ADA, defaults.CALLED, "en-US", lambda: datetime.now(UTC))
    await memory.on_start(session)
    assert "oolong" in str(await memory.context(session, "Hello"))
    session.caller = BOB
    await memory.on_resume(session)
    async with asyncio.timeout(5):
        await asyncio.wait([memory.lookups[session.id].task])
    context = str(await memory.context(session, "Hello"))
    assert "coffee" in context and "oolong" not in context
    recall, remember = memory.tools(session)
    await remember("Has a dog.")
    assert backend.observations == {ADA: ["Drinks oolong."], BOB: ["Drinks coffee.", "Has a dog."]}
    await memory.close()
