"""Stripe's reports: every category, columns by name and by choice, amounts in major units, times in UTC."""

from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe.params.reporting import ReportRunCreateParamsParameters

from bezant.base.file_faults import BadLine
from bezant.connectors.stripe.reports import (
    ADJUSTMENTS,
    KINDS,
    REPORTS,
    read_balance_change,
    read_payout_reconciliation,
    read_payouts,
)
from bezant.psp.reports import LineKind, Reader
from tests.support.reports import bad, line, lines, refusal, survives

COLUMNS = (
    "automatic_payout_id", "balance_transaction_id", "created_utc", "created", "currency", "gross", "fee", "net",
    "reporting_category", "source_id", "description", "customer_facing_amount", "customer_facing_currency", "charge_id",
    "payment_intent_id", "payment_metadata[bezant_payment]", "refund_metadata[bezant_reference]",
)  # fmt: skip


def row(category: str, gross: str, fee: str, net: str, **cells: str) -> dict[str, str]:
    known = {
        "automatic_payout_id": "po_1", "balance_transaction_id": "txn_1", "created_utc": "2026-04-01 10:00:00",
        "created": "2026-04-01 12:00:00", "currency": "usd", "gross": gross, "fee": fee, "net": net,
        "reporting_category": category, "source_id": "ch_1", "charge_id": "ch_1", "payment_intent_id": "pi_1",
        "payment_metadata[bezant_payment]": "pay_1",
    }  # fmt: skip
    return known | cells


