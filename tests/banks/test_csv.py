"""CSV files of banks, by a mapping."""

from datetime import date
from functools import partial
from typing import Any

import msgspec
import pytest

from bezant.banks.contract import EntryKind, StatementFoot, StatementHead
from bezant.banks.csv_file import csv_format, read_csv
from bezant.banks.csv_mapping import CsvMapping
from tests.banks.samples import BANK_MAPPING, CSV, Read, read, read_bank_csv

PLAIN: dict[str, Any] = {"account": "A1", "currency": "EUR", "date_column": "Date", "amount_column": "Amount"}


def mapping(**changes: object) -> CsvMapping:
    """The plain mapping with `changes`; None takes a field away."""
    fields = {name: value for name, value in {**PLAIN, **changes}.items() if value is not None}
    return msgspec.convert(fields, CsvMapping)


def read_rows(header: str, *rows: str, **changes: object) -> Read:
    """The rows under a header by a mapping."""
    return read(partial(read_csv, mapping=mapping(**changes)), "\n".join([header, *rows, ""]).encode())


def amounts(found: Read) -> list[int]:
    return [e.amount_minor for e in found.entries]


def test_rows_are_read_under_a_header_wherever_it_stands():
    found = read(read_bank_csv, CSV)
    assert found.refusal is None
    assert found.heads == [StatementHead(account="DE89370400440532013000", currency="EUR")]
    assert found.feet == [StatementFoot(entries=3)]
    assert [(e.number, e.amount_minor, e.booked_on) for e in found.entries] == [
        (3, 10000, date(2026, 4, 1)),
        (4, -250050, date(2026, 4, 2)),
        (5, 50, date(2026, 4, 3)),
    ]
    assert [e.references for e in found.entries] == [("po_1",), (), ("po_3",)]
    assert [e.text for e in found.entries] == ["Payout; April", "Rent", 'He said "thanks" twice']
    assert found.entries[0].counterparty == "ACME PSP"
    assert found.entries[0].entry_reference == "B1"


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_a_file_is_read_the_same_in_pieces_of_any_size(size: int):
    assert read(read_bank_csv, CSV, size).parts == read(read_bank_csv, CSV).parts


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    file = b"\xef\xbb\xbfDate,Amount\n2026-04-01,1.00\n"
    assert amounts(read(partial(read_csv, mapping=mapping()), file)) == [100]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_a_file_is_read_as_its_mapping_says_it_is_encoded(encoding: str):
    file = "Date,Amount,Text\n2026-04-01,1.00,Grüße\n".encode(encoding)
    columns = mapping(text_columns=["Text"], encoding=encoding)
    assert read(partial(read_csv, mapping=columns), file, 3).entry.text == "Grüße"


@pytest.mark.parametrize(
    ("file", "encoding", "reason"),
    [
        ("Date,Amount\nü,1\n".encode("iso-8859-1"), "utf-8", "not encoded in utf-8 (line 2"),
        ("Date,Amount\n".encode("utf-16"), "utf-8", "encoded in UTF-16, the mapping says UTF-8"),
        (b"\xff\xfeD", "utf-16", "not encoded in UTF-16"),
        (b"Date,Amount\n\x81,1\n", "windows-1252", "not encoded in windows-1252 (line 2"),
    ],
)
def test_a_file_in_another_encoding_is_refused_by_its_name(file: bytes, encoding: str, reason: str):
    assert reason in read(partial(read_csv, mapping=mapping(encoding=encoding)), file).reason


@pytest.mark.parametrize(
    ("text", "decimal_sign", "amount_minor"),
    [
        ("1234.50", ".", 123450),
        ('"1,234.50"', ".", 123450),
        ("1'234.50", ".", 123450),
        ('"1.234,50"', ",", 123450),
        ('"1 234,50"', ",", 123450),
        ('"1\u00a0234\u00a0567,5"', ",", 123456750),
        ("-12.30", ".", -1230),
        ("12.30-", ".", -1230),
        ("\u221212.30", ".", -1230),
        ("(12.30)", ".", -1230),
        ("+12.30", ".", 1230),
        (".5", ".", 50),
        ("12.", ".", 1200),
    ],
)
def test_amounts_are_read_as_banks_write_them(text: str, decimal_sign: str, amount_minor: int):
    assert amounts(read_rows("Date,Amount", f"2026-04-01,{text}", decimal_sign=decimal_sign)) == [amount_minor]


