"""The order of events: whoever reads by `after` misses none, however transactions overlap."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest_asyncio

from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.outbox import store as events
from bezant.payments import store
from bezant.payments.changes import Ages, Changes
from bezant.payments.states import Payment
from bezant.payments.write import write

START = (0, -1, UUID(int=0))


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, connections_max=4)
    await opened.open()
    yield opened
    await opened.close()


class Reader:
    """Reads on from the last event that it has seen, as a client does."""

    def __init__(self, database: Database, merchant_id: UUID) -> None:
        self._database = database
        self._merchant_id = merchant_id
        self._order = START
        self.seen: list[tuple[UUID, str]] = []

    async def read(self) -> list[str]:
        """What is new."""
        async with self._database.connection() as connection:
            rows = await events.after(connection, self._merchant_id, self._order, 100)
            if rows:
                found = await events.order_of(connection, self._merchant_id, rows[-1][0])
                assert found is not None
                self._order = (found[0], found[1], found[2])
        self.seen += [(row[1], row[2]) for row in rows]
        return [row[2] for row in rows]

    async def read_all(self, count: int) -> list[str]:
        """What is new, once it is `count` events: a transaction of another test on the server is waited for."""
        found: list[str] = []
        async with asyncio.timeout(120):
            while len(found) < count:
                found += await self.read()
        return found


async def created(database: Database, count: int) -> list[Payment]:
    merchant_id = ids.new_id()
    numbers = ("minor", "points", "tries", "tx", "position")
    blank: dict[str, Any] = {name: 0 if name.endswith(numbers) else None for name in Payment.__struct_fields__}
    async with database.transaction() as transaction:
        await transaction.connection.execute(
            "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'A shop', 'USD', 'simulator')", merchant_id
        )
        changes = _changes(transaction)
        for _ in range(count):
            known = {
                "id": ids.new_id(),
                "merchant_id": merchant_id,
                "amount_minor": 100,
                "currency": "USD",
                "status": "pending",
                "capture_strategy": "manual",
                "created_at": transaction.now,
                "updated_at": transaction.now,
                **dict.fromkeys(("order_id", "psp", "idempotency_key"), "x"),
                **dict.fromkeys(("metadata", "details"), "{}"),
            }
            payment = msgspec.convert({**blank, **known}, Payment)
            changes.payments_new[payment.id] = payment
        await write(transaction, changes)
    return list(changes.payments_new.values())


def _changes(transaction: Transaction) -> Changes:
    return Changes(transaction.now, transaction.xid, Ages(authorization_s=1, action_s=1))


async def emit(transaction: Transaction, payment: Payment, *kinds: str) -> None:
    """As record does: under the payment's lock."""
    locked = (await store.lock_payments(transaction, [(payment.id, payment.merchant_id)]))[payment.id]
    changes = _changes(transaction)
    changes.touch(locked)
    for kind in kinds:
        changes.emit(locked, kind)
    await write(transaction, changes)


async def test_event_of_an_older_transaction_is_waited_for(database: Database) -> None:
    """The younger commits first; to show its event at once would hide the older one's for ever."""
    slow, fast = await created(database, 2)
    reader = Reader(database, slow.merchant_id)
    async with database.transaction() as older:
        await emit(older, slow, "slow")
        async with database.transaction() as younger:
            assert younger.xid > older.xid
            await emit(younger, fast, "fast")
        assert await reader.read() == []
    assert await reader.read_all(2) == ["slow", "fast"]
    assert await reader.read() == []


async def test_older_transaction_that_comes_second_to_a_payment_speaks_second(database: Database) -> None:
    (payment,) = await created(database, 1)
    reader = Reader(database, payment.merchant_id)
    async with database.transaction() as older:
        async with database.transaction() as younger:
            assert younger.xid > older.xid
            await emit(younger, payment, "first", "second")
        assert await reader.read() == []
        await emit(older, payment, "third", "fourth")
    assert await reader.read_all(4) == ["first", "second", "third", "fourth"]


async def test_reader_between_all_commits_sees_each_event_once_and_each_payments_in_order(database: Database) -> None:
    payments = await created(database, 3)
    reader = Reader(database, payments[0].merchant_id)
    expected: dict[UUID, list[str]] = {p.id: [] for p in payments}

    async def say(transaction: Transaction, number: int, kind: str) -> None:
        await emit(transaction, payments[number], kind)
        expected[payments[number].id].append(kind)

    async with database.transaction() as one:
        async with database.transaction() as two:
            async with database.transaction() as three:
                await say(three, 0, "a")
                await say(three, 1, "b")
            await reader.read()
            await say(two, 1, "c")
            await say(two, 2, "d")
        await reader.read()
        await say(one, 2, "e")
        await say(one, 0, "f")
        await reader.read()
    await reader.read()
    async with database.transaction() as last:
        await say(last, 1, "g")
    await reader.read_all(7 - len(reader.seen))
    assert {p.id: [kind for of, kind in reader.seen if of == p.id] for p in payments} == expected
    assert len(reader.seen) == len(set(reader.seen)) == 7


async def test_transaction_that_rolls_back_says_nothing(database: Database) -> None:
    (payment,) = await created(database, 1)
    reader = Reader(database, payment.merchant_id)

    async def given_up() -> None:
        async with database.transaction() as transaction:
            await emit(transaction, payment, "never")
            raise RuntimeError

    try:
        await given_up()
    except RuntimeError:
        pass
    async with database.transaction() as transaction:
        await emit(transaction, payment, "said")
    assert await reader.read_all(1) == ["said"]
