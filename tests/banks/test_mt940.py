"""MT940 and MT942."""

from datetime import date
from functools import partial

import pytest

from bezant.banks.contract import EntryKind, StatementFoot, StatementHead
from bezant.banks.mt940 import read_mt940
from tests.banks.samples import MT940, MT942, Read, read


def statement(*fields: str, opening: str = "C260401EUR0,", closing: str | None = None) -> bytes:
    """A statement of the given fields."""
    last = [f":62F:{closing}"] if closing is not None else []
    return "\n".join([":20:S1", ":25:ACCOUNT1", ":28C:1/1", f":60F:{opening}", *fields, *last, "-", ""]).encode()


def read_only(*fields: str) -> Read:
    """What is in the given fields, whatever the balances."""
    return read(partial(read_mt940, check_totals=False), statement(*fields))


def test_a_statement_has_its_account_its_balances_and_its_entries():
    found = read(read_mt940, MT940)
    assert found.refusal is None
    assert found.heads == [
        StatementHead(
            account="DE89370400440532013000",
            currency="EUR",
            statement_reference="STMT1",
            sequence="12/1",
            opening_minor=100000,
            opened_on=date(2026, 4, 1),
        )
    ]
    assert found.feet == [StatementFoot(closing_minor=110025, closed_on=date(2026, 4, 3), entries=2)]
    payout, fee = found.entries
    assert (payout.number, payout.amount_minor, payout.entry_reference) == (5, 15025, "BANK1")
    assert payout.references == ("po_1", "pay_1")
    assert (payout.counterparty, payout.counterparty_account) == ("ACME PSP", "DE02120300000000202051")
    assert payout.text == "EREF+pay_1 SVWZ+Payout 1 GUTSCHRIFT"
    assert (fee.amount_minor, fee.kind, fee.references, fee.text) == (-5000, EntryKind.FEE, (), "Fees of March")


def test_a_report_within_the_day_is_not_final_and_skips_what_is_only_expected():
    found = read(read_mt940, MT942)
    assert found.refusal is None
    assert not found.heads[0].is_final
    assert found.heads[0].currency == "EUR"
    assert [e.amount_minor for e in found.entries] == [1000, -250]
    assert found.feet[0].skipped == 1


def test_the_sums_of_a_report_within_the_day_are_held_against_its_entries():
    without_expected = MT942.replace(b":61:2604020402EC9,NTRFpo_3//B3\r\n", b"")
    assert read(read_mt940, without_expected).refusal is None
    wrong = read(read_mt940, without_expected.replace(b"1EUR10,", b"2EUR10,"))
    assert "states 2 entries of 10.00 EUR and holds 1 of 10.00 EUR" in wrong.reason
    assert "(line 9 field '90C')" in wrong.reason


def test_a_report_within_the_day_without_its_end_is_truncated():
    assert "truncated" in read(read_mt940, MT942[: MT942.index(b":90C:")]).reason


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_a_file_is_read_the_same_in_pieces_of_any_size(size: int):
    assert read(read_mt940, MT940, size).parts == read(read_mt940, MT940).parts


def test_a_swift_envelope_and_what_stands_between_messages_are_passed_over():
    wrapped = b"{1:F01BANKXX}{2:O940BANKXXN}{3:}{4:\r\n" + MT940.replace(b"-\r\n", b"-}{5:{CHK:1}}\r\n")
    assert read(read_mt940, wrapped + b"BANKNL2A\r\n940\r\n" + MT940).refusal is None
    in_one_line = b"{1:F01BANKXX}{2:O940BANKXXN}{4:" + MT940
    assert [e.amount_minor for e in read(read_mt940, in_one_line).entries] == [15025, -5000]
    framed = b"\x01\r\n" + MT940.replace(b"-\r\n", b"-\x03\r\n")
    assert read(read_mt940, framed).refusal is None


def test_balances_that_do_not_add_up_refuse_the_file_with_both_numbers_and_the_line():
    wrong = MT940.replace(b"1100,25", b"1100,26")
    found = read(read_mt940, wrong)
    assert "1100.25 EUR, but it closes with 1100.26 EUR (line 9 field '62F')" in found.reason
    lax = read(partial(read_mt940, check_totals=False), wrong)
    assert lax.refusal is None
    assert len(lax.entries) == 2


def test_each_page_of_a_statement_adds_up_by_itself():
    pages = statement(":61:260402C1,NTRFA", ":62M:C260402EUR1,") + statement(
        ":61:260402C2,NTRFB", opening="x", closing="C260402EUR3,"
    ).replace(b":60F:x", b":60M:C260402EUR1,")
    found = read(read_mt940, pages)
    assert found.refusal is None
    assert [foot.closing_minor for foot in found.feet] == [100, 300]


def test_a_statement_without_a_closing_balance_is_truncated():
    assert (
        "truncated: it has no closing balance (line 5 field '62F')"
        in read(read_mt940, statement(":61:260402C1,NTRFA")).reason
    )


def test_a_closing_balance_without_a_currency_is_in_that_of_the_opening_one():
    assert read(read_mt940, statement(":61:260402C1,NTRFA", closing="C2604021,")).feet[0].closing_minor == 100


@pytest.mark.parametrize(
    ("field", "amount_minor"),
    [
        (":61:260402C1,5NTRFA", 150),
        (":61:2604020402CR1,50NTRFA", 150),
        (":61:260402    DD1,50NTRFA", -150),
        (":61:260402C1.50NTRFA", 150),
        (":61:260402C15NTRFA", 1500),
        (":61:260402D000000000025,00N102EREF", -2500),
    ],
)
def test_amounts_are_read_as_banks_write_them(field: str, amount_minor: int):
    assert read_only(field).entry.amount_minor == amount_minor


