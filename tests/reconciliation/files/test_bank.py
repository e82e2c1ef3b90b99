"""Entries of bank statements: each once however many statements report it, and only of our own accounts."""

from datetime import date
from typing import Literal

import msgspec
import pytest

from bezant.base.errors import Conflict, InvalidRequest, NotFound, OperatorError
from bezant.reconciliation.files import bank_lines
from bezant.reconciliation.files.bank_accounts import AddBankAccount
from tests.reconciliation.files.readers import entry, statement
from tests.reconciliation.files.world import IBAN, World

_ENTRIES = "SELECT booked_on, amount_minor, entry_reference, content, refs FROM bank_lines ORDER BY booked_on, line"


async def test_entries_stand_as_they_were_read_and_are_open(world: World):
    await world.bank_account()
    body = statement(
        entry("2026-04-01", 500, "N1", "from acme", "E2E-1"), entry("2026-04-02", -20, "", "a fee"), opening_minor=100
    )
    file = await world.loaded(body, source="bank")
    assert (file.state, file.format, file.lines) == ("loaded", "small", 2)
    assert await world.sql(_ENTRIES) == [
        (date(2026, 4, 1), 500, "N1", "from acme", ["E2E-1"]),
        (date(2026, 4, 2), -20, None, "a fee", []),
    ]
    assert await world.one("SELECT count(*) FROM open_bank_lines") == 2
    first = msgspec.json.decode(file.summary)["first"][0]
    assert (first["account"], first["opening_minor"], first["closing_minor"]) == ("main", 100, 580)


@pytest.mark.parametrize("name", ["N1", ""], ids=["named by the bank", "told apart by what it says"])
async def test_an_entry_in_overlapping_statements_is_one_line(world: World, name: str):
    await world.bank_account()
    during_the_day = statement(entry("2026-04-01", 500, name))
    of_the_day = statement(entry("2026-04-01", 500, name), entry("2026-04-01", 700, name and "N2"), opening_minor=9)
    await world.loaded(during_the_day, source="bank")
    file = await world.loaded(of_the_day, source="bank")
    assert (file.lines, file.repeated) == (1, 1)
    assert [row[1] for row in await world.sql(_ENTRIES)] == [500, 700]


def _interim(*entries: str) -> bytes:
    return statement(*entries).replace(b",EUR,0\n", b",EUR,0,interim\n", 1)


@pytest.mark.parametrize("counts", ["final", "interim"])
async def test_an_entry_that_interim_and_final_statements_call_differently_counts_once(
    world: World, counts: Literal["final", "interim"]
):
    await world.bank_account(counts=counts)
    during_the_day = _interim(entry("2026-04-01", 500, "", "po 1"), "bad", entry("2026-04-01", 500, "N7", "po 2"))
    of_the_day = statement(entry("2026-04-01", 500, "", "PAYOUT po_1"), entry("2026-04-01", 500, "N8", "PAYOUT po_2"))
    first, second = (during_the_day, of_the_day) if counts == "final" else (of_the_day, during_the_day)
    await world.loaded(first, source="bank")
    file = await world.loaded(second, source="bank")
    assert (file.lines, await world.one("SELECT count(*) FROM open_bank_lines")) == (2, 2)
    others = "SELECT lines, quarantined, summary ->> 'not_counted' FROM report_files ORDER BY created_at LIMIT 1"
    assert await world.sql(others) == [(0, 0, "2")]
    shown = "SELECT summary #>> '{first,0,is_final}' FROM report_files ORDER BY created_at"
    assert [row[0] for row in await world.sql(shown)] == (["false", "true"] if counts == "final" else ["true", "false"])


async def test_a_named_entry_of_which_a_later_statement_says_more_is_one_line(world: World):
    await world.bank_account()
    await world.loaded(statement(entry("2026-04-01", 500, "N1", "acme")), source="bank")
    await world.loaded(statement(entry("2026-04-01", 500, "N1", "acme payout po_1", "E2E")), source="bank")
    assert await world.one("SELECT count(*) FROM bank_lines") == 1


