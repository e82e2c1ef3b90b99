"""Finds payouts at the bank and books them: whole, as the operator's, until their lines say whose they are."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Final
from uuid import UUID

import msgspec

from bezant.banks.contract import EntryKind
from bezant.base import ids
from bezant.base.db import Database
from bezant.base.failpoints import reach
from bezant.ledger.accounts import Account
from bezant.ledger.post import post
from bezant.ledger.rules import Journal, bank_fee_lines, fx_in_lines, fx_out_lines, suspense_lines
from bezant.reconciliation import store
from bezant.reconciliation.lease import Lease
from bezant.reconciliation.matching.breaks import find_deposit_breaks, find_payout_mismatches
from bezant.reconciliation.matching.deposits import match_deposits
from bezant.reconciliation.matching.model import Deposit, DepositMatch, Found, Id, Payout, Terms
from bezant.reconciliation.rules import OPERATOR, deposit_postings, of_house
from bezant.reconciliation.store import Explanation

_AT_ONCE: Final = 500


class BankLine(msgspec.Struct, frozen=True, array_like=True):
    """An open line of a bank statement, in the order of the statement that reads it."""

    id: UUID
    currency: str
    amount_minor: int
    kind: str
    booked_on: date
    entry_reference: str | None
    refs: Sequence[str]
    content: str
    original_minor: int | None
    original_currency: str | None
    in_suspense: bool


class Deposits:
    """One pass over what is open at the bank and what PSPs have sent there."""

    def __init__(self, database: Database, lease: Lease, terms: Terms) -> None:
        self._database = database
        self._lease = lease
        self._terms = terms

    async def find(self) -> tuple[int, list[Found]]:
        """Book what can be explained; how many payouts that were, and what is left."""
        async with self._database.connection() as connection:
            lines = [BankLine(*row) for row in await store.open_bank_lines(connection)]
            payouts = [_payout(*row) for row in await store.open_payouts(connection)]
            nets = await store.nets_of_payouts(connection, [_uuid(payout.id) for payout in payouts])
        fees = [line for line in lines if line.kind == EntryKind.FEE]
        for start in range(0, len(fees), _AT_ONCE):
            await self._book_fees(fees[start : start + _AT_ONCE])
        by_id: dict[Id, BankLine] = {line.id: line for line in lines if line.kind != EntryKind.FEE}
        now = datetime.now(UTC)
        explained = match_deposits(payouts, [_deposit(line) for line in by_id.values()], self._terms)
        for start in range(0, len(explained.matches), _AT_ONCE):
            await self._book(explained.matches[start : start + _AT_ONCE], by_id)
        found = [
            *find_deposit_breaks(explained, now, self._terms),
            *find_payout_mismatches(payouts, {payout_id: net_minor for payout_id, (net_minor, _) in nets.items()}),
        ]
        await self._suspend([by_id[deposit.id] for deposit in explained.deposits if deposit.id in by_id], now)
        return sum(len(match.payouts) for match in explained.matches), found

    async def _book_fees(self, fees: Sequence[BankLine]) -> None:
        journals = [
            journal
            for line in fees
            for journal in of_house(
                OPERATOR, "bank_fee", _name(line), line.currency, _at(line), bank_fee_lines(-line.amount_minor)
            )
        ]
        rows = [Explanation(line.id, "bank_line", line.id, "bank_fee", OPERATOR) for line in fees]
        async with self._lease.guarded() as transaction:
            await post(transaction, journals)
            await store.write_explained(transaction, rows)
            await store.deposited(transaction, (), [line.id for line in fees])

    async def _book(self, matches: Sequence[DepositMatch], lines: dict[Id, BankLine]) -> None:
        journals: list[Journal] = []
        rows: list[Explanation] = []
        found: list[BankLine] = []
        for match in matches:
            match_id = min(payout.id for payout in match.payouts)
            of_match = [lines[deposit.id] for deposit in match.deposits]
            journals += _journals(match.payouts, of_match)
            rows += [_row(payout.id, "payout", match_id, match.rule) for payout in match.payouts]
            rows += [_row(line.id, "bank_line", match_id, match.rule) for line in of_match]
            found += of_match
        async with self._lease.guarded() as transaction:
            await post(transaction, journals)
            await store.write_explained(transaction, rows)
            payout_ids = [row.item_id for row in rows if row.side == "payout"]
            await store.deposited(transaction, payout_ids, [line.id for line in found])
            reach("settle.before_commit", ("deposits",))
        reach("settle.after_commit", ("deposits",))

    async def _suspend(self, lines: Sequence[BankLine], now: datetime) -> None:
        """Book as not explained what has been at the bank for longer than its report may take."""
        before = (now - self._terms.deposit_skew).date()
        overdue = [line for line in lines if line.booked_on <= before and not line.in_suspense]
        for start in range(0, len(overdue), _AT_ONCE):
            part = overdue[start : start + _AT_ONCE]
            async with self._lease.guarded() as transaction:
                await post(transaction, [journal for line in part for journal in _suspense(line, line.amount_minor)])
                await store.in_suspense(transaction, [line.id for line in part])


def _journals(payouts: Sequence[Payout], lines: Sequence[BankLine]) -> list[Journal]:
    """A deposit in the operator's book: what was sent came, wherever it waited and in whatever currency it came."""
    journals = [journal for line in lines if line.in_suspense for journal in _suspense(line, -line.amount_minor)]
    at = max(_at(line) for line in lines)
    for payout in payouts:
        journals += deposit_postings(
            ids.show(ids.PAYOUT_AT_PSP, _uuid(payout.id)), payout.currency, payout.amount_minor, at
        )
    if {line.currency for line in lines} != {payouts[0].currency}:
        name, sent_minor = _name(lines[0]), sum(payout.amount_minor for payout in payouts)
        journals += of_house(OPERATOR, "fx_out", name, payouts[0].currency, at, fx_out_lines(sent_minor, Account.CASH))
        for line in lines:
            came = fx_in_lines(line.amount_minor, Account.CASH)
            journals += of_house(OPERATOR, "fx_in", _name(line), line.currency, at, came)
    return journals


def _suspense(line: BankLine, amount_minor: int) -> list[Journal]:
    kind = "suspense_in" if amount_minor == line.amount_minor else "suspense_out"
    lines = suspense_lines(amount_minor, Account.CASH)
    return of_house(OPERATOR, kind, _name(line), line.currency, _at(line), lines)


def _row(item_id: Id, side: str, match_id: Id, rule: str) -> Explanation:
    return Explanation(_uuid(item_id), side, _uuid(match_id), rule, OPERATOR)


def _uuid(item_id: Id) -> UUID:
    if not isinstance(item_id, UUID):
        raise AssertionError("rows are named by their ids")
    return item_id


def _name(line: BankLine) -> str:
    return ids.show(ids.BANK_LINE, line.id)


def _at(line: BankLine) -> datetime:
    return datetime.combine(line.booked_on, time(), UTC)


def _payout(payout_id: UUID, currency: str, amount_minor: int, paid_at: datetime, reference: str) -> Payout:
    return Payout(payout_id, currency, amount_minor, paid_at, (reference,))


def _deposit(line: BankLine) -> Deposit:
    names = (*((line.entry_reference,) if line.entry_reference else ()), *line.refs)
    return Deposit(
        line.id,
        line.currency,
        line.amount_minor,
        line.booked_on,
        names,
        line.content,
        line.original_currency,
        line.original_minor,
    )
