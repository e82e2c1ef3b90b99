"""What a bank statement says, in the same words whatever its format."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Protocol

import msgspec

from bezant.base.file_faults import BadLine
from bezant.base.money import EXPONENTS


class EntryKind(StrEnum):
    """What an entry is, as far as the bank says. TRANSFER: money that came or went."""

    TRANSFER = "transfer"
    FEE = "fee"
    INTEREST = "interest"
    RETURN = "return"


class StatementHead(msgspec.Struct, frozen=True, kw_only=True):
    """A statement begins. `account`: as the bank writes it, without blanks (an IBAN or its own number).

    Balances are signed minor units, None where the statement has none. `is_final`: false for a report within the day
    and for a notice of single entries (camt.052, camt.054, MT942), whose entries come again in the day's statement.
    """

    account: str
    currency: str | None
    statement_reference: str | None = None
    sequence: str | None = None
    opening_minor: int | None = None
    opened_on: date | None = None
    is_final: bool = True


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A booked movement of the account, in minor units: above zero came, below zero went.

    `number`: the line of the file (of XML: the entry), from 1. `entry_reference`: the bank's own name of it, where it
    gives one. `references`: every other name in it (end-to-end id, instruction id, UETR, customer reference), in a
    fixed order. `text`: what the counterparty wrote, in one line. `original_*`: before the bank changed the currency.
    """

    number: int
    amount_minor: int
    currency: str
    booked_on: date
    value_on: date | None = None
    kind: EntryKind = EntryKind.TRANSFER
    is_reversal: bool = False
    entry_reference: str | None = None
    references: tuple[str, ...] = ()
    text: str = ""
    counterparty: str | None = None
    counterparty_account: str | None = None
    original_minor: int | None = None
    original_currency: str | None = None


class StatementFoot(msgspec.Struct, frozen=True, kw_only=True):
    """A statement ends; its totals have been checked by the reader."""

    closing_minor: int | None = None
    closed_on: date | None = None
    entries: int = 0
    skipped: int = 0
    """Entries that are not booked yet: they come again."""


Part = StatementHead | StatementEntry | BadLine | StatementFoot


class Reader(Protocol):
    """The statements of a file that comes in pieces of any size: head, entries, foot, and so on.

    Raises `base.file_faults.FileRefused`, for totals only once it has read a statement. Without `check_totals` a file
    is read even where its totals do not add up. `exponents`: the decimals of each currency that is in use.
    """

    def __call__(
        self, pieces: Iterable[bytes], *, check_totals: bool = True, exponents: Mapping[str, int] = EXPONENTS
    ) -> Iterator[Part]: ...


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A format of bank statements. `recognise`: whether a file is of it, by its first 4 KiB."""

    name: str
    read: Reader
    recognise: Callable[[bytes], bool]
