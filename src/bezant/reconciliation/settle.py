"""Writes what is explained: postings, explanations and what becomes of the payments, in the caller's transaction."""

from collections.abc import Mapping, Sequence, Set
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Transaction
from bezant.ledger.post import Fact, Posting, post
from bezant.ledger.rules import Journal, settlement_lines
from bezant.payments.settling import settle
from bezant.reconciliation import store
from bezant.reconciliation.rules import (
    OPERATOR,
    Operation,
    PspLine,
    again,
    captured_minor,
    fee_posting,
    name_of_line,
    postings,
    share_postings,
)
from bezant.reconciliation.store import Explanation, Key


class Matched(msgspec.Struct, frozen=True):
    """Operations of one payment and the lines that explain them; no lines where operations undo each other."""

    rule: str
    operations: tuple[Operation, ...]
    lines: tuple[PspLine, ...]

    @property
    def is_plain(self) -> bool:
        """A capture that one line reports in its own currency: nearly all there is."""
        if len(self.lines) != 1 or len(self.operations) != 1:
            return False
        line, operation = self.lines[0], self.operations[0]
        return operation.kind == "capture" and line.currency == operation.currency

    @property
    def id(self) -> UUID:
        """The name of the match: its first line's, or operation's."""
        return min(each.id for each in (self.lines or self.operations))


async def settle_matches(transaction: Transaction, matches: Sequence[Matched]) -> None:
    """Book what the lines report, and settle the payments whose money is at the bank.

    Raises DataRefused where something of it is explained already.
    """
    plain: dict[tuple[str, str], list[Matched]] = {}
    other: list[Matched] = []
    moved: dict[Key, int] = {}
    shares = Shares()
    for match in matches:
        first = match.operations[0]
        if match.is_plain:
            plain.setdefault((match.rule, first.currency), []).append(match)
        else:
            other.append(match)
        is_deposited = bool(match.lines)
        for line in match.lines:
            shares.add(line, first.merchant_id)
            is_deposited &= line.is_deposited
        if is_deposited:
            for key, amount_minor in captured_minor(match.operations).items():
                moved[key] = moved.get(key, 0) + amount_minor
    if moved:
        await settle(transaction, moved)
    posting = Posting(transaction)
    for (rule, currency), alike in plain.items():
        await _settle_plain(transaction, posting, rule, currency, alike)
    await _settle_other(transaction, posting, other)
    await posting.add(shares.journals(transaction))
    await posting.move_balances()


async def _settle_plain(
    transaction: Transaction, posting: Posting, rule: str, currency: str, matches: Sequence[Matched]
) -> None:
    facts: list[Fact] = []
    pairs: list[tuple[UUID, UUID, UUID]] = []
    for match in matches:
        line, operation = match.lines[0], match.operations[0]
        merchant_id, payment_id = operation.merchant_id, operation.payment_id
        facts.append(Fact(merchant_id, payment_id, line.name, line.occurred_at, line.gross_minor, line.fee_minor))
        pairs.append((line.id, operation.id, merchant_id))
    await store.write_pairs(transaction, rule, pairs)
    await posting.add_facts("psp_settlement", currency, settlement_lines, facts)


async def _settle_other(transaction: Transaction, posting: Posting, matches: Sequence[Matched]) -> None:
    journals: list[Journal] = []
    rows: list[Explanation] = []
    for match in matches:
        first, match_id = match.operations[0], match.id
        for line in match.lines:
            journals += postings(line, first)
            rows.append(Explanation(line.id, "line", match_id, match.rule, first.merchant_id))
        for operation in match.operations:
            rows.append(Explanation(operation.id, "operation", match_id, match.rule, operation.merchant_id))
    await store.write_explained(transaction, rows)
    await posting.add(journals)


async def settle_fees(transaction: Transaction, lines: Sequence[PspLine]) -> None:
    """Book fees that are tied to no operation, in the book of whose PSP account it is."""
    shares = Shares()
    for line in lines:
        shares.add(line, line.house_id)
    await post(transaction, [*(j for line in lines for j in fee_posting(line)), *shares.journals(transaction)])
    await store.write_explained(
        transaction, [Explanation(line.id, "line", line.id, "fee", line.house_id) for line in lines]
    )


