"""The close of the demo's day: the PSP reports and pays out, the bank writes a statement, and everything is explained.

The simulator plants mistakes in its papers and keeps a list of them. What Bezant finds by itself must be that list.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec

from bezant.base.db import Database
from bezant.base.errors import Conflict
from bezant.demo.shop import Json, StoryFailed
from bezant.reconciliation.breaks.views import BreakDetail, BreakFilter
from bezant.reconciliation.breaks.work import Work
from bezant.reconciliation.files.bank_accounts import AddBankAccount, BankAccounts
from bezant.reconciliation.files.records import FileFilter, Records, ReportFileView
from bezant.reconciliation.files.states import FileState

ENVIRONMENT: Final = {
    "BEZANT_REPORTS_PULL_S": "0.5",
    "BEZANT_RECONCILIATION_INTERVAL_S": "3600",
    "BEZANT_RECONCILIATION_SKEW_HOURS": "0",
    "BEZANT_RECONCILIATION_DEPOSIT_SKEW_HOURS": "0",
    "BEZANT_RECONCILIATION_FEES": ",".join(
        f"simulator/{currency}=290+30" for currency in ("EUR", "GBP", "JPY", "KWD", "USD")
    ),
}
"""The day ends when the shopping does, so nothing is waited for; files are looked for at once."""

KINDS: Final = (
    "missing_psp_row",
    "missing_internal_row",
    "duplicate_psp_row",
    "amount_mismatch",
    "fee_mismatch",
    "currency_mismatch",
    "unmatched_deposit",
    "missing_deposit",
    "split_deposit",
    "merged_deposit",
    "typo_in_reference",
    "late_row",
)
_EXPLAINED: Final = frozenset({"split_deposit", "merged_deposit", "typo_in_reference", "late_row"})
"""Trouble that is seen through: no break is left of it."""

_PAYOUTS: Final = 12
_MANY: Final = 100
_TIMEOUT_S: Final = 60.0
_LOOK_S: Final = 0.5
_PAGE: Final = 100
_NAMES: Final = ("reference", "line_id", "charge_id", "operation_id", "payout_id", "statement_id", "written")
"""Where a label says what it is about."""


class Planted(msgspec.Struct, frozen=True):
    """How often a kind of trouble was planted, and what came of it."""

    kind: str
    planted: int
    found: int
    is_a_break: bool


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What the papers said and what was made of them. `wrong`: planted and not found, or found and not planted."""

    reports: int
    statements: int
    lines: int
    planted: list[Planted]
    wrong: list[str]


async def close_the_day(
    web: aiohttp.ClientSession, psp_url: str, database: Database, currencies: Iterable[str], payments: int
) -> Closing:
    """Have the PSP settle, wait until its papers are read and explained, and compare with what was planted."""
    for currency in sorted(currencies):
        await _register(BankAccounts(database), currency)
    desk = _SettlementDesk(web, psp_url)
    seed = random.SystemRandom().getrandbits(31)
    await desk.post("plant", {"kinds": dict.fromkeys(KINDS, 1 if payments < _MANY else 2), "seed": seed})
    for _ in range(2):  # what comes late is in the second report
        await desk.post("settle", {"payouts": _PAYOUTS})
    papers = await desk.papers()
    lines = await _loaded(Records(database), sum(papers.values()))
    labels = (await desk.get("planted"))["data"]  # also of earlier demos in this home, whose breaks stand open
    found, wrong = await _found(Work(database), labels)
    return Closing(
        reports=papers["reports"],
        statements=papers["statements"],
        lines=lines,
        planted=_counted(labels, found),
        wrong=wrong,
    )


class _SettlementDesk:
    """The simulator's back office."""

    def __init__(self, web: aiohttp.ClientSession, url: str) -> None:
        self._web = web
        self._url = url

    async def papers(self) -> dict[str, int]:
        """How many reports and statements there are."""
        return {name: len((await self.get(name))["data"]) for name in ("reports", "statements")}

    async def get(self, what: str) -> Json:
        """What is there."""
        async with self._web.get(f"{self._url}/_simulator/{what}", raise_for_status=True) as response:
            return dict(await response.json())

    async def post(self, what: str, body: Json) -> None:
        """Have it done."""
        async with self._web.post(f"{self._url}/_simulator/{what}", json=body) as response:
            if response.status >= 400:
                raise StoryFailed(f"the simulator answered {response.status} to {what}: {await response.text()}")


async def _register(bank_accounts: BankAccounts, currency: str) -> None:
    new = AddBankAccount(
        name=f"simulator-{currency.lower()}",
        identification=f"SIMULATOR-{currency}",
        currency=currency,
        reason="the demo's account at the simulated bank",
    )
    with suppress(Conflict):  # an earlier demo has done it
        await bank_accounts.add(new, "demo")


async def _loaded(records: Records, files: int) -> int:
    """Wait until all papers are loaded; how many lines they have."""
    async with asyncio.timeout(_TIMEOUT_S):
        while True:
            shown = await _all_files(records)
            refused = [each for each in shown if each.state == FileState.REFUSED]
            if refused:
                raise StoryFailed(f"the file {refused[0].name} was refused: {refused[0].refusal}")
            loaded = [each for each in shown if each.state == FileState.LOADED]
            if len(loaded) >= files:
                return sum(each.lines for each in loaded)
            await asyncio.sleep(_LOOK_S)


async def _all_files(records: Records) -> list[ReportFileView]:
    found: list[ReportFileView] = []
    cursor: str | None = None
    while True:
        page = await records.files(FileFilter(limit=_PAGE, cursor=cursor))
        found += page.data
        if not page.has_more:
            return found
        cursor = page.next_cursor


async def _found(work: Work, labels: Sequence[Json]) -> tuple[Counter[str], list[str]]:
    """What was found of each kind, once it is what was planted; else what differs after a while."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while True:
        breaks = await _all_breaks(work)
        wrong = differences(labels, breaks)
        if not wrong or time.monotonic() > deadline_s:
            return Counter(each.kind for each in breaks), wrong
        await asyncio.sleep(_LOOK_S)


async def _all_breaks(work: Work) -> list[BreakDetail]:
    found: list[BreakDetail] = []
    cursor: str | None = None
    while True:
        page = await work.page(BreakFilter(limit=_PAGE, cursor=cursor))
        found += [await work.show(each.break_id) for each in page.data if each.kind in KINDS]
        if not page.has_more:
            return found
        cursor = page.next_cursor


def differences(labels: Sequence[Json], breaks: Sequence[BreakDetail]) -> list[str]:
    """What was planted and not found, and what was found and not planted, one sentence each."""
    left = list(breaks)
    wrong: list[str] = []
    for label in labels:
        if label["kind"] in _EXPLAINED:
            continue
        names = {str(label.get(key) or "") for key in _NAMES} - {""}
        same = next((each for each in left if each.kind == label["kind"] and _is_about(each, names)), None)
        if same is None:
            wrong.append(f"planted and not found: {label['kind']} {label['reference']}")
        else:
            left.remove(same)
    return wrong + [f"found and not planted: {each.kind} {each.subject} {each.detail}" for each in left]


def _is_about(found: BreakDetail, names: set[str]) -> bool:
    return any(name in known or known in names for item in found.items for known in item.names for name in names)


def _counted(labels: Sequence[Json], found: Counter[str]) -> list[Planted]:
    planted = Counter(str(label["kind"]) for label in labels)
    return [Planted(kind, planted[kind], found[kind], kind not in _EXPLAINED) for kind in KINDS]
