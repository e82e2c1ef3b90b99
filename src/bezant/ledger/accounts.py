"""The chart of accounts, per merchant and currency."""

from enum import StrEnum
from typing import Final


class Side(StrEnum):
    """On which side an account grows."""

    DEBIT = "debit"
    CREDIT = "credit"


class Account(StrEnum):
    """Account codes as they stand in ledger_entries."""

    CUSTOMER_FUNDS_IN_TRANSIT = "customer_funds_in_transit"
    PSP_CLEARING = "psp_clearing"
    DISPUTED_FUNDS_AT_PSP = "disputed_funds_at_psp"
    CASH = "cash"
    MERCHANT_PAYABLE = "merchant_payable"
    DISPUTED_FUNDS_HELD = "disputed_funds_held"
    PAYOUTS_IN_TRANSIT = "payouts_in_transit"
    TRANSFERS_BETWEEN_MERCHANTS = "transfers_between_merchants"
    PLATFORM_FEE_REVENUE = "platform_fee_revenue"
    PSP_FEE_EXPENSE = "psp_fee_expense"
    DISPUTE_FEE_EXPENSE = "dispute_fee_expense"
    BANK_FEE_EXPENSE = "bank_fee_expense"
    DISPUTE_LOSS_EXPENSE = "dispute_loss_expense"
    WRITE_OFF_EXPENSE = "write_off_expense"
    FX_POSITION = "fx_position"
    SUSPENSE = "suspense"


TYPES: Final[dict[Account, str]] = {
    Account.CUSTOMER_FUNDS_IN_TRANSIT: "asset",
    Account.PSP_CLEARING: "asset",
    Account.DISPUTED_FUNDS_AT_PSP: "asset",
    Account.CASH: "asset",
    Account.MERCHANT_PAYABLE: "liability",
    Account.DISPUTED_FUNDS_HELD: "liability",
    Account.PAYOUTS_IN_TRANSIT: "liability",
    Account.TRANSFERS_BETWEEN_MERCHANTS: "liability",
    Account.PLATFORM_FEE_REVENUE: "revenue",
    Account.PSP_FEE_EXPENSE: "expense",
    Account.DISPUTE_FEE_EXPENSE: "expense",
    Account.BANK_FEE_EXPENSE: "expense",
    Account.DISPUTE_LOSS_EXPENSE: "expense",
    Account.WRITE_OFF_EXPENSE: "expense",
    Account.FX_POSITION: "asset",
    Account.SUSPENSE: "liability",
}

TRANSIT: Final[frozenset[Account]] = frozenset(
    {
        Account.CUSTOMER_FUNDS_IN_TRANSIT,
        Account.PSP_CLEARING,
        Account.DISPUTED_FUNDS_AT_PSP,
        Account.PAYOUTS_IN_TRANSIT,
        Account.TRANSFERS_BETWEEN_MERCHANTS,
        Account.SUSPENSE,
    }
)
"""Accounts that are zero when reality agrees with the books."""


def normal_side(account: Account) -> Side:
    """Assets and expenses grow by debits, liabilities and revenue by credits."""
    return Side.DEBIT if TYPES[account] in ("asset", "expense") else Side.CREDIT


def balance_minor(account: Account, debit_minor: int, credit_minor: int) -> int:
    """The balance in minor units, positive on the account's normal side."""
    difference = debit_minor - credit_minor
    return difference if normal_side(account) is Side.DEBIT else -difference