async def settle_payout_lines(transaction: Transaction, lines: Sequence[PspLine]) -> None:
    """Payouts post nothing until they are found at the bank, or fail: their lines are explained by themselves."""
    rows = [Explanation(line.id, "line", line.id, "payout", line.house_id) for line in lines]
    await store.write_explained(transaction, rows)


async def share_out(
    transaction: Transaction, payout_id: UUID, after: UUID, limit: int, *, written_off: bool = False
) -> tuple[bool, UUID, Sequence[Journal]]:
    """Share out the next explained lines of a payout whose deposit was found, or that is given up as lost.

    Whether that was all, up to which line, and the postings.
    """
    rows = await store.explained_to_share(transaction.connection, payout_id, after, limit)
    is_all = len(rows) < limit
    shares = Shares(await store.times_undone(transaction.connection, payout_id))
    for line_id, net_minor, currency, merchant_id, _, undone in rows:
        shares.take(payout_id, (line_id, undone), merchant_id, currency, net_minor, written_off=written_off)
    through = rows[-1][0] if rows else after
    await store.shared_through(transaction, payout_id, through, is_all=is_all)
    return is_all, through, await settle_shares(transaction, shares, {row[4] for row in rows})


async def settle_shares(transaction: Transaction, shares: "Shares", matches: Set[UUID]) -> Sequence[Journal]:
    """Post shares of lines that were explained before, and settle the captures that are all at the bank by that."""
    journals = shares.journals(transaction)
    await post(transaction, journals)
    moved = await store.captures_of_matches(transaction.connection, sorted(matches))
    if moved:
        await settle(transaction, moved)
    return journals


class Shares:
    """What lines move out of the operator's book, by payout, in one name each.

    `undone`: how often a deposit that is shared out from its beginning was taken back.
    """

    def __init__(self, undone: int = 0) -> None:
        self._undone = undone
        self._shares: dict[UUID, dict[tuple[UUID, str], int]] = {}
        self._first: dict[UUID, tuple[UUID, int]] = {}
        self._lost: set[UUID] = set()

    def add(self, line: PspLine, merchant_id: UUID) -> None:
        """An explained line, where its payout is at the bank already, or given up."""
        if line.payout_id is not None and (line.is_deposited or line.is_written_off):
            key, lost = (line.id, line.undone), line.is_written_off
            self.take(line.payout_id, key, merchant_id, line.currency, line.net_minor, written_off=lost)

    def take(
        self,
        payout_id: UUID,
        line: tuple[UUID, int],
        merchant_id: UUID,
        currency: str,
        net_minor: int,
        *,
        written_off: bool = False,
    ) -> None:
        """The net of a line (its id, how often it was undone) goes into a merchant's book, as lost if written off."""
        if written_off:
            self._lost.add(payout_id)
        shares = self._shares.setdefault(payout_id, {})
        key = merchant_id, currency
        shares[key] = shares.get(key, 0) + net_minor
        first = self._first.get(payout_id)
        if first is None or line < first:
            self._first[payout_id] = line

    def journals(self, transaction: Transaction) -> Sequence[Journal]:
        """The postings, each named after the payout and the first line that it is of."""
        found: list[Journal] = []
        for payout_id, shares in sorted(self._shares.items()):
            payout = again(ids.show(ids.PAYOUT_AT_PSP, payout_id), self._undone)
            name = f"{payout}:{name_of_line(*self._first[payout_id])}"
            lost = payout_id in self._lost
            found += share_postings(_without_zero(shares), name, transaction.now, written_off=lost)
        return found


def _without_zero(shares: Mapping[tuple[UUID, str], int]) -> dict[tuple[UUID, str], int]:
    return {key: minor for key, minor in shares.items() if minor or key[0] == OPERATOR}
