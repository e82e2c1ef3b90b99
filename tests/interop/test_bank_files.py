"""Bank files that were not written here, and their totals as other programs have them.

Each is read, or refused with the line and the field; where a balance in a file does not add up it is refused, and its
entries agree all the same once totals are not looked at.
"""

import csv
import os
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from bezant.banks.contract import EntryKind, Format
from bezant.banks.formats import format_named, recognise
from bezant.base.file_faults import FileRefused
from bezant.base.money import EXPONENTS
from tests.banks.samples import Read, read

DATA = Path(os.environ.get("BEZANT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
EXPONENTS_OF_THEN: Final = {**EXPONENTS, "DEM": 2}

NO_STATEMENT = "a fragment: fields of a statement without the statement around them"
BALANCES = "the balances in the file do not add up: amounts were changed when it was made public"

REFUSED: Final = {
    "mt940/betterplace/amount_formats.sta": ("which begins with :20: (line 1 field '60F')", NO_STATEMENT),
    "mt940/betterplace/currency_in_25.sta": ("which begins with :20: (line 1 field '25')", NO_STATEMENT),
    "mt940/betterplace/empty_86.sta": ("which begins with :20: (line 1 field '86')", NO_STATEMENT),
    "mt940/cmxl/account_balance_credit.sta": ("which begins with :20: (line 1 field '60F')", NO_STATEMENT),
    "mt940/cmxl/account_balance_debit.sta": ("which begins with :20: (line 1 field '60F')", NO_STATEMENT),
    "mt940/cmxl/account_identification_iban.sta": ("which begins with :20: (line 1 field '25')", NO_STATEMENT),
    "mt940/cmxl/account_identification_legacy.sta": ("which begins with :20: (line 1 field '25')", NO_STATEMENT),
    "mt940/cmxl/closing_balance.sta": ("which begins with :20: (line 1 field '62F')", NO_STATEMENT),
    "mt940/cmxl/reference.sta": ("has no account (line 1 field '25')", NO_STATEMENT),
    "mt940/self-provided/account_identification.sta": ("has no opening balance (line 1 field '60F')", NO_STATEMENT),
    "mt940/self-provided/empty_non_swift.sta": ("which begins with :20: (line 1 field 'NS')", NO_STATEMENT),
    "mt940/self-provided/invalid_statement.sta": ("no line begins with :20: (line 1 field '20')", "ten numbers"),
    "mt940/betterplace/sepa_snippet.sta": ("closes with -4472049.09 EUR (line 55 field '62F')", BALANCES),
    "mt940/jejik/abnamro.sta": ("closes with 876.84 EUR (line 27 field '62F')", BALANCES),
    "mt940/jejik/knab.sta": ("closes with 798.98 EUR (line 20 field '62F')", BALANCES),
    "mt940/mBank/with_newline_in_tnr.sta": ("closes with 860.17 PLN (line 19 field '62F')", BALANCES),
    "mt940/self-provided/details_60-63.sta": ("closes with 12345.98 EUR (line 12 field '62F')", BALANCES),
    "mt940/self-provided/overly_long_details.sta": ("closes with 12345.98 EUR (line 15 field '62F')", BALANCES),
    "mt940/self-provided/whitespace.sta": ("closes with 12345.98 EUR (line 9 field '62F')", BALANCES),
    "mt940/self-provided/raiffeisen-cmi.sta": ("closes with 25281687.60 HUF (line 40 field '62F')", BALANCES),
    "mt940/self-provided/gv_codes.sta": ("it has no closing balance (line 8 field '62F')", "its end is missing"),
    "mt940/self-provided/raphaelm.sta": (
        "'DEM' is no currency of ISO 4217 that is in use (line 13",
        "of the year 2002",
    ),
    "bai2/moov-sample-parseError.txt": (
        "is no record of BAI2: those are 01, 02, 03, 16, 49, 88, 98, 99 (line 1",
        "as said",
    ),
    "bai2/moov-sample3.txt": ("for a version: 2 is read (line 1 field '01 version')", "several records in a line"),
    "bai2/moov-sample4-continuations-newline-delimited.txt": ("7999960 counted (line 22 field '49')", BALANCES),
    "iso20022/camt/genkgo-camt053.v2.all-balance-types.xml": ("4.04 EUR (line 68 field 'Bal CLBD')", BALANCES),
    "iso20022/camt/genkgo-camt053.v2.five.decimals.xml": ("27.05 EUR (line 49 field 'Bal CLBD')", BALANCES),
    "iso20022/camt/genkgo-camt053.v2.minimal.ultimate.xml": ("in EUR and closes in SEK (line 54 field", BALANCES),
    "iso20022/camt/genkgo-camt053.v2.minimal.xml": ("in EUR and closes in SEK (line 54 field", BALANCES),
    "iso20022/camt/genkgo-camt053.v2.with-party-ids.xml": ("in EUR and closes in SEK (line 54 field", BALANCES),
    "iso20022/camt/genkgo-camt053.v8.xml": ("in EUR and closes in SEK (line 74 field 'Bal CLBD')", BALANCES),
    "iso20022/camt/genkgo-camt053.v2.wrong.xml": ("without a statement (line 2 field 'Document')", "a header alone"),
}
"""What is refused: with what, and why. Everything else is read to its end."""

UNREADABLE: Final = {
    "bai2/moov-sample-parseError.txt": "no record of it can be told",
    "bai2/moov-sample3.txt": "no record of it can be told",
    "iso20022/camt/genkgo-camt053.v2.wrong.xml": "there is none",
    **{
        file: why
        for file, (_, why) in REFUSED.items()
        if why == NO_STATEMENT and "account_identification.sta" not in file
    },
    "mt940/self-provided/invalid_statement.sta": "there is none",
}
"""What is refused even where totals are not looked at: another program finds no entry in it either."""


def expected(folder: str) -> list[dict[str, str]]:
    """What another program has found, file by file."""
    path = DATA / folder / "EXPECT.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def every_file(folder: str) -> pytest.MarkDecorator:
    """A test of each file of a folder, or of none where the data are not on this machine."""
    rows = [pytest.param(row, id=row["file"]) for row in expected(folder)]
    skipped = pytest.mark.skip(f"files of banks are not there: {DATA / folder} (set BEZANT_TEST_DATA)")
    return pytest.mark.parametrize("row", rows or [pytest.param({}, marks=skipped)])


def opened(file: str) -> tuple[Format, bytes]:
    """A file, and its format: by its contents, else what its folder says."""
    data = (DATA / file).read_bytes()
    try:
        return recognise(data), data
    except FileRefused:
        found = format_named({"iso20022": "camt"}.get(file.split("/")[0], file.split("/")[0]))
        assert found is not None
        return found, data


def as_it_is(file: str) -> Read:
    """A file, whatever its totals."""
    found, data = opened(file)
    return read(partial(found.read, check_totals=False, exponents=EXPONENTS_OF_THEN), data)


def major(amount_minor: int, currency: str) -> Decimal:
    return Decimal(amount_minor).scaleb(-EXPONENTS_OF_THEN[currency])


def sums(found: Read) -> tuple[Decimal, Decimal]:
    """What came, and what went."""
    amounts = [major(entry.amount_minor, entry.currency) for entry in found.entries]
    return sum((a for a in amounts if a > 0), Decimal(0)), -sum((a for a in amounts if a < 0), Decimal(0))


FOLDERS: Final = ("mt940", "bai2", "iso20022/camt")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_a_bank_is_known_to_this_test(folder: str):
    if not (DATA / folder).exists():
        pytest.skip(f"files of banks are not there: {DATA / folder} (set BEZANT_TEST_DATA)")
    there = {str(path.relative_to(DATA)) for path in (DATA / folder).rglob("*.*") if path.suffix != ".csv"}
    assert there == {row["file"] for row in expected(folder)}
    assert {file for file in REFUSED if file.startswith(folder)} <= there


def is_read_or_refused(file: str) -> None:
    found, data = opened(file)
    outcome = read(found.read, data)
    if file not in REFUSED:
        assert outcome.refusal is None
        assert len(outcome.heads) == len(outcome.feet) > 0
        return
    message, _why = REFUSED[file]
    assert message in outcome.reason
    assert outcome.refusal is not None
    assert outcome.refusal.line
    if "no record of BAI2" not in message:
        assert outcome.refusal.field


@every_file("mt940")
def test_an_mt940_is_read_or_refused_with_its_line_and_field(row: dict[str, str]):
    is_read_or_refused(row["file"])


@every_file("bai2")
def test_a_bai2_is_read_or_refused_with_its_line_and_field(row: dict[str, str]):
    is_read_or_refused(row["file"])


@every_file("iso20022/camt")
def test_a_camt_is_read_or_refused_with_its_line_and_field(row: dict[str, str]):
    is_read_or_refused(row["file"])


@every_file("mt940")
def test_totals_of_an_mt940_agree(row: dict[str, str]):
    file = row["file"]
    if row["error"]:
        assert file.startswith("mt940/ASNB/")  # a reference of 18 characters, which the other program does not read
        assert read(opened(file)[0].read, opened(file)[1]).refusal is None
        assert len(as_it_is(file).entries) == 8
        return
    found = as_it_is(file)
    if file in UNREADABLE:
        assert (int(row["transactions"]), found.entries) == (0, [])
        return
    came, went = sums(found)
    total = came - went
    if file == "mt940/betterplace/sepa_mt9401.sta":
        # The other program adds a reversed credit (RC). It takes: only so do the balances of this file add up.
        reversed_credits = [major(e.amount_minor, "EUR") for e in found.entries if e.is_reversal]
        assert reversed_credits == [Decimal("-204.88")] * 2
        total -= 2 * sum(reversed_credits)
    assert (len(found.entries), total) == (int(row["transactions"]), Decimal(row["sum"]))
    last = 0 if file == "mt940/jejik/abnamro.sta" else -1  # its last page has balances of a page (60M, 62M) alone
    assert_balance(row["final_opening_balance"], found.heads[last].opening_minor, found.heads[last].currency)
    if file != "mt940/self-provided/raphaelm.sta":  # its closing balance has no currency: read as `0.00 950` elsewhere
        assert_balance(row["final_closing_balance"], found.feet[last].closing_minor, found.heads[last].currency)


def assert_balance(text: str, amount_minor: int | None, currency: str | None) -> None:
    if text:
        assert amount_minor is not None
        assert currency is not None
        assert (major(amount_minor, currency), currency) == (Decimal(text.split()[0]), text.split()[1])
    else:
        assert amount_minor is None


@every_file("bai2")
def test_totals_of_a_bai2_agree(row: dict[str, str]):
    file = row["file"]
    found = as_it_is(file)
    if row["error"]:
        assert found.refusal is not None
        return
    assert len(found.heads) == int(row["accounts"])
    assert len(found.entries) == int(row["transactions"])
    assert sum(abs(entry.amount_minor) for entry in found.entries) == int(row["sum"])
    assert (row["integrity"] == "ok") == (file not in REFUSED)


@every_file("iso20022/camt")
def test_totals_of_a_camt_agree(row: dict[str, str]):
    file = row["file"]
    found = as_it_is(file)
    if row["error"]:
        assert [(bad.number, bad.field) for bad in found.bad] == [(1, "Amt")]
        return
    assert len(found.heads) == int(row["statements"])
    if file == "iso20022/camt/genkgo-camt052.v6.Amt-zero.xml":
        # Its one entry is pending: the other program counts it, here it is skipped until it is booked.
        assert (found.entries, found.feet[0].skipped) == ([], int(row["entries"]))
        return
    assert len(found.entries) == int(row["entries"])
    assert sums(found) == (Decimal(row["credit"]), Decimal(row["debit"]))
    assert [e.kind for e in found.entries].count(EntryKind.RETURN) == int(row["return_infos"])
    for text, amount_minor in (
        (row["opbd"], found.heads[0].opening_minor if found.heads else None),
        (row["clbd"], found.feet[0].closing_minor if found.feet else None),
    ):
        assert (Decimal(text) if text else None) == (None if amount_minor is None else Decimal(amount_minor) / 100)


def strangers() -> list[str]:
    patterns = (
        "iso20022/pain/*.xml",
        "iso20022/pacs/*.xml",
        "iso20022/fednow/*.xml",
        "iso20022/rtp/*.xml",
        "nacha/**/*.ach",
    )
    return sorted(str(path.relative_to(DATA)) for pattern in patterns for path in DATA.glob(pattern))


@pytest.mark.parametrize("file", strangers() or [pytest.param("", marks=pytest.mark.skip(f"no data in {DATA}"))])
def test_a_file_of_another_kind_is_taken_for_no_statement(file: str):
    data = (DATA / file).read_bytes()
    with pytest.raises(FileRefused):
        recognise(data)
    camt = format_named("camt")
    assert camt is not None
    assert read(camt.read, data).refusal is not None
