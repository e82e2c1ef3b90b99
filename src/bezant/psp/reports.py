"""What a PSP reports of money: the lines of its settlement files, and how a connector reads them.

A connector's `reports.py` holds a reader per format: a generator over the file's bytes that does no I/O, keeps only
what it is reading, and says what is wrong with a line without stopping. Amounts are signed as the PSP's balance moves:
a charge adds, a refund, a dispute and a payout take.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from bezant.base.file_faults import BadLine
from bezant.psp.contract import PspRequest, Send


class LineKind(StrEnum):
    """What a line says has happened to the balance at the PSP.

    REFUND_FAILED and DISPUTE_REVERSED bring back what a line before took. FEE: not tied to one of our operations.
    PAYOUT: sent to the bank (a balance below zero that is debited there is a payout above zero); PAYOUT_FAILED: it came
    back. ADJUSTMENT: anything else that moves the balance, such as a reserve or a correction.
    """

    CHARGE = "charge"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    DISPUTE_REVERSED = "dispute_reversed"
    FEE = "fee"
    PAYOUT = "payout"
    PAYOUT_FAILED = "payout_failed"
    ADJUSTMENT = "adjustment"


class ReportLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One movement of the balance at a PSP, in minor units of the currency that it is settled in.

    `number`: the line of the file that it begins on, from 1. `line_reference`: the PSP's own name of the movement, the
    same in each file that reports it. `net_minor` is `gross_minor - fee_minor`; a fee that is taken is above zero. A
    FEE has no gross, it is fee alone. `presented_*`: what the customer was charged, with the sign of `gross_minor`,
    where the file says so and it is in another currency. `reference`: ours, as the PSP echoes it (an attempt or a
    payment). `psp_reference`: the payment at the PSP. `operation_reference`: the operation at the PSP; of a PAYOUT,
    what the bank writes of it, where the PSP says that. `payout_reference`: the payout that carries the line.
    """

    number: int
    line_reference: str
    kind: LineKind
    currency: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    occurred_at: datetime
    presented_minor: int | None = None
    presented_currency: str | None = None
    reference: str | None = None
    psp_reference: str | None = None
    operation_reference: str | None = None
    payout_reference: str | None = None
    description: str | None = None


Reader = Callable[[Iterable[bytes]], Iterator[ReportLine | BadLine]]
"""The lines of a file that comes in pieces of any size.

Raises `base.file_faults.FileRefused`, for totals only once it has read all.
"""


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a PSP has ready. `name`: the same whenever it is offered; `request`: how it is fetched.

    `source`: a PSP that is the bank as well offers statements. `format`: None where its bytes say it.
    """

    name: str
    source: Literal["psp", "bank"]
    request: PspRequest
    format: str | None = None


Pull = Callable[[Send], Awaitable[Sequence[Offered]]]
"""What a PSP has ready: an ordinary function over an injected `send`, which moves no money."""


class Reports(msgspec.Struct, frozen=True, kw_only=True):
    """The formats that a PSP's reports come in, by name."""

    formats: Mapping[str, Reader]
    recognise: Callable[[bytes], str | None]
    """Which of them a file is of, by its first 4 KiB; None where it is of none."""
    draws_balance: bool = False
    """No line names the payout that carries it: payouts are drawn from a balance."""
