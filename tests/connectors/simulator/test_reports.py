"""The simulator's settlement report: lines, faults of lines, faults of the file, and nothing that gets lost between."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.file_faults import BadLine, FileRefused
from bezant.connectors.simulator.reports import COLUMNS, REPORTS, read_settlement
from bezant.psp.reports import LineKind
from bezant_simulator.settlement.model import Payout, Row, RowType
from bezant_simulator.settlement.report import unpacked, written
from tests.support.reports import bad, in_pieces, line, lines, read, refusal, survives

HEADER = ",".join(COLUMNS)
AT = "2026-04-01T10:00:00.000000Z"


def row(number: int, kind: str, money: str, gross_minor: int, fee_minor: int, /, **cells: object) -> str:
    known: dict[str, object] = {
        "report_id": "rep_1", "row": number, "type": kind, "line_id": f"txn_{number}", "charge_id": f"ch_{number}",
        "operation_id": f"op_{number}", "reference": f"att_{number}", "currency": money, "gross": gross_minor,
        "fee": fee_minor, "net": gross_minor - fee_minor, "payout_id": "po_1", "at": AT,
    } | cells  # fmt: skip
    return ",".join(str(known.get(column, "")) for column in COLUMNS)


def total(currency: str, count: int, net: int) -> str:
    return f"rep_1,{count},total,,,,,{currency},,,{net},,,,,{AT},"


ROWS = (
    row(1, "charge", "EUR", 10_000, 320),
    row(2, "refund", "EUR", -2_000, 0),
    row(3, "refund_failed", "EUR", 2_000, 0),
    row(4, "dispute", "EUR", -10_000, 1_500),
    row(5, "dispute_reversed", "EUR", 10_000, 0),
    row(6, "fee", "EUR", -200, 0, charge_id="", operation_id="", reference="", description="Monthly fee"),
    row(7, "adjustment", "EUR", 50, 0),
    row(8, "charge", "USD", 5_400, 187, presented_amount=5_000, presented_currency="EUR", fx_rate="1.08"),
    row(9, "payout", "EUR", -8_030, 0, charge_id="", operation_id="", reference=""),
    row(10, "payout", "USD", -5_213, 0, charge_id="", operation_id="", reference="", payout_id="po_2"),
)
TOTALS = (total("EUR", 8, 8_030), total("USD", 2, 5_213))


def report(*rows: str, header: str = HEADER) -> str:
    return "".join(f"{each}\r\n" for each in (header, *rows))


REPORT = report(*ROWS, *TOTALS)


def test_each_row_says_what_moved_and_whose_it_is():
    charge = line(read_settlement, REPORT, 2)
    assert (charge.kind, charge.gross_minor, charge.fee_minor, charge.net_minor) == (
        LineKind.CHARGE,
        10_000,
        320,
        9_680,
    )
    assert (charge.line_reference, charge.reference, charge.payout_reference) == ("txn_1", "att_1", "po_1")
    assert (charge.psp_reference, charge.operation_reference, charge.occurred_at.isoformat()) == (
        "ch_1",
        "op_1",
        "2026-04-01T10:00:00+00:00",
    )
    found = lines(read_settlement, REPORT)
    assert [each.kind for each in found] == [
        "charge", "refund", "refund_failed", "dispute", "dispute_reversed", "fee", "adjustment", "charge", "payout",
        "payout",
    ]  # fmt: skip
    assert [each.number for each in found] == list(range(2, 12))


def test_what_is_settled_in_another_currency_says_what_the_customer_saw():
    charge = line(read_settlement, REPORT, 9)
    assert (charge.currency, charge.gross_minor) == ("USD", 5_400)
    assert (charge.presented_currency, charge.presented_minor) == ("EUR", 5_000)


def test_a_fee_is_fee_alone_wherever_it_stands():
    fee = line(read_settlement, REPORT, 7)
    assert (fee.gross_minor, fee.fee_minor, fee.net_minor, fee.description) == (0, 200, -200, "Monthly fee")
    other = report(row(1, "fee", "EUR", 0, 200), total("EUR", 1, -200))
    assert (line(read_settlement, other, 2).gross_minor, line(read_settlement, other, 2).fee_minor) == (0, 200)


def test_a_payout_below_zero_stands_above_zero():
    debit = report(
        row(1, "refund", "EUR", -500, 0), row(2, "payout", "EUR", 500, 0, payout_id="po_9"), total("EUR", 2, -500)
    )
    assert line(read_settlement, debit, 3).net_minor == 500


def test_columns_are_found_by_name():
    order = list(reversed(COLUMNS))
    cells = [dict(zip(COLUMNS, each.split(","), strict=True)) for each in (*ROWS, *TOTALS)]
    turned = report(
        *(",".join([*(each[name] for name in order), "more"]) for each in cells), header=",".join([*order, "x"])
    )
    assert lines(read_settlement, turned) == lines(read_settlement, REPORT)


def test_a_report_without_movements_is_empty():
    assert read(read_settlement, report()) == []


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"gross": "1.50"}, "gross"),
        ({"fee": "x"}, "fee"),
        ({"net": 1}, "net"),
        ({"currency": "EURO"}, "currency"),
        ({"type": "gift"}, "type"),
        ({"line_id": ""}, "line_id"),
        ({"at": "2026-04-01T10:00:00"}, "at"),
        ({"gross": -10_000, "net": -10_320}, "gross"),
        ({"presented_currency": "EUR"}, "presented_amount"),
        ({"description": "x" * 1_001}, None),
    ],
)
def test_a_row_at_fault_is_put_out_with_its_number_and_the_others_are_read(cells: dict[str, object], field: str | None):
    wrong = report(row(1, "charge", "EUR", 10_000, 320, **cells), *ROWS[1:], *TOTALS)
    ((number, found, _),) = bad(read_settlement, wrong)
    assert (number, found) == (2, field)
    assert len(read(read_settlement, wrong)) == len(ROWS)


def test_a_row_of_too_few_cells_is_put_out():
    assert bad(read_settlement, report("rep_1,1,charge,txn_1", *ROWS[1:], *TOTALS)) == [
        (2, None, "4 cells where the header has 17")
    ]


def test_rows_that_are_missing_refuse_the_file():
    assert refusal(read_settlement, report(*ROWS[:3], *ROWS[4:], *TOTALS)).field == "row"
    assert refusal(read_settlement, report(ROWS[0], *ROWS, *TOTALS)).reason == "11 rows where the totals say 10"


def test_nets_that_do_not_add_up_refuse_the_file():
    wrong = refusal(read_settlement, report(*ROWS, total("EUR", 8, 8_031), TOTALS[1]))
    assert (wrong.line, wrong.field) == (13, "net")
    assert wrong.reason == "the nets in EUR add up to 8030, not to 8031"


def test_totals_of_a_currency_that_are_missing_refuse_the_file():
    assert refusal(read_settlement, report(*ROWS, TOTALS[0])).field == "row"
    assert refusal(read_settlement, report(*ROWS, total("EUR", 9, 8_030), total("USD", 1, 5_213))).field == "row"


def test_a_row_at_fault_does_not_stand_for_totals_that_are_missing():
    wrong = report(*ROWS[:3], *ROWS[4:9], "rep_1,10,payout", TOTALS[0].replace("rep_1,8", "rep_1,9"))
    assert refusal(read_settlement, wrong).reason == "1 rows in USD where the totals say 0"


def test_a_file_that_is_cut_off_anywhere_is_refused():
    whole = REPORT.encode()
    ends = len(whole) - len("\r\n")
    for at in range(len(HEADER) + 3, ends - 1):
        refusal(read_settlement, whole[:at])
    assert refusal(read_settlement, report(*ROWS)).reason == "there are no totals at the end: the file is cut off"
    assert lines(read_settlement, whole[:ends]) == lines(read_settlement, whole)


def test_two_reports_in_one_file_are_refused():
    other = [each.replace("rep_1", "rep_2") for each in ROWS]
    assert refusal(read_settlement, report(*ROWS[:2], *other, *TOTALS)).field == "report_id"
    assert refusal(read_settlement, REPORT + REPORT).reason == "the header is repeated: are these two files?"
    assert refusal(read_settlement, report(*ROWS, *TOTALS, ROWS[0])).reason == "rows go on after the totals"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "empty"),
        ("report_id;row;type;line_id\n", "semicolons"),
        (HEADER.replace("payout_id,", "") + "\n", "columns are missing: payout_id"),
        (HEADER.replace("fee", "gross", 1) + "\n", "twice"),
        ("Datum,Betrag\n1,2\n", "columns are missing: report_id, row, type"),
    ],
)
def test_what_is_no_settlement_report_is_refused_by_what_is_missing(data: str, words: str):
    assert words in str(refusal(read_settlement, data))


def test_a_settlement_report_is_recognised_by_its_header():
    assert REPORTS.recognise(REPORT.encode()[:100]) == "settlement"
    assert REPORTS.recognise(("\ufeff" + REPORT).encode()[:4096]) == "settlement"
    assert REPORTS.recognise(b"a,b,c\n") is None


@given(seed=st.integers(0, 2**32))
def test_whatever_is_wrong_with_a_file_it_is_refused_or_none_of_its_rows_is_lost(seed: int):
    found = survives(read_settlement, REPORT.encode(), seed)
    assert found is None or len(found) in (0, len(ROWS))


@given(size=st.integers(1, 300))
def test_where_the_pieces_of_a_file_end_makes_no_difference(size: int):
    assert list(read_settlement(in_pieces(REPORT.encode(), size))) == read(read_settlement, REPORT)


def test_a_long_report_is_never_held_whole():
    count = 30_000

    def pieces() -> Iterator[bytes]:
        yield report().encode()
        for start in range(0, count, 100):
            yield "".join(row(each, "charge", "EUR", 100, 3) + "\r\n" for each in range(start, start + 100)).encode()
        yield (total("EUR", count, 97 * count) + "\r\n").encode()

    tracemalloc.start()
    try:
        read_lines = sum(1 for each in read_settlement(pieces()) if not isinstance(each, BadLine))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read_lines == count
    assert peak < 2_000_000


def test_what_the_simulator_writes_is_read_as_it_was_meant():
    at = 1_775_037_600.5
    rows = [
        Row(
            RowType.CHARGE,
            "txn_1",
            "EUR",
            10_000,
            at,
            fee=320,
            charge_id="ch_1",
            operation_id="op_1",
            reference="att_1",
        ),
        Row(RowType.FEE, "txn_2", "EUR", 0, at, fee=200, description='Monthly, "all in"'),
        Row(RowType.CHARGE, "txn_3", "USD", 540, at, presented_amount=500, presented_currency="EUR", fx_rate="1.08"),
    ]
    packed, count = written("rep_1", rows, [Payout("po_8", "EUR", 9_480), Payout("po_9", "USD", -540)], at)
    found = lines(read_settlement, unpacked(packed))
    assert len(found) == count == 5
    assert [(each.line_reference, each.net_minor) for each in found] == [
        ("txn_1", 9_680), ("txn_2", -200), ("txn_3", 540), ("txn_8", -9_480), ("txn_9", 540),
    ]  # fmt: skip
    assert found[1].description == 'Monthly, "all in"'
    assert (found[2].presented_currency, found[2].presented_minor) == ("EUR", 500)
    assert found[0].occurred_at.timestamp() == at
    assert lines(read_settlement, unpacked(written("rep_2", [], [], at)[0])) == []


def test_lines_are_given_out_before_the_file_ends():
    def pieces() -> Iterator[bytes]:
        yield report(*ROWS[:5]).encode()
        raise FileRefused("the rest never came")

    found = read_settlement(pieces())
    assert next(found).number == 2
