"""The result of a demo: figures, findings, and whether everything agreed."""

import time

import msgspec

from bezant.demo.checkouts import Shopping
from bezant.demo.closing import Closing
from bezant.demo.shop import Counts, Json
from bezant.demo.tally import Tally, UnknownOutcome, median_ms
from bezant.demo.traffic import Traffic
from bezant.verify.report import Report


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` writes."""

    agreed: bool
    checks: dict[str, bool]
    failures: list[str]
    psp: str
    merchant_id: str
    payments: int
    payments_by_state: dict[str, int]
    stories: dict[str, int]
    ledger: list[Json]
    trial_balance: dict[str, dict[str, int]]
    unknown_outcomes: list[UnknownOutcome]
    unresolved: int
    webhooks: Traffic
    closing: Closing | None
    idempotent_replays: int
    repeats: dict[str, int]
    api_calls: int
    api_calls_per_s: float
    reply_median_ms: float
    payments_per_s: float
    shopping_s: float
    resolving_s: float
    total_s: float
    urls: dict[str, str]


def summarize(
    *,
    psp: str,
    merchant_id: str,
    shopping: Shopping,
    counts: Counts,
    calls_while_shopping: int,
    tally: Tally,
    webhooks: Traffic,
    closing: Closing | None,
    psp_differences: list[str],
    shop_differences: list[str],
    verified: Report,
    urls: dict[str, str],
    began_at: float,
) -> Summary:
    """Put everything together."""
    unresolved = sum(payment["pending_operation"] is not None for payment in tally.payments)
    balanced = all(sums["debits"] == sums["credits"] for sums in tally.totals.values())
    checks = {
        "every story ended as it should": not shopping.failures,
        "no outcome is unknown any more": unresolved == 0,
        "the trial balance is zero in every currency": balanced,
        f"the books of {psp} show the same money for every payment": not psp_differences,
        f"{psp} told of every payment that took money, and was believed": not shopping.untold,
        "every event of /events reached the shop, signed and in order": not shopping.unheard,
        "the shop's own books, kept from webhooks alone, show the same": not shop_differences,
        **_closed(closing),
        f"bezant verify: all of {len(verified.checks)} invariants hold, re-derived from the rows": verified.ok,
    }
    payments = sum(shopping.stories.values())
    return Summary(
        agreed=all(checks.values()),
        checks=checks,
        failures=[
            *shopping.failures,
            *psp_differences,
            *shopping.untold,
            *shopping.unheard,
            *shop_differences,
            *([] if closing is None else closing.wrong),
            *_violations(verified),
        ],
        psp=psp,
        merchant_id=merchant_id,
        payments=payments,
        payments_by_state=tally.states,
        stories=shopping.stories,
        ledger=tally.accounts,
        trial_balance=tally.totals,
        unknown_outcomes=tally.unknown,
        unresolved=unresolved,
        webhooks=webhooks,
        closing=closing,
        idempotent_replays=counts.replays,
        repeats=dict(counts.repeats),
        api_calls=counts.calls,
        api_calls_per_s=_rate(calls_while_shopping, shopping.duration_s),
        reply_median_ms=median_ms(counts.durations_s),
        payments_per_s=_rate(payments, shopping.duration_s),
        shopping_s=round(shopping.duration_s, 1),
        resolving_s=round(shopping.resolving_s, 1),
        total_s=round(time.monotonic() - began_at, 1),
        urls=urls,
    )


def _closed(closing: Closing | None) -> dict[str, bool]:
    if closing is None:
        return {}
    return {"breaks of reconciliation are what was planted, kind by kind, one by one": not closing.wrong}


def _violations(verified: Report) -> list[str]:
    return [f"{check.name}: {v.id} {v.detail}" for check in verified.broken for v in check.violations]


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0
