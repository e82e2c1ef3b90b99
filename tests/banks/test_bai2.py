"""BAI2."""

from datetime import date
from functools import partial

import pytest

from bezant.banks.bai2 import read_bai2
from bezant.banks.contract import EntryKind, StatementFoot, StatementHead
from tests.banks.samples import BAI2, Read, read


def read_only(*records: str) -> Read:
    """What is in an account of the given records, whatever the totals."""
    lines = [
        "01,S,R,260402,0713,1,,,2/",
        "02,R,S,1,260401,,USD,2/",
        "03,1,,/",
        *records,
        "49,0,0/",
        "98,0,1,0/",
        "99,0,1,0/",
    ]
    return read(partial(read_bai2, check_totals=False), "\n".join(lines).encode())


def test_an_account_has_its_balances_and_its_entries():
    found = read(read_bai2, BAI2)
    assert found.refusal is None
    day = date(2026, 4, 1)
    assert found.heads == [StatementHead(account="1234567890", currency="USD", opening_minor=100000, opened_on=day)]
    assert found.feet == [StatementFoot(closing_minor=105500, closed_on=day, entries=2)]
    wire, fee = found.entries
    assert (wire.number, wire.amount_minor, wire.entry_reference) == (5, 6000, "BANK1")
    assert wire.references == ("po_1", "pay_1")
    assert (wire.booked_on, wire.value_on) == (day, date(2026, 4, 3))
    assert wire.text == "INCOMING WIRE ACME PSP, BATCH 17 EREF: pay_1"
    assert (fee.amount_minor, fee.kind, fee.text) == (-500, EntryKind.FEE, "MONTHLY FEE")


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_a_file_is_read_the_same_in_pieces_of_any_size(size: int):
    assert read(read_bai2, BAI2, size).parts == read(read_bai2, BAI2).parts


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        (b"49,218500,7", b"49,218501,7", "the total of the account: 218501 stated, 218500 counted (line 9 field '49')"),
        (b"49,218500,7", b"49,218500,8", "records: 8 stated, 7 counted (line 9 field '49')"),
        (
            b"98,218500,1,9",
            b"98,218499,1,9",
            "the total of the group: 218499 stated, 218500 counted (line 10 field '98')",
        ),
        (b"98,218500,1,9", b"98,218500,2,9", "accounts: 2 stated, 1 counted"),
        (b"98,218500,1,9", b"98,218500,1,8", "records: 8 stated, 9 counted"),
        (b"99,218500,1,11", b"99,0,1,11", "the total of the file: 0 stated, 218500 counted (line 11 field '99')"),
        (b"99,218500,1,11", b"99,218500,3,11", "groups: 3 stated, 1 counted"),
        (b"99,218500,1,11", b"99,218500,1,12", "records: 12 stated, 11 counted"),
    ],
)
def test_control_totals_and_counts_that_are_wrong_refuse_the_file(right: bytes, wrong: bytes, reason: str):
    assert right in BAI2
    file = BAI2.replace(right, wrong)
    assert reason in read(read_bai2, file).reason
    assert read(partial(read_bai2, check_totals=False), file).refusal is None


def test_a_file_without_its_trailer_is_truncated():
    assert "the file is truncated: it has no trailer" in read(read_bai2, BAI2[: BAI2.index(b"99,")]).reason


@pytest.mark.parametrize(
    ("lines", "entry_reference", "references", "text"),
    [
        (["16,142,1,Z,B1,C1,SOME TEXT/"], "B1", ("C1",), "SOME TEXT"),
        (["16,142,1,,B1,C1,TEXT, WITH COMMAS, AND 1/2"], "B1", ("C1",), "TEXT, WITH COMMAS, AND 1/2"),
        (["16,142,1,S,1,2,3,B1,C1,TEXT/"], "B1", ("C1",), "TEXT"),
        (["16,142,1,V,260402,,B1,C1,TEXT/"], "B1", ("C1",), "TEXT"),
        (["16,142,1,D,2,0,1,1,2,B1,C1,TEXT/"], "B1", ("C1",), "TEXT"),
        (["16,142,1,,B1,/", "88,TEXT/"], "B1", (), "TEXT"),
        (["16,142,1,,B1,,A", "88,TRID: T1/"], "B1", ("T1",), "A TRID: T1"),
        (["16,142,1/"], None, (), ""),
    ],
)
def test_an_entry_is_read_in_every_form(
    lines: list[str], entry_reference: str | None, references: tuple[str, ...], text: str
):
    found = read_only(*lines).entry
    assert (found.entry_reference, found.references, found.text) == (entry_reference, references, text)


