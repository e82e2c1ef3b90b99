"""PayPal's settlement and transaction reports: rows by their types, amounts without signs, and totals that hold."""

import csv

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.file_faults import BadLine
from bezant.connectors.paypal.codes import GROUPS, kind_of
from bezant.connectors.paypal.reports import REPORTS, read_settlement, read_transactions
from bezant.psp.reports import LineKind
from tests.support.reports import bad, line, lines, read, refusal, survives

COLUMNS = (
    "Transaction ID", "Invoice ID", "PayPal Reference ID", "PayPal Reference ID Type", "Transaction Event Code",
    "Transaction Initiation Date", "Transaction Completion Date", "Transaction Debit or Credit",
    "Gross Transaction Amount", "Gross Transaction Currency", "Fee Debit or Credit", "Fee Amount", "Fee Currency",
    "Custom Field", "Bank Reference ID",
)  # fmt: skip
STATUS = "Transactional Status"
AT = "2026/04/02 10:00:03 -0700"
HEAD = ('"RH",2026/04/03 02:44:19 -0700,"A","ACC1",009,', '"FH",01', f'"SH",{AT},{AT},"ACC1",""')


def sb(transaction: str, code: str, side: str, gross: int, currency: str = "USD", fee: int = 0, /, **cells: str) -> str:
    known = {
        "Transaction ID": transaction, "Invoice ID": "ord_1", "PayPal Reference ID": "REF1",
        "Transaction Event Code": code, "Transaction Initiation Date": AT,
        "Transaction Completion Date": AT, "Transaction Debit or Credit": side,
        "Gross Transaction Amount": str(gross), "Gross Transaction Currency": currency, "Custom Field": "pay_1",
        "Fee Debit or Credit": "DR" if fee > 0 else "CR" if fee else "", "Fee Amount": str(abs(fee)) if fee else "",
        "Fee Currency": currency if fee else "",
    } | cells  # fmt: skip
    names = (*COLUMNS, STATUS) if STATUS in cells else COLUMNS
    return ",".join(['"SB"', *(f'"{known.get(name, "")}"' for name in names)])


def ch(*more: str) -> str:
    return ",".join(f'"{name}"' for name in ("CH", *COLUMNS, *more))


def sf(kind: str, currency: str, *totals: int) -> str:
    return f'"{kind}","{currency}",{",".join(map(str, totals))},"CR",0,"CR",0,1'


def counts(count: int) -> tuple[str, ...]:
    return f'"SC",{count}', f'"RC",{count}', f'"FF",{count}'


BODY = (
    sb("TX1", "T0006", "CR", 6_000, "USD", 239),
    sb("TX2", "T1107", "DR", 2_000, "USD", -40),
    sb("TX3", "T1201", "DR", 1_500),
    sb("TX4", "T0200", "DR", 500),
    sb("TX5", "T0200", "CR", 450, "EUR"),
    sb("TX6", "T0400", "DR", 1_000, **{"Bank Reference ID": "BANK9", "PayPal Reference ID": ""}),
)
SUMS = {"USD": (6_000, 5_000, 40, 239), "EUR": (450, 0, 0, 0)}


def sums_of(*body: str) -> dict[str, tuple[int, ...]]:
    """Gross credits and debits, fee credits and debits of the rows that can be read, by currency."""
    found: dict[str, list[int]] = {}
    for cells in csv.reader(body):
        side, gross, currency, fee_side, fee = cells[8:13]
        if gross.isdigit():
            of_currency = found.setdefault(currency, [0, 0, 0, 0])
            of_currency[0 if side == "CR" else 1] += int(gross)
            of_currency[2 if fee_side == "CR" else 3] += int(fee or 0)
    return {currency: tuple(each) for currency, each in found.items()}


def report(
    *body: str, sums: dict[str, tuple[int, ...]] | None = None, end: tuple[str, ...] | None = None, columns: str = ch()
) -> str:
    section, whole, file = counts(len(body)) if end is None else end
    known = sums_of(*body) if sums is None else sums
    footers = [sf("SF", currency, *each) for currency, each in known.items()]
    report_footers = [each.replace("SF", "RF", 1) for each in footers]
    rows = (*HEAD, columns, *body, *footers, section, *report_footers, whole, file)
    return "".join(f"{each}\r\n" for each in rows)


