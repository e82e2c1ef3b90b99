"""Whatever is sold, reported, booked, matched and taken back by people in whatever order: six things hold all the time.

| what must hold after every step | of what, here |
|---|---|
| conservation: nothing arises, nothing is lost | each book in each currency, and so all of them |
| no part below zero | both sides of balances; what is captured, refunded, reserved, settled of a payment |
| what could be derived is what is kept | balances are the sums of entries |
| nobody gets more than there is | refunds and settled within captures; each line posted once or not at all |
| what is held is the sum of what holds it | transit: open operations; clearing: lines not at the bank, but of payouts
  that are given up; suspense: what came and is not explained |
| what is refused leaves everything as it was | every row of every table, after each refusal |

The same six are shown of a payment's own life by tests/flows/test_state_machine.py, and of disputes by
tests/disputes/test_any_order.py. A reconciliation of total against total is not what is done here, and groups by a key
are not needed: what others test of those does not apply. Matching has its properties in tests/reconciliation/matching.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, Final
from uuid import UUID

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from bezant.base import ids
from bezant.base.errors import ApiError
from bezant.reconciliation.breaks.keep import keep
from bezant.reconciliation.breaks.resolve import MOVES_MONEY, match_items, resolve, unmatch_item
from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.lease import Lease
from tests.conftest import TEMPLATE
from tests.reconciliation.breaks.desk import ME, by_hand, written_off
from tests.reconciliation.world import Refunded, Sale, World, charge, refund, world_on
from tests.support.databases import copied_database, run
from tests.support.verification import assert_verified

TABLES: Final = (
    *("ledger_journals", "ledger_entries", "ledger_balances", "payments", "refunds", "explained", "open_lines"),
    *("open_bank_lines", "operations_in_transit", "psp_payouts", "undone_matches", "breaks", "audit_log"),
)
ACTS: Final = (
    *("sells", "sells_untold", "refunds", "comes_back", "reports", "reports_off", "reports_strangers", "books"),
    *("books_off", "runs", "runs", "runs_beside", "matches", "matches_deposit", "unmatches", "writes_off", "resolves"),
)

_SUMS = """
SELECT b.merchant_id, b.currency, sum(b.debit_minor) - sum(b.credit_minor), min(b.debit_minor), min(b.credit_minor)
FROM ledger_balances AS b GROUP BY 1, 2 HAVING sum(b.debit_minor) <> sum(b.credit_minor)
    OR min(b.debit_minor) < 0 OR min(b.credit_minor) < 0
"""
_NOT_DERIVED = """
SELECT * FROM (
    SELECT e.merchant_id, j.currency, e.account_code, sum(e.debit_minor)::bigint AS d, sum(e.credit_minor)::bigint AS c
    FROM ledger_entries AS e INNER JOIN ledger_journals AS j ON j.id = e.journal_id GROUP BY 1, 2, 3
) AS x FULL JOIN (
    SELECT b.merchant_id, b.currency, b.account_code, b.debit_minor, b.credit_minor FROM ledger_balances AS b
) AS k USING (merchant_id, currency, account_code)
WHERE (x.d, x.c) IS DISTINCT FROM (k.debit_minor, k.credit_minor)
"""
_MORE_THAN_THERE_IS = """
SELECT p.id::text FROM payments AS p
WHERE p.refunded_minor + p.refunding_minor > p.captured_minor OR p.settled_minor > p.captured_minor
    OR least(p.captured_minor, p.refunded_minor, p.refunding_minor, p.settled_minor) < 0
UNION ALL
SELECT j.correlation_id FROM ledger_journals AS j WHERE j.kind IN ('psp_settlement', 'psp_settlement_refund', 'psp_fee')
    AND NOT EXISTS (
        SELECT 1 FROM ledger_journals AS u WHERE u.correlation_id = j.correlation_id AND u.kind = j.kind || '_undone'
    )