@pytest.mark.parametrize(
    "text",
    [
        '"12,50"',
        '"1,23,456.00"',
        "1.234.50",
        "12.345",
        "--1",
        "-1-",
        "(1",
        "1)",
        "(-1)",
        "",
        "1e3",
        "NaN",
        "12 EUR",
        "٣",
    ],
)
def test_what_is_no_amount_puts_the_line_out(text: str):
    found = read_rows("Date,Amount", "2026-04-01,1", f"2026-04-01,{text}", "2026-04-01,2")
    assert amounts(found) == [100, 200]
    assert [(bad.number, bad.field) for bad in found.bad] == [(3, "Amount")]


def test_two_columns_of_amounts_are_credits_and_debits():
    sides = {"amount_column": None, "credit_column": "In", "debit_column": "Out"}
    found = read_rows("Date,In,Out", "2026-04-01,1.00,", "2026-04-01,,2.00", "2026-04-01,0.00,-3.00", **sides)
    assert amounts(found) == [100, -200, -300]
    wrong = read_rows("Date,In,Out", "2026-04-01,1,1", "2026-04-01,,", "2026-04-01,-1,", **sides)
    assert [bad.reason for bad in wrong.bad] == [
        "an amount on both sides",
        "an amount on neither side",
        "a credit below zero",
    ]


def test_a_column_can_say_the_side():
    side = {"sign_column": "Side", "debit_values": ["S"], "credit_values": ["H"]}
    found = read_rows("Date,Amount,Side", "2026-04-01,1,S", "2026-04-01,1,H", "2026-04-01,1,?", **side)
    assert amounts(found) == [-100, 100]
    assert [bad.field for bad in found.bad] == ["Side"]
    others_are_credits = read_rows(
        "Date,Amount,Side", "2026-04-01,1,S", "2026-04-01,1,?", sign_column="Side", debit_values=["S"]
    )
    assert amounts(others_are_credits) == [-100, 100]


@pytest.mark.parametrize(
    ("form", "text", "day"),
    [
        ("YYYY-MM-DD", "2026-04-01", date(2026, 4, 1)),
        ("DD.MM.YYYY", "01.04.2026", date(2026, 4, 1)),
        ("DD.MM.YY", "1.4.26", date(2026, 4, 1)),
        ("MM/DD/YYYY", "4/1/2026", date(2026, 4, 1)),
        ("DD MMM YYYY", "01 Apr 2026", date(2026, 4, 1)),
        ("YYYYMMDD", "20260401", date(2026, 4, 1)),
        ("YYYY-MM-DD", "2026-04-01 23:59:59", date(2026, 4, 1)),
    ],
)
def test_days_are_read_in_the_form_of_the_mapping(form: str, text: str, day: date):
    assert read_rows("Date,Amount", f"{text},1", date_format=form).entry.booked_on == day


@pytest.mark.parametrize("text", ["01.04.2026", "2026-13-01", "2026-04-31", "2026-04-011", "", "2026-04"])
def test_what_is_no_day_puts_the_line_out(text: str):
    found = read_rows("Date,Amount", f"{text},1")
    assert [(bad.number, bad.field) for bad in found.bad] == [(2, "Date")]


def test_a_row_can_name_its_account_and_its_currency():
    columns = {"account": None, "account_column": "Account", "currency": None, "currency_column": "Currency"}
    found = read_rows(
        "Account,Date,Amount,Currency", "a 1,2026-04-01,1,eur", "a 1,2026-04-01,2,EUR", "B2,2026-04-01,3,JPY", **columns
    )
    assert [(head.account, head.currency) for head in found.heads] == [("A1", "EUR"), ("B2", "JPY")]
    assert [foot.entries for foot in found.feet] == [2, 1]
    assert amounts(found) == [100, 200, 3]
    unknown = read_rows("Account,Date,Amount,Currency", ",2026-04-01,1,EUR", "A1,2026-04-01,2,XXX", **columns)
    assert [bad.field for bad in unknown.bad] == ["Account", "Currency"]


def test_kinds_and_statuses_are_the_banks_own_words():
    words = {
        "kind_column": "Type",
        "kinds": {"Charge": "fee"},
        "status_column": "Status",
        "booked_values": ["Completed"],
    }
    found = read_rows(
        "Date,Amount,Type,Status",
        "2026-04-01,1,Charge,Completed",
        "2026-04-01,2,Wire,Completed",
        "2026-04-01,3,Wire,Pending",
        **words,
    )
    assert [e.kind for e in found.entries] == [EntryKind.FEE, EntryKind.TRANSFER]
    assert found.feet[0].skipped == 1


