"""The PSPs' report files of the test data: each is recognised, read whole, and comes to what it says it does."""

import os
from collections import Counter
from pathlib import Path

import pytest

from bezant.base.file_faults import BadLine, FileRefused
from bezant.psp.reports import LineKind, ReportLine
from bezant.supported import REPORTS
from tests.support.reports import check, in_pieces

BESIDE = Path(__file__).parents[3] / "shared" / "data"
FOLDER = Path(os.environ.get("BEZANT_TEST_DATA", BESIDE)) / "reports"
ADYEN, PAYPAL, STRIPE = (
    "settlement_detail_report_batch_4.csv",
    "STL-20260402.01.009.CSV",
    "stripe_payout_reconciliation_po_S0001.csv",
)


def recognised(name: str) -> tuple[str, str, bytes]:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the reports of PSPs are not there: {path} (set BEZANT_TEST_DATA)")
    data = path.read_bytes()
    ((psp, form),) = [(psp, each) for psp, reports in REPORTS.items() if (each := reports.recognise(data[:4096]))]
    return psp, form, data


def read(name: str) -> list[ReportLine]:
    psp, form, data = recognised(name)
    found = list(REPORTS[psp].formats[form](in_pieces(data, 1_000)))
    check(found, data)
    assert [each for each in found if isinstance(each, BadLine)] == []
    return [each for each in found if isinstance(each, ReportLine)]


def test_reports_of_four_psps_can_be_read():
    assert {psp: set(reports.formats) for psp, reports in REPORTS.items()} == {
        "simulator": {"settlement"},
        "stripe": {"payout_reconciliation", "balance_change_from_activity", "payouts"},
        "adyen": {"settlement_details"},
        "paypal": {"settlement", "transactions"},
    }


def test_every_report_in_the_folder_is_read():
    if not FOLDER.exists():
        pytest.skip(f"the reports of PSPs are not there: {FOLDER} (set BEZANT_TEST_DATA)")
    names = sorted(path.name for path in FOLDER.iterdir() if path.suffix.lower() == ".csv")
    assert {ADYEN, PAYPAL, STRIPE} <= set(names)
    for name in names:
        assert read(name)


def test_the_stripe_payout_comes_to_its_net():
    lines = read(STRIPE)
    assert recognised(STRIPE)[:2] == ("stripe", "payout_reconciliation")
    assert sum(each.net_minor for each in lines) == 10_907
    assert sum(each.fee_minor for each in lines) == 320 + 175 + 238 + 1_500 + 200
    assert {each.payout_reference for each in lines} == {"po_S0001"}
    assert Counter(each.kind for each in lines) == {
        LineKind.CHARGE: 3, LineKind.REFUND: 1, LineKind.DISPUTE: 1, LineKind.FEE: 1
    }  # fmt: skip
    assert [(each.presented_currency, each.presented_minor) for each in lines if each.presented_minor] == [
        ("EUR", 5_000)
    ]


def test_the_adyen_batch_comes_to_nothing_with_its_payout():
    lines = read(ADYEN)
    assert recognised(ADYEN)[:2] == ("adyen", "settlement_details")
    assert sum(each.net_minor for each in lines) == 0
    assert [each.net_minor for each in lines if each.kind is LineKind.PAYOUT] == [-8_868]
    assert sum(each.fee_minor for each in lines) == 140 + 80 + 10 + 750 + 120


def test_the_paypal_balance_ends_at_nothing():
    lines = read(PAYPAL)
    assert recognised(PAYPAL)[:2] == ("paypal", "settlement")
    assert [each.kind for each in lines] == [LineKind.CHARGE, LineKind.REFUND, LineKind.DISPUTE, LineKind.PAYOUT]
    assert sum(each.net_minor for each in lines) == 0


@pytest.mark.parametrize("name", [ADYEN, PAYPAL])
def test_a_report_that_loses_a_row_is_refused(name: str):
    psp, form, data = recognised(name)
    rows = data.splitlines(keepends=True)
    for at in range(4, len(rows)):
        with pytest.raises(FileRefused):
            list(REPORTS[psp].formats[form]([b"".join(rows[:at] + rows[at + 1 :])]))
