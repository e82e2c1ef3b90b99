"""A reconciliation run: everything that is open is looked at, and what can be explained is booked.

In this order, each step in transactions of its own, so that a run may die anywhere and the next one carries on:
operations are collected from the ledger; payouts are found at the bank; what was explained of them before is shared
out; lines are explained by what they name, a few thousand at a time; the rest is searched for; what PSPs report that
is not known here is taken for evidence and booked; what is left is a break.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base.db import Database
from bezant.base.failpoints import reach
from bezant.psp.reports import LineKind
from bezant.reconciliation import adapt, candidates, store
from bezant.reconciliation.collect import Collect
from bezant.reconciliation.deposits import Deposits
from bezant.reconciliation.evidence import Evidence
from bezant.reconciliation.late.name import LatePayouts
from bezant.reconciliation.lease import Lease
from bezant.reconciliation.matching.breaks import find_breaks
from bezant.reconciliation.matching.exact import match_exactly
from bezant.reconciliation.matching.model import BreakKind, Explained, Fee, Found, Id, Match, Terms
from bezant.reconciliation.matching.operations import match_operations
from bezant.reconciliation.rehearsal import Rehearsal
from bezant.reconciliation.rules import Operation, PspLine
from bezant.reconciliation.settle import Matched, settle_fees, settle_matches, settle_payout_lines, share_out

CHUNK: Final = 2_000
REST_MAX: Final = 50_000
"""How many lines are searched for at once; more of them are taken in the order of their time."""

_OVERDUE_MAX: Final = 50_000
_BEGINNING: Final = UUID(int=0)
_BY_THEMSELVES: Final = frozenset({LineKind.FEE, LineKind.PAYOUT, LineKind.PAYOUT_FAILED})

WRITERS: Final = 3
"""How many transactions are written side by side: while one waits for the disk, the other is made."""

Progress = Callable[[str, int], None]
"""Told what is being done and how many lines were looked at so far."""


def no_progress(_what: str, _lines: int) -> None:
    """Nobody looks."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done. `found`: the breaks that are left. `rehearsal`: of a dry run, what it would explain."""

    collected: int
    lines: int
    explained: int
    deposits: int
    evidence: int
    found: Sequence[Found]
    rehearsal: Rehearsal | None = None