@pytest.mark.parametrize("rows", [["1,1", "2,3", "-1,2"], ["-1,2", "2,3", "1,1"]])
def test_a_running_balance_runs_on_with_the_oldest_or_the_newest_row_first(rows: list[str]):
    lines = [f"2026-04-01,{row}" for row in rows]
    assert read_rows("Date,Amount,Balance", *lines, balance_column="Balance").refusal is None
    broken = read_rows("Date,Amount,Balance", *lines, "2026-04-01,5,99", balance_column="Balance")
    assert "the running balance does not run on" in broken.reason
    assert "(line 5 field 'balance')" in broken.reason


def test_a_row_of_another_width_is_put_out():
    found = read_rows("Date,Amount,Text", "2026-04-01", "2026-04-01,1,a,b", "2026-04-01,1,a,", text_columns=["Text"])
    assert [bad.reason for bad in found.bad] == ["1 cells, where the header has 3", "4 cells, where the header has 3"]
    assert amounts(found) == [100]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"Date;Amount\n", "the columns 'Date', 'Amount' are missing (line 1 field 'Date')"),
        (b"Date,Betrag\n", "the columns 'Amount' are missing (line 1 field 'Amount')"),
        (b"Date,Amount,Amount\n", "the header has two columns 'Amount'"),
        (b'Date,Amount\n2026-04-01,"1\n', "this is no CSV: unexpected end of data (line 2)"),
        (b'Date,Amount\n2026-04-01,"1"x\n', "this is no CSV"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b" \n ", "the file is empty"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(file: bytes, reason: str):
    assert reason in read(partial(read_csv, mapping=mapping()), file).reason


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_the_file():
    file = b'Date,Amount\n"' + b"2026-04-01,1\n" * 200_000
    assert "this is no CSV" in read(partial(read_csv, mapping=mapping()), file, 65536).reason
    row = b'Date,Amount\n"' + b'a\n","' * 1_000_000
    assert "a row of more than 1 MiB" in read(partial(read_csv, mapping=mapping()), row, 65536).reason


def test_a_file_may_be_long_where_its_rows_are_short():
    file = b"Date,Amount,Text\n" + (b"2026-04-01,1," + b"x" * 4_000 + b"\n") * 400
    assert len(read(partial(read_csv, mapping=mapping()), file, 65536).entries) == 400


def test_a_file_is_recognised_by_the_columns_of_its_mapping():
    known = csv_format(BANK_MAPPING)
    assert known.recognise(CSV)
    assert not known.recognise(b"Date,Amount\n2026-04-01,1\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"account": None}, "give one of account and account_column"),
        ({"currency_column": "C"}, "give one of currency and currency_column"),
        ({"amount_column": None}, "give amount_column, or credit_column and debit_column"),
        ({"credit_column": "C", "debit_column": "D"}, "give amount_column, or credit_column and debit_column"),
        ({"amount_column": None, "credit_column": "C"}, "give amount_column, or credit_column and debit_column"),
        ({"sign_column": "S"}, "sign_column needs credit_values or debit_values"),
        ({"debit_values": ["D"]}, "sign_column needs credit_values or debit_values"),
        ({"sign_column": "S", "debit_values": ["D"], "credit_values": ["D"]}, "in credit_values and in debit_values"),
        ({"kind_column": "K"}, "kind_column needs kinds"),
        ({"kind_column": "K", "kinds": {"X": "gift"}}, "Invalid enum value 'gift'"),
        ({"status_column": "K"}, "status_column needs booked_values"),
        ({"delimiter": ";;"}, "delimiter is one character"),
        ({"delimiter": '"'}, "delimiter is one character"),
        ({"date_format": "DD.MM."}, "date_format has one of YYYY and YY"),
        ({"date_format": "MM.MM.YYYY"}, "date_format has one of YYYY and YY"),
        ({"decimal_sign": ";"}, "Invalid enum value ';'"),
        ({"encoding": "utf-7"}, "Invalid enum value 'utf-7'"),
        ({"text_columns": [" "]}, "a column without a name"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_a_mapping_that_does_not_fit_itself_is_refused_with_the_field(changes: dict[str, object], reason: str):
    with pytest.raises(msgspec.ValidationError, match=r".+") as refusal:
        mapping(**changes)
    assert reason in str(refusal.value)
