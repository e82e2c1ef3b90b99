"""Facts become balanced lines: the posting table of the ledger, pure.

A negative amount swaps the sides; a line of zero is left out. All amounts are minor units of one currency.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.ledger.accounts import Account


class Line(msgspec.Struct, frozen=True):
    """One side of a journal: exactly one of the two amounts is above zero."""

    account: Account
    debit_minor: int
    credit_minor: int


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """One fact about one merchant's money in one currency.

    Its natural key is (merchant, payment, kind, correlation id); what belongs to no payment is anchored in the
    merchant.
    """

    merchant_id: UUID
    payment_id: UUID | None
    kind: str
    correlation_id: str
    currency: str
    effective_at: datetime
    lines: tuple[Line, ...]

    @property
    def id(self) -> UUID:
        """Derived from the natural key, so that the primary key refuses a second posting of the same fact."""
        return journal_id(self.merchant_id, self.payment_id or self.merchant_id, self.kind, self.correlation_id)


def journal_id(merchant_id: UUID, anchor: UUID, kind: str, correlation_id: str) -> UUID:
    """The one id of a fact about a payment, or else about the merchant: `anchor`."""
    return ids.derived(anchor, merchant_id.hex, anchor.hex, kind, correlation_id)


def capture_lines(gross_minor: int, fee_minor: int) -> tuple[Line, ...]:
    """`capture` of G with platform fee F: the merchant is owed G - F."""
    return _lines(
        (Account.CUSTOMER_FUNDS_IN_TRANSIT, gross_minor),
        (Account.MERCHANT_PAYABLE, -(gross_minor - fee_minor)),
        (Account.PLATFORM_FEE_REVENUE, -fee_minor),
    )


def refund_lines(amount_minor: int) -> tuple[Line, ...]:
    """`refund` of R: the merchant is owed R less."""
    return _lines((Account.MERCHANT_PAYABLE, amount_minor), (Account.CUSTOMER_FUNDS_IN_TRANSIT, -amount_minor))


def refund_failed_lines(amount_minor: int) -> tuple[Line, ...]:
    """`refund_failed` of R: the reverse of `refund`."""
    return refund_lines(-amount_minor)


def settlement_lines(gross_minor: int, fee_minor: int) -> tuple[Line, ...]:
    """`psp_settlement` of gross G with PSP fee P: a capture is reported, G - P is at the PSP."""
    return _lines(
        (Account.PSP_CLEARING, gross_minor - fee_minor),
        (Account.PSP_FEE_EXPENSE, fee_minor),
        (Account.CUSTOMER_FUNDS_IN_TRANSIT, -gross_minor),
    )


def refund_settlement_lines(amount_minor: int) -> tuple[Line, ...]:
    """`psp_settlement_refund` of R: a refund is reported."""
    return _lines((Account.CUSTOMER_FUNDS_IN_TRANSIT, amount_minor), (Account.PSP_CLEARING, -amount_minor))


def dispute_settlement_lines(amount_minor: int) -> tuple[Line, ...]:
    """`psp_settlement_dispute` of D: the PSP has taken it from the balance."""
    return _lines((Account.DISPUTED_FUNDS_AT_PSP, amount_minor), (Account.PSP_CLEARING, -amount_minor))


def dispute_opened_lines(amount_minor: int) -> tuple[Line, ...]:
    """`dispute_opened` of D: the merchant is owed D less while it is held; of -D: `dispute_won`."""
    return _lines((Account.MERCHANT_PAYABLE, amount_minor), (Account.DISPUTED_FUNDS_HELD, -amount_minor))


def dispute_lost_lines(amount_minor: int) -> tuple[Line, ...]:
    """`dispute_lost` of D: what was held is gone; of -D: `dispute_lost_reversed`, since it was won all the same."""
    return _lines((Account.DISPUTED_FUNDS_HELD, amount_minor), (Account.DISPUTED_FUNDS_AT_PSP, -amount_minor))


def dispute_loss_absorbed_lines(amount_minor: int) -> tuple[Line, ...]:
    """`dispute_loss_absorbed` of D: the platform bears it; of -D: `dispute_loss_absorbed_reversed`."""
    return _lines((Account.DISPUTE_LOSS_EXPENSE, amount_minor), (Account.MERCHANT_PAYABLE, -amount_minor))


def dispute_fee_charged_lines(amount_minor: int) -> tuple[Line, ...]:
    """`dispute_fee_charged` of P: the merchant bears the PSP's fee."""
    return _lines((Account.MERCHANT_PAYABLE, amount_minor), (Account.DISPUTE_FEE_EXPENSE, -amount_minor))


