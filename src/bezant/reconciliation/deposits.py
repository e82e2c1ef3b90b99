"""Finds payouts at the bank and books them: whole, as the operator's, until their lines say whose they are."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

import msgspec

from bezant.banks.contract import EntryKind
from bezant.base import ids
from bezant.base.db import Connection, Database, Transaction
from bezant.base.failpoints import reach
from bezant.ledger.accounts import Account
from bezant.ledger.post import post
from bezant.ledger.rules import Journal, bank_fee_lines, fx_in_lines, fx_out_lines, suspense_lines
from bezant.reconciliation import store
from bezant.reconciliation.lease import Lease
from bezant.reconciliation.matching.breaks import find_deposit_breaks, find_payout_mismatches
from bezant.reconciliation.matching.deposits import match_deposits
from bezant.reconciliation.matching.model import (
    BreakKind,
    Deposit,
    DepositMatch,
    ExplainedDeposits,
    Found,
    Id,
    Payout,
    Terms,
)
from bezant.reconciliation.rehearsal import Rehearsal
from bezant.reconciliation.rules import OPERATOR, again, deposit_postings, of_house
from bezant.reconciliation.store import Explanation

_AT_ONCE: Final = 500
_REMEMBERED: Final = timedelta(days=90)
"""How long ago a payout may have been explained that a deposit names once more."""


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
    undone: int
    """How often its explanation was taken back."""


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """A payout that is not found at a bank yet, in the order of the statement that reads it."""

    id: UUID
    currency: str
    amount_minor: int
    paid_at: datetime
    reference: str
    undone: int
    bank_name: str | None
    """How the bank calls it, where the PSP says so."""


class Open(msgspec.Struct, frozen=True):
    """What is open between PSPs and banks, by id."""

    payouts: dict[Id, Sent]
    lines: dict[Id, BankLine]


class Deposits:
    """One pass over what is open at the bank and what PSPs have sent there."""

    def __init__(self, database: Database, lease: Lease, terms: Terms) -> None:
        self._database = database
        self._lease = lease
        self._terms = terms
        self._weighed: frozenset[UUID] = frozenset()

    async def find(self, rehearsal: Rehearsal | None = None) -> tuple[int, list[Found]]:
        """Book what can be explained, unless it is only rehearsed; how many payouts that were, and what is left."""
        async with self._database.connection() as connection:
            found = await load_open(connection)
            self._weighed = frozenset(payout.id for payout in found.payouts.values())
            nets = await store.nets_of_payouts(connection, sorted(self._weighed))
            since = datetime.now(UTC) - _REMEMBERED
            before = await store.arrived_payouts(connection, since) if found.lines else ()
        fees = [line for line in found.lines.values() if line.kind == EntryKind.FEE and not line.undone]
        now = datetime.now(UTC)
        payouts = [payout_of(payout) for payout in found.payouts.values()]
        deposits = [deposit_of(line) for line in found.lines.values() if line.undone or line.kind != EntryKind.FEE]
        # What a person has taken apart no run puts together again.
        by_hand = {each.id for each in (*found.payouts.values(), *found.lines.values()) if each.undone}
        explained = match_deposits(
            [payout for payout in payouts if payout.id not in by_hand],
            [deposit for deposit in deposits if deposit.id not in by_hand],
            self._terms,
            explained_before=[payout_of(Sent(*row[:-1])) for row in before],
        )
        explained = _with_lost(explained, {row[0] for row in before if row[-1]})
        left = msgspec.structs.replace(
            explained,
            payouts=[*explained.payouts, *(payout for payout in payouts if payout.id in by_hand)],
            deposits=[*explained.deposits, *(deposit for deposit in deposits if deposit.id in by_hand)],
        )
        if rehearsal is None:
            for start in range(0, len(fees), _AT_ONCE):
                await self._book_fees(fees[start : start + _AT_ONCE])
            for start in range(0, len(explained.matches), _AT_ONCE):
                await self._book(explained.matches[start : start + _AT_ONCE], found)
            await self._suspend([found.lines[deposit.id] for deposit in left.deposits], now)
        else:
            rehearsal.deposits += explained.matches
        matched = sum(len(match.payouts) for match in explained.matches)
        nets_minor: dict[Id, int] = {payout_id: net_minor for payout_id, (net_minor, _) in nets.items()}
        return matched, [*find_deposit_breaks(left, now, self._terms), *find_payout_mismatches(payouts, nets_minor)]

    async def late_mismatches(self, payout_ids: Collection[UUID]) -> list[Found]:
        """Of payouts whose lines came after their deposit: those that the lines do not add up to."""
        late = sorted(set(payout_ids) - self._weighed)
        if not late:
            return []
        async with self._database.connection() as connection:
            came = [payout_of(Sent(*row)) for row in await store.payouts_that_came(connection, late)]
            nets = await store.nets_of_payouts(connection, late)
        return find_payout_mismatches(came, {payout_id: net_minor for payout_id, (net_minor, _) in nets.items()})

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

    async def _book(self, matches: Sequence[DepositMatch], found: Open) -> None:
        async with self._lease.guarded() as transaction:
            await book(transaction, matches, found)
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


def _with_lost(explained: ExplainedDeposits, lost: set[Id]) -> ExplainedDeposits:
    """A deposit that names a payout which was written off is that payout: a person has to take the write-off back."""
    detail = "the payout that it names was written off: take that back, then match the two"
    noted = [
        msgspec.structs.replace(note, detail=detail)
        if note.kind == BreakKind.EXCESS and lost.intersection(note.ours)
        else note
        for note in explained.noted
    ]
    return msgspec.structs.replace(explained, noted=noted)


async def load_open(connection: Connection) -> Open:
    """All that is open between PSPs and banks."""
    return Open(
        {row[0]: Sent(*row) for row in await store.open_payouts(connection)},
        {row[0]: BankLine(*row) for row in await store.open_bank_lines(connection)},
    )


async def book(transaction: Transaction, matches: Sequence[DepositMatch], found: Open) -> None:
    """Book payouts as come, and say by which lines of a bank. Raises DataRefused for what is explained already."""
    journals: list[Journal] = []
    rows: list[Explanation] = []
    for match in matches:
        match_id = min(payout.id for payout in match.payouts)
        payouts = [found.payouts[payout.id] for payout in match.payouts]
        lines = [found.lines[deposit.id] for deposit in match.deposits]
        journals += _journals(payouts, lines)
        rows += [_row(payout.id, "payout", match_id, match.rule) for payout in payouts]
        rows += [_row(line.id, "bank_line", match_id, match.rule) for line in lines]
    await post(transaction, journals)
    await store.write_explained(transaction, rows)
    arrived = [(_uuid(payout.id), payout.amount_minor) for match in matches for payout in match.payouts]
    await store.deposited(transaction, arrived, [row.item_id for row in rows if row.side == "bank_line"])


def _journals(payouts: Sequence[Sent], lines: Sequence[BankLine]) -> list[Journal]:
    """A deposit in the operator's book: what was sent came, wherever it waited and in whatever currency it came."""
    journals = [journal for line in lines if line.in_suspense for journal in _suspense(line, -line.amount_minor)]
    at = max(_at(line) for line in lines)
    for payout in payouts:
        name = again(ids.show(ids.PAYOUT_AT_PSP, payout.id), payout.undone)
        journals += deposit_postings(name, payout.currency, payout.amount_minor, at)
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
    return again(ids.show(ids.BANK_LINE, line.id), line.undone)


def _at(line: BankLine) -> datetime:
    return datetime.combine(line.booked_on, time(), UTC)


def payout_of(sent: Sent) -> Payout:
    """A payout as the matcher takes it, by all its names.

    A PSP may tell its payouts apart by a currency that banks do not write.
    """
    names = (sent.reference, sent.reference.removesuffix(f" {sent.currency}"), sent.bank_name or sent.reference)
    return Payout(sent.id, sent.currency, sent.amount_minor, sent.paid_at, tuple(dict.fromkeys(names)))


def deposit_of(line: BankLine) -> Deposit:
    """A bank line as the matcher takes it."""
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
