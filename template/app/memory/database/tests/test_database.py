"""Memory in a database: every test runs on SQLite and on a PostgreSQL server that the test run starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from app.capability import Services
from app.memory import Memory
from app.memory.backend import Deleted, Identity
from app.memory.database import Base, DatabaseMemory, Entry, Profile
from app.store import InProcess
from kit import defaults
from kit.cli import app as cli
from kit.plugin import Begin

pytest_plugins = ["app.database.tests.servers"]

ADA, BOB = Identity("phone", defaults.CALLER), Identity("phone", "+15005550009")
DAY = timedelta(days=1)


class Clock:
    now = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def build(url: str, clock: Clock, **settings: Any) -> DatabaseMemory:
    settings_ = defaults.settings(database_url=url, **settings)
    return DatabaseMemory.build(Services(settings_, InProcess(), clock))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def memory(url: str, clock: Clock) -> AsyncGenerator[DatabaseMemory]:
    """An empty database."""
    memory = build(url, clock)
    async with memory.database.engine.begin() as database:
        await database.run_sync(Base.metadata.drop_all)
    await memory.open()
    yield memory
    await memory.close()


async def recalled(memory: DatabaseMemory, query: str | None = None) -> tuple[list[str], list[str]]:
    """Ada's observations and summaries, as texts."""
    memories = await memory.recall(await memory.find_or_create_profile(ADA), query)
    return [item.text for item in memories.observations], [item.text for item in memories.summaries]


async def rows(memory: DatabaseMemory, table: type[Base]) -> int:
    async with memory.database.engine.begin() as database:
        return (await database.execute(select(func.count()).select_from(table))).scalar_one()


# --- saving and recalling ----------------------------------------------------------------------------------------


async def test_a_caller_is_known_by_number(memory: DatabaseMemory) -> None:
    assert await memory.find_profile(ADA) is None
    ada = await memory.find_or_create_profile(ADA)
    assert await memory.find_profile(ADA) == ada == await memory.find_or_create_profile(ADA)
    assert await memory.find_profile(BOB) is None and await memory.find_or_create_profile(BOB) != ada
    assert await memory.find_profile(Identity("account_id", ADA.value)) is None


async def test_items_are_recalled_newest_first(memory: DatabaseMemory, clock: Clock) -> None:
    ada = await memory.find_or_create_profile(ADA)
    for text in ("Prefers tea.", "Has a dog."):
        clock.now += DAY
        await memory.add_observation(ada, text, "conv_conversation_1")
    await memory.add_summary(ada, "Asked about order 4711.")
    assert await recalled(memory) == (["Has a dog.", "Prefers tea."], ["Asked about order 4711."])
    assert (await memory.recall(ada)).observations[0].at == clock.now


async def test_two_callers_are_not_mixed_up(memory: DatabaseMemory) -> None:
    ada, bob = await memory.find_or_create_profile(ADA), await memory.find_or_create_profile(BOB)
    await memory.add_observation(ada, "Prefers tea.")
    await memory.add_observation(bob, "Prefers coffee.")
    assert await recalled(memory) == (["Prefers tea."], [])
    assert await recalled(memory, "coffee") == ([], [])


async def test_a_query_finds_the_best_match_first(memory: DatabaseMemory) -> None:
    ada = await memory.find_or_create_profile(ADA)
    for text in ("Has a dog named Bello.", "Prefers tea.", "The dog is ill."):
        await memory.add_observation(ada, text)
    assert await recalled(memory, "What is the DOG named?") == (["Has a dog named Bello.", "The dog is ill."], [])
    assert await recalled(memory, "order") == ([], [])


async def test_text_is_saved_unchanged(memory: DatabaseMemory) -> None:
    poison = "Ümläut 😀 ' \" ; DROP TABLE memory_profile; -- % _ \\"
    await memory.add_observation(await memory.find_or_create_profile(ADA), poison)
    assert (await recalled(memory))[0] == [poison]


async def test_scope_and_number_limit_recall(memory: DatabaseMemory, url: str, clock: Clock) -> None:
    ada = await memory.find_or_create_profile(ADA)
    for number in range(4):
        clock.now += DAY
        await memory.add_observation(ada, f"Fact {number}.")
    await memory.add_summary(ada, "Called.")
    for settings, expected in [
        ({"memory_items": 2}, (["Fact 3.", "Fact 2."], ["Called."])),
        ({"memory_scope": "summaries"}, ([], ["Called."])),
    ]:
        limited = build(url, clock, **settings)
        assert await recalled(limited) == expected
        await limited.close()


# --- retention ---------------------------------------------------------------------------------------------------


async def test_expired_items_are_neither_recalled_nor_kept(memory: DatabaseMemory, clock: Clock) -> None:
    ada = await memory.find_or_create_profile(ADA)
    await memory.add_observation(ada, "Old.")
    clock.now += 300 * DAY
    await memory.add_observation(ada, "New.")
    clock.now += 66 * DAY
    assert (await recalled(memory))[0] == ["New."] and await rows(memory, Entry) == 2
    await memory.on_end(ADA)
    assert await rows(memory, Entry) == 1
    clock.now += 366 * DAY
    await memory.open()
    assert (await rows(memory, Entry), await rows(memory, Profile)) == (0, 0)


async def test_calls_are_counted(memory: DatabaseMemory, clock: Clock) -> None:
    await memory.on_end(ADA)
    clock.now += DAY
    await memory.on_end(ADA)
    memories = await memory.recall(await memory.find_or_create_profile(ADA))
    assert memories.traits == {"conversations before this one": "2", "last conversation": "2026-03-03"}


