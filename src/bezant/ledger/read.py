"""Reads the ledger: balances, accounts, journals, the trial balance at any past moment."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Row
from bezant.base.money import Money
from bezant.ledger import store
from bezant.ledger.accounts import TRANSIT, TYPES, Account, balance_minor


class EntryView(msgspec.Struct, frozen=True):
    """One line of a journal, in minor units."""

    account: str
    debit: int
    credit: int


class JournalView(msgspec.Struct, frozen=True):
    """A fact as it was posted."""

    journal_id: str
    payment_id: str | None
    kind: str
    correlation_id: str
    currency: str
    entries: list[EntryView]
    created_at: datetime
    effective_at: datetime


class AccountView(msgspec.Struct, frozen=True):
    """An account in one currency; `balance` is positive on the account's normal side."""

    account: str
    type: str
    transit: bool
    currency: str
    debits: int
    credits: int
    balance: int


class TrialBalanceView(msgspec.Struct, frozen=True):
    """All accounts at a moment; per currency debits and credits are equal."""

    at: datetime | None
    accounts: list[AccountView]
    totals: dict[str, dict[str, int]]


class BalanceView(msgspec.Struct, frozen=True):
    """What the merchant is owed. `available`: less refunds in flight and what is not settled yet."""

    payable: list[Money]
    in_transit: list[Money]
    available: list[Money]


async def accounts(connection: Connection, merchant_id: UUID, at: datetime | None = None) -> list[AccountView]:
    """Every account that was ever posted to, now or at a past moment."""
    return [_account(*row) for row in await store.balances(connection, merchant_id, at)]


async def trial_balance(connection: Connection, merchant_id: UUID, at: datetime | None) -> TrialBalanceView:
    """All accounts with their totals per currency."""
    views = await accounts(connection, merchant_id, at)
    totals: dict[str, dict[str, int]] = {}
    for view in views:
        sums = totals.setdefault(view.currency, {"debits": 0, "credits": 0})
        sums["debits"] += view.debits
        sums["credits"] += view.credits
    return TrialBalanceView(at, views, totals)


async def balance(connection: Connection, merchant_id: UUID) -> BalanceView:
    """What the merchant is owed, what is still on its way, and what could be paid out."""
    views = await accounts(connection, merchant_id)
    payable = {v.currency: v.balance for v in views if v.account == Account.MERCHANT_PAYABLE}
    transit = {v.currency: v.balance for v in views if v.account == Account.CUSTOMER_FUNDS_IN_TRANSIT}
    refunding = {row[0]: row[1] for row in await store.refunds_in_flight(connection, merchant_id)}
    return BalanceView(
        payable=[Money(value, currency) for currency, value in payable.items()],
        in_transit=[Money(value, currency) for currency, value in transit.items()],
        available=[
            Money(value - _pending_minor(value, transit.get(currency, 0)) - refunding.get(currency, 0), currency)
            for currency, value in payable.items()
        ],
    )


def _pending_minor(payable_minor: int, transit_minor: int) -> int:
    """What of the payable waits for its money: at most what is in transit, and never more than is owed."""
    return min(max(0, payable_minor), max(0, transit_minor))


async def journals_of_payment(connection: Connection, merchant_id: UUID, payment_id: UUID) -> list[JournalView]:
    """The journals of one payment, oldest first."""
    rows = await store.journals(connection, merchant_id, payment_id=payment_id, before=None, limit=1_000)
    return [journal_view(row) for row in reversed(rows)]


def journal_view(row: Row) -> JournalView:
    """A journal from its row."""
    journal_id, payment_id, kind, correlation_id, currency, created_at, effective_at, codes, debits, credits, *_ = row
    return JournalView(
        ids.show(ids.JOURNAL, journal_id),
        None if payment_id is None else ids.show(ids.PAYMENT, payment_id),
        kind,
        correlation_id,
        currency,
        _entries(codes, debits, credits),
        created_at,
        effective_at,
    )


def _entries(codes: Sequence[str], debits: Sequence[int], credits: Sequence[int]) -> list[EntryView]:
    return [EntryView(*entry) for entry in zip(codes, debits, credits, strict=True)]


def _account(currency: str, code: str, debit_minor: int, credit_minor: int) -> AccountView:
    account = Account(code)
    return AccountView(
        account=code,
        type=TYPES[account],
        transit=account in TRANSIT,
        currency=currency,
        debits=debit_minor,
        credits=credit_minor,
        balance=balance_minor(account, debit_minor, credit_minor),
    )
