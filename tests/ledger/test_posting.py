"""Posting on PostgreSQL: batches, kept balances, one posting per fact, the past, and the order of events."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bezant.base import ids
from bezant.base.db import Database, DataRefused
from bezant.ledger.post import post
from bezant.ledger.read import AccountView, accounts, trial_balance
from bezant.ledger.rules import Journal, Line, capture_lines, platform_fee_minor, refund_lines
from tests.support.databases import run

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Sums = dict[tuple[str, str], tuple[int, int]]
"""(currency, account) -> (debits, credits)."""

CAPTURES = st.tuples(st.just("capture"), st.sampled_from(["USD", "JPY"]), st.integers(1, 10**9))
REFUNDS = st.tuples(st.just("refund"), st.sampled_from(["USD", "JPY"]), st.integers(1, 10**9))
BATCHES = st.lists(st.lists(CAPTURES | REFUNDS, min_size=1, max_size=8), min_size=1, max_size=4)


async def merchant(database: Database) -> UUID:
    merchant_id = ids.new_id()
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO merchants (id, name, currency, psp) VALUES ($1, 'A shop', 'USD', 'simulator')", merchant_id
        )
    return merchant_id


def journal(merchant_id: UUID, kind: str, currency: str, amount: int, correlation: str | None = None) -> Journal:
    lines = capture_lines(amount, platform_fee_minor(amount, 290, 30)) if kind == "capture" else refund_lines(amount)
    return Journal(
        merchant_id=merchant_id,
        payment_id=None,
        kind=kind,
        correlation_id=correlation or ids.new_id().hex,
        currency=currency,
        effective_at=NOW,
        lines=lines,
    )


def add(sums: Sums, journals: list[Journal]) -> None:
    for each in journals:
        for line in each.lines:
            debits, credits = sums[each.currency, line.account]
            sums[each.currency, line.account] = (debits + line.debit_minor, credits + line.credit_minor)


@pytest_asyncio.fixture
async def database(module_database_url: str) -> AsyncIterator[Database]:
    opened = Database(module_database_url, connections_max=3)
    await opened.open()
    yield opened
    await opened.close()


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(BATCHES)
def test_balances_are_the_replay_now_and_at_every_past_moment(
    module_database_url: str, batches: list[list[tuple[str, str, int]]]
) -> None:
    async def posted() -> None:
        database = Database(module_database_url, connections_max=1)
        await database.open()
        merchant_id = await merchant(database)
        sums: Sums = defaultdict(lambda: (0, 0))
        moments: list[tuple[datetime, Sums]] = []
        for batch in batches:
            journals = [journal(merchant_id, *each) for each in batch]
            async with database.transaction() as transaction:
                await post(transaction, journals)
            add(sums, journals)
            moments.append((transaction.now, dict(sums)))
        async with database.connection() as connection:
            assert _sums(await accounts(connection, merchant_id)) == dict(sums)
            for moment, then in moments:
                found = await trial_balance(connection, merchant_id, moment)
                assert _sums(found.accounts) == then
                assert all(total["debits"] == total["credits"] for total in found.totals.values())
            before = await trial_balance(connection, merchant_id, datetime(2000, 1, 1, tzinfo=UTC))
            assert (before.accounts, before.totals) == ([], {})
        await database.close()

    run(posted())


def _sums(views: list[AccountView]) -> Sums:
    return {(v.currency, v.account): (v.debits, v.credits) for v in views}


async def test_same_fact_is_posted_once(database: Database) -> None:
    merchant_id = await merchant(database)
    fact = journal(merchant_id, "capture", "USD", 100, "att_1")

    async def once_more(*journals: Journal) -> None:
        async with database.transaction() as transaction:
            await post(transaction, journals)

    await once_more(fact)
    with pytest.raises(DataRefused) as refused:
        await once_more(journal(merchant_id, "refund", "USD", 5), journal(merchant_id, "capture", "USD", 999, "att_1"))
    assert refused.value.sqlstate == "23505"
    with pytest.raises(DataRefused):
        await once_more(*[journal(merchant_id, "refund", "USD", 5, "att_2")] * 2)
    async with database.connection() as connection:
        views = await accounts(connection, merchant_id)
    assert {v.account: v.balance for v in views} == {
        "customer_funds_in_transit": 100,
        "merchant_payable": 67,
        "platform_fee_revenue": 33,
    }


async def test_other_kind_other_merchant_or_other_attempt_is_another_fact(database: Database) -> None:
    merchant_id, other_id = await merchant(database), await merchant(database)
    facts = [
        journal(merchant_id, "capture", "USD", 100, "att_1"),
        journal(merchant_id, "refund", "USD", 100, "att_1"),
        journal(merchant_id, "capture", "USD", 100, "att_2"),
        journal(other_id, "capture", "USD", 100, "att_1"),
    ]
    async with database.transaction() as transaction:
        await post(transaction, facts)
    async with database.connection() as connection:
        found = await connection.fetchval(
            "SELECT count(*) FROM ledger_journals WHERE merchant_id = ANY($1)", [merchant_id, other_id]
        )
    assert found == 4


async def test_unbalanced_or_empty_journal_takes_its_batch_with_it(database: Database) -> None:
    merchant_id = await merchant(database)
    good = journal(merchant_id, "capture", "USD", 100)
    account = good.lines[0].account
    for lines in ((Line(account, 5, 0), Line(good.lines[1].account, 0, 4)), (Line(account, 5, 0),), ()):
        bad = Journal(
            merchant_id=merchant_id,
            payment_id=None,
            kind="capture",
            correlation_id="bad",
            currency="USD",
            effective_at=NOW,
            lines=lines,
        )
        with pytest.raises(DataRefused):
            await _post(database, [good, bad])
    async with database.connection() as connection:
        assert await accounts(connection, merchant_id) == []


async def _post(database: Database, journals: list[Journal]) -> None:
    async with database.transaction() as transaction:
        await post(transaction, journals)
