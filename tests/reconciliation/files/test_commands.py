"""An operator at the keyboard: loads files, looks at them and at what was put aside."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reconciliation.files.readers import entry
from tests.reconciliation.files.world import IBAN
from tests.support.platform import sql
from tests.support.processes import bezant

CSV = "Account,Date,Amount,Currency,Text\n"
HEADER = (
    "report_id,row,type,line_id,charge_id,operation_id,reference,currency,gross,fee,net,presented_amount,"
    "presented_currency,fx_rate,payout_id,at,description\r\n"
)


class Keyboard:
    """Commands on one database."""

    def __init__(self, database_url: str, home: Path) -> None:
        self.env = {"BEZANT_HOME": str(home), "BEZANT_DATABASE_URL": database_url, "BEZANT_LOG": "json"}

    def types(self, *arguments: str, fails: bool = False) -> str:
        with bezant("reconciliation", *arguments, env=self.env) as process:
            assert (process.wait(60) != 0) == fails, process.output()
            return process.output()

    def sees(self, *arguments: str) -> Any:
        return json.loads(next(line for line in self.types(*arguments, "--json").splitlines() if '"file_id"' in line))


@pytest.fixture
def keyboard(database_url: str, tmp_path: Path) -> Keyboard:
    return Keyboard(database_url, tmp_path / "home")


def charge(number: int, **changed: object) -> str:
    cells = {
        "report_id": "rep_1", "row": number, "type": "charge", "line_id": f"txn_{number}", "charge_id": f"ch_{number}",
        "operation_id": f"op_{number}", "reference": f"att_{number}", "currency": "USD", "gross": 1_000, "fee": 59,
        "net": 941, "presented_amount": "", "presented_currency": "", "fx_rate": "", "payout_id": "po_1",
        "at": "2026-04-01T00:00:00.000Z", "description": "",
    } | changed  # fmt: skip
    return ",".join(str(cell) for cell in cells.values()) + "\r\n"


def total(rows: int, net: int) -> str:
    return f"rep_1,{rows},total,,,,,USD,,,{net},,,,,2026-04-02T00:00:00.000Z,\r\n"


def test_a_report_is_loaded_shown_and_written_out_as_it_came(keyboard: Keyboard, tmp_path: Path):
    path = tmp_path / "rep_1.csv"
    path.write_text(HEADER + charge(1) + charge(2) + total(2, 1_882), newline="")
    loaded = keyboard.sees("load", str(path), "--psp", "simulator")
    assert (loaded["state"], loaded["lines"], loaded["uploaded_by"][:3]) == ("loaded", 2, "os:")
    assert "already" in keyboard.types("load", str(path), "--psp", "simulator")
    assert f"{loaded['file_id']}: rep_1.csv of simulator" in keyboard.types("file", loaded["file_id"])
    assert loaded["file_id"] in keyboard.types("files")
    assert keyboard.types("content", loaded["file_id"]) == path.read_bytes().decode()


def test_a_refused_report_is_an_error_that_says_where(keyboard: Keyboard, tmp_path: Path):
    path = tmp_path / "rep_1.csv"
    path.write_text(HEADER + charge(1) + total(1, 5), newline="")
    told = keyboard.types("load", str(path), "--psp", "simulator", fails=True)
    assert "error: The file is refused: " in told
    assert "line 3" in told
    assert "Traceback" not in told


def test_what_was_put_aside_is_listed_and_nothing_of_it_reaches_the_terminal_as_a_command(
    keyboard: Keyboard, tmp_path: Path
):
    path = tmp_path / "rep_1.csv"
    path.write_text(HEADER + charge(1) + charge(2, gross="\x1b]0;pwned\x07ten") + total(2, 941), newline="")
    keyboard.types("load", str(path), "--psp", "simulator")
    told = keyboard.types("quarantine")
    assert "rep_1.csv, line 3" in told
    assert "\x1b]0;" not in told
    assert "\x07" not in told


def test_statements_are_taken_of_accounts_that_were_added(keyboard: Keyboard, tmp_path: Path, database_url: str):
    declared = tmp_path / "banks.json"
    mapping = {
        "account_column": "Account", "date_column": "Date", "amount_column": "Amount", "currency_column": "Currency",
        "text_columns": ["Text"],
    }  # fmt: skip
    declared.write_text(json.dumps({"our-bank": mapping}))
    keyboard.env["BEZANT_BANK_CSV"] = str(declared)
    path = tmp_path / "statement.csv"
    path.write_text(f"{CSV}{IBAN},2026-04-01,68.00,EUR,payout po_1\n")
    assert "unknown account" in keyboard.types("load", str(path), "--bank", fails=True)
    keyboard.types("bank-account", "add", "main", "--identification", IBAN, "--currency", "EUR", "--reason", "ours")
    (refused,) = sql(database_url, "SELECT 'fil_' || replace(id::text, '-', '') FROM report_files")[0]
    loaded = keyboard.sees("read-again", refused, "--reason", "its account is known now")
    assert (loaded["state"], loaded["format"], loaded["lines"]) == ("loaded", "csv:our-bank", 1)
    assert sql(database_url, "SELECT amount_minor, content FROM bank_lines") == [(6_800, "payout po_1")]
    keyboard.types("bank-account", "close", "main", "--reason", "we left")
    assert f"main: {IBAN} EUR, closed" in keyboard.types("bank-account", "list")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "Say whose it is"),
        (("--psp", "simulator", "--bank"), "Say whose it is"),
        (
            ("--psp", "nobody"),
            "There is no such PSP whose reports can be read; known: adyen, paypal, simulator, stripe",
        ),
        (("--psp", "stripe", "--format", "pdf"), "There is no such format of reports of stripe"),
    ],
)
def test_what_is_said_of_a_file_wrongly_is_one_clear_line(
    keyboard: Keyboard, tmp_path: Path, options: tuple[str, ...], why: str
):
    path = tmp_path / "a.csv"
    path.write_text(entry("2026-04-01", 5))
    told = keyboard.types("load", str(path), *options, fails=True)
    assert why in " ".join(told.split())
    assert "Traceback" not in told


@pytest.mark.parametrize("declared", ["{", '{"A Bank": {}}', '{"bank": {"amount": "x"}}'])
def test_declared_columns_that_are_none_stop_the_start(keyboard: Keyboard, tmp_path: Path, declared: str):
    (tmp_path / "banks.json").write_text(declared)
    keyboard.env["BEZANT_BANK_CSV"] = str(tmp_path / "banks.json")
    told = keyboard.types("files", fails=True)
    assert "error: BEZANT_BANK_CSV" in told
    assert "Traceback" not in told
