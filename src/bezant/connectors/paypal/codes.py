"""What PayPal's transaction event codes (T-codes) say has happened to the balance.

A code is `T`, a group of two digits and a type of two (https://developer.paypal.com/reports/reference/t-codes). Where
a type is not in the table the group decides, as PayPal has it: "sufficient for reconciliation". What is neither a
payment of a customer nor what becomes of one is an adjustment: conversions come as pairs of them, one per currency, and
holds and reserves go and come back.
"""

from collections.abc import Mapping
from typing import Final

from bezant.psp.reports import LineKind

CREDIT: Final = "CR"
DEBIT: Final = "DR"

GROUPS: Final[Mapping[str, str]] = {
    "T00": "payment",
    "T01": "fee",
    "T02": "currency conversion",
    "T03": "deposit from a bank",
    "T04": "withdrawal to a bank",
    "T05": "debit card",
    "T06": "credit card withdrawal",
    "T07": "credit card deposit",
    "T08": "bonus",
    "T09": "incentive",
    "T10": "bill payment",
    "T11": "reversal",
    "T12": "adjustment",
    "T13": "authorization",
    "T14": "dividend",
    "T15": "hold",
    "T16": "buyer credit deposit",
    "T17": "withdrawal to no bank",
    "T18": "buyer credit withdrawal",
    "T19": "account correction",
    "T20": "transfer to another account",
    "T21": "reserve",
    "T22": "transfer",
    "T30": "generic instrument",
    "T50": "collection or disbursement",
    "T97": "payable or receivable",
    "T98": "display only",
    "T99": "other",
}

STILL: Final = frozenset({"T13", "T98"})
"""Groups that move no balance."""

CODES: Final[Mapping[tuple[str, str], LineKind]] = {
    ("T1107", DEBIT): LineKind.REFUND,
    ("T1106", DEBIT): LineKind.DISPUTE,  # a payment that PayPal reversed: the end of a bank's or a buyer's complaint
    ("T1201", DEBIT): LineKind.DISPUTE,
    ("T1207", DEBIT): LineKind.DISPUTE,  # the representment was rejected
    ("T1202", CREDIT): LineKind.DISPUTE_REVERSED,
    ("T1205", CREDIT): LineKind.DISPUTE_REVERSED,  # PayPal bears the chargeback
    ("T1208", CREDIT): LineKind.DISPUTE_REVERSED,
    ("T1108", CREDIT): LineKind.FEE,
    ("T1108", DEBIT): LineKind.FEE,
    ("T1109", CREDIT): LineKind.FEE,
    ("T1109", DEBIT): LineKind.FEE,
    ("T1101", CREDIT): LineKind.PAYOUT_FAILED,  # a withdrawal to a bank account was reversed
}

_OF_GROUPS: Final[Mapping[tuple[str, str], LineKind]] = {
    ("T00", CREDIT): LineKind.CHARGE,  # a debit is a payment that we sent
    ("T01", CREDIT): LineKind.FEE,
    ("T01", DEBIT): LineKind.FEE,
    ("T04", DEBIT): LineKind.PAYOUT,
    ("T04", CREDIT): LineKind.PAYOUT_FAILED,
}


def kind_of(code: str, side: str) -> LineKind:
    """What a code on this side (CR, DR) says."""
    return CODES.get((code, side)) or _OF_GROUPS.get((code[:3], side), LineKind.ADJUSTMENT)


def shown(code: str) -> str:
    """A code for people."""
    return f"{code} {GROUPS.get(code[:3], 'of a group that is not known here')}"