@pytest.mark.parametrize(
    ("code", "amount_minor", "kind"),
    [
        ("142", 100, EntryKind.TRANSFER),
        ("399", 100, EntryKind.TRANSFER),
        ("400", -100, EntryKind.TRANSFER),
        ("557", -100, EntryKind.RETURN),
        ("354", 100, EntryKind.INTEREST),
        ("698", -100, EntryKind.FEE),
        ("930", 100, EntryKind.TRANSFER),
        ("970", -100, EntryKind.TRANSFER),
    ],
)
def test_the_type_of_an_entry_is_its_side_and_its_kind(code: str, amount_minor: int, kind: EntryKind):
    found = read_only(f"16,{code},100,,,,/").entry
    assert (found.amount_minor, found.kind) == (amount_minor, kind)


def test_an_entry_that_is_not_about_money_is_skipped():
    found = read_only("16,890,,,,,ONLY WORDS/")
    assert (found.entries, found.feet[0].skipped) == ([], 1)


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("16,142,1.50,,,,/", "16 amount", "'1.50' is no amount in minor units"),
        ("16,142,,,,,/", "16 amount", "is no amount"),
        ("16,701,5,,,,/", "16 type", "'701' is no type of a credit or a debit"),
        ("16,142,5,Q,,,/", "16 funds type", "'Q' is no funds type"),
        ("16,142,5,D,x,,/", "16 funds type", "is no number of availability days"),
        ("16,142,5,V,261301,,,,/", "16 value date", "'261301' is no day"),
    ],
)
def test_an_entry_that_cannot_be_read_is_put_out_and_the_others_are_read(line: str, field: str, reason: str):
    found = read_only("16,142,1,,,,/", line, "16,142,2,,,,/")
    assert [e.amount_minor for e in found.entries] == [1, 2]
    (bad,) = found.bad
    assert (bad.number, bad.field) == (5, field)
    assert reason in bad.reason


def test_an_amount_that_cannot_be_read_takes_away_the_totals_but_not_the_counts():
    unreadable = BAI2.replace(b"16,698,500,", b"16,698,5OO,")
    found = read(read_bai2, unreadable)
    assert (len(found.entries), len(found.bad), found.refusal) == (1, 1, None)
    assert "records: 8 stated" in read(read_bai2, unreadable.replace(b"49,218500,7", b"49,218500,8")).reason


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        (b"01,SENDER", b"07,SENDER", "is no record of BAI2"),
        (b",,,2/\n02", b",,,3/\n02", "'3' for a version: 2 is read (line 1 field '01 version')"),
        (b"SENDER,1,260401", b"SENDER,4,260401", "a group of status '4' (deletion, correction or test)"),
        (b"SENDER,1,260401", b"SENDER,1,269901", "'269901' is no day (line 2 field '02 as-of date')"),
        (b"03,1234567890,USD", b"03,,USD", "an account without a number (line 3"),
        (b"03,1234567890,USD", b"03,1234567890,DEM", "'DEM' is no currency"),
        (b"010,100000", b"010,1e5", "'1e5' is no amount in minor units (line 3 field '03 010 amount')"),
        (b"16,698", b"02,698", "a record out of its place (line 8 field '02')"),
        (b"49,218500,7", b"49,2185OO,7", "'2185OO' is no number (line 9 field '49 field 2')"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_line_and_the_field(right: bytes, wrong: bytes, reason: str):
    assert right in BAI2
    assert reason in read(read_bai2, BAI2.replace(right, wrong, 1)).reason


def test_an_interim_report_is_not_final():
    assert not read(read_bai2, BAI2.replace(b",USD,2/", b",USD,3/", 1)).heads[0].is_final


def test_an_account_without_a_currency_is_in_that_of_its_group_else_in_dollars():
    assert (
        read(read_bai2, BAI2.replace(b"7890,USD", b"7890,").replace(b",,USD,2/", b",,CAD,2/")).entries[0].currency
        == "CAD"
    )
    assert (
        read(read_bai2, BAI2.replace(b"7890,USD", b"7890,").replace(b",,USD,2/", b",,,2/")).entries[0].currency == "USD"
    )
