"""Entries of bank statements on their way into the database: each once, however many statements report it."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Final
from uuid import UUID

import msgspec

from bezant.banks.contract import Part, StatementEntry, StatementFoot, StatementHead
from bezant.base import ids
from bezant.base.card_data import redact_card_data
from bezant.base.db import Transaction
from bezant.base.file_faults import BadLine, FileRefused
from bezant.reconciliation.files import store
from bezant.reconciliation.files.counts import Counts
from bezant.reconciliation.files.faults import AMOUNT_MAX, quarantined, text_fault
from bezant.reconciliation.files.states import Quarantined

ENTRIES_MAX: Final = 2_000_000
"""What sets equal entries of one statement apart is kept in memory until it ends."""

_STATEMENTS_SHOWN_MAX: Final = 100
_SEPARATOR: Final = "\x1f"


class BankAccount(msgspec.Struct, frozen=True):
    """An account of ours at a bank. `currency`: None where it has several.

    `counts_final`: entries of the statements of whole days count, else those of interim ones; never both, because the
    two may call one entry by different names.
    """

    id: UUID
    name: str
    currency: str | None
    is_closed: bool
    counts_final: bool = True


class Statement(msgspec.Struct):
    """A statement as far as it has been read."""

    account: BankAccount
    counts: bool
    shown: dict[str, object]
    equal: dict[int, int]
    """By a digest of what an entry says: how many of them there were so far."""


class Batch(msgspec.Struct, frozen=True):
    """Entries as they are written, and what could not be read or kept."""

    entries: Sequence[StatementEntry]
    line_ids: Sequence[UUID]
    columns: list[Sequence[object]]
    bad: Sequence[Quarantined]


class BankLines:
    """Writes the lines of one file. `accounts`: ours, by how the bank names them."""

    def __init__(self, file_id: UUID, accounts: Mapping[str, BankAccount]) -> None:
        self.counts = Counts()
        self.late_payouts = 0
        self._file_id = file_id
        self._accounts = accounts
        self._statement: Statement | None = None
        self._shown: list[dict[str, object]] = []
        self._statements = 0
        self._not_counted = 0

    def prepare(self, found: Sequence[Part]) -> Batch:
        """All of a batch that needs no database. Raises FileRefused."""
        bad: list[Quarantined] = []
        line_ids: list[UUID] = []
        account_ids: list[UUID] = []
        entries: list[StatementEntry] = []
        for part in found:
            if isinstance(part, StatementEntry):
                statement = self._of(part.number)
                if not statement.counts:
                    self._not_counted += 1
                    continue
                if (fault := _fault(part, statement.account)) is not None:
                    bad.append(_put_aside(part, *fault))
                    continue
                line_ids.append(_id(part, statement))
                account_ids.append(statement.account.id)
                entries.append(part)
            elif isinstance(part, BadLine):
                if self._statement is None or self._statement.counts:
                    bad.append(quarantined(part))
            elif isinstance(part, StatementHead):
                self._begin(part)
            else:
                self._end(part)
        return Batch(entries, line_ids, _columns(line_ids, account_ids, entries), bad)

    async def write(self, transaction: Transaction, batch: Batch) -> None:
        """Write what is new of a batch, and put aside what cannot be. Raises FileRefused."""
        contradicting = await self._add(transaction, batch)
        bad = [*batch.bad, *contradicting]
        self.counts.add(len(batch.entries), bad, len(contradicting))
        if bad:
            await store.quarantine(transaction, self._file_id, bad)

    async def write_late_payouts(self, transaction: Transaction, batch: Batch) -> None:
        """A bank's lines name no payouts that could come late."""

    async def finish(self, transaction: Transaction) -> None:
        """Nothing counts but the lines."""

    def summary(self) -> dict[str, object]:
        """What people are shown of it: the first statements with their balances, and how much does not count."""
        return {"statements": self._statements, "not_counted": self._not_counted, "first": self._shown}

    async def _add(self, transaction: Transaction, batch: Batch) -> list[Quarantined]:
        """Write what is not there yet; what of the rest is there with other content."""
        entries = batch.entries
        if not entries:
            return []
        added = await store.add_bank_lines(transaction, self._file_id, batch.columns)
        bad: list[Quarantined] = []
        if added == len(entries):
            return bad
        numbers = [entry.number for entry in entries]
        for row in await store.bank_lines_there(transaction, self._file_id, batch.line_ids, numbers):
            at: int = row[0] - 1
            entry = entries[at]
            if (entry.currency, entry.amount_minor) == (row[4], row[5]):
                self.counts.repeated += 1
                continue
            whose = "of this file" if row[1] == self._file_id else f"of file {row[3]}"
            bad.append(_put_aside(entry, f"contradicts line {row[2]} {whose}", "amount_minor"))
        return bad

    def _of(self, number: int) -> Statement:
        if self._statement is None:
            raise FileRefused("an entry stands outside of a statement", line=number)
        return self._statement

    def _begin(self, head: StatementHead) -> None:
        account = self._accounts.get(normalised(head.account))
        if account is None:
            raise FileRefused(f"unknown account {_shown(head.account)}: add it first", field="account")
        if account.is_closed:
            raise FileRefused(f"the account {account.name} ({_shown(head.account)}) is closed", field="account")
        if None not in (account.currency, head.currency) and account.currency != head.currency:
            raise FileRefused(
                f"the statement is in {head.currency}, the account {account.name} in {account.currency}",
                field="currency",
            )
        shown: dict[str, object] = {
            "account": account.name,
            "currency": head.currency or account.currency,
            "reference": head.statement_reference,
            "is_final": head.is_final,
            "opening_minor": head.opening_minor,
        }
        self._statement = Statement(account, head.is_final == account.counts_final, shown, {})
        self._statements += 1
        if len(self._shown) < _STATEMENTS_SHOWN_MAX:
            self._shown.append(shown)

    def _end(self, foot: StatementFoot) -> None:
        if self._statement is not None:
            self._statement.shown |= {
                "closing_minor": foot.closing_minor, "entries": foot.entries, "not_booked": foot.skipped
            }  # fmt: skip
        self._statement = None