class Run:
    """Runs are made one at a time; what they find does not depend on the order of files or lines."""

    def __init__(
        self,
        database: Database,
        evidence: Evidence,
        terms: Terms,
        fees: Mapping[str, Sequence[Fee]] | None = None,
        balances: Collection[str] = (),
    ) -> None:
        self._database = database
        self._collect = Collect(database)
        self._lease = Lease(database)
        self._late = LatePayouts(database, self._lease, balances)
        self._deposits = Deposits(database, self._lease, terms)
        self._evidence = evidence
        self._terms = terms
        self._fees = fees or {}
        self._found: list[Found] = []
        self._payouts_seen: set[UUID] = set()
        self._rehearsal: Rehearsal | None = None

    async def __call__(self, progress: Progress = no_progress, *, dry: bool = False) -> RunResult:
        """Run once. Raises Busy (`run_in_progress`) while another run is under way.

        `dry`: only say what would be explained and found. Operations are collected as always, which decides nothing;
        nothing is posted, nothing explained, and what is not known here is not taken for evidence.
        """
        async with self._lease.held(is_run=not dry):
            progress("collecting operations", 0)
            self._found, self._payouts_seen = [], set[UUID]()
            self._rehearsal = Rehearsal() if dry else None
            collected = await self._collect()
            if not dry:
                self._payouts_seen |= await self._late()
            progress("finding payouts at the bank", 0)
            deposits, found = await self._deposits.find(self._rehearsal)
            if not dry:
                await self._share_out()
            lines, explained = await self._by_name(progress)
            progress("searching for the rest", lines)
            searched, applied, left = await self._rest()
            found += await self._deposits.late_mismatches(self._payouts_seen)
        return RunResult(
            collected=collected,
            lines=lines,
            explained=explained + searched,
            deposits=deposits,
            evidence=applied,
            found=[*found, *left, *self._found],
            rehearsal=self._rehearsal,
        )

    def _is_rehearsed(self, item_id: UUID) -> bool:
        return self._rehearsal is not None and self._rehearsal.has(item_id)

    async def _share_out(self) -> None:
        async with self._database.connection() as connection:
            payouts = await store.payouts_to_share(connection)
        for payout_id, after, written_off in payouts:
            is_all, through = False, after
            while not is_all:
                async with self._lease.guarded() as transaction:
                    is_all, through, _ = await share_out(
                        transaction, payout_id, through, CHUNK, written_off=written_off
                    )
                    reach("settle.before_commit", ("share",))
                reach("settle.after_commit", ("share",))

    async def _by_name(self, progress: Progress) -> tuple[int, int]:
        """Explain lines by what they name: read the next ones while these are decided and those before are written."""
        looked_at = explained = 0
        writers = _Writers(WRITERS)
        claimed = frozenset[UUID]()
        page = asyncio.create_task(self._page(_BEGINNING))
        try:
            while True:
                lines, named, found = await page
                if not lines:
                    return looked_at, explained
                # The next page is read before what is being written, and this page, is seen to be explained.
                written = writers.claimed
                page = asyncio.create_task(self._page(lines[-1].id))
                matched = self._exactly(
                    [each for each in found if each.id not in claimed and not self._is_rehearsed(each.id)], named
                )
                taken = frozenset(operation.id for match in matched for operation in match.operations)
                claimed = written | taken
                self._payouts_seen.update(
                    line.payout_id for line in lines if line.is_deposited and line.payout_id is not None
                )
                looked_at += len(lines)
                explained += sum(len(match.lines) for match in matched)
                by_themselves = [line for line in lines if line.kind in _BY_THEMSELVES]
                await writers.begin(self._write(matched, by_themselves), taken)
                progress("explaining lines", looked_at)
        finally:
            await asyncio.gather(page, return_exceptions=True)
            await writers.end()

    async def _page(self, after: UUID) -> tuple[list[PspLine], list[PspLine], list[Operation]]:
        """The next open lines, those of them that may name something, and what is in transit of what they name."""
        async with self._database.connection() as connection:
            lines = await store.open_lines(connection, after, CHUNK)
            named = [line for line in lines if line.kind not in _BY_THEMSELVES and not line.undone]
            return lines, named, await candidates.named(connection, named)

    def _exactly(self, operations: Sequence[Operation], lines: Sequence[PspLine]) -> list[Matched]:
        exact = match_exactly([adapt.operation(each) for each in operations], [adapt.line(each) for each in lines])
        self._weigh_fees(exact.matches, lines)
        return _matched(exact.matches, operations, lines)

    def _weigh_fees(self, matches: Sequence[Match], lines: Sequence[PspLine]) -> None:
        """Note what is explained with another fee than was agreed with its PSP."""
        for psp, fees in self._fees.items():
            of_psp = {line.id for line in lines if line.psp == psp}
            weighed = [match for match in matches if match.lines and match.lines[0].id in of_psp]
            terms = msgspec.structs.replace(self._terms, fees=tuple(fees))
            self._found += find_breaks(Explained(weighed, (), (), (), ()), datetime.now(UTC), terms)

    async def _rest(self) -> tuple[int, int, list[Found]]:
        """Search for what is left, take what is not known here for evidence, and say what remains."""
        explained = applied = 0
        left: list[Found] = []
        after = _BEGINNING
        now = datetime.now(UTC)
        while True:
            async with self._database.connection() as connection:
                lines = await store.open_lines(connection, after, REST_MAX)
            if not lines:
                break
            after = lines[-1].id
            result, count = await self._search(lines, now)
            explained += count
            heard = 0 if self._rehearsal is not None else await self._evidence.hear(_unknown(lines, result))
            if heard:
                applied += heard
                result, count = await self._search(lines, now)
                explained += count
            left += find_breaks(result, now, self._terms)
        told = {subject for each in left for subject in each.subjects}
        return explained, applied, [*left, *await self._missing(now, told)]

    async def _search(self, lines: Sequence[PspLine], now: datetime) -> tuple[Explained, int]:
        async with self._database.connection() as connection:
            still_open = await store.still_open(connection, [line.id for line in lines])
            lines = [line for line in lines if line.id in still_open and not self._is_rehearsed(line.id)]
            payments = await candidates.payments_named(connection, lines)
        async with self._lease.guarded() as transaction:
            await store.collect_payments(transaction, payments)
        async with self._database.connection() as connection:
            found = [
                *await store.operations_of_payments(connection, payments),
                *await candidates.of_amounts(connection, lines, self._terms),
            ]
            before = await store.explained_of_payments(connection, payments)
        if self._rehearsal is not None:
            before += self._rehearsal.explained_of(payments)
        before = candidates.of_accounts(before, lines)
        by_id = {each.id: each for each in candidates.of_accounts(found, lines) if not self._is_rehearsed(each.id)}
        operations = list(by_id.values())
        # What a person has taken apart no run puts together again.
        by_hand = [adapt.line(each) for each in lines if each.undone]
        result = match_operations(
            [adapt.operation(each) for each in operations],
            [adapt.line(each) for each in lines if not each.undone],
            self._terms,
            explained_before=[adapt.operation(each) for each in before],
            now=now,
        )
        matched = _matched(result.matches, operations, lines)
        self._weigh_fees(result.matches, lines)
        for start in range(0, len(matched), CHUNK):
            await self._write(matched[start : start + CHUNK], ())
        result = msgspec.structs.replace(result, lines=[*result.lines, *by_hand])
        return result, sum(len(match.lines) for match in matched)

    async def _missing(self, now: datetime, told: Collection[Id]) -> list[Found]:
        """Operations that no report has named although their time is up; not those that a break is about already."""
        async with self._database.connection() as connection:
            found = await store.overdue(connection, now - self._terms.skew, _OVERDUE_MAX)
        overdue = [each for each in found if each.id not in told and not self._is_rehearsed(each.id)]
        result = match_operations([adapt.operation(each) for each in overdue], (), self._terms, now=now)
        matched = _matched(result.matches, overdue, ())
        for start in range(0, len(matched), CHUNK):
            await self._write(matched[start : start + CHUNK], ())
        return find_breaks(result, now, self._terms)

    async def _write(self, matched: Sequence[Matched], by_themselves: Sequence[PspLine]) -> None:
        if self._rehearsal is not None:
            self._rehearsal.take(matched, by_themselves)
            return
        async with self._lease.guarded() as transaction:
            await settle_matches(transaction, matched)
            await settle_fees(transaction, [line for line in by_themselves if line.kind == LineKind.FEE])
            await settle_payout_lines(transaction, [line for line in by_themselves if line.kind != LineKind.FEE])
            reach("settle.before_commit", ("lines",))
        reach("settle.after_commit", ("lines",))


