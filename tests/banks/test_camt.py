"""camt.052, camt.053 and camt.054."""

from datetime import date
from functools import partial

import pytest

from bezant.banks.camt import read_camt
from bezant.banks.contract import EntryKind, StatementFoot, StatementHead
from tests.banks.samples import CAMT, balance, camt, entry, read


def transaction(inside: str) -> str:
    return f"<NtryDtls><TxDtls>{inside}</TxDtls></NtryDtls>"


def test_a_statement_has_its_account_its_balances_and_its_entries():
    found = read(read_camt, CAMT)
    assert found.refusal is None
    assert found.heads == [
        StatementHead(
            account="DE89370400440532013000",
            currency="EUR",
            statement_reference="S1",
            sequence="7",
            opening_minor=100000,
            opened_on=date(2026, 4, 1),
        )
    ]
    assert [(e.number, e.amount_minor, e.entry_reference) for e in found.entries] == [(1, 1234, "B1"), (2, 50, "B2")]
    assert found.feet == [StatementFoot(closing_minor=101284, closed_on=date(2026, 4, 1), entries=2)]


@pytest.mark.parametrize("version", [f"{number:02}" for number in range(2, 14)])
@pytest.mark.parametrize("kind", ["camt.052", "camt.053", "camt.054"])
def test_every_version_of_every_message_is_read(kind: str, version: str):
    status = "<Cd>BOOK</Cd>" if int(version) >= 8 else "BOOK"
    found = read(read_camt, camt(entry(status=status), kind, version))
    assert found.entry.amount_minor == 1234
    assert found.heads[0].is_final == (kind == "camt.053")


@pytest.mark.parametrize("version", ["01", "14", "99"])
def test_another_version_is_refused_by_its_name(version: str):
    assert f"camt.053.001.{version}: versions 02 to 13 are read" in read(read_camt, camt("", version=version)).reason


def test_a_document_of_another_kind_is_refused_by_its_name():
    document = b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"><A/></Document>'
    assert "pain.001.001.03" in read(read_camt, document).reason


def test_a_message_in_an_envelope_and_with_prefixed_names_is_read():
    inner = CAMT.decode().replace("<", "<c:").replace("<c:/", "</c:").replace("xmlns=", "xmlns:c=")
    found = read(read_camt, f'<Envelope xmlns="urn:x"><AppHdr><To>A</To></AppHdr>{inner}</Envelope>'.encode())
    assert found.parts == read(read_camt, CAMT).parts


def test_names_of_another_namespace_say_nothing():
    strange = '<Ntry xmlns="urn:other"><Amt Ccy="EUR">1</Amt></Ntry>'
    assert len(read(read_camt, camt(strange + entry())).entries) == 1


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_a_file_is_read_the_same_in_pieces_of_any_size(size: int):
    assert read(read_camt, CAMT, size).parts == read(read_camt, CAMT).parts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_what_the_file_declares_to_be_encoded_in_is_how_it_is_read(encoding: str):
    declared = encoding.removesuffix("-sig")
    text = camt(entry(inside=transaction("<RmtInf><Ustrd>Grüße</Ustrd></RmtInf>"))).decode()
    file = f'<?xml version="1.0" encoding="{declared}"?>{text}'.encode(encoding)
    assert read(read_camt, file).entry.text == "Grüße"


def test_a_debit_is_below_zero_and_its_counterparty_is_the_creditor():
    parties = "<RltdPties><Dbtr><Pty><Nm>Us</Nm></Pty></Dbtr><Cdtr><Pty><Nm>Them</Nm></Pty></Cdtr></RltdPties>"
    debit = read(read_camt, camt(entry(side="DBIT", inside=transaction(parties)))).entry
    assert (debit.amount_minor, debit.counterparty) == (-1234, "Them")
    old = parties.replace("<Pty>", "").replace("</Pty>", "")
    credit = read(read_camt, camt(entry(inside=transaction(old)))).entry
    assert (credit.amount_minor, credit.counterparty) == (1234, "Us")


def test_a_reversal_keeps_the_direction_that_the_bank_says_and_the_party_of_what_it_reverses():
    parties = "<RltdPties><Cdtr><Nm>Them</Nm></Cdtr><CdtrAcct><Id><IBAN>NL56</IBAN></Id></CdtrAcct></RltdPties>"
    found = read(read_camt, camt(entry(inside="<RvslInd>true</RvslInd>" + transaction(parties)))).entry
    assert (found.amount_minor, found.is_reversal, found.counterparty) == (1234, True, "Them")
    assert found.counterparty_account == "NL56"


@pytest.mark.parametrize("status", ["PDNG", "INFO", "FUTR"])
def test_an_entry_that_is_not_booked_is_skipped_and_counted(status: str):
    found = read(read_camt, camt(entry(status=f"<Cd>{status}</Cd>") + entry("1.00")))
    assert [(e.number, e.amount_minor) for e in found.entries] == [(2, 100)]
    assert (found.feet[0].entries, found.feet[0].skipped) == (1, 1)