def psp_fee_lines(amount_minor: int, expense: Account = Account.PSP_FEE_EXPENSE) -> tuple[Line, ...]:
    """`psp_fee` of P that is not tied to a capture, or of a dispute."""
    return _lines((expense, amount_minor), (Account.PSP_CLEARING, -amount_minor))


def fx_out_lines(amount_minor: int, transit: Account = Account.CUSTOMER_FUNDS_IN_TRANSIT) -> tuple[Line, ...]:
    """`fx_out` of G: it is reported in another currency."""
    return _lines((Account.FX_POSITION, amount_minor), (transit, -amount_minor))


def fx_in_lines(amount_minor: int, transit: Account = Account.PSP_CLEARING) -> tuple[Line, ...]:
    """`fx_in` of H: what G has become."""
    return _lines((transit, amount_minor), (Account.FX_POSITION, -amount_minor))


def bank_deposit_lines(amount_minor: int) -> tuple[Line, ...]:
    """`bank_deposit` of N, or `bank_debit` of -N."""
    return _lines((Account.CASH, amount_minor), (Account.PSP_CLEARING, -amount_minor))


def bank_fee_lines(amount_minor: int) -> tuple[Line, ...]:
    """`bank_fee` of N."""
    return _lines((Account.BANK_FEE_EXPENSE, amount_minor), (Account.CASH, -amount_minor))


def suspense_lines(amount_minor: int, account: Account) -> tuple[Line, ...]:
    """`suspense_in` of N that is in `account` and not explained; of -N: `suspense_out`."""
    return _lines((account, amount_minor), (Account.SUSPENSE, -amount_minor))


def write_off_lines(amount_minor: int, account: Account) -> tuple[Line, ...]:
    """`write_off` of N that `account` holds and that will never come."""
    return _lines((Account.WRITE_OFF_EXPENSE, amount_minor), (account, -amount_minor))


def platform_fee_minor(captured_minor: int, basis_points: int, fixed_minor: int) -> int:
    """The platform's fee on all that was captured so far: half-up, never above the amount, nothing of nothing."""
    if captured_minor == 0:
        return 0
    proportional_minor = (captured_minor * basis_points + 5_000) // 10_000
    return min(captured_minor, proportional_minor + fixed_minor)


def _lines(*signed: tuple[Account, int]) -> tuple[Line, ...]:
    return tuple(_line(account, amount_minor) for account, amount_minor in signed if amount_minor)


def _line(account: Account, amount_minor: int) -> Line:
    return Line(account, amount_minor, 0) if amount_minor > 0 else Line(account, 0, -amount_minor)


def net_by_account(journals: Iterable[Journal]) -> dict[tuple[UUID, str, str], tuple[int, int]]:
    """Debits and credits to add per (merchant, currency, account), in key order: two processes cannot deadlock."""
    sums: dict[tuple[UUID, str, str], tuple[int, int]] = {}
    for journal in journals:
        for line in journal.lines:
            key = (journal.merchant_id, journal.currency, line.account.value)
            debit_minor, credit_minor = sums.get(key, (0, 0))
            sums[key] = (debit_minor + line.debit_minor, credit_minor + line.credit_minor)
    return dict(sorted(sums.items()))
