"""What may be put together by hand, and what a write-off posts. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.errors import Unprocessable
from bezant.ledger.accounts import Account
from bezant.ledger.rules import Journal, suspense_lines, write_off_lines
from bezant.reconciliation.rules import OPERATOR, Operation, PspLine, again, of_house

RULE: Final = "by_hand"
WRITTEN_OFF: Final = "written_off"
SENT_AGAIN: Final = "sent_again"

_DISPUTES: Final = frozenset({"dispute_opened", "dispute_won"})


class OpenBankLine(msgspec.Struct, frozen=True, array_like=True):
    """A bank line that nothing explains, in the order of the statement that reads it."""

    id: UUID
    currency: str
    amount_minor: int
    in_suspense: bool
    undone: int


def transit_account(kind: str) -> Account:
    """Where an operation of this kind waits for its report."""
    return Account.DISPUTED_FUNDS_AT_PSP if kind in _DISPUTES else Account.CUSTOMER_FUNDS_IN_TRANSIT


def name(prefix: str, item_id: UUID, undone: int) -> str:
    """What postings about a thing are correlated with, once what was said of it was undone so many times."""
    return again(ids.show(prefix, item_id), undone)


def difference_minor(operations: Sequence[Operation], lines: Sequence[PspLine]) -> int:
    """What of the operations their lines do not report, in the operations' currency.

    Raises Unprocessable where they cannot be of each other at all.
    """
    first = operations[0]
    if {(o.payment_id, o.merchant_id, o.currency) for o in operations} != {
        (first.payment_id, first.merchant_id, first.currency)
    }:
        raise Unprocessable("invalid_match", "The operations are not of one payment.", param="/operations")
    if len({o.kind in _DISPUTES for o in operations}) > 1:
        raise Unprocessable("invalid_match", "Disputes are matched apart from other operations.", param="/operations")
    if any((line.psp, line.psp_account_id) != (first.psp, first.psp_account_id) for line in lines):
        raise Unprocessable("invalid_match", "A line is of another account at a PSP.", param="/lines")
    is_single = len(operations) == len(lines) == 1
    return sum(o.amount_minor for o in operations) - sum(_reported_minor(line, first, is_single) for line in lines)


def _reported_minor(line: PspLine, operation: Operation, is_single: bool) -> int:
    if line.currency == operation.currency:
        return line.gross_minor
    if line.presented_minor is not None and line.presented_currency == operation.currency:
        return line.presented_minor
    if is_single and line.presented_minor is None:
        return operation.amount_minor
    raise Unprocessable("currency_mismatch", f"A line does not say what it is in {operation.currency}.", param="/lines")


def operation_write_off(operation: Operation, amount_minor: int, correlation_id: str, at: datetime) -> Journal:
    """What an operation left in transit will never be reported: of `amount_minor`, signed as the operation."""
    return Journal(
        merchant_id=operation.merchant_id,
        payment_id=operation.payment_id,
        kind="write_off",
        correlation_id=correlation_id,
        currency=operation.currency,
        effective_at=at,
        lines=write_off_lines(amount_minor, transit_account(operation.kind)),
    )


def line_write_off(line: PspLine, at: datetime) -> list[Journal]:
    """What a line has moved at the PSP is nobody's sale: a gain, or a loss below zero, of whose account it is."""
    lines = write_off_lines(-line.net_minor, Account.PSP_CLEARING)
    return of_house(line.house_id, "write_off", line.name, line.currency, at, lines)


def bank_line_write_off(line: OpenBankLine, at: datetime) -> list[Journal]:
    """What came to the bank and is nobody's: a gain, or a loss below zero; suspense is free of it."""
    correlation_id = name(ids.BANK_LINE, line.id, line.undone)
    lines = write_off_lines(-line.amount_minor, Account.SUSPENSE)
    write_off = of_house(OPERATOR, "write_off", correlation_id, line.currency, at, lines)
    if line.in_suspense:
        return write_off
    kind = "suspense_in" if line.amount_minor >= 0 else "suspense_out"
    lines = suspense_lines(line.amount_minor, Account.CASH)
    return [*of_house(OPERATOR, kind, correlation_id, line.currency, at, lines), *write_off]


def payout_write_off(payout_id: UUID, undone: int, currency: str, rest_minor: int, at: datetime) -> list[Journal]:
    """What of a deposit its lines do not explain and never will."""
    correlation_id = name(ids.PAYOUT_AT_PSP, payout_id, undone)
    lines = write_off_lines(-rest_minor, Account.SUSPENSE)
    return of_house(OPERATOR, "write_off", correlation_id, currency, at, lines)


def deposit_write_off(line_id: UUID, undone: int, currency: str, less_minor: int, at: datetime) -> list[Journal]:
    """What of payouts did not come with the bank lines that they are: a bank has kept it."""
    lines = write_off_lines(less_minor, Account.CASH)
    return of_house(OPERATOR, "write_off", name(ids.BANK_LINE, line_id, undone), currency, at, lines)
