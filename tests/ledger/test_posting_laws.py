"""What a strict ledger promises of its postings, case by case.

Other ledgers are tested with tables of states; what of those applies here, and where it is shown:

| what such tables say | here |
|---|---|
| two sides, equal, of one currency and one owner, never zero | tests/database/test_ledger_attacks.py, test_rules.py |
| a chain is posted whole or not at all, wherever its fault is; what is beside it is not touched | here |
| a fact is posted once; the same again, or with any other content, is refused and changes nothing | here |
| what was refused may be posted later: a refusal leaves no trace (there it may not) | here |
| no sum wraps around | here |
| the end does not depend on batches, nor on the order in them; opposite orders do not deadlock | here |
| balances of any past moment are the replay of what was posted until then | test_posting.py |
| events have one order, which never shows one before an older one | test_event_order.py |
| a hold is taken in full, in part, in several parts, never above; released once; it runs out | tests/flows |
| of two who resolve one hold one wins | tests/flows/test_races.py, tests/disputes/test_acts.py |
| a key with another request is refused, before anything else is looked at | tests/flows/test_idempotency.py |
| the closed take nothing new, and what they had goes on | tests/flows, tests/disputes/test_stories.py |

What does not apply: accounts are of a fixed chart, so they are not made, closed or limited one by one; there are no
transfers of "as much as there is"; and a hold of a payment posts nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bezant.base import ids
from bezant.base.db import Database, DataRefused
from bezant.ledger.accounts import Account
from bezant.ledger.post import post
from bezant.ledger.rules import Journal, Line
from tests.ledger.test_posting import NOW, merchant
from tests.support.databases import run
from tests.support.verification import assert_verified

_KEPT = """
SELECT b.merchant_id, b.currency, b.account_code, b.debit_minor, b.credit_minor FROM ledger_balances AS b
WHERE b.merchant_id = ANY ($1) ORDER BY 1, 2, 3
"""
_POSTED = """
SELECT j.id, j.kind, j.currency, j.effective_at, e.line, e.account_code, e.debit_minor, e.credit_minor
FROM ledger_journals AS j INNER JOIN ledger_entries AS e ON e.journal_id = j.id
WHERE j.merchant_id = ANY ($1) ORDER BY 1, 5
"""
_HOLD = "SELECT true FROM ledger_balances WHERE merchant_id = $1 ORDER BY account_code LIMIT 1 FOR UPDATE"
_WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
UNEQUAL = (Line(Account.CASH, 5, 0), Line(Account.PLATFORM_FEE_REVENUE, 0, 4))


def taken(amount_minor: int, of: Account = Account.PLATFORM_FEE_REVENUE) -> tuple[Line, ...]:
    """Cash of an amount; below zero it is given back."""
    if amount_minor < 0:
        return tuple(Line(line.account, line.credit_minor, line.debit_minor) for line in taken(-amount_minor, of))
    return (Line(Account.CASH, amount_minor, 0), Line(of, 0, amount_minor))


@pytest_asyncio.fixture
async def database(module_database_url: str) -> AsyncIterator[Database]:
    opened = Database(module_database_url, connections_max=4)
    await opened.open()
    yield opened
    await opened.close()


def fact(merchant_id: UUID, amount_minor: int = 100, **changed: Any) -> Journal:
    """Something that happened once."""
    said: dict[str, Any] = {"payment_id": None, "kind": "subscription", "correlation_id": ids.new_id().hex}
    said |= {"currency": "USD", "lines": taken(amount_minor), **changed}
    said = {"effective_at": NOW, **said}
    return Journal(merchant_id=merchant_id, **said)


async def posted(database: Database, *journals: Journal) -> None:
    async with database.transaction() as transaction:
        await post(transaction, journals)


async def state(database: Database, *merchants: UUID) -> list[list[tuple[Any, ...]]]:
    """All that the ledger holds of these merchants."""
    async with database.connection() as connection:
        rows = [await connection.fetch(query, list(merchants)) for query in (_KEPT, _POSTED)]
    return [[tuple(row) for row in each] for each in rows]


async def waiting(database: Database) -> int:
    """How many wait for a lock of another."""
    async with database.connection() as connection:
        return await connection.fetchval(_WAITING)


async def refused(database: Database, *journals: Journal) -> DataRefused:
    """Posting these is refused and leaves everything as it was, also what is beside it."""
    merchants = {journal.merchant_id for journal in journals}
    before = await state(database, *merchants)
    with pytest.raises(DataRefused) as refusal:
        await posted(database, *journals)
    assert await state(database, *merchants) == before
    return refusal.value


@pytest.mark.parametrize("place", range(4))
async def test_chain_is_posted_whole_or_not_at_all_wherever_its_fault_is(database: Database, place: int) -> None:
    one, two = await merchant(database), await merchant(database)
    await posted(database, fact(one), fact(two))
    chain = [fact(one), fact(two, 70), fact(one, 30)]
    chain.insert(place, fact((one, two)[place % 2], lines=UNEQUAL))
    await refused(database, *chain)
    await posted(database, *(journal for journal in chain if journal.lines != UNEQUAL))
    kept, _ = await state(database, one)
    assert {row[2]: row[3:] for row in kept} == {"cash": (230, 0), "platform_fee_revenue": (0, 230)}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"lines": taken(101)},
        {"lines": taken(-100)},
        {"lines": taken(100, Account.MERCHANT_PAYABLE)},
        {"currency": "EUR"},
        {"effective_at": NOW.replace(year=2025)},
    ],
    ids=["the same", "amount", "other way", "accounts", "currency", "time"],
)
async def test_fact_is_posted_once_whatever_it_is_said_to_be_the_second_time(
    database: Database, changed: dict[str, Any]
) -> None:
    merchant_id = await merchant(database)
    first = fact(merchant_id)
    await posted(database, first)
    assert (await refused(database, msgspec.structs.replace(first, **changed))).sqlstate == "23505"


async def test_what_was_refused_may_be_posted_later(database: Database) -> None:
    merchant_id = await merchant(database)
    good, bad = fact(merchant_id), fact(merchant_id, lines=UNEQUAL)
    await refused(database, good, bad)
    await posted(database, good, msgspec.structs.replace(bad, lines=taken(5)))
    assert len((await state(database, merchant_id))[1]) == 4


async def test_sum_beyond_what_64_bits_hold_is_exact(database: Database) -> None:
    merchant_id = await merchant(database)
    most = 2**63 - 1
    for amount_minor in (most, most, 3):
        await posted(database, fact(merchant_id, amount_minor))
    kept, _ = await state(database, merchant_id)
    total = 2 * most + 3
    assert {row[2]: row[3:] for row in kept} == {"cash": (total, 0), "platform_fee_revenue": (0, total)}


@settings(
    max_examples=15, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    amounts=st.lists(st.integers(-(10**12), 10**12).filter(bool), min_size=1, max_size=12),
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=2),
    seed=st.integers(0, 99),
)
def test_end_depends_neither_on_batches_nor_on_the_order_in_them(
    module_database_url: str, amounts: list[int], sizes: list[int], seed: int
) -> None:
    async def end(size: int, order: Random) -> Sequence[tuple[Any, ...]]:
        database = Database(module_database_url, connections_max=1)
        await database.open()
        merchants = [await merchant(database) for _ in range(2)]
        journals = [
            fact(merchants[n % 2], amount_minor, currency=("USD", "EUR")[n % 3 == 0])
            for n, amount_minor in enumerate(amounts)
        ]
        shuffled = order.sample(journals, len(journals))
        for start in range(0, len(shuffled), size):
            await posted(database, *shuffled[start : start + size])
        kept, _ = await state(database, *merchants)
        await database.close()
        return [(merchants.index(row[0]), *row[1:]) for row in kept]

    ends = [run(end(size, Random(seed + n))) for n, size in enumerate((1, *sizes))]
    assert ends[1:] == [ends[0]] * 2


async def test_postings_in_opposite_orders_wait_for_each_other_and_do_not_deadlock(database: Database) -> None:
    """While somebody holds the balance in the middle, each gets as far as it can: both from the same side."""
    merchants = sorted([await merchant(database) for _ in range(3)])
    await posted(database, *(fact(each, 1) for each in merchants))
    async with database.transaction() as holder:
        await holder.connection.execute(_HOLD, merchants[1])
        both = [
            asyncio.create_task(posted(database, *(fact(each, 1) for each in order)))
            for order in (merchants, merchants[::-1])
        ]
        async with asyncio.timeout(30):
            while await waiting(database) < 2:
                await asyncio.sleep(0.01)
    await asyncio.wait_for(asyncio.gather(*both), 30)
    kept, _ = await state(database, *merchants)
    assert {row[3:] for row in kept} == {(3, 0), (0, 3)}


@pytest.fixture(scope="module", autouse=True)
def _verified(module_database_url: str) -> Any:
    yield
    assert_verified(module_database_url)
