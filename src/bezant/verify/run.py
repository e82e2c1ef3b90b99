"""Runs every check on one snapshot."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from bezant.base.db import Database
from bezant.base.sealed import Sealer
from bezant.psp.call import Caller
from bezant.verify.accounts import checks as accounts
from bezant.verify.accounts.checks import check_sealed
from bezant.verify.disputes import checks as disputes
from bezant.verify.ledger import checks as ledger
from bezant.verify.payments import checks as payments
from bezant.verify.payments.rows import check_payments
from bezant.verify.psp.compare import Comparison, Counted
from bezant.verify.reconciliation import checks as reconciliation
from bezant.verify.records import checks as records
from bezant.verify.records.rows import check_replies, check_texts
from bezant.verify.records.texts import Texts
from bezant.verify.report import Check, Progress, Report, Result, Rows, Violation, report, result, shown
from bezant.verify.store import Snapshot, snapshot
from bezant.verify.webhooks import checks as webhooks

SQL_CHECKS: Final[tuple[Check, ...]] = (
    *payments.CHECKS,
    *ledger.CHECKS,
    *records.CHECKS,
    *accounts.CHECKS,
    *webhooks.CHECKS,
    *reconciliation.CHECKS,
    *disputes.CHECKS,
)
ROW_CHECKS: Final[tuple[tuple[str, Callable[[Rows, Texts], Awaitable[tuple[Result, ...]]]], ...]] = (
    ("payments, one by one", check_payments),
    ("stored replies", check_replies),
    ("stored texts", check_texts),
)


async def verify(database: Database, on_progress: Progress | None = None, sealer: Sealer | None = None) -> Report:
    """Check everything; `sealer` has the keys with which what is sealed must open. Raises DatabaseLost."""
    began_s = time.monotonic()
    total = len(SQL_CHECKS) + len(ROW_CHECKS) + 1
    results: list[Result] = []
    texts = Texts()
    async with snapshot(database) as rows:
        for done, check in enumerate(SQL_CHECKS):
            if on_progress is not None:
                on_progress(check.name, done, total)
            results.append(await _run(rows, check))
        for done, (what, check_rows) in enumerate(ROW_CHECKS, len(SQL_CHECKS)):
            if on_progress is not None:
                on_progress(what, done, total)
            results += await check_rows(rows, texts)
        if on_progress is not None:
            on_progress("sealed rows", total - 1, total)
        results += await check_sealed(rows, sealer)
    return report(results, time.monotonic() - began_s)


async def verify_psps(database: Database, caller: Caller, on_count: Counted) -> Report:
    """Compare with what the PSPs hold. Raises DatabaseLost."""
    began_s = time.monotonic()
    results = await Comparison(database, caller, on_count).run()
    return report(results, time.monotonic() - began_s)


async def _run(rows: Snapshot, check: Check) -> Result:
    found = await rows.violations(check)
    violations = [Violation(shown(check.prefix, subject), detail) for subject, detail, _ in found]
    return result(check.name, check.says, found[0][2] if found else 0, violations)
