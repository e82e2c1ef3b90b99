"""Writes a bank statement as ISO 20022 camt.053.001.08. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape

from bezant_simulator.settlement.currencies import major
from bezant_simulator.settlement.model import Entry, Statement
from bezant_simulator.wire import rfc3339

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
BANK: Final = "Simulator Bank"
OWNER: Final = "Bezant"
_CHARGES: Final = ("ACMT", "MDOP", "CHRG")
_CREDIT: Final = ("PMNT", "RCDT", "ESCT")
_DEBIT: Final = ("PMNT", "RDDT", "ESDD")


def written(statement: Statement) -> bytes:
    """The statement as it is sent."""
    return "".join(_document(statement)).encode()


def _document(statement: Statement) -> Iterator[str]:
    at = rfc3339(statement.at)
    day = datetime.fromtimestamp(statement.at, UTC).date().isoformat()
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>\n'
    yield f"<GrpHdr><MsgId>{statement.id}</MsgId><CreDtTm>{at}</CreDtTm></GrpHdr>\n"
    yield f"<Stmt><Id>{statement.id}</Id><ElctrncSeqNb>{statement.sequence}</ElctrncSeqNb><CreDtTm>{at}</CreDtTm>\n"
    yield f"<Acct><Id><Othr><Id>{escape(statement.account)}</Id></Othr></Id><Ccy>{statement.currency}</Ccy>"
    yield f"<Ownr><Nm>{OWNER}</Nm></Ownr><Svcr><FinInstnId><Nm>{BANK}</Nm></FinInstnId></Svcr></Acct>\n"
    yield _balance("OPBD", statement.opening, statement.currency, day)
    yield _balance("CLBD", statement.closing, statement.currency, day)
    yield _summary(statement)
    for entry in statement.entries:
        yield _entry(entry, statement.currency, day)
    yield "</Stmt></BkToCstmrStmt></Document>\n"


def _balance(kind: str, amount: int, currency: str, day: str) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{_amount(amount, currency)}"
        f"<Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def _summary(statement: Statement) -> str:
    credits_ = [entry.amount for entry in statement.entries if entry.amount > 0]
    debits = [entry.amount for entry in statement.entries if entry.amount < 0]
    parts = (
        f"<{tag}><NbOfNtries>{len(amounts)}</NbOfNtries><Sum>{major(sum(amounts), statement.currency)}</Sum></{tag}>"
        for tag, amounts in (("TtlCdtNtries", credits_), ("TtlDbtNtries", debits))
    )
    count = len(statement.entries)
    return f"<TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries></TtlNtries>{''.join(parts)}</TxsSummry>\n"


def _entry(entry: Entry, currency: str, day: str) -> str:
    amount = _amount(entry.amount, currency)
    return (
        f"<Ntry><NtryRef>{entry.reference}</NtryRef>{amount}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt><AcctSvcrRef>{entry.reference}</AcctSvcrRef>"
        f"{_code(entry)}<NtryDtls><TxDtls>"
        f"<Refs><AcctSvcrRef>{entry.reference}</AcctSvcrRef>"
        f"<EndToEndId>{escape(entry.end_to_end) or 'NOTPROVIDED'}</EndToEndId></Refs>{amount}"
        f"{_parties(entry)}<RmtInf><Ustrd>{escape(entry.text)}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n"
    )


def _code(entry: Entry) -> str:
    domain, family, sub = _CHARGES if entry.is_fee else _CREDIT if entry.amount > 0 else _DEBIT
    return f"<BkTxCd><Domn><Cd>{domain}</Cd><Fmly><Cd>{family}</Cd><SubFmlyCd>{sub}</SubFmlyCd></Fmly></Domn></BkTxCd>"


def _parties(entry: Entry) -> str:
    if entry.is_fee or not entry.counterparty:
        return ""
    side = "Dbtr" if entry.amount > 0 else "Cdtr"
    return f"<RltdPties><{side}><Pty><Nm>{escape(entry.counterparty)}</Nm></Pty></{side}></RltdPties>"


def _amount(amount: int, currency: str) -> str:
    mark = "DBIT" if amount < 0 else "CRDT"
    return f'<Amt Ccy="{currency}">{major(amount, currency)}</Amt><CdtDbtInd>{mark}</CdtDbtInd>'
