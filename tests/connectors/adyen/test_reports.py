"""Adyen's settlement details: gross as it was paid, net as it was settled, and batches that come to nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.connectors.adyen.reports import KINDS, REPORTS, ZONES_H, read_settlement_details
from bezant.psp.reports import LineKind, ReportLine
from tests.support.reports import bad, line, lines, read, refusal, survives

COLUMNS = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method", "Creation Date",
    "TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)",
    "Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)",
    "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant", "Modification Merchant Reference", "Batch Number",
    "Reserved4",
)  # fmt: skip


def row(kind: str, gross: str, net: str, **cells: str) -> dict[str, str]:
    """Amounts with a sign; of no payment where there is no gross."""
    known = {
        "Company Account": "Co", "Merchant Account": "Shop", "Creation Date": "2026-04-01 10:00:00", "TimeZone": "CEST",
        "Type": kind, "Net Currency": "EUR", "Batch Number": "4", "Modification Reference": f"{kind} of April",
    }  # fmt: skip
    known["Net Debit (NC)" if net.startswith("-") else "Net Credit (NC)"] = net.removeprefix("-")
    if gross:
        known["Gross Debit (GC)" if gross.startswith("-") else "Gross Credit (GC)"] = gross.removeprefix("-")
        known |= {
            "Psp Reference": "8535", "Merchant Reference": "pay_1", "Modification Reference": "8825",
            "Gross Currency": "EUR", "Modification Merchant Reference": "att_1",
        }  # fmt: skip
    return known | cells


def named(**cells: str) -> dict[str, str]:
    """Cells by the words of their columns."""
    return {
        name: cells[key] for key in cells for name in COLUMNS if name.split(" (")[0].replace(" ", "_").lower() == key
    }


def report(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> str:
    cells = [
        ",".join(f'"{text}"' if "," in (text := each.get(name, "")) else text for name in columns) for each in rows
    ]
    return "".join(f"{each}\n" for each in (",".join(columns), *cells))


SETTLED = row("Settled", "100.00", "98.60", **named(markup="0.40", scheme_fees="0.30", interchange="0.70"))
REFUNDED = row("Refunded", "-20.00", "-20.10", **named(markup="0.10", modification_reference="8826"))
FEE = row("Fee", "", "-1.20")
PAYOUT = row("MerchantPayout", "", "-77.30", **named(modification_reference="TX1XT batch 4, Shop batch 4"))
BATCH = (SETTLED, REFUNDED, FEE, PAYOUT)


def test_a_capture_is_what_was_paid_and_what_was_taken_of_it():
    found = line(read_settlement_details, report(*BATCH), 2)
    assert (found.kind, found.gross_minor, found.fee_minor, found.net_minor) == (LineKind.CHARGE, 10_000, 140, 9_860)
    assert (found.reference, found.psp_reference, found.operation_reference) == ("att_1", "8535", "8825")
    assert found.payout_reference == "Shop batch 4 EUR"


def test_commission_is_a_fee_as_interchange_is():
    found = line(read_settlement_details, report(row("Chargeback", "-30.00", "-37.50", **named(commission="7.50"))), 2)
    assert (found.kind, found.gross_minor, found.fee_minor, found.net_minor) == (LineKind.DISPUTE, -3_000, 750, -3_750)


def test_gross_in_another_currency_is_what_the_customer_saw():
    paid = row("Settled", "54.00", "48.88", **named(gross_currency="USD", markup="0.80"))
    found = line(read_settlement_details, report(paid, row("MerchantPayout", "", "-48.88")), 2)
    assert (found.currency, found.gross_minor, found.fee_minor) == ("EUR", 4_968, 80)
    assert (found.presented_currency, found.presented_minor) == ("USD", 5_400)


def test_fees_above_a_small_payment_leave_less_than_nothing():
    paid = row("Settled", "10.00", "-0.03", **named(gross_currency="INR", net_currency="USD", interchange="0.14"))
    found = line(read_settlement_details, report(paid), 2)
    assert (found.gross_minor, found.fee_minor, found.net_minor, found.presented_minor) == (11, 14, -3, 1_000)


def test_a_fee_of_no_payment_is_fee_alone_and_says_what_for():
    found = line(read_settlement_details, report(*BATCH), 4)
    assert (found.kind, found.gross_minor, found.fee_minor, found.net_minor) == (LineKind.FEE, 0, 120, -120)
    assert (found.psp_reference, found.description) == (None, "Fee: Fee of April")


def test_a_cost_of_a_payment_is_fee_alone_and_names_the_payment():
    found = line(read_settlement_details, report(row("PaymentCost", "-0.50", "-0.50")), 2)
    assert (found.kind, found.gross_minor, found.fee_minor, found.net_minor) == (LineKind.FEE, 0, 50, -50)
    assert (found.psp_reference, found.operation_reference) == ("8535", "8825")


def test_a_payout_is_told_with_the_name_that_the_bank_writes():
    found = line(read_settlement_details, report(*BATCH), 5)
    assert (found.kind, found.net_minor, found.operation_reference) == (LineKind.PAYOUT, -7_730, "TX1XT")
    assert found.description == "MerchantPayout: TX1XT batch 4, Shop batch 4"


@pytest.mark.parametrize(("kind", "expected"), sorted(KINDS.items()))
def test_each_type_is_what_it_does_to_the_balance(kind: str, expected: LineKind):
    is_taken = expected in {LineKind.REFUND, LineKind.DISPUTE, LineKind.PAYOUT, LineKind.FEE}
    gross = "" if expected in {LineKind.FEE, LineKind.PAYOUT} else "-5.00" if is_taken else "5.00"
    found = next(read_settlement_details([report(row(kind, gross, "-5.00" if is_taken else "5.00")).encode()]))
    assert isinstance(found, ReportLine)
    assert found.kind is expected


def test_a_type_that_is_not_known_is_an_adjustment_under_its_own_name():
    found = line(read_settlement_details, report(row("Installment", "-5.00", "-5.00")), 2)
    assert (found.kind, found.description) == (LineKind.ADJUSTMENT, "Installment: 8825")


def test_columns_may_come_in_any_order_and_more_of_them():
    order = (*reversed(COLUMNS), "Booking Date", "Clearing Network")
    assert lines(read_settlement_details, report(*BATCH, columns=order)) == lines(
        read_settlement_details, report(*BATCH)
    )


def test_empty_cells_beyond_the_header_are_no_fault_and_others_are():
    text = report(*BATCH)
    head, *rows = text.splitlines()
    assert lines(read_settlement_details, "\n".join([head, *(f"{each},," for each in rows)])) == lines(
        read_settlement_details, text
    )
    assert [number for number, _, _ in bad(read_settlement_details, "\n".join([head, f"{rows[0]},x", *rows]))] == [2]


def test_a_batch_that_does_not_add_up_to_its_payout_refuses_the_file():
    refused = refusal(read_settlement_details, report(SETTLED, REFUNDED, PAYOUT))
    assert (refused.line, refused.field) == (4, "Net Debit (NC)")
    assert refused.reason == "Shop batch 4 EUR: the lines add up to 78.50 EUR, paid out is 77.30 EUR"


def test_a_batch_without_its_payout_is_a_file_that_is_cut_off():
    assert "cut off" in refusal(read_settlement_details, report(SETTLED, REFUNDED, FEE)).reason
    owed = report(REFUNDED, FEE)
    assert len(lines(read_settlement_details, owed)) == 2


def test_batches_accounts_and_currencies_add_up_each_for_itself():
    other = [each | {"Merchant Account": "Stall", "Batch Number": "9"} for each in BATCH]
    dollars = [each | {"Net Currency": "USD", "Gross Currency": "USD"} for each in BATCH]
    found = lines(read_settlement_details, report(*BATCH, *other, *dollars))
    assert {each.payout_reference for each in found} == {"Shop batch 4 EUR", "Stall batch 9 EUR", "Shop batch 4 USD"}
    assert len({each.line_reference for each in found}) == 12
    refusal(read_settlement_details, report(*BATCH, *other[:2], *dollars))


def test_the_name_of_a_line_does_not_hang_on_where_it_stands():
    found = {each.line_reference for each in lines(read_settlement_details, report(*BATCH))}
    assert {each.line_reference for each in lines(read_settlement_details, report(*reversed(BATCH)))} == found


def test_rows_of_no_payment_that_say_the_same_are_two_lines():
    double = report(SETTLED, FEE, FEE, row("MerchantPayout", "", "-96.20"))
    found = [each.line_reference for each in lines(read_settlement_details, double)]
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("zone", "hour"), [("CET", 9), ("CEST", 8), ("PST", 18), ("PDT", 17), ("UTC", 10), ("AEST", 0)]
)
def test_times_are_told_in_utc(zone: str, hour: int):
    found = line(read_settlement_details, report(SETTLED | {"TimeZone": zone}, PAYOUT, FEE, REFUNDED), 2)
    assert (found.occurred_at.day, found.occurred_at.hour) == (1, hour)
    assert zone in ZONES_H


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        (named(timezone="CST"), "TimeZone"),
        (named(timezone=""), "TimeZone"),
        (named(creation_date="April"), "Creation Date"),
        (named(net_currency="EURO"), "Net Currency"),
        (named(net_credit="98.6O"), "Net Credit (NC)"),
        (named(net_credit=""), "Net Credit (NC)"),
        (named(net_credit="98.59"), "Net Credit (NC)"),
        (named(markup="0.41"), "Net Credit (NC)"),
        (named(scheme_fees="0.3O"), "Scheme Fees (NC)"),
        (named(gross_currency=""), "Gross Currency"),
        (named(type=""), "Type"),
        (named(type="Refunded"), "Gross Credit (GC)"),
        (named(batch_number=""), "Batch Number"),
        (named(merchant_account=""), "Merchant Account"),
    ],
)
def test_a_row_at_fault_is_put_out_and_the_others_are_read(cells: dict[str, str], field: str):
    wrong = report(SETTLED | cells, *BATCH[1:])
    assert [(number, found) for number, found, _ in bad(read_settlement_details, wrong)] == [(2, field)]
    assert len(read(read_settlement_details, wrong)) == 4


def test_columns_that_are_missing_are_named():
    columns = tuple(name for name in COLUMNS if name not in {"Net Debit (NC)", "Batch Number"})
    assert "columns are missing: Net Debit (NC), Batch Number" in str(
        refusal(read_settlement_details, report(*BATCH, columns=columns))
    )


def test_a_settlement_report_is_recognised_by_its_columns():
    assert REPORTS.recognise(report(*BATCH).encode()[:4096]) == "settlement_details"
    assert REPORTS.recognise(b"Psp Reference,Batch Number\n") is None


@given(seed=st.integers(0, 2**32))
def test_whatever_is_wrong_with_a_file_it_is_refused_or_read(seed: int):
    survives(read_settlement_details, report(*BATCH).encode(), seed)