def test_a_reversal_of_a_credit_takes_and_of_a_debit_gives():
    entries = read_only(":61:260402RCR204,88NRTINONREF", ":61:260402RDR1,NTRFNONREF").entries
    assert [(e.amount_minor, e.is_reversal) for e in entries] == [(-20488, True), (100, True)]
    assert entries[0].kind is EntryKind.RETURN


@pytest.mark.parametrize(
    ("dates", "booked_on", "value_on"),
    [
        ("2604020403", date(2026, 4, 3), date(2026, 4, 2)),
        ("2601020102", date(2026, 1, 2), date(2026, 1, 2)),
        ("2601021231", date(2025, 12, 31), date(2026, 1, 2)),
        ("2512310102", date(2026, 1, 2), date(2025, 12, 31)),
        ("260402", date(2026, 4, 2), date(2026, 4, 2)),
        ("1602300301", date(2016, 3, 1), date(2016, 2, 29)),
    ],
)
def test_the_day_of_booking_is_of_the_year_nearest_to_the_value_date(dates: str, booked_on: date, value_on: date):
    found = read_only(f":61:{dates}C1,NTRFA").entry
    assert (found.booked_on, found.value_on) == (booked_on, value_on)


@pytest.mark.parametrize(
    ("lines", "text", "references"),
    [
        (
            ["/EREF/PAY-1/BENM//NAME/ACME PSP/REMI/Payout 1/ISDT/2026-04-02"],
            "Payout 1 PAY-1 ACME PSP 2026-04-02",
            ("PAY-1",),
        ),
        (["Invoice 12 of the year", "and thanks"], "Invoice 12 of the year and thanks", ()),
        (["x" * 62 + "po", "_17 y"], "x" * 62 + "po_17 y", ()),
        (["166?00GUT?20EREF+po", "_17?21SVWZ+Payout "], "EREF+po_17 SVWZ+Payout GUT", ("po_17",)),
        (["166?20SVWZ+payout of all pay_12?213"], "SVWZ+payout of all pay_12 3", ()),
        (["166?20SVWZ+payout of the pay_12345?21678"], "SVWZ+payout of the pay_12345678", ()),
    ],
)
def test_details_are_read_in_the_forms_that_are_in_use(lines: list[str], text: str, references: tuple[str, ...]):
    found = read_only(":61:260402C1,NTRFNONREF", ":86:" + "\n".join(lines)).entry
    assert found.text == text
    assert found.references == references


def test_a_time_at_the_start_of_a_line_of_details_is_no_field():
    found = read_only(":61:260402C1,NTRFNONREF", ":86:on 12-09-2014T16\n:26:37 in the shop").entry
    assert found.text == "on 12-09-2014T16 :26:37 in the shop"


def test_what_stands_under_an_entry_belongs_to_its_text():
    assert read_only(":61:260402C1,NTRFNONREF\nACME PSP", ":86:Payout").entry.text == "Payout ACME PSP"


@pytest.mark.parametrize(
    ("code", "kind"), [("109", EntryKind.RETURN), ("808", EntryKind.FEE), ("814", EntryKind.INTEREST)]
)
def test_the_code_of_german_banks_is_the_kind(code: str, kind: EntryKind):
    assert read_only(":61:260402C1,NMSCNONREF", f":86:{code}?00TEXT").entry.kind is kind


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (":61:260402X1,NTRFA", "no entry of a statement"),
        (":61:260402C1,234NTRFA", "more decimals than EUR"),
        (":61:261302C1,NTRFA", "'261302' is no day"),
        (":61:2604020431C1,NTRFA", "'0431' is no day"),
        (":61:260402C999999999999999999,NTRFA", "larger than any amount"),
    ],
)
def test_an_entry_that_cannot_be_read_is_put_out_and_the_others_are_read(field: str, reason: str):
    found = read_only(":61:260402C1,NTRFA", field, ":61:260402C2,NTRFB")
    assert [e.amount_minor for e in found.entries] == [100, 200]
    (bad,) = found.bad
    assert (bad.number, bad.field) == (6, "61")
    assert reason in bad.reason


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b":25:ACCOUNT\n", "a field outside of a statement, which begins with :20: (line 1 field '25')"),
        (b":20:A\n", "has no account (line 1 field '25')"),
        (b":20:A\n:25:B\n:60F:X260401EUR1,\n", "'X260401EUR1,' is no balance (line 3 field '60F')"),
        (b":20:A\n:25:B\n:60F:C260401DEM1,\n", "'DEM' is no currency of ISO 4217 that is in use (line 3 field '60F')"),
        (b":20:A\n:25:B\n:60F:C261301EUR1,\n", "'261301' is no day (line 3 field '60F')"),
        (b":20:A\n:25:B\n:60F:C260401EUR1,\n:60F:C260401EUR1,\n", "a second opening balance"),
        (b"hello\n", "no line begins with :20:"),
        (b":20:A\n:25:B\n:86:" + b"\n".join([b"x"] * 200), "more than 100 lines"),
        (b":20:A\n:25:" + b"x" * 70_000, "a line of more than 64 KiB"),
        (b":20:A\n:25:B\0\n", "a NUL character"),
        (":20:A\n".encode("utf-16"), "encoded in UTF-16"),
    ],
)
def test_a_file_that_is_no_statement_is_refused_with_the_line_and_the_field(file: bytes, reason: str):
    assert reason in read(read_mt940, file).reason


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_letters_beyond_ascii_are_read(encoding: str):
    file = statement(":61:260402C1,NTRFNONREF", ":86:Grüße", closing="C260402EUR1,")
    assert read(read_mt940, file.decode().encode(encoding)).entry.text == "Grüße"
