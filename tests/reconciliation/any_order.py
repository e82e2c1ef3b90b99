"""A month of two merchants with trouble of every kind, told in reports and statements that may come in any order.

The same month on any number of databases: what happened is made once and copied, so that ids are the same everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

import msgspec

from bezant.base.db import Database
from bezant.connectors.simulator.reports import COLUMNS, REPORTS
from bezant.reconciliation.breaks.keep import keep
from bezant.reconciliation.files.bank_accounts import AddBankAccount
from bezant.reconciliation.files.service import MIB, ReportFiles
from bezant.reconciliation.files.states import FileState
from tests.reconciliation.files.readers import FORMATS
from tests.reconciliation.files.world import pieces_of
from tests.reconciliation.world import NOW, PSP, World, charge, refund, world_on

_IBAN: Final = "DE02120300000000202051"
_TODAY: Final = NOW.date().isoformat()


class Told(msgspec.Struct):
    """A file before it is written: rows that may stand in any order between its head and its end."""

    name: str
    head: str
    rows: list[str]
    end: list[str]

    def body(self, order: Random) -> bytes:
        """The file, its rows shuffled."""
        rows = order.sample(self.rows, len(self.rows))
        return "\n".join([self.head, *rows, *self.end, ""]).encode()


class Report:
    """Makes the simulator's settlement report."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: list[str] = []
        self._net_minor = 0

    def says(self, line: Mapping[str, Any], payout: str | None, name: str, *, second: int = 0) -> None:
        """A movement under a name of its own, carried by a payout."""
        gross_minor, fee_minor = line["gross_minor"], line.get("fee_minor", 0)
        self._net_minor += gross_minor - fee_minor
        self._row(
            type=line["kind"], line_id=name, charge_id=line.get("psp_reference"),
            operation_id=line.get("operation_reference"), reference=line.get("reference"), gross=gross_minor,
            fee=fee_minor, net=gross_minor - fee_minor, presented_amount=line.get("presented_minor"),
            presented_currency=line.get("presented_currency"), payout_id=payout, second=second,
        )  # fmt: skip

    def pays(self, payout: str, amount_minor: int) -> None:
        """The payout itself."""
        self._row(type="payout", line_id=payout, gross=-amount_minor, fee=0, net=-amount_minor, payout_id=payout)

    def told(self) -> Told:
        """The whole of it."""
        total = {"report_id": self._name, "row": len(self._rows), "type": "total", "currency": "USD"}
        return Told(self._name, ",".join(COLUMNS), self._rows, [_cells({**total, "net": self._net_minor})])

    def _row(self, *, second: int = 0, **cells: Any) -> None:
        at = (NOW + timedelta(seconds=second)).isoformat()
        row = {"report_id": self._name, "row": len(self._rows) + 1, "currency": "USD", "at": at, **cells}
        self._rows.append(_cells(row))


def statement(name: str, *entries: tuple[int, str]) -> Told:
    """A statement of the bank's: amounts with what stands beside them."""
    rows = [f"{_TODAY},USD,{amount_minor},N{amount_minor},{text}," for amount_minor, text in entries]
    closing_minor = sum(amount_minor for amount_minor, _ in entries)
    return Told(name, f"bank,{_IBAN},USD,0", rows, [f"foot,{closing_minor}"])


def _cells(row: Mapping[str, Any]) -> str:
    return ",".join("" if (value := row.get(column)) is None else str(value) for column in COLUMNS)