async def test_calls_are_not_counted_without_traits_in_scope(memory: DatabaseMemory, url: str, clock: Clock) -> None:
    limited = build(url, clock, memory_scope="observations")
    await limited.on_end(ADA)
    assert await memory.find_profile(ADA) is None
    await limited.close()


# --- forgetting --------------------------------------------------------------------------------------------------


async def test_a_caller_is_forgotten_and_no_other(memory: DatabaseMemory) -> None:
    ada, bob = await memory.find_or_create_profile(ADA), await memory.find_or_create_profile(BOB)
    await memory.add_observation(ada, "Prefers tea.")
    await memory.add_observation(ada, "Has a dog.")
    await memory.add_summary(ada, "Called.")
    await memory.add_observation(bob, "Prefers coffee.")
    assert await memory.forget(ADA) == Deleted(1, 2, 1)
    assert (await rows(memory, Profile), await rows(memory, Entry)) == (1, 1)
    assert await memory.forget(ADA) == Deleted()


@pytest.mark.parametrize("method", ["add_observation", "add_summary"])
async def test_a_deleted_profile_gets_no_new_rows(memory: DatabaseMemory, method: str) -> None:
    """`agent forget` may run during a conversation of this profile."""
    ada = await memory.find_or_create_profile(ADA)
    await memory.forget(ADA)
    with pytest.raises(IntegrityError):
        await getattr(memory, method)(ada, "Prefers tea.")
    assert await rows(memory, Entry) == 0


async def test_a_deleted_profile_gets_no_new_rows_in_memory(clock: Clock) -> None:
    memory = build("sqlite://", clock)
    with pytest.raises(IntegrityError):
        await memory.add_observation("unknown", "Prefers tea.")
    await memory.close()


async def test_remember_fails_once_after_the_caller_was_forgotten_during_a_call(
    begin: Begin, memory: DatabaseMemory, url: str
) -> None:
    await memory.find_or_create_profile(ADA)
    script: list[dict[str, Any]] = [{"hears": "tea", "calls": {"remember": {"fact": "Prefers tea."}}}, {"says": "Yes."}]
    patient = type("Memory", (Memory,), {"lookup_timeout": 60.0, "request_timeout": 60.0})
    talk = await begin(*script, capabilities=[patient], database_url=url)
    await talk.says("Hello")
    (capability,) = talk.app.state.conversations.capabilities
    await asyncio.wait([capability.lookups[(await talk.session()).id].task])  # it has found the profile
    await memory.forget(ADA)
    assert "could not be kept" in (await talk.says("I like tea")).text
    assert await rows(memory, Entry) == 0
    assert "Kept for later" in (await talk.says("I do like tea")).text
    assert (await memory.forget(ADA)).observations == 1 and await rows(memory, Entry) == 0


# --- concurrency -------------------------------------------------------------------------------------------------


async def test_two_calls_of_a_new_caller_make_one_profile(memory: DatabaseMemory) -> None:
    profiles = await asyncio.gather(*(memory.find_or_create_profile(ADA) for _ in range(4)))
    assert len(set(profiles)) == 1 and await rows(memory, Profile) == 1


async def test_many_calls_write_at_once(memory: DatabaseMemory) -> None:
    ada = await memory.find_or_create_profile(ADA)
    await asyncio.gather(*(memory.add_observation(ada, f"Fact {number}.") for number in range(20)))
    assert await rows(memory, Entry) == 20


async def test_another_worker_sees_it(memory: DatabaseMemory, url: str, clock: Clock) -> None:
    await memory.add_observation(await memory.find_or_create_profile(ADA), "Prefers tea.")
    other = build(url, clock)
    assert (await recalled(other))[0] == ["Prefers tea."]
    await other.close()


# --- an unreachable database -------------------------------------------------------------------------------------


@pytest.mark.parametrize("unreachable", ["sqlite:////dev/null/memory.db", "postgresql://ada:tea@127.0.0.1:1/memory"])
async def test_a_conversation_goes_on_without_the_database(
    no_thread_is_left: None, begin: Begin, logged: Any, unreachable: str
) -> None:
    script: list[dict[str, Any]] = [{"hears": "tea", "calls": {"remember": {"fact": "Tea."}}}, {"says": "Yes."}]
    talk = await begin(*script, capabilities=[Memory], database_url=unreachable)
    assert (await talk.says("Hello")).text == "Yes."
    assert "could not be kept" in (await talk.says("I like tea")).text
    assert "memory.failed" in logged() and "ada:tea" not in logged()


async def test_a_database_that_comes_up_late_is_used(tmp_path: Path, clock: Clock) -> None:
    memory = build(f"sqlite:///{tmp_path}/later/memory.db", clock)
    with pytest.raises(Exception, match="unable to open"):
        await memory.open()
    (tmp_path / "later").mkdir()
    await memory.add_observation(await memory.find_or_create_profile(ADA), "Prefers tea.")
    assert (await recalled(memory))[0] == ["Prefers tea."]
    await memory.close()


# --- DATABASE_URL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", ["memory.db", "mysql://ada:hunter2@host/name", "postgresql+psycopg://host/name", "://"]
)
def test_another_database_is_refused_without_showing_its_password(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", wrong)
    result = CliRunner().invoke(cli, ["forget", ADA.value])
    assert result.exit_code == 2 and "DATABASE_URL is malformed. Write postgresql://" in result.output
    assert "hunter2" not in result.output
