"""Posts journals in the caller's transaction: set-based, balances kept in the same transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from bezant.base.db import Transaction
from bezant.ledger import store
from bezant.ledger.accounts import Account
from bezant.ledger.rules import Journal, Line, journal_id, net_by_account

Lines = Callable[[int, int], tuple[Line, ...]]
Balance = tuple[UUID, str, str]
"""Merchant, currency, account."""


class Fact(NamedTuple):
    """One fact about a payment in two amounts, as a function of `rules` takes them."""

    merchant_id: UUID
    payment_id: UUID
    correlation_id: str
    effective_at: datetime
    first_minor: int
    second_minor: int


async def post(transaction: Transaction, journals: Sequence[Journal]) -> None:
    """Insert the journals with all their entries and move the balances, in three statements whatever their number.

    Raises DataRefused if a journal does not balance or its fact is posted already; nothing is posted then.
    """
    posting = Posting(transaction)
    await posting.add(journals)
    await posting.move_balances()


class Posting:
    """Several kinds of postings in one transaction, whose balances are moved by one statement at its end.

    Balances are what transactions wait for each other about: moved last, and all in the order of their keys, they are
    held for a moment and two transactions cannot deadlock.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._moved: dict[Balance, tuple[int, int]] = {}

    async def add(self, journals: Sequence[Journal]) -> None:
        """Journals of any kind."""
        if journals:
            in_key_order = sorted(journals, key=lambda journal: journal.id)
            await store.insert_journals(self._transaction, in_key_order)
            self._move(net_by_account(in_key_order))

    async def add_facts(self, kind: str, currency: str, lines: Lines, facts: Sequence[Fact]) -> None:
        """Thousands of facts of one kind, with one row of parameters each.

        What is posted is what `lines` of `rules` says: it is linear in the amounts, so the shares that each account has
        of them are asked of it once, and the database multiplies. What does not fit this (an amount that leaves a line
        of zero) is posted journal by journal.
        """
        alike: dict[bool, list[Fact]] = {}
        odd: list[Fact] = []
        for fact in facts:
            if fact.first_minor > fact.second_minor >= 0:
                alike.setdefault(fact.second_minor > 0, []).append(fact)
            else:
                odd.append(fact)
        await self.add([_journal(kind, currency, lines, fact) for fact in odd])
        for has_second, same in alike.items():
            accounts = [line.account for line in lines(2, int(has_second))]
            shares = [_share(lines, account) for account in accounts]
            rows = sorted((journal_id(f.merchant_id, f.payment_id, kind, f.correlation_id), *f) for f in same)
            await store.insert_facts(
                self._transaction, kind, currency, [account.value for account in accounts], shares, rows
            )
            self._move(_sums(currency, lines, same))

    async def move_balances(self) -> None:
        """Move the balances by everything that was added: the last statement of the transaction that locks rows."""
        if self._moved:
            await store.add_to_balances(self._transaction, dict(sorted(self._moved.items())))

    def _move(self, sums: Mapping[Balance, tuple[int, int]]) -> None:
        for key, (debit_minor, credit_minor) in sums.items():
            debits_minor, credits_minor = self._moved.get(key, (0, 0))
            self._moved[key] = (debits_minor + debit_minor, credits_minor + credit_minor)


def _share(lines: Lines, account: Account) -> tuple[int, int]:
    """What of the first and of the second amount the account is debited; below zero credited."""
    first, second = (
        {line.account: line.debit_minor - line.credit_minor for line in lines(*unit)} for unit in ((1, 0), (0, 1))
    )
    return first.get(account, 0), second.get(account, 0)


def _sums(currency: str, lines: Lines, facts: Iterable[Fact]) -> dict[Balance, tuple[int, int]]:
    totals: dict[UUID, tuple[int, int]] = {}
    for fact in facts:
        first, second = totals.get(fact.merchant_id, (0, 0))
        totals[fact.merchant_id] = (first + fact.first_minor, second + fact.second_minor)
    return {
        (merchant_id, currency, line.account.value): (line.debit_minor, line.credit_minor)
        for merchant_id, amounts in totals.items()
        for line in lines(*amounts)
    }


def _journal(kind: str, currency: str, lines: Lines, fact: Fact) -> Journal:
    return Journal(
        merchant_id=fact.merchant_id,
        payment_id=fact.payment_id,
        kind=kind,
        correlation_id=fact.correlation_id,
        currency=currency,
        effective_at=fact.effective_at,
        lines=lines(fact.first_minor, fact.second_minor),
    )