async def happens(url: str) -> list[Told]:
    """What the merchants sell, and the files that tell of it."""
    async with world_on(url) as world:
        one, two = await world.merchant("One"), await world.merchant("Two")
        sold = {
            name: await world.sells((one, two)[n % 2], 1_000 + 100 * n, "EUR" if name in ("euro", "francs") else "USD",
                                    told=name != "untold")
            for n, name in enumerate(
                ("plain", "missing", "other_amount", "twice", "in_two_lines", "mistyped", "nameless", "francs",
                 "untold", "given_back", "euro", "late")
            )
        }  # fmt: skip
        for merchant in (one, two):
            await world.sells(merchant, 4_000)
        back = await world.refunds(sold["plain"], 400)
        lost = await world.refunds(sold["given_back"], 300)
        await world.comes_back(lost)
        new = AddBankAccount(name="main", identification=_IBAN, currency="USD", reason="for the tests")
        await _files(world.database).bank_accounts.add(new, "tests")

    first, second, third = Report("first"), Report("second"), Report("third")
    first.says(charge(sold["plain"], fee_minor=30), "po_84c1a7", "l_plain")
    first.says(charge(sold["other_amount"], gross_minor=1_250, fee_minor=40), "po_84c1a7", "l_other_amount")
    first.says(charge(sold["twice"], fee_minor=50), "po_84c1a7", "l_twice", second=5)
    first.says(charge(sold["in_two_lines"], gross_minor=600), "po_84c1a7", "l_part")
    first.says(_nameless(4_000), "po_84c1a7", "l_alike_b", second=1)
    # Its last line is in another report: until then it is not what its lines add up to.
    third.says({"kind": "fee", "gross_minor": 0, "fee_minor": 90}, "po_84c1a7", "l_monthly")
    first.pays("po_84c1a7", 970 + 1_210 + 1_250 + 600 + 4_000 - 90)
    # Of the second payout no report says how much it is; its lines are in two reports.
    second.says(refund(back), "po_9d20f3", "l_back")
    second.says(charge(sold["twice"], fee_minor=50), "po_9d20f3", "l_twice_again", second=2)
    second.says(charge(sold["in_two_lines"], gross_minor=800), "po_9d20f3", "l_rest")
    second.says(_mistyped(charge(sold["mistyped"], fee_minor=45)), "po_9d20f3", "l_mistyped")
    second.says(_nameless(4_000), "po_9d20f3", "l_alike_a", second=1)
    second.says(charge(sold["untold"], fee_minor=60), "po_9d20f3", "l_untold")
    third.says(_nameless(1_600), "po_9d20f3", "l_nameless")
    third.says(charge(sold["francs"]), "po_31be58", "l_francs")
    third.says({"kind": "charge", "gross_minor": 77, "psp_reference": "ch_stranger"}, "po_31be58", "l_stranger")
    third.says(charge(sold["given_back"]), "po_31be58", "l_given_back")
    third.says(
        {"kind": "refund", "gross_minor": -500, "psp_reference": sold["given_back"].name,
         "operation_reference": "re_unknown"}, "po_31be58", "l_unknown_refund",
    )  # fmt: skip
    presented = {"presented_minor": 2_000, "presented_currency": "EUR"}
    third.says(charge(sold["euro"], gross_minor=2_150, fee_minor=70, **presented), "po_c60d42", "l_euro")
    # This one is told in another report than its lines, and never is what they add up to. Two come as one.
    second.pays("po_31be58", 1_700 + 77 + 1_900 - 500 + 3)
    second.pays("po_c60d42", 2_080)
    second.pays("po_77fa09", 8_000)
    third.says(charge(sold["late"], fee_minor=100), "po_e5829b", "l_late")
    first.pays("po_e5829b", 2_000)
    of_second = -400 + 1_250 + 800 + 1_455 + 4_000 + 1_740 + 1_600
    return [
        first.told(),
        second.told(),
        third.told(),
        statement("monday", (7_940, "PAYOUT po_84c1a7"), (1_500, "PAYOUT po_31be58 1/2")),
        statement(
            "tuesday",
            (1_680, "PAYOUT po_31be58 2/2"),
            (4_080, "PAYOUTS po_c60d42 po_e5829b"),
            (7_940, "PAYOUT po_84c1a7"),
        ),
        statement("wednesday", (of_second, "PAYOUT po_9d20f3"), (5_555, "somebody")),
    ]


def _nameless(amount_minor: int) -> dict[str, Any]:
    return {"kind": "charge", "gross_minor": amount_minor}


def _mistyped(line: Mapping[str, Any]) -> dict[str, Any]:
    reference: str = line["reference"]
    other = reference[:12] + ("0" if reference[12] != "0" else "1") + reference[13:]
    return {**line, "reference": other, "psp_reference": None, "operation_reference": None}