@pytest.mark.parametrize("name", ["N1", ""])
async def test_equal_entries_of_one_statement_are_as_many_lines_and_so_they_stay(world: World, name: str):
    await world.bank_account()
    twice = [entry("2026-04-01", 500, name)] * 2
    assert (await world.loaded(statement(*twice), source="bank")).lines == 2
    again = await world.loaded(statement(*twice, entry("2026-04-01", 500, name), opening_minor=1), source="bank")
    assert (again.lines, again.repeated) == (1, 2)


async def test_a_payment_and_its_fee_under_one_name_are_two_lines(world: World):
    await world.bank_account()
    await world.loaded(statement(entry("2026-04-01", 500, "N1"), entry("2026-04-01", -5, "N1")), source="bank")
    assert await world.one("SELECT count(*) FROM bank_lines") == 2


async def test_two_statements_in_a_file_that_report_the_same_are_one(world: World):
    await world.bank_account()
    day = statement(entry("2026-04-01", 500))
    file = await world.loaded(day + b"\n" + day, source="bank")
    assert (file.lines, file.repeated) == (1, 1)


async def test_the_same_entry_of_two_accounts_is_two_lines(world: World):
    await world.bank_account()
    await world.bank_account("second", "GB82WEST12345698765432")
    await world.loaded(statement(entry("2026-04-01", 500, "N1")), source="bank")
    await world.loaded(statement(entry("2026-04-01", 500, "N1"), account="GB82WEST12345698765432"), source="bank")
    assert await world.one("SELECT count(DISTINCT bank_account_id) FROM bank_lines") == 2


async def test_an_account_is_found_however_its_number_is_spaced(world: World):
    await world.bank_account(identification="de02 1203 0000 0000 2020 51")
    file = await world.loaded(statement(account="DE02 1203 0000 0000 2020 51"), source="bank")
    assert file.state == "loaded"


async def test_a_statement_of_an_account_that_is_not_ours_is_refused_and_names_it(world: World):
    await world.bank_account()
    body = statement(entry("2026-04-01", 1)) + b"\n" + statement(entry("2026-04-01", 5), account="FR7630006000011234")
    file = await world.loaded(body, source="bank")
    assert file.refusal is not None
    assert (file.refusal.reason, file.refusal.field) == ("unknown account FR7630006000011234: add it first", "account")
    assert await world.one("SELECT count(*) FROM bank_lines") == 0


async def test_a_statement_of_a_closed_account_is_refused(world: World):
    await world.bank_account()
    await world.files.bank_accounts.close("main", "we left the bank", "tests")
    file = await world.loaded(statement(), source="bank")
    assert file.refusal is not None
    assert file.refusal.reason == f"the account main ({IBAN}) is closed"


async def test_a_statement_in_another_currency_than_its_account_is_refused(world: World):
    await world.bank_account(currency="USD")
    file = await world.loaded(statement(), source="bank")
    assert file.refusal is not None
    assert (file.refusal.reason, file.refusal.field) == ("the statement is in EUR, the account main in USD", "currency")


async def test_an_account_of_several_currencies_takes_entries_of_each(world: World):
    await world.bank_account(currency=None)
    body = statement(entry("2026-04-01", 1), entry("2026-04-01", 1).replace("EUR", "USD"))
    assert (await world.loaded(body, source="bank")).lines == 2


async def test_an_entry_in_another_currency_than_its_account_is_put_aside(world: World):
    await world.bank_account()
    file = await world.loaded(statement(entry("2026-04-01", 7).replace("EUR", "USD")), source="bank")
    assert (file.state, file.lines) == ("loaded", 0)
    assert await world.quarantined() == [(2, "it is in USD, the account main in EUR")]


