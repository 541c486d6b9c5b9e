"""The ledger of outbound calls: an append-only chain, in which every verdict can be recomputed from its inputs.

Entries have a keyed pseudonym of the person and derived inputs, never a number or words. Each person has a key of their
own: erasing them destroys it and leaves a tombstone, so that the chain holds and leads to no person. An entry of the
own do-not-call list is a keyed hash, which an erasure keeps for five years (47 CFR 64.1200(d)(6)).

Who writes holds the one row of `Head` until the transaction ends: two dialers never judge the same moment.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_bytes, token_hex
from typing import Any, Self

from pydantic import Field, SecretStr
from sqlalchemy import Float, String, Text, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app import config
from app.database import Database, DatabaseSettings, Schema, connect, is_sqlite_file
from app.outbound.gate import Facts, Past, Tier, Verdict, judge

SUPPRESSED_FOR = timedelta(days=5 * 365 + 2)
REMEMBERED = timedelta(days=9)  # the longest cap is seven days of a calendar, in any zone
FIRST = "0" * 64


class LedgerSettings(DatabaseSettings):
    ledger_key: SecretStr = Field(
        alias="AGENT_LEDGER_KEY",
        min_length=32,
        examples=["example-ledger-key-of-32-characters"],
        description="Write 32 random characters or more, as of: openssl rand -hex 32. Never change it.",
    )


class Base(DeclarativeBase):
    pass


class Head(Base):
    """The end of the chain, in one row. `next_call` is when Twilio may be asked again, in seconds since 1970."""

    __tablename__ = "outbound_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    length: Mapped[int] = mapped_column(default=0)
    mac: Mapped[str] = mapped_column(String(64), default=FIRST)
    turns: Mapped[int] = mapped_column(default=0)
    next_call: Mapped[float] = mapped_column(Float, default=0.0)


class Subject(Base):
    """A person. `handle` is a keyed hash of the number; without this row, `pseudonym` leads to no person."""

    __tablename__ = "outbound_subject"

    handle: Mapped[str] = mapped_column(String(64), primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(32), unique=True)
    key: Mapped[str] = mapped_column(String(64))


class Suppression(Base):
    """A number that is not called: a keyed hash, why, and until when (seconds since 1970)."""

    __tablename__ = "outbound_suppression"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    reason: Mapped[str] = mapped_column(String(40))
    until: Mapped[float] = mapped_column(Float)


class Entry(Base):
    """One link of the chain. `body` is JSON; `subject` repeats its own, to be found by."""

    __tablename__ = "outbound_entry"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject: Mapped[str] = mapped_column(String(32), index=True)
    body: Mapped[str] = mapped_column(Text)
    mac: Mapped[str] = mapped_column(String(64))


SCHEMA = Schema("ledger", Base.metadata)


@dataclass
class Person:
    """A subject with its key. `hash` hides an id so that only the key can find it again."""

    pseudonym: str
    key: bytes

    def hash(self, kind: str, value: str) -> str:
        return hmac.new(self.key, f"{kind}:{value}".encode(), "sha256").hexdigest()[:32]


@dataclass
class Call:
    """An allowed call, as the chain tells it."""

    number: int
    at: datetime
    debt: str = ""
    campaign: str = ""
    sid: str = ""  # a hash
    outcome: str = ""  # "" while it is unclear


@dataclass
class History:
    """What the entries of one person say, in order."""

    consent: Tier = "none"
    consent_at: datetime | None = None
    consents: set[str] = field(default_factory=set)
    refused: str | None = None
    withdrawn: datetime | None = None
    calls: dict[int, Call] = field(default_factory=dict)
    conversations: list[tuple[datetime, str]] = field(default_factory=list)  # and the debt; "" is every debt

    def add(self, number: int, body: dict[str, Any]) -> None:
        at = datetime.fromisoformat(body["at"])
        match body["kind"]:
            case "consent":
                given = datetime.fromisoformat(body["given"])
                self.consents.add(body["digest"])
                if self.consent_at is None or given >= self.consent_at:
                    self.consent, self.consent_at = body["tier"], given
            case "suppressed":
                self.refused, self.withdrawn = body["reason"], at
            case "lifted":
                self.refused = None
            case "judged" if body["allowed"]:
                own = Facts.model_validate(body["facts"])
                self.calls[number] = Call(number, own.at, body["debt"], body["campaign"])
            case "placed":
                self.calls[body["call"]].sid = body["sid"]
            case "not placed":
                del self.calls[body["call"]]
            case "outcome":
                self.calls[body["call"]].outcome = body["outcome"]
            case "conversation":
                self.conversations.append((at, body["debt"]))

    def past(self, at: datetime, debt: str, campaign: str) -> Past:
        """The inputs of a verdict at `at`. A consent that is older than the withdrawal of one counts for nothing."""
        recent = [call for call in self.calls.values() if at - call.at < REMEMBERED]
        spoken = [when for when, about in self.conversations if at - when < REMEMBERED and about in ("", debt)]
        mine = [call for call in self.calls.values() if call.campaign == campaign]
        counts = self.consent_at and not (self.withdrawn and self.consent_at <= self.withdrawn)
        return Past(
            consent=self.consent if counts else "none",
            calls=tuple(call.at for call in recent),
            debt_calls=tuple(call.at for call in recent if debt and call.debt == debt),
            conversations=tuple(spoken),
            called_in_campaign=bool(mine),
            unclear=any(not call.outcome for call in mine),
        )

    def call_of(self, sid: str) -> Call | None:
        """The call with this hash of a CallSid."""
        return next((call for call in self.calls.values() if sid and call.sid == sid), None)


class Ledger:
    def __init__(self, database: Database, key: SecretStr, now: Callable[[], datetime]) -> None:
        self.database = database
        self.now = now
        secret = key.get_secret_value().encode()
        self._chain, self._names, self._refusals = (
            hmac.new(secret, purpose, "sha256").digest() for purpose in (b"chain", b"subject", b"do-not-call")
        )

    @classmethod
    def build(cls, settings: Any, now: Callable[[], datetime]) -> Self:
        database = Database(connect(settings.database_url.get_secret_value()), SCHEMA)
        return cls(database, settings.ledger_key, now)

    async def close(self) -> None:
        await self.database.close()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Turn]:
        """A transaction that is the only writer."""
        async with self.database.begin() as connection:
            taken = update(Head).where(Head.id == 1).values(turns=Head.turns + 1)
            taken_row = taken.returning(Head.length, Head.mac, Head.next_call)
            row = (await connection.execute(taken_row)).one_or_none()
            if row is None:
                first = f"INSERT INTO {Head.__tablename__} (id, length, mac, turns, next_call) "
                await connection.execute(text(f"{first} VALUES (1, 0, '{FIRST}', 0, 0) ON CONFLICT (id) DO NOTHING"))
                row = (await connection.execute(taken_row)).one()
            turn = Turn(self, connection, row.length, row.mac, row.next_call)
            yield turn
            end = {"length": turn.count, "mac": turn.mac, "next_call": turn.next_call}
            await connection.execute(update(Head).where(Head.id == 1).values(**end))

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Turn]:
        """A transaction that appends nothing."""
        async with self.database.begin() as connection:
            yield Turn(self, connection, 0, FIRST, 0.0)

    def handle(self, number: str) -> str:
        return hmac.new(self._names, number.encode(), "sha256").hexdigest()

    def refusal(self, handle: str) -> str:
        """The keyed hash of a do-not-call entry. No entry of the chain has it: it would outlive an erasure there."""
        return hmac.new(self._refusals, handle.encode(), "sha256").hexdigest()

    def mac(self, before: str, body: str) -> str:
        return hmac.new(self._chain, f"{before}\n{body}".encode(), "sha256").hexdigest()

    # --- one step each ----------------------------------------------------------------------------------------------

    async def suppress(self, number: str, reason: str) -> None:
        """Never call this number again, on any channel. `reason` is a word of the code, never one of the person."""
        async with self.turn() as turn:
            await turn.suppress(number, reason)

    async def suppressed(self, number: str) -> str | None:
        async with self.reading() as turn:
            return await turn.suppressed(number)

    async def lift(self, number: str) -> bool:
        """Take a number off the own list. False when it is not on it."""
        async with self.turn() as turn:
            if not await turn.suppressed(number):
                return False
            hash = self.refusal(self.handle(number))
            await turn.connection.execute(delete(Suppression).where(Suppression.hash == hash))
            await turn.append("lifted", (await turn.person(number)).pseudonym)
            return True

    async def erase(self, number: str) -> int | None:
        """Destroy the key of a person and append a tombstone: its number, or None for a number that is not known.

        Whether a cap is exhausted is forgotten with it, so the number is not called again.
        """
        async with self.turn() as turn:
            known = await turn.person(number, create=False)
            if known is None:
                return None
            if not await turn.suppressed(number):
                await turn.suppress(number, "erased")
            await turn.connection.execute(delete(Subject).where(Subject.pseudonym == known.pseudonym))
            return await turn.append("erased", known.pseudonym)

    async def record_outcome(self, number: str, call_sid: str, outcome: str) -> bool:
        """What became of a call. False for one that the ledger does not know."""
        async with self.turn() as turn:
            person = await turn.person(number, create=False)
            history = await turn.history(person) if person else None
            call = history.call_of(person.hash("call", call_sid)) if history and person else None
            if call is None or person is None:
                return False
            if call.outcome != outcome:
                await turn.append("outcome", person.pseudonym, call=call.number, outcome=outcome)
            return True

    async def record_conversation(self, number: str, call_sid: str, began: bool) -> None:
        """A conversation with a person: about the debt of the call, about every debt, or about none of them.

        `began` is True for a call of the agent's. One that the ledger does not know counts for every debt.
        """
        async with self.turn() as turn:
            person = await turn.person(number)
            call = (await turn.history(person)).call_of(person.hash("call", call_sid)) if began else None
            if call is None or call.debt:
                await turn.append("conversation", person.pseudonym, debt=call.debt if call else "")

    async def is_about_debt(self, number: str, call_sid: str) -> bool:
        """Whether a call is about a debt. One that the ledger does not know is, if an earlier one of the person was."""
        async with self.reading() as turn:
            person = await turn.person(number, create=False)
            if person is None:
                return False
            history = await turn.history(person)
            call = history.call_of(person.hash("call", call_sid))
            return any(each.debt for each in ([call] if call else history.calls.values()))

    async def record_notice(self, number: str, call_sid: str, wording: str) -> None:
        """A notice that the law asks for was spoken to the end. Of its wording a digest is kept."""
        async with self.turn() as turn:
            person = await turn.person(number)
            sid = person.hash("call", call_sid)
            await turn.append("notice", person.pseudonym, sid=sid, wording=digest(wording))

    async def entries(self) -> AsyncIterator[Any]:
        """Rows of Entry, in the order of the chain."""
        async with self.database.begin() as connection:
            chain = select(Entry.number, Entry.subject, Entry.body, Entry.mac).order_by(Entry.number)
            rows = await connection.stream(chain)
            async for row in rows:
                yield row

    async def verify(self) -> Verification:
        """Follow the chain from its first entry, and recompute every verdict."""
        found = Verification()
        histories: dict[str, History] = {}
        async for entry in self.entries():
            found.follow(self, entry, histories)
        async with self.reading() as turn:
            head = (await turn.connection.execute(select(Head.length, Head.mac))).one_or_none()
            subjects = (await turn.connection.execute(select(Subject.pseudonym, Subject.handle))).all()
            kept = set((await turn.connection.execute(select(Suppression.hash))).scalars())
        if (head.length, head.mac) != (found.count, found.mac) if head else found.count:
            found.problems.append(f"the chain ends at entry {found.count}, which its head does not name")
        since = self.now() - SUPPRESSED_FOR
        for pseudonym, handle in subjects:
            history = histories.get(pseudonym, History())
            wanted = history.refused and history.withdrawn and history.withdrawn > since
            if wanted and self.refusal(handle) not in kept:
                found.problems.append("a person who refused calls is not on the do-not-call list any more")
        return found


@dataclass
class Turn:
    """One transaction on the ledger."""

    ledger: Ledger
    connection: AsyncConnection
    count: int
    mac: str
    next_call: float

    async def append(self, kind: str, subject: str, **data: Any) -> int:
        """Returns the number of the entry."""
        self.count += 1
        entry = {"number": self.count, "at": self.ledger.now().isoformat(), "kind": kind, "subject": subject, **data}
        body = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        self.mac = self.ledger.mac(self.mac, body)
        values = {"number": self.count, "subject": subject, "body": body, "mac": self.mac}
        await self.connection.execute(insert(Entry).values(**values))
        return self.count

    async def person(self, number: str, create: bool = True) -> Any:
        """The Person of a number; with `create`, always one."""
        handle = self.ledger.handle(number)
        wanted = select(Subject.pseudonym, Subject.key).where(Subject.handle == handle)
        row = (await self.connection.execute(wanted)).one_or_none()
        if row:
            return Person(row.pseudonym, bytes.fromhex(row.key))
        if not create:
            return None
        person = Person(token_hex(16), token_bytes(32))
        values = {"handle": handle, "pseudonym": person.pseudonym, "key": person.key.hex()}
        await self.connection.execute(insert(Subject).values(**values))
        return person

    async def history(self, person: Person) -> History:
        wanted = select(Entry.number, Entry.body).where(Entry.subject == person.pseudonym).order_by(Entry.number)
        history = History()
        for row in await self.connection.execute(wanted):
            history.add(row.number, json.loads(row.body))
        return history

    async def suppressed(self, number: str) -> str | None:
        """Why a number is on the own do-not-call list, or None."""
        handle = self.ledger.handle(number)
        wanted = select(Suppression.reason, Suppression.until).where(Suppression.hash == self.ledger.refusal(handle))
        row = (await self.connection.execute(wanted)).one_or_none()
        return row.reason if row and row.until > self.ledger.now().timestamp() else None

    async def suppress(self, number: str, reason: str) -> None:
        hash = self.ledger.refusal(self.ledger.handle(number))
        until = (self.ledger.now() + SUPPRESSED_FOR).timestamp()
        await self.connection.execute(delete(Suppression).where(Suppression.hash == hash))
        await self.connection.execute(insert(Suppression).values(hash=hash, reason=reason, until=until))
        person = await self.person(number)
        await self.append("suppressed", person.pseudonym, reason=reason)

    async def judge(self, person: Person, facts: Facts, debt: str, campaign: str) -> tuple[Verdict, int]:
        """Append a verdict, and return its number too. An allowed one is a reservation: it counts as a call already."""
        verdict = judge(facts)
        data = {"facts": facts.model_dump(mode="json"), "debt": debt, "campaign": campaign, **verdict._asdict()}
        return verdict, await self.append("judged", person.pseudonym, **data)


@dataclass
class Verification:
    """What `verify` has found. `mac` is the head: kept elsewhere, it shows later whether the end was cut off."""

    count: int = 0
    verdicts: int = 0
    mac: str = FIRST
    problems: list[str] = field(default_factory=list)

    def follow(self, ledger: Ledger, entry: Any, histories: dict[str, History]) -> None:
        self.count += 1
        mac, self.mac = ledger.mac(self.mac, entry.body), entry.mac
        if mac != entry.mac or entry.number != self.count:
            self.problems.append(f"entry {entry.number} does not follow the one before")
        try:
            body = json.loads(entry.body)
            if (body["number"], body["subject"]) != (entry.number, entry.subject):
                self.problems.append(f"entry {entry.number} is filed as another one")
            history = histories.setdefault(body["subject"], History())
            if body["kind"] == "judged":
                self.verdicts += 1
                self.problems += [f"entry {entry.number}: {each}" for each in forged(body, history)]
            history.add(entry.number, body)
        except (KeyError, TypeError, ValueError) as error:
            self.problems.append(f"entry {entry.number} cannot be read ({type(error).__name__})")


def unfit_database(settings: Any) -> list[str]:
    """A line when the ledger would be a file that other machines do not see: caps would count each machine alone."""
    from app.registry import STORE  # which imports this folder

    several = "this project is deployed" * config.DEPLOYED or "there are several workers" * STORE.shared
    if not several or not is_sqlite_file(settings.database_url.get_secret_value()):
        return []
    return [f"DATABASE_URL is a SQLite file, and {several}: write postgresql://user:password@host/name for all."]


def forged(body: dict[str, Any], history: History) -> list[str]:
    """What is wrong with a verdict: it does not follow from its inputs, or its inputs not from the entries before."""
    facts = Facts.model_validate(body["facts"])
    verdict = judge(facts)
    found = []
    if (verdict.allowed, verdict.gate) != (body["allowed"], body["gate"]):
        found.append(f"the verdict is not what its inputs give ({verdict.gate or 'allowed'})")
    if facts.past != history.past(facts.at, body["debt"], body["campaign"]):
        found.append("the inputs are not what the entries before say")
    if history.refused and not facts.refused:
        found.append("the inputs lack that the person is on the own do-not-call list")
    return found


def digest(*parts: str) -> str:
    """Of a consent: its wording is not stored."""
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