REPORT = report(*BODY, sums=SUMS)


def test_a_payment_has_its_fee_beside_it():
    charge = line(read_settlement, REPORT, 5)
    assert (charge.kind, charge.gross_minor, charge.fee_minor, charge.net_minor) == (LineKind.CHARGE, 6_000, 239, 5_761)
    assert (charge.reference, charge.psp_reference, charge.operation_reference) == ("pay_1", "REF1", "TX1")
    assert charge.occurred_at.isoformat() == "2026-04-02T17:00:03+00:00"


def test_a_refund_brings_its_fee_back():
    refund = line(read_settlement, REPORT, 6)
    assert (refund.kind, refund.gross_minor, refund.fee_minor, refund.net_minor) == (
        LineKind.REFUND,
        -2_000,
        -40,
        -1_960,
    )


def test_a_conversion_is_an_adjustment_in_each_currency():
    out, into = line(read_settlement, REPORT, 8), line(read_settlement, REPORT, 9)
    assert (out.kind, out.currency, out.net_minor) == (LineKind.ADJUSTMENT, "USD", -500)
    assert (into.kind, into.currency, into.net_minor) == (LineKind.ADJUSTMENT, "EUR", 450)
    assert out.description == "T0200 currency conversion"


def test_a_withdrawal_is_a_payout_that_the_bank_names():
    payout = line(read_settlement, REPORT, 10)
    assert (payout.kind, payout.net_minor, payout.payout_reference) == (LineKind.PAYOUT, -1_000, "TX6")
    assert (payout.operation_reference, payout.reference, payout.psp_reference) == ("BANK9", None, None)


@pytest.mark.parametrize(
    ("code", "side", "kind"),
    [
        ("T0006", "CR", LineKind.CHARGE),
        ("T0077", "CR", LineKind.CHARGE),
        ("T0006", "DR", LineKind.ADJUSTMENT),
        ("T0106", "DR", LineKind.FEE),
        ("T1108", "CR", LineKind.FEE),
        ("T1107", "DR", LineKind.REFUND),
        ("T1107", "CR", LineKind.ADJUSTMENT),
        ("T1106", "DR", LineKind.DISPUTE),
        ("T1201", "DR", LineKind.DISPUTE),
        ("T1202", "CR", LineKind.DISPUTE_REVERSED),
        ("T1110", "DR", LineKind.ADJUSTMENT),
        ("T1111", "CR", LineKind.ADJUSTMENT),
        ("T0400", "DR", LineKind.PAYOUT),
        ("T0400", "CR", LineKind.PAYOUT_FAILED),
        ("T1101", "CR", LineKind.PAYOUT_FAILED),
        ("T1503", "DR", LineKind.ADJUSTMENT),
        ("T7777", "CR", LineKind.ADJUSTMENT),
    ],
)
def test_a_code_and_its_side_say_what_moved(code: str, side: str, kind: LineKind):
    found = line(read_settlement, report(sb("TX1", code, side, 100)), 5)
    assert (found.kind, abs(found.net_minor)) == (kind, 100)


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_group_is_something_to_the_balance_or_nothing(group: str):
    found = read(read_settlement, report(sb("TX1", f"{group}99", "CR", 100)))
    assert [getattr(each, "kind", None) for each in found] == (
        [] if group in {"T13", "T98"} else [kind_of(f"{group}99", "CR")]
    )


def test_a_fee_of_no_payment_is_fee_report():
    taken = line(read_settlement, report(sb("TX1", "T0106", "DR", 2_000)), 5)
    given_back = line(read_settlement, report(sb("TX1", "T1108", "CR", 2_000)), 5)
    assert (taken.gross_minor, taken.fee_minor, taken.net_minor) == (0, 2_000, -2_000)
    assert (given_back.gross_minor, given_back.fee_minor, given_back.net_minor) == (0, -2_000, 2_000)