async def test_a_statement_whose_balances_do_not_add_up_leaves_nothing(world: World):
    await world.bank_account()
    body = statement(entry("2026-04-01", 500)).replace(b"foot,500", b"foot,501")
    file = await world.loaded(body, source="bank")
    assert file.refusal is not None
    assert (file.refusal.reason, file.refusal.line) == ("the balance is 501, the entries lead to 500", 3)
    assert await world.one("SELECT count(*) FROM open_bank_lines") == 0


async def test_an_entry_at_fault_is_put_aside_while_the_others_load(world: World):
    await world.bank_account()
    file = await world.loaded(statement("bad", entry("2026-04-01", 500)), source="bank")
    assert (file.lines, file.quarantined, await world.quarantined()) == (1, 1, [(2, "it is bad")])


async def test_texts_are_kept_without_card_data(world: World):
    await world.bank_account()
    await world.loaded(statement(entry("2026-04-01", 500, "", "card 4111 1111 1111 1111")), source="bank")
    assert await world.sql("SELECT content FROM bank_lines") == [("card [card data removed]",)]


async def test_a_statement_without_end_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bank_lines, "ENTRIES_MAX", 5)
    await world.bank_account()
    file = await world.loaded(statement(*(entry("2026-04-01", n) for n in range(6))), source="bank")
    assert file.refusal is not None
    assert file.refusal.reason == "a statement of more than 5 entries: ask the bank for shorter ones"


async def test_what_is_no_statement_says_which_are_known(world: World):
    file = await world.loaded(b":20:STARTUMSE", source="bank")
    assert file.refusal is not None
    assert file.refusal.reason == "this is no bank statement of a known format; known: small"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<!DOCTYPE html><p>Sign in", "an HTML page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><pain/>', "an XML document"),
        (b'{"statement": []}', "JSON"),
        (b"-----BEGIN PGP MESSAGE-----\n", "a message encrypted or signed with PGP"),
        (bytes(range(256)) * 2, "binary data"),
        ("Datum;Betrag\n".encode("utf-16"), None),
        ("Größe;Übertrag\n".encode("iso-8859-1"), None),
    ],
)
@pytest.mark.parametrize("source", ["psp", "bank"])
async def test_what_no_reader_knows_is_refused_with_what_it_looks_like(
    world: World, body: bytes, what: str | None, source: Literal["psp", "bank"]
):
    file = await world.loaded(body, source=source)
    assert file.refusal is not None
    of = "a known format; known" if what is None else f"a known format: it looks like {what}; known"
    assert of in file.refusal.reason


async def test_a_line_of_a_bank_is_not_deleted_and_not_changed(world: World):
    await world.bank_account()
    await world.loaded(statement(entry("2026-04-01", 500)), source="bank")
    for change in ("DELETE FROM bank_lines", "UPDATE bank_lines SET amount_minor = 5", "TRUNCATE bank_lines"):
        with pytest.raises(Exception, match="never"):
            await world.sql(change)


@pytest.mark.parametrize(
    ("name", "identification", "currency", "param"),
    [("Main", IBAN, None, "/name"), ("main", "DE02 €", None, "/identification"), ("main", IBAN, "EURO", "/currency")],
)
async def test_an_account_that_cannot_be_one_is_refused(
    world: World, name: str, identification: str, currency: str | None, param: str
):
    with pytest.raises(InvalidRequest) as refused:
        await world.bank_account(name, identification, currency)
    assert refused.value.param == param


async def test_an_account_is_there_once_and_its_changes_are_audited(world: World):
    await world.bank_account()
    with pytest.raises(Conflict):
        await world.bank_account("other")
    with pytest.raises(OperatorError):
        await world.files.bank_accounts.add(AddBankAccount(name="x", identification="X", reason="x"), "tests")
    await world.files.bank_accounts.close("main", "we left the bank", "tests")
    with pytest.raises(NotFound):
        await world.files.bank_accounts.close("main", "we left the bank", "tests")
    assert await world.sql("SELECT actor, action, subject FROM audit_log ORDER BY created_at") == [
        ("tests", "add_bank_account", "bank account main"),
        ("tests", "close_bank_account", "bank account main"),
    ]