async def comes_to(url: str, files: Iterable[tuple[Told, bool]], order: Random) -> dict[str, Sequence[Any]]:
    """What is left after these files, each followed by a run or not, and a last run."""
    async with world_on(url) as world:
        service = _files(world.database)
        is_run = False
        for file, is_run in files:
            await _load(service, file, file.body(order))
            if is_run:
                await _run(world)
        if not is_run:
            await _run(world)
        return await end(world)


async def end(world: World) -> dict[str, Sequence[Any]]:
    """Everything that must not depend on an order, under names that do not either."""
    return {what: [tuple(row) for row in await world.sql(query)] for what, query in _END.items()}


async def _run(world: World) -> None:
    result = await world.run()
    await keep(world.database, result.found)


async def _load(service: ReportFiles, file: Told, body: bytes) -> None:
    is_report = file.head.startswith("report_id")
    new = await service.senders.new_file(
        source="psp" if is_report else "bank",
        name=file.name,
        by="tests",
        psp=PSP if is_report else None,
        psp_account=None,
        format_=None,
    )

    received, _ = await service.receive(new, pieces_of(body))
    await service.load.next(received.id)
    kept = await service.records.kept(received.id)
    assert (kept.state, kept.quarantined) == (FileState.LOADED, 0), kept.refusal


def _files(database: Database) -> ReportFiles:
    return ReportFiles(database, reports={PSP: REPORTS}, formats=FORMATS, size_max=MIB)


# Two rows of one operation: whichever came first explains it. They are the same to whoever asks what is explained.
_LINE_NAME: Final = "replace(l.line_reference, 'l_twice_again', 'l_twice')"
_NAMES: Final = f"""
SELECT l.id, {_LINE_NAME} AS name FROM psp_lines AS l
UNION ALL SELECT b.id, b.content FROM bank_lines AS b
UNION ALL SELECT y.id, y.payout_reference FROM psp_payouts AS y
UNION ALL SELECT j.id, concat_ws(' ', j.kind, p.amount_minor, t.debit_minor, t.credit_minor)
FROM ledger_journals AS j
INNER JOIN payments AS p ON p.id = j.payment_id
INNER JOIN ledger_entries AS t ON t.journal_id = j.id AND t.account_code = 'customer_funds_in_transit'
WHERE j.kind IN ('capture', 'refund', 'refund_failed')
"""
_END: Final = {
    "explained": f"""
        WITH names AS ({_NAMES})
        SELECT n.name, e.side, e.rule, e.merchant_id,
            ARRAY(SELECT m.name FROM explained AS x INNER JOIN names AS m ON m.id = x.item_id
                WHERE x.match_id = e.match_id ORDER BY 1)
        FROM explained AS e LEFT JOIN names AS n ON n.id = e.item_id ORDER BY 1, 2, 5
    """,
    "books": """
        SELECT b.merchant_id, b.currency, b.account_code, b.debit_minor - b.credit_minor
        FROM ledger_balances AS b WHERE b.debit_minor <> b.credit_minor ORDER BY 1, 2, 3
    """,
    "payments": "SELECT p.id, p.status, p.captured_minor, p.refunded_minor, p.settled_minor FROM payments AS p "
    "ORDER BY 1",
    "breaks": f"""
        WITH names AS ({_NAMES})
        SELECT b.kind, n.name, b.merchant_id, b.payment_id, b.psp, b.currency, b.at_risk_minor, b.detail,
            ARRAY(SELECT m.name FROM names AS m WHERE m.id = ANY (b.items) ORDER BY 1)
        FROM breaks AS b INNER JOIN names AS n ON n.id = b.item_id WHERE b.status = 'open' ORDER BY 1, 2
    """,
    "open": f"""
        WITH names AS ({_NAMES})
        SELECT n.name, o.side FROM (
            SELECT line_id, 'line' FROM open_lines UNION ALL SELECT line_id, 'bank' FROM open_bank_lines
            UNION ALL SELECT id, 'operation' FROM operations_in_transit
        ) AS o (id, side) INNER JOIN names AS n ON n.id = o.id ORDER BY 1, 2
    """,
}