def test_a_batch_is_one_entry_with_the_references_of_all_its_transactions():
    def batch(count: int) -> str:
        refs = "".join(f"<TxDtls><Refs><EndToEndId>pay_{n % 300}</EndToEndId></Refs></TxDtls>" for n in range(count))
        return f"<NtryDtls><Btch><PmtInfId>BATCH</PmtInfId></Btch>{refs}</NtryDtls>"

    found = read(read_camt, camt(entry(inside=batch(4)))).entry
    assert found.references == ("pay_0", "pay_1", "pay_2", "pay_3", "BATCH")
    many = read(read_camt, camt(entry(inside=batch(400)))).entry
    assert many.references == tuple(f"pay_{n}" for n in range(200))


def test_every_name_in_an_entry_is_a_reference_but_not_what_stands_for_none():
    refs = (
        "<Refs><MsgId>M</MsgId><InstrId>I</InstrId><EndToEndId>NOTPROVIDED</EndToEndId>"
        "<UETR>8a562c67-ca16-48ba-b074-65581be6f001</UETR><Prtry><Tp>T</Tp><Ref>P</Ref></Prtry></Refs>"
        "<RmtInf><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf>"
    )
    found = read(read_camt, camt(entry(inside="<AcctSvcrRef>B1</AcctSvcrRef>" + transaction(refs)))).entry
    assert found.entry_reference == "B1"
    assert found.references == ("M", "I", "8a562c67-ca16-48ba-b074-65581be6f001", "P", "RF18")


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        (transaction("<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"), EntryKind.RETURN),
        (f"<BkTxCd><Domn><Fmly><SubFmlyCd>{'UPDD'}</SubFmlyCd></Fmly></Domn></BkTxCd>", EntryKind.RETURN),
        (f"<BkTxCd><Domn><Fmly><SubFmlyCd>{'CHRG'}</SubFmlyCd></Fmly></Domn></BkTxCd>", EntryKind.FEE),
        (f"<BkTxCd><Domn><Fmly><SubFmlyCd>{'INTR'}</SubFmlyCd></Fmly></Domn></BkTxCd>", EntryKind.INTEREST),
        (f"<BkTxCd><Domn><Fmly><SubFmlyCd>{'ESCT'}</SubFmlyCd></Fmly></Domn></BkTxCd>", EntryKind.TRANSFER),
    ],
)
def test_what_the_bank_calls_an_entry_is_its_kind(inside: str, kind: EntryKind):
    assert read(read_camt, camt(entry(inside=inside))).entry.kind is kind


def test_a_return_late_in_a_batch_is_seen():
    plain = "<TxDtls><Refs><EndToEndId>a</EndToEndId></Refs></TxDtls>"
    returned = "<TxDtls><RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf></TxDtls>"
    found = read(read_camt, camt(entry(inside=f"<NtryDtls>{plain * 3}{returned}{plain}</NtryDtls>"))).entry
    assert found.kind is EntryKind.RETURN


def test_what_was_sent_in_another_currency_is_kept_with_the_sign_of_the_entry():
    amounts = '<AmtDtls><InstdAmt><Amt Ccy="JPY">2000</Amt></InstdAmt></AmtDtls>'
    found = read(read_camt, camt(entry(side="DBIT", inside=transaction(amounts)))).entry
    assert (found.original_minor, found.original_currency) == (-2000, "JPY")


def test_an_entry_without_a_day_is_of_its_value_date_else_of_the_day_the_statement_was_written():
    on_value = entry(day="<ValDt><DtTm>2026-04-05T23:00:00Z</DtTm></ValDt>")
    days = [e.booked_on for e in read(read_camt, camt(on_value + entry(day=""))).entries]
    assert days == [date(2026, 4, 5), date(2026, 4, 3)]


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        (entry("12..34"), "Amt", "is no amount"),
        (entry("1.234"), "Amt", "more decimals than EUR"),
        (entry("-1.00"), "Amt", "is no amount"),
        (entry("9" * 30), "Amt", "larger than any amount"),
        (entry(currency="XXX"), "Amt", "'XXX' is no currency"),
        (entry(currency="EU"), "Amt", "'EU' is no currency"),
        (entry(side="CREDIT"), "CdtDbtInd", "neither CRDT nor DBIT"),
        (entry(status="<Cd>WHAT</Cd>"), "Sts", "'WHAT' is not known"),
        (entry(day="<BookgDt><Dt>2026-13-02</Dt></BookgDt>"), "BookgDt", "is no day"),
        (entry(day="<BookgDt><Dt>02.04.2026</Dt></BookgDt>"), "BookgDt", "is no day"),
    ],
)
def test_an_entry_that_cannot_be_read_is_put_out_and_the_others_are_read(wrong: str, field: str, reason: str):
    found = read(read_camt, camt(entry() + wrong + entry()))
    assert found.refusal is None
    assert [e.number for e in found.entries] == [1, 3]
    (bad,) = found.bad
    assert (bad.number, bad.field) == (2, field)
    assert reason in bad.reason
    assert bad.text