class _Writers:
    """Writes that run side by side, at most so many, and the operations that they are about to explain."""

    def __init__(self, writers_max: int) -> None:
        self._writers_max = writers_max
        self._running: dict[asyncio.Task[None], frozenset[UUID]] = {}

    @property
    def claimed(self) -> frozenset[UUID]:
        """What is being explained at this moment."""
        return frozenset[UUID]().union(*self._running.values())

    async def begin(self, write: Coroutine[None, None, None], claims: frozenset[UUID]) -> None:
        """Begin a write once there is room. Raises what one before it raised."""
        self._running[asyncio.create_task(write)] = claims
        while len(self._running) >= self._writers_max:
            await self._wait(asyncio.FIRST_COMPLETED)

    async def end(self) -> None:
        """Wait for all. Raises what any of them raised."""
        if self._running:
            await self._wait(asyncio.ALL_COMPLETED)

    async def _wait(self, until: str) -> None:
        done, _ = await asyncio.wait(self._running, return_when=until)
        for task in done:
            del self._running[task]
        for task in done:
            task.result()


def _unknown(lines: Sequence[PspLine], explained: Explained) -> list[PspLine]:
    """Lines that nothing explains and that do not only say again what was said before."""
    repeats = {
        line_id for noted in explained.noted if noted.kind == BreakKind.DUPLICATE_PSP_ROW for line_id in noted.theirs
    }
    unknown = {line.id for line in explained.lines} - repeats
    return [line for line in lines if line.id in unknown and not line.undone]


def _matched(matches: Sequence[Match], operations: Sequence[Operation], lines: Sequence[PspLine]) -> list[Matched]:
    own: dict[Id, Operation] = {each.id: each for each in operations}
    theirs: dict[Id, PspLine] = {each.id: each for each in lines}
    return [
        Matched(
            match.rule,
            tuple(own[each.id] for each in match.operations),
            tuple(theirs[each.id] for each in match.lines),
        )
        for match in matches
    ]