def normalised(account: str) -> str:
    """An account's name at the bank as it is compared: without blanks, in capitals."""
    return "".join(account.split()).upper()


def _shown(account: str) -> str:
    """What a file calls an account, as far as that can be shown."""
    return redact_card_data("".join(filter(str.isprintable, normalised(account)))[:64]) or "without a name"


def _id(entry: StatementEntry, statement: Statement) -> UUID:
    """The one id of what an entry says, whichever statement says it.

    By the bank's own name of it, where it has one; the amount counts in, because banks give one name to a payment and
    its fee. Equal ones in a statement are counted.
    """
    if entry.entry_reference:
        named: tuple[str, ...] = (entry.entry_reference,)
    else:
        value_on = "" if entry.value_on is None else entry.value_on.isoformat()
        named = ("", value_on, *entry.references, entry.text, entry.counterparty or "")
    said = (
        statement.account.id.hex,
        entry.booked_on.isoformat(),
        str(entry.amount_minor),
        entry.currency,
        "reversal" if entry.is_reversal else "",
        *named,
    )
    key = int.from_bytes(hashlib.sha256(_SEPARATOR.join(said).encode()).digest()[:7])
    if len(statement.equal) >= ENTRIES_MAX:
        raise FileRefused(f"a statement of more than {ENTRIES_MAX:,} entries: ask the bank for shorter ones")
    before = statement.equal.get(key, 0)
    statement.equal[key] = before + 1
    booked_at = datetime.combine(entry.booked_on, time(), UTC)
    return ids.dated(booked_at, "bank_line", *said, str(before))


def _fault(entry: StatementEntry, account: BankAccount) -> tuple[str, str] | None:
    """Why an entry cannot be kept, and the field; None where it can."""
    if account.currency is not None and entry.currency != account.currency:
        return f"it is in {entry.currency}, the account {account.name} in {account.currency}", "currency"
    if (
        not -AMOUNT_MAX <= entry.amount_minor <= AMOUNT_MAX
        or not -AMOUNT_MAX <= (entry.original_minor or 0) <= AMOUNT_MAX
    ):
        return "the amount is too large", "amount"
    if not 1990 <= entry.booked_on.year <= 2200:
        return "it is of no time", "booked_on"
    texts = (entry.currency, entry.entry_reference, entry.text, entry.counterparty, entry.original_currency)
    if text_fault((*texts, *entry.references)):
        return "it holds characters that are none", "line"
    return None


def _put_aside(entry: StatementEntry, reason: str, field: str) -> Quarantined:
    text = f"{entry.booked_on} {entry.currency} {entry.amount_minor} {entry.entry_reference or ''} {entry.text}"
    return quarantined(BadLine(number=entry.number, reason=reason, text=text, field=field))


def _columns(
    line_ids: list[UUID], account_ids: list[UUID], entries: Sequence[StatementEntry]
) -> list[Sequence[object]]:
    """The columns of entries, in the order of the statement that adds them."""
    return [
        line_ids,
        [entry.number for entry in entries],
        account_ids,
        [entry.currency for entry in entries],
        [entry.amount_minor for entry in entries],
        [entry.kind for entry in entries],
        [entry.is_reversal for entry in entries],
        [entry.entry_reference for entry in entries],
        [_SEPARATOR.join(reference.replace(_SEPARATOR, " ") for reference in entry.references) for entry in entries],
        [redact_card_data(entry.text) for entry in entries],
        [entry.counterparty and redact_card_data(entry.counterparty) for entry in entries],
        [entry.original_minor for entry in entries],
        [entry.original_currency for entry in entries],
        [entry.booked_on for entry in entries],
        [entry.value_on for entry in entries],
    ]