def report(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> str:
    cells = [",".join(f'"{each[name]}"' if each.get(name) else "" for name in columns) for each in rows]
    return "".join(f"{each}\n" for each in (",".join(columns), *cells))


CHARGE = row("charge", "100.00", "3.20", "96.80")


def test_a_charge_is_named_by_its_payment_and_its_charge():
    charge = line(read_payout_reconciliation, report(CHARGE), 2)
    assert (charge.kind, charge.currency, charge.gross_minor, charge.fee_minor) == (LineKind.CHARGE, "USD", 10_000, 320)
    assert (charge.line_reference, charge.payout_reference) == ("txn_1", "po_1")
    assert (charge.reference, charge.psp_reference, charge.operation_reference) == ("pay_1", "pi_1", "ch_1")
    assert charge.occurred_at.isoformat() == "2026-04-01T10:00:00+00:00"


def test_a_refund_is_named_by_the_attempt_that_asked_for_it():
    refund = row(
        "refund", "-20.00", "0.00", "-20.00", source_id="re_1", **{"refund_metadata[bezant_reference]": "att_2"}
    )
    found = line(read_payout_reconciliation, report(refund), 2)
    assert (found.kind, found.net_minor) == (LineKind.REFUND, -2_000)
    assert (found.reference, found.psp_reference, found.operation_reference) == ("att_2", "pi_1", "re_1")


def test_a_dispute_takes_its_fee_with_it_and_brings_back_what_it_took():
    taken = row("dispute", "-49.99", "15.00", "-64.99", source_id="dp_1")
    back = row("dispute_reversal", "49.99", "0.00", "49.99", source_id="dp_1", balance_transaction_id="txn_2")
    first, second = lines(read_payout_reconciliation, report(taken, back))
    assert (first.kind, first.gross_minor, first.fee_minor) == (LineKind.DISPUTE, -4_999, 1_500)
    assert (second.kind, second.net_minor, second.operation_reference) == (LineKind.DISPUTE_REVERSED, 4_999, "dp_1")


def test_a_capture_of_a_part_is_a_charge_and_what_it_gives_back():
    rest = row("partial_capture_reversal", "-40.00", "0.00", "-40.00", source_id="re_9", balance_transaction_id="txn_2")
    found = lines(read_payout_reconciliation, report(CHARGE, rest))
    assert {each.kind for each in found} == {LineKind.CHARGE}
    assert {each.operation_reference for each in found} == {"ch_1"}
    assert sum(each.gross_minor for each in found) == 6_000


def test_all_categories_that_stripe_names_are_known_here():
    (named, _) = get_args(get_type_hints(ReportRunCreateParamsParameters)["reporting_category"])
    assert set(get_args(named)) - KINDS.keys() - ADJUSTMENTS == set()
    assert not KINDS.keys() & ADJUSTMENTS


@pytest.mark.parametrize("category", [*sorted(ADJUSTMENTS), "something_new"])
def test_what_is_no_payment_is_an_adjustment_under_its_own_name(category: str):
    found = line(read_balance_change, report(row(category, "5.00", "0.00", "5.00", description="Of April")), 2)
    assert (found.kind, found.net_minor, found.description) == (LineKind.ADJUSTMENT, 500, f"{category}: Of April")


@pytest.mark.parametrize(("gross", "fee"), [("-2.00", "0.00"), ("0.00", "2.00")])
def test_a_fee_is_fee_alone_wherever_it_stands(gross: str, fee: str):
    found = line(read_balance_change, report(row("fee", gross, fee, "-2.00")), 2)
    assert (found.kind, found.gross_minor, found.fee_minor, found.net_minor) == (LineKind.FEE, 0, 200, -200)


def test_what_the_customer_saw_in_another_currency_has_the_sign_of_gross():
    facing = {"customer_facing_amount": "50.00", "customer_facing_currency": "eur"}
    charge = line(read_balance_change, report(row("charge", "53.40", "2.38", "51.02", **facing)), 2)
    refund = line(read_balance_change, report(row("refund", "-53.40", "0.00", "-53.40", **facing)), 2)
    assert (charge.presented_currency, charge.presented_minor, refund.presented_minor) == ("EUR", 5_000, -5_000)
    same = row("charge", "53.40", "0.00", "53.40", customer_facing_amount="53.40", customer_facing_currency="usd")
    assert line(read_balance_change, report(same), 2).presented_minor is None


@pytest.mark.parametrize(
    ("currency", "gross", "gross_minor"),
    [("jpy", "500", 500), ("kwd", "1.230", 1_230), ("isk", "700.00", 700), ("ugx", "700.00", 700), ("mga", "5", 500)],
)
def test_amounts_are_major_units_whatever_stripe_counts_in(currency: str, gross: str, gross_minor: int):
    found = line(read_balance_change, report(row("charge", gross, "0", gross, currency=currency)), 2)
    assert found.gross_minor == gross_minor


def test_columns_are_found_by_name_and_most_may_be_left_out():
    few = ("net", "fee", "gross", "currency", "reporting_category", "created_utc", "balance_transaction_id")
    found = line(read_balance_change, report(CHARGE, columns=few), 2)
    assert (found.net_minor, found.psp_reference, found.payout_reference) == (9_680, None, None)
    order = tuple(reversed(COLUMNS))
    assert lines(read_balance_change, report(CHARGE, columns=order)) == lines(read_balance_change, report(CHARGE))


def test_columns_that_are_needed_and_were_not_chosen_are_named():
    columns = tuple(name for name in COLUMNS if name not in {"fee", "net", "automatic_payout_id"})
    assert "columns are missing: fee, net" in str(refusal(read_balance_change, report(CHARGE, columns=columns)))
    columns = tuple(name for name in COLUMNS if name != "automatic_payout_id")
    assert "automatic_payout_id" in str(refusal(read_payout_reconciliation, report(CHARGE, columns=columns)))
    assert lines(read_balance_change, report(CHARGE, columns=columns))


def test_times_of_a_time_zone_that_nobody_names_refuse_the_file():
    columns = tuple(name for name in COLUMNS if name != "created_utc")
    refused = refusal(read_balance_change, report(CHARGE, columns=columns))
    assert (refused.line, refused.field) == (2, "created")
    assert "created_utc" in refused.reason
    stated = report(CHARGE | {"created": "2026-04-01 12:00:00+02:00"}, columns=columns)
    assert line(read_balance_change, stated, 2).occurred_at.isoformat() == "2026-04-01T10:00:00+00:00"


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"net": "96.81"}, "net"),
        ({"gross": "100.005"}, "gross"),
        ({"fee": ""}, "fee"),
        ({"currency": "usdc"}, "currency"),
        ({"created_utc": "yesterday"}, "created_utc"),
        ({"balance_transaction_id": ""}, "balance_transaction_id"),
        ({"reporting_category": ""}, "reporting_category"),
        ({"customer_facing_amount": "1.2.3", "customer_facing_currency": "eur"}, "customer_facing_amount"),
    ],
)
def test_a_row_at_fault_is_put_out_and_the_others_are_read(cells: dict[str, str], field: str):
    wrong = report(CHARGE | cells, CHARGE)
    assert [(number, found) for number, found, _ in bad(read_balance_change, wrong)] == [(2, field)]
    assert line(read_balance_change, wrong, 3).net_minor == 9_680


def test_a_description_over_two_lines_is_one_line_and_without_card_data():
    text = report(CHARGE | {"description": "Order 1,\n card 4111 1111 1111 1111"}, CHARGE)
    found = lines(read_balance_change, text)
    assert [each.number for each in found] == [2, 4]
    assert found[0].description == "Order 1, card [card data removed]"