@pytest.mark.parametrize(("currency", "gross", "gross_minor"), [("JPY", 15_000, 150), ("HUF", 15_000, 15_000)])
def test_amounts_are_hundredths_in_every_currency(currency: str, gross: int, gross_minor: int):
    assert line(read_settlement, report(sb("TX1", "T0006", "CR", gross, currency)), 5).gross_minor == gross_minor


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (sb("", "T0006", "CR", 100), "Transaction ID"),
        (sb("TX1", "0006", "CR", 100), "Transaction Event Code"),
        (sb("TX1", "T0006", "XX", 100), "Transaction Debit or Credit"),
        (sb("TX1", "T0006", "", 100), "Transaction Debit or Credit"),
        (sb("TX1", "T0006", "CR", -100), "Gross Transaction Amount"),
        (sb("TX1", "T0006", "CR", 150, "JPY"), "Gross Transaction Amount"),
        (sb("TX1", "T0006", "CR", 100, "USDT"), "Gross Transaction Currency"),
        (sb("TX1", "T0006", "CR", 100, "USD", 3, **{"Fee Currency": "EUR"}), "Fee Currency"),
        (sb("TX1", "T0006", "CR", 100, "USD", 3, **{"Fee Debit or Credit": ""}), "Fee Debit or Credit"),
        (sb("TX1", "T0006", "CR", 100, **{"Gross Transaction Amount": "1.00"}), "Gross Transaction Amount"),
        (sb("TX1", "T0006", "CR", 100, **{"Transaction Completion Date": "2026-04-02"}), "Transaction Completion Date"),
        ('"SB","TX1"' + 11 * ",", None),
    ],
)
def test_a_row_at_fault_is_put_out_and_counted(row: str, field: str | None):
    assert [(number, found) for number, found, _ in bad(read_settlement, report(row))] == [(5, field)]
    assert len(read(read_settlement, report(row, *BODY))) == 7


def test_a_row_with_a_stray_quote_is_put_out_and_counted():
    ((number, _, reason),) = bad(read_settlement, report('"SB","TX1"x,,,,,,,,,,,,', *BODY, sums={}))
    assert (number, "quot" in reason) == (5, True)


@pytest.mark.parametrize("at", range(4))
def test_sums_that_do_not_hold_refuse_the_file(at: int):
    wrong = list(SUMS["USD"])
    wrong[at] += 1
    refused = refusal(read_settlement, report(*BODY, sums=SUMS | {"USD": tuple(wrong)}))
    assert (refused.line, refused.field) == (11, "SF")
    assert f"not to {wrong[at]}" in refused.reason


@pytest.mark.parametrize(("end", "field"), [(0, "SC"), (1, "RC"), (2, "FF")])
def test_counts_that_do_not_hold_refuse_the_file(end: int, field: str):
    stated = [*counts(len(BODY))]
    stated[end] = counts(7)[end]
    refused = refusal(read_settlement, report(*BODY, end=tuple(stated)))
    assert (refused.field, "6 transactions where" in refused.reason) == (field, True)


def test_sums_of_the_report_are_checked_as_those_of_its_sections_are():
    wrong = REPORT.replace('"RF","USD",6000', '"RF","USD",6001')
    assert refusal(read_settlement, wrong).field == "RF"


def test_sums_of_a_currency_that_are_missing_refuse_the_file():
    usd = {"USD": SUMS["USD"]}
    assert refusal(read_settlement, report(*BODY, sums=usd)).reason == "there are no totals in EUR"
    wrong = REPORT.replace(sf("RF", "EUR", *SUMS["EUR"]) + "\r\n", "")
    assert refusal(read_settlement, wrong).field == "RF"


