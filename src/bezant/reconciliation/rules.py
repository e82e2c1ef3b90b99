"""What an explained line posts, and whose it is. Pure.

A line posts in the book of the merchant whose operation it reports. A deposit is booked whole in the operator's book as
money that is not explained yet; each explained line of its payout then takes its net out of there, into its own book.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.ledger.accounts import Account
from bezant.ledger.rules import (
    Journal,
    Line,
    bank_deposit_lines,
    dispute_settlement_lines,
    fx_in_lines,
    fx_out_lines,
    psp_fee_lines,
    refund_settlement_lines,
    settlement_lines,
    suspense_lines,
)

OPERATOR: Final = ids.OPERATOR_MERCHANT
"""The operator's own book."""

_DISPUTES: Final = frozenset({"dispute_opened", "dispute_won"})


class PspLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `psp_lines` with what is needed of its file and payout, in the order of the statement that reads it."""

    id: UUID
    kind: str
    currency: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    presented_minor: int | None
    presented_currency: str | None
    reference: str | None
    psp_reference: str | None
    operation_reference: str | None
    payout_id: UUID | None
    occurred_at: datetime
    psp: str
    psp_account_id: UUID | None
    house_id: UUID
    """Whose book takes what is of no operation: the owner's of the PSP account, else the operator's."""
    is_deposited: bool
    """Its payout is at the bank."""
    undone: int
    """How often its explanation was undone."""
    named_payment_id: UUID | None = None
    """The payment of the attempt that it names."""

    @property
    def name(self) -> str:
        """What its postings are correlated with."""
        return name_of_line(self.id, self.undone)


class Operation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `operations_in_transit`, in column order."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    kind: str
    correlation_id: str
    psp: str
    psp_account_id: UUID | None
    psp_reference: str | None
    operation_reference: str | None
    currency: str
    amount_minor: int
    effective_at: datetime


def name_of_line(line_id: UUID, undone: int) -> str:
    """What the postings of a line are correlated with, once its explanation was undone so many times."""
    return again(ids.show(ids.PSP_LINE, line_id), undone)


def again(name: str, undone: int) -> str:
    """A name for what is posted once more, after what was posted before was undone so many times."""
    return f"{name}:{undone}" if undone else name


def postings(line: PspLine, operation: Operation) -> list[Journal]:
    """What a line posts that reports all or a part of an operation, whichever way the money goes."""
    facts: list[tuple[str, str, tuple[Line, ...]]]
    is_dispute, fee_minor = operation.kind in _DISPUTES, line.fee_minor
    fee = psp_fee_lines(fee_minor, Account.DISPUTE_FEE_EXPENSE if is_dispute else Account.PSP_FEE_EXPENSE)
    if line.currency != operation.currency:
        transit = Account.DISPUTED_FUNDS_AT_PSP if is_dispute else Account.CUSTOMER_FUNDS_IN_TRANSIT
        presented_minor = operation.amount_minor if line.presented_minor is None else line.presented_minor
        facts = [
            ("fx_out", operation.currency, fx_out_lines(presented_minor, transit)),
            ("fx_in", line.currency, fx_in_lines(line.gross_minor)),
            ("psp_fee", line.currency, fee),
        ]
    elif is_dispute:
        lines = dispute_settlement_lines(-line.gross_minor)
        facts = [("psp_settlement_dispute", line.currency, lines), ("psp_fee", line.currency, fee)]
    elif operation.kind == "capture":
        facts = [("psp_settlement", line.currency, settlement_lines(line.gross_minor, fee_minor))]
    else:
        lines = refund_settlement_lines(-line.gross_minor)
        facts = [("psp_settlement_refund", line.currency, lines), ("psp_fee", line.currency, fee)]
    return [
        Journal(
            merchant_id=operation.merchant_id,
            payment_id=operation.payment_id,
            kind=kind,
            correlation_id=line.name,
            currency=currency,
            effective_at=line.occurred_at,
            lines=lines,
        )
        for kind, currency, lines in facts
        if lines
    ]


def fee_posting(line: PspLine) -> list[Journal]:
    """What a fee that is tied to no operation posts."""
    return of_house(
        line.house_id, "psp_fee", line.name, line.currency, line.occurred_at, psp_fee_lines(-line.net_minor)
    )


def deposit_postings(name: str, currency: str, amount_minor: int, at: datetime) -> list[Journal]:
    """What a deposit posts before anything of it is shared out: it is at the bank, and nobody's yet."""
    return [
        *of_house(OPERATOR, _deposit_kind(amount_minor), name, currency, at, bank_deposit_lines(amount_minor)),
        *of_house(
            OPERATOR,
            _suspense_kind(amount_minor),
            name,
            currency,
            at,
            suspense_lines(amount_minor, Account.PSP_CLEARING),
        ),
    ]


def share_postings(shares_minor: Mapping[tuple[UUID, str], int], name: str, at: datetime) -> list[Journal]:
    """What explained lines of a deposit move from the operator's book: nets by (merchant, currency).

    `name` is unique among all shares of the deposit.
    """
    journals: list[Journal] = []
    out_minor: dict[str, int] = {}
    for (merchant_id, currency), net_minor in sorted(shares_minor.items()):
        out_minor[currency] = out_minor.get(currency, 0) + net_minor
        if merchant_id != OPERATOR:
            lines = bank_deposit_lines(net_minor)
            journals += of_house(merchant_id, _deposit_kind(net_minor), name, currency, at, lines)
    for currency, net_minor in sorted(out_minor.items()):
        own_minor = shares_minor.get((OPERATOR, currency), 0)
        lines = suspense_lines(-net_minor, Account.PSP_CLEARING)
        journals += of_house(OPERATOR, _suspense_kind(-net_minor), name, currency, at, lines)
        lines = bank_deposit_lines(own_minor - net_minor)
        journals += of_house(OPERATOR, _deposit_kind(own_minor - net_minor), name, currency, at, lines)
    return journals


def reversed_postings(journals: Iterable[Journal]) -> list[Journal]:
    """What takes postings back: the same lines with their sides swapped."""
    return [
        msgspec.structs.replace(
            journal,
            kind=f"{journal.kind}_undone",
            lines=tuple(Line(line.account, line.credit_minor, line.debit_minor) for line in journal.lines),
        )
        for journal in journals
    ]


def captured_minor(operations: Sequence[Operation]) -> dict[tuple[UUID, UUID], int]:
    """What captures among these bring to their payments, by (payment, merchant)."""
    found: dict[tuple[UUID, UUID], int] = {}
    for operation in operations:
        if operation.kind == "capture":
            key = (operation.payment_id, operation.merchant_id)
            found[key] = found.get(key, 0) + operation.amount_minor
    return found


def _deposit_kind(amount_minor: int) -> str:
    return "bank_deposit" if amount_minor >= 0 else "bank_debit"


def _suspense_kind(amount_minor: int) -> str:
    return "suspense_in" if amount_minor >= 0 else "suspense_out"


def of_house(
    merchant_id: UUID, kind: str, name: str, currency: str, at: datetime, lines: tuple[Line, ...]
) -> list[Journal]:
    """A posting of no payment; none where there is nothing to post."""
    if not lines:
        return []
    return [
        Journal(
            merchant_id=merchant_id,
            payment_id=None,
            kind=kind,
            correlation_id=name,
            currency=currency,
            effective_at=at,
            lines=lines,
        )
    ]