def test_a_quote_that_swallows_rows_refuses_the_file_and_not_one_row():
    columns = "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,description"
    rows = [f"txn_{number},2026-04-01 10:00:00,usd,1.00,0.00,1.00,charge" for number in range(4)]
    for end in ('"', '",', '",x'):
        text = "\n".join([columns, f"{rows[0]},", f'{rows[1]},"Order', f"{rows[2]},", f"{rows[3]},{end}"])
        refused = refusal(read_balance_change, text)
        assert (refused.line, "not closed where it should be" in refused.reason) == (3, True)


PAYOUT_COLUMNS = (
    "payout_id", "effective_at_utc", "currency", "gross", "fee", "net", "reporting_category", "balance_transaction_id",
    "description", "trace_id",
)  # fmt: skip


def payout(gross: str, category: str = "payout", fee: str = "0.00") -> dict[str, str]:
    return {
        "payout_id": "po_1", "effective_at_utc": "2026-04-03 00:00:00", "currency": "usd", "gross": gross, "fee": fee,
        "net": gross, "reporting_category": category, "balance_transaction_id": "txn_9", "trace_id": "STRIPE-X1",
    }  # fmt: skip


def test_a_payout_that_the_bank_gets_leaves_the_balance():
    found = line(read_payouts, report(payout("109.07"), columns=PAYOUT_COLUMNS), 2)
    assert (found.kind, found.net_minor, found.payout_reference) == (LineKind.PAYOUT, -10_907, "po_1")
    assert (found.operation_reference, found.line_reference) == ("STRIPE-X1", "txn_9")
    debit = line(read_payouts, report(payout("-20.35"), columns=PAYOUT_COLUMNS), 2)
    assert debit.net_minor == 2_035
    back = line(read_payouts, report(payout("-109.07", "payout_reversal"), columns=PAYOUT_COLUMNS), 2)
    assert (back.kind, back.net_minor) == (LineKind.PAYOUT_FAILED, 10_907)


def test_what_is_not_known_of_payouts_for_certain_is_put_out():
    rows = [payout("10.00", "charge"), payout("10.00") | {"fee": "1.00", "net": "9.00"}]
    assert [field for _, field, _ in bad(read_payouts, report(*rows, columns=PAYOUT_COLUMNS))] == [
        "reporting_category",
        "fee",
    ]


def test_a_payout_in_a_report_of_the_balance_leaves_it():
    sent = row("payout", "-109.07", "0.00", "-109.07", source_id="po_7", automatic_payout_id="po_8")
    found = line(read_balance_change, report(sent), 2)
    assert (found.kind, found.net_minor, found.payout_reference) == (LineKind.PAYOUT, -10_907, "po_7")


@pytest.mark.parametrize(
    ("columns", "format_name"),
    [
        (COLUMNS, "payout_reconciliation"),
        (COLUMNS[1:], "balance_change_from_activity"),
        (PAYOUT_COLUMNS, "payouts"),
        (("id", "amount"), None),
    ],
)
def test_a_report_is_recognised_by_its_columns(columns: tuple[str, ...], format_name: str | None):
    assert REPORTS.recognise(report(columns=columns).encode()[:4096]) == format_name


def test_a_file_that_is_cut_off_within_a_line_is_refused():
    whole = report(CHARGE, CHARGE | {"balance_transaction_id": "txn_2"}).encode()
    assert refusal(read_balance_change, whole[:-60]).line == 3
    between_cells = whole.rindex(b',"txn_2"') + 1
    assert refusal(read_balance_change, whole[:between_cells]).reason == "the file ends in the middle of a line"


def test_an_empty_report_has_no_lines():
    assert lines(read_balance_change, report()) == []


@pytest.mark.parametrize(
    ("reader", "columns", "rows"),
    [
        (read_payout_reconciliation, COLUMNS, (CHARGE, row("fee", "0.00", "2.00", "-2.00"))),
        (read_payouts, PAYOUT_COLUMNS, (payout("109.07"), payout("-20.35"))),
    ],
)  # fmt: skip
@given(seed=st.integers(0, 2**32))
def test_whatever_is_wrong_with_a_file_it_is_refused_or_read(
    reader: Reader, columns: tuple[str, ...], rows: tuple[dict[str, str], ...], seed: int
):
    found = survives(reader, report(*rows, columns=columns).encode(), seed)
    assert found is None or all(isinstance(each, BadLine) or each.line_reference for each in found)