def test_a_part_of_a_report_is_checked_by_what_is_of_this_part_alone():
    part = REPORT.replace(HEAD[0] + "\r\n", "").replace('"FH",01', '"FH",02').replace("6000,5000,40", "9000,9000,90")
    part = part.replace('"SC",6', '"SC",12').replace('"RC",6', '"RC",12')
    found = [msgspec.structs.replace(each, number=each.number + 1) for each in lines(read_settlement, part)]
    assert found == lines(read_settlement, REPORT)
    assert refusal(read_settlement, part.replace('"FF",6', '"FF",12')).field == "FF"


def test_each_section_adds_up_for_itself_and_the_report_over_all():
    section = [HEAD[2], ch(), *BODY, sf("SF", "USD", *SUMS["USD"]), sf("SF", "EUR", *SUMS["EUR"]), '"SC",6']
    double = ['"RF","USD",12000,10000,80,478', '"RF","EUR",900,0,0,0', '"RC",12', '"FF",12']
    text = "".join(f"{each}\n" for each in (*HEAD[:2], *section, *section, *double))
    assert len(lines(read_settlement, text)) == 12
    assert refusal(read_settlement, text.replace('"RC",12', '"RC",6')).field == "RC"


def test_a_file_that_is_cut_off_anywhere_is_refused():
    whole = REPORT.encode()
    ends = len(whole) - len("\r\n")
    for at in range(1, ends):
        refusal(read_settlement, whole[:at])
    assert lines(read_settlement, whole[:ends]) == lines(read_settlement, whole)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("009,", "012,", "version 12"),
        ("009,", ",", "empty"),
        ('"SC"', '"SX"', "'SX' is no type of a row"),
        ('"FH",01\r\n', "", "SH cannot follow RH"),
        ('"Fee Amount"', '"Fee"', "columns are missing: Fee Amount"),
    ],
)
def test_a_file_that_is_not_built_as_paypal_builds_it_is_refused(old: str, new: str, words: str):
    assert words in str(refusal(read_settlement, REPORT.replace(old, new, 1)))


def test_versions_9_to_11_are_read():
    for version in ("009", "010", "011"):
        assert len(lines(read_settlement, REPORT.replace("009,", f"{version},", 1))) == 6


def detail(status: str, code: str = "T0006") -> str:
    return report(sb("TX1", code, "CR", 6_000, "USD", 239, **{STATUS: status}), sums={}, columns=ch(STATUS))


def test_a_transaction_report_names_lines_as_the_settlement_report_does():
    (found,) = lines(read_transactions, detail("S"))
    assert found == line(read_settlement, REPORT, 5)


def test_of_a_transaction_report_only_what_certainly_moved_is_read():
    assert lines(read_transactions, detail("P")) == []
    assert lines(read_transactions, detail("D")) == []
    assert lines(read_transactions, detail("V", "T1302")) == []
    assert [field for _, field, _ in bad(read_transactions, detail("V"))] == [STATUS]
    assert [field for _, field, _ in bad(read_transactions, detail(""))] == [STATUS]
    assert [field for _, field, _ in bad(read_transactions, detail("S", "T9900"))] == ["Transaction Event Code"]


def test_a_report_is_recognised_and_not_read_as_the_other():
    assert REPORTS.recognise(("\ufeff" + REPORT).encode()[:4096]) == "settlement"
    assert REPORTS.recognise(detail("S").encode()[:4096]) == "transactions"
    assert REPORTS.recognise(b'"CH","Transaction ID"\n') is None
    assert "transaction detail" in refusal(read_settlement, detail("S")).reason
    assert "settlement" in refusal(read_transactions, REPORT).reason


@given(seed=st.integers(0, 2**32))
def test_whatever_is_wrong_with_a_file_it_is_refused_or_none_of_its_rows_is_lost(seed: int):
    found = survives(read_settlement, REPORT.encode(), seed)
    moved_nothing = 1  # a code may have become one that moves no balance
    assert found is None or len(found) >= len(BODY) - moved_nothing


@given(seed=st.integers(0, 2**32))
def test_whatever_is_wrong_with_a_transaction_report_it_is_refused_or_read(seed: int):
    found = survives(read_transactions, detail("S").encode(), seed)
    assert found is None or all(isinstance(each, BadLine) or each.net_minor for each in found)
