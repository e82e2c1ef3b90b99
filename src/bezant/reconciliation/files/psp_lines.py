"""Lines of a PSP's report on their way into the database: each once, payouts with the file's end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.card_data import redact_card_data
from bezant.base.db import Row, Transaction
from bezant.base.file_faults import BadLine, FileRefused
from bezant.psp.reports import LineKind, ReportLine
from bezant.reconciliation.files import store
from bezant.reconciliation.files.counts import Counts
from bezant.reconciliation.files.faults import AMOUNT_MAX, quarantined, text_fault
from bezant.reconciliation.files.states import Quarantined

PAYOUTS_MAX: Final = 100_000
"""They are kept in memory until the file has been read."""

_MONEY: Final = ("kind", "currency", "gross_minor", "fee_minor", "net_minor")
_NAMES: Final = ("presented_minor", "presented_currency", "reference", "psp_reference", "operation_reference")


class Payout(msgspec.Struct):
    """A payout as a file tells of it. Without its own line nothing but its name and currency is known."""

    id: UUID
    reference: str
    currency: str
    amount_minor: int | None = None
    paid_at: datetime | None = None


class Batch(msgspec.Struct, frozen=True):
    """Lines as they are written, and what could not be read or kept."""

    lines: Sequence[ReportLine]
    line_ids: list[UUID]
    payout_ids: list[UUID | None]
    columns: list[list[object]]
    bad: Sequence[Quarantined]


class PspLines:
    """Writes the lines of one file."""

    def __init__(self, file_id: UUID, psp: str, account_id: UUID | None) -> None:
        self.counts = Counts()
        self._file_id = file_id
        self._psp = psp
        self._account_id = account_id
        self._account = "" if account_id is None else account_id.hex
        self._payouts: dict[str, Payout] = {}
        self._sums: dict[str, list[int]] = {}
        self.late_payouts = 0

    def prepare(self, found: Sequence[ReportLine | BadLine]) -> Batch:
        """All of a batch that needs no database. Raises FileRefused."""
        bad, lines = _sorted_out(found)
        line_ids = [self._id(line) for line in lines]
        payout_ids = [self._payout(line) for line in lines]
        return Batch(lines, line_ids, payout_ids, _columns(line_ids, lines, payout_ids), bad)

    async def write(self, transaction: Transaction, batch: Batch) -> None:
        """Write what is new of a batch, and put aside what cannot be. Raises FileRefused."""
        lines = batch.lines
        added = await store.add_lines(transaction, self._file_id, self._psp, self._account_id, batch.columns)
        contradicting: list[Quarantined] = []
        if added < len(lines):
            contradicting = await self._compare(transaction, batch)
        bad = [*batch.bad, *contradicting]
        self._count(lines)
        self.counts.add(len(lines), bad, len(contradicting))
        if bad:
            await store.quarantine(transaction, self._file_id, bad)

    async def write_late_payouts(self, transaction: Transaction, batch: Batch) -> None:
        """Say of lines that another file has brought which payout carries them. For a second reading."""
        named = [
            (line_id, payout_id)
            for line_id, payout_id in zip(batch.line_ids, batch.payout_ids, strict=True)
            if payout_id is not None
        ]
        await store.name_payouts(transaction, self._file_id, named)

    async def finish(self, transaction: Transaction) -> None:
        """Write the payouts, in the transaction with which the file counts."""
        payouts = [(p.id, p.reference, p.currency, p.amount_minor, p.paid_at) for p in self._payouts.values()]
        await store.add_payouts(transaction, self._psp, self._account_id, payouts)

    def summary(self) -> dict[str, object]:
        """What people are shown of it: the lines by currency, and how many payouts."""
        names = ("lines", "gross_minor", "fee_minor", "net_minor")
        sums = {currency: dict(zip(names, each, strict=True)) for currency, each in sorted(self._sums.items())}
        return {"payouts": len(self._payouts), "by_currency": sums}

    def _id(self, line: ReportLine) -> UUID:
        return ids.dated(line.occurred_at, "line", self._psp, self._account, line.line_reference)

    def _payout(self, line: ReportLine) -> UUID | None:
        """The payout that carries a line, or is it."""
        is_payout = line.kind is LineKind.PAYOUT
        reference = line.payout_reference or (line.line_reference if is_payout else None)
        if reference is None:
            return None
        payout = self._payouts.get(reference)
        if payout is None:
            if len(self._payouts) >= PAYOUTS_MAX:
                raise FileRefused(f"it names more than {PAYOUTS_MAX:,} payouts", line=line.number)
            payout_id = ids.digest_id("payout", self._psp, self._account, reference)
            payout = self._payouts[reference] = Payout(payout_id, reference, line.currency)
        if is_payout and payout.amount_minor is None:
            payout.currency, payout.amount_minor, payout.paid_at = line.currency, -line.gross_minor, line.occurred_at
        return payout.id

    async def _compare(self, transaction: Transaction, batch: Batch) -> list[Quarantined]:
        """What of these lines is there from elsewhere with other content; the rest of that is repeated."""
        bad: list[Quarantined] = []
        numbers = [line.number for line in batch.lines]
        for row in await store.lines_there(transaction, self._file_id, batch.line_ids, numbers):
            at: int = row[0] - 1
            line, payout_id = batch.lines[at], batch.payout_ids[at]
            field = _contradicted(line, payout_id, row)
            if field is None:
                self.counts.repeated += 1
                self.late_payouts += payout_id is not None and row[14] is None
                continue
            whose = "of this file" if row[1] == self._file_id else f"of file {row[3]}"
            shown = f"{line.line_reference} {line.kind} {line.currency} {line.gross_minor} {line.fee_minor}"
            reason = f"contradicts line {row[2]} {whose}"
            bad.append(quarantined(BadLine(number=line.number, reason=reason, text=shown, field=field)))
        return bad

    def _count(self, lines: Sequence[ReportLine]) -> None:
        sums = self._sums
        for line in lines:
            of_currency = sums.get(line.currency)
            if of_currency is None:
                of_currency = sums[line.currency] = [0, 0, 0, 0]
            of_currency[0] += 1
            of_currency[1] += line.gross_minor
            of_currency[2] += line.fee_minor
            of_currency[3] += line.net_minor


def _sorted_out(batch: Sequence[ReportLine | BadLine]) -> tuple[list[Quarantined], list[ReportLine]]:
    """What is at fault in a batch, and the lines."""
    bad: list[Quarantined] = []
    lines: list[ReportLine] = []
    for line in batch:
        if isinstance(line, BadLine):
            bad.append(quarantined(line))
        elif (fault := _fault(line)) is not None:
            reason, field = fault
            text = f"{line.line_reference} {line.kind} {line.currency} {line.gross_minor}"
            bad.append(quarantined(BadLine(number=line.number, reason=reason, text=text, field=field)))
        else:
            lines.append(line)
    return bad, lines


def _fault(line: ReportLine) -> tuple[str, str] | None:
    """Why a line cannot be kept, and the field; None where it can."""
    if line.net_minor != line.gross_minor - line.fee_minor:
        return "its net is not its gross less its fee", "net_minor"
    if (
        not -AMOUNT_MAX <= line.gross_minor <= AMOUNT_MAX
        or not -AMOUNT_MAX <= line.fee_minor <= AMOUNT_MAX
        or not -AMOUNT_MAX <= (line.presented_minor or 0) <= AMOUNT_MAX
    ):
        return "the amount is too large", "gross_minor"
    if line.occurred_at.tzinfo is None or not 1990 <= line.occurred_at.year <= 2200:
        return "it is of no time", "occurred_at"
    if not line.line_reference:
        return "it has no name", "line_reference"
    if text_fault(
        (
            line.line_reference, line.currency, line.presented_currency, line.reference, line.psp_reference,
            line.operation_reference, line.payout_reference, line.description,
        )
    ):  # fmt: skip
        return "it holds characters that are none", "line"
    return None


def _contradicted(line: ReportLine, payout_id: UUID | None, row: Row) -> str | None:
    """The first field in which a line says something else than the one that is there; None where they agree.

    What only one of them says is no contradiction: another kind of report may say more, and a later one the payout.
    """
    there = dict(zip((*_MONEY, *_NAMES, "payout_id"), row[4:], strict=True))
    here: dict[str, object] = {name: getattr(line, name) for name in (*_MONEY, *_NAMES)}
    here["payout_id"] = payout_id
    for field in _MONEY:
        if here[field] != there[field]:
            return field
    for field in (*_NAMES, "payout_id"):
        if None not in (here[field], there[field]) and here[field] != there[field]:
            return field
    return None


def _columns(line_ids: list[UUID], lines: Sequence[ReportLine], payout_ids: list[UUID | None]) -> list[list[object]]:
    """The columns of lines, in the order of the statement that adds them."""
    return [
        line_ids,
        [line.number for line in lines],
        [line.line_reference for line in lines],
        [line.kind for line in lines],
        [line.currency for line in lines],
        [line.gross_minor for line in lines],
        [line.fee_minor for line in lines],
        [line.net_minor for line in lines],
        [line.presented_minor for line in lines],
        [line.presented_currency for line in lines],
        [line.reference for line in lines],
        [line.psp_reference for line in lines],
        [line.operation_reference for line in lines],
        payout_ids,
        [line.occurred_at for line in lines],
        [line.description and redact_card_data(line.description) for line in lines],
    ]  # type: ignore[return-value]