GROUP BY substr(j.correlation_id, 1, 36), j.correlation_id, j.kind HAVING count(*) > 1
"""
_HELD = """
SELECT account_code, merchant_id, currency, sum(minor) FROM (
    SELECT b.account_code, b.merchant_id, b.currency, b.debit_minor - b.credit_minor AS minor
    FROM ledger_balances AS b WHERE b.account_code IN ('customer_funds_in_transit', 'psp_clearing', 'suspense')
    UNION ALL
    SELECT t.account_code, j.merchant_id, j.currency, t.credit_minor - t.debit_minor
    FROM ledger_journals AS j INNER JOIN ledger_entries AS t ON t.journal_id = j.id
    WHERE j.kind IN ('capture', 'refund', 'refund_failed') AND t.account_code = 'customer_funds_in_transit'
        AND NOT EXISTS (SELECT 1 FROM explained AS e WHERE e.item_id = j.id)
    UNION ALL
    SELECT CASE WHEN y.shared_at IS NULL THEN 'psp_clearing' ELSE 'suspense' END,
        CASE WHEN y.shared_at IS NULL THEN e.merchant_id ELSE $1 END, l.currency, -l.net_minor
    FROM explained AS e INNER JOIN psp_lines AS l ON l.id = e.item_id
    LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
    WHERE e.rule <> 'payout' AND NOT coalesce(y.written_off, false)
    UNION ALL
    SELECT 'suspense', $1, y.currency, y.amount_minor FROM psp_payouts AS y
    WHERE y.deposited_at IS NOT NULL AND NOT y.written_off
    UNION ALL
    SELECT 'suspense', $1, b.currency, b.amount_minor
    FROM open_bank_lines AS o INNER JOIN bank_lines AS b ON b.id = o.line_id WHERE o.in_suspense
    UNION ALL
    SELECT 'suspense', j.merchant_id, j.currency, t.credit_minor - t.debit_minor
    FROM ledger_journals AS j INNER JOIN ledger_entries AS t ON t.journal_id = j.id AND t.account_code = 'suspense'
    WHERE j.kind IN ('write_off', 'write_off_undone') AND j.correlation_id LIKE 'pyo%'
) AS n GROUP BY 1, 2, 3 HAVING sum(minor) <> 0
"""
_ROWS = " UNION ALL ".join(
    f"SELECT '{table}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} AS t"
    for table in TABLES
)
_PICKED: Final = {
    "operation": "SELECT id FROM operations_in_transit ORDER BY 1",
    "line": "SELECT line_id FROM open_lines ORDER BY 1",
    "any_line": "SELECT id FROM psp_lines ORDER BY 1",
    "payout": "SELECT id FROM psp_payouts ORDER BY 1",
    "bank_line": "SELECT id FROM bank_lines ORDER BY 1",
    "explained": "SELECT item_id FROM explained ORDER BY 1",
    "anything": "SELECT item_id FROM explained UNION SELECT line_id FROM open_lines UNION SELECT id FROM psp_payouts "
    "UNION SELECT id FROM operations_in_transit UNION SELECT line_id FROM open_bank_lines ORDER BY 1",
    "break": "SELECT id FROM breaks ORDER BY 1",
}


class Life:
    """One world in which anything may be done next; `number` chooses with what."""

    def __init__(self, world: World, merchants: Sequence[UUID]) -> None:
        self.world = world
        self._merchants = merchants
        self._sales: list[Sale] = []
        self._refunds: list[Refunded] = []
        self._unreported: list[dict[str, Any]] = []
        self._to_book: list[tuple[str, int]] = []
        self._payouts = 0

    async def sells(self, number: int, *, told: bool = True) -> None:
        sale = await self.world.sells(self._merchants[number % 2], 1_000 + number % 5, told=told)
        self._sales += [sale] if told else []
        self._unreported.append(charge(sale, fee_minor=number % 31))

    async def sells_untold(self, number: int) -> None:
        await self.sells(number, told=False)

    async def refunds(self, number: int) -> None:
        if self._sales:
            back = await self.world.refunds(self._sales.pop(number % len(self._sales)), 1 + number % 1_000)
            self._refunds.append(back)
            self._unreported.append(refund(back))

    async def comes_back(self, number: int) -> None:
        if self._refunds:
            back = self._refunds.pop(number % len(self._refunds))
            await self.world.comes_back(back)
            self._unreported.append({**refund(back), "kind": "refund_failed", "gross_minor": back.amount_minor})

    async def reports(self, number: int, *more: dict[str, Any]) -> None:
        lines = [*self._unreported[: 1 + number % 4], *more]
        del self._unreported[: 1 + number % 4]
        if lines:
            self._payouts += 1
            payout = f"po_{self._payouts:06}"
            await self.world.reports(*lines, payout=payout)
            self._to_book.append((payout, sum(line["gross_minor"] - line.get("fee_minor", 0) for line in lines)))

    async def reports_off(self, number: int) -> None:
        if self._unreported:
            self._unreported[0] = {**self._unreported[0], "gross_minor": self._unreported[0]["gross_minor"] + 7}
        await self.reports(number)

    async def reports_strangers(self, number: int) -> None:
        fee = {"kind": "fee", "gross_minor": 0, "fee_minor": 90}
        await self.reports(number, {"kind": "charge", "gross_minor": 1_000 + number % 5, "psp_reference": "ch_x"}, fee)

    async def books(self, number: int, off_minor: int = 0) -> None:
        if self._to_book:
            payout, amount_minor = self._to_book.pop(number % len(self._to_book))
            if amount_minor + off_minor:
                await self.world.books(amount_minor + off_minor, payout)

    async def books_off(self, number: int) -> None:
        await self.books(number, off_minor=11)

    async def runs(self, _: int) -> None:
        result = await self.world.run()
        await keep(self.world.database, result.found)

    async def runs_beside(self, number: int) -> None:
        async with Lease(self.world.database).held(is_run=False):
            await self.runs(number)

    async def matches(self, number: int) -> None:
        ours = ids.show(ids.JOURNAL, await self._pick("operation", number))
        theirs = ids.show(ids.PSP_LINE, await self._pick("line" if number % 4 else "any_line", number // 7))
        write_off = bool(number % 3)
        await by_hand(self.world, lambda t: match_items(t, [ours], [theirs], ME, write_off=write_off))

    async def matches_deposit(self, number: int) -> None:
        ours = ids.show(ids.PAYOUT_AT_PSP, await self._pick("payout", number))
        theirs = ids.show(ids.BANK_LINE, await self._pick("bank_line", number // 7))
        write_off = bool(number % 3)
        await by_hand(self.world, lambda t: match_items(t, [ours], [theirs], ME, write_off=write_off))

    async def unmatches(self, number: int) -> None:
        item_id = await self._pick("explained", number)
        await by_hand(self.world, lambda t: unmatch_item(t, item_id, ME))

    async def writes_off(self, number: int) -> None:
        await written_off(self.world, await self._pick("anything", number))

    async def resolves(self, number: int) -> None:
        break_id = ids.show(ids.BREAK, await self._pick("break", number))
        resolution = (*sorted(MOVES_MONEY), Resolution.DISMISSED)[number % 3]
        await by_hand(self.world, lambda t: resolve(t, break_id, resolution, ME))

    async def state(self) -> dict[str, str]:
        """A digest of every row, by table."""
        return {row[0]: row[1] for row in await self.world.sql(_ROWS)}

    async def wrong(self) -> list[Any]:
        """What should not be."""
        queries: list[tuple[Any, ...]] = [
            (_SUMS,),
            (_NOT_DERIVED,),
            (_MORE_THAN_THERE_IS,),
            (_HELD, ids.OPERATOR_MERCHANT),
        ]
        return [tuple(row) for query in queries for row in await self.world.sql(*query)]

    async def _pick(self, what: str, number: int) -> UUID:
        """One of what is there; one that is not, where there is none or luck will have it so."""
        found = await self.world.sql(_PICKED[what])
        return found[number % len(found)][0] if found and number % 13 else ids.new_id()


async def _refusal(act: Awaitable[None]) -> str | None:
    """Do it; the code with which it was refused."""
    try:
        await act
    except ApiError as refusal:
        return refusal.code
    return None


async def lived(url: str, steps: Sequence[tuple[str, int]]) -> None:
    """Do these, and look after each."""
    async with world_on(url) as world:
        life = Life(world, [await world.merchant("One"), await world.merchant("Two")])
        for number, (act, chosen) in enumerate(steps):
            before = await life.state()
            refusal = await _refusal(getattr(life, act)(chosen))
            event(f"{act}: {refusal or 'done'}")
            if refusal is not None:
                assert await life.state() == before, (number, act, refusal)
            assert await life.wrong() == [], (number, act, chosen)


@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(steps=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 9_999)), min_size=20, max_size=40))
def test_six_things_hold_after_every_step(server_url: str, steps: list[tuple[str, int]]) -> None:
    begin = [("sells", n) for n in range(4)] + [("reports", 3), ("sells_untold", 5), ("books", 0), ("runs", 0)]
    with copied_database(server_url, TEMPLATE) as url:
        run(lived(url, begin + steps))
        assert_verified(url)