def test_zeros_beyond_the_decimals_of_a_currency_are_no_fault():
    assert read(read_camt, camt(entry("8.850") + entry("7.00000", currency="JPY"))).entries[0].amount_minor == 885


def test_balances_that_do_not_add_up_refuse_the_file_with_both_numbers_and_the_line():
    wrong = CAMT.replace(b"1012.84", b"1012.85")
    found = read(read_camt, wrong)
    assert "1012.84 EUR, but it closes with 1012.85 EUR" in found.reason
    assert found.refusal is not None
    assert (found.refusal.line, found.refusal.field) == (6, "Bal CLBD")
    assert read(partial(read_camt, check_totals=False), wrong).refusal is None


def test_a_balance_below_zero_adds_up():
    inside = balance("PRCD", "10.00", side="DBIT") + balance("CLBD", "2.34") + entry()
    assert read(read_camt, camt(inside)).feet[0].closing_minor == 234


def test_a_line_that_cannot_be_read_takes_part_in_the_totals_as_far_as_its_amount_is_known():
    day_wrong = entry("1.00", day="<BookgDt><Dt>x</Dt></BookgDt>")
    assert read(read_camt, camt(balance("OPBD", "0") + balance("CLBD", "1.00") + day_wrong)).refusal is None
    assert "do not add up" in read(read_camt, camt(balance("OPBD", "0") + balance("CLBD", "2.00") + day_wrong)).reason
    unknown = balance("OPBD", "0") + balance("CLBD", "2.00") + entry("x")
    assert read(read_camt, camt(unknown)).refusal is None


def test_balances_of_two_currencies_refuse_the_file():
    inside = balance("OPBD", "1.00") + balance("CLBD", "13.34", currency="SEK") + entry()
    assert "opens in EUR and closes in SEK" in read(read_camt, camt(inside)).reason


def test_entries_of_another_currency_than_the_balances_refuse_the_file():
    inside = balance("OPBD", "1.00") + balance("CLBD", "13.34") + entry(currency="SEK")
    assert "balances in EUR and entries in SEK" in read(read_camt, camt(inside)).reason


def summary(count: str, credit: str, side: str = "TtlCdtNtries") -> str:
    return (
        f"<TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries></TtlNtries>"
        f"<{side}><NbOfNtries>{count}</NbOfNtries><Sum>{credit}</Sum></{side}></TxsSummry>"
    )


def test_the_numbers_and_sums_that_a_statement_states_are_held_against_its_entries():
    assert read(read_camt, camt(summary("2", "13.34") + entry() + entry("1"), "camt.054")).refusal is None
    assert "states 3 entries and holds 2" in read(read_camt, camt(summary("3", "13.34") + entry() + entry("1"))).reason
    assert "states 13.35 EUR" in read(read_camt, camt(summary("2", "13.35") + entry() + entry("1"))).reason
    nothing = camt(summary("1", "0.00", "TtlDbtNtries") + entry("0.00", side="DBIT"))
    assert read(read_camt, nothing).refusal is None
    no_debit = read(read_camt, camt(summary("1", "12.34", "TtlDbtNtries") + entry()))
    assert "states 1 entries of this side and holds 0" in no_debit.reason


def test_what_a_page_of_a_statement_states_of_the_whole_is_not_held_against_the_page():
    page = "<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>"
    assert read(read_camt, camt(page + summary("3", "99") + entry())).refusal is None


def test_a_statement_without_an_account_is_refused():
    assert "a statement without an account" in read(read_camt, camt(entry(), head="")).reason


def test_a_document_without_a_statement_is_refused():
    document = b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt/></Document>'
    assert "without a statement" in read(read_camt, document).reason
    assert "no document of a bank" in read(read_camt, b"<html><body/></html>").reason


def test_card_numbers_do_not_pass():
    card = "4111 1111 1111 1111"
    texts = f"<RmtInf><Ustrd>paid with {card}</Ustrd></RmtInf><Refs><EndToEndId>{card}</EndToEndId></Refs>"
    account = (
        f"<RltdPties><Dbtr><Nm>{card}</Nm></Dbtr><DbtrAcct><Id><Othr><Id>{card}</Id></Othr></Id></DbtrAcct></RltdPties>"
    )
    found = read(read_camt, camt(entry(inside=transaction(texts + account)) + entry(card, inside=transaction(texts))))
    assert len(found.entries) == len(found.bad) == 1
    assert "1111" not in repr(found.parts)
