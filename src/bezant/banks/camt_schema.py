"""Which elements of camt.052, camt.053 and camt.054 are read, and under which names. All versions from 02 to 13.

Versions differ in where things stand, not in their names: a status is a text up to version 07 and a code after it, a
party is an element deeper from version 08 on. So one table of paths holds them all.
"""

import re
from functools import lru_cache
from typing import Final

from bezant.banks.xml_groups import Node
from bezant.base.file_faults import FileRefused

DOCUMENT: Final = "document"
STATEMENT: Final = "statement"
BALANCE: Final = "balance"
ENTRY: Final = "entry"
TRANSACTION: Final = "transaction"

_NAMESPACE: Final = re.compile(r"urn:iso:std:iso:20022:tech:xsd:(camt\.05[234])\.001\.([0-9]{2})")

_MESSAGES: Final = {
    "camt.052": ("BkToCstmrAcctRpt", "Rpt"),
    "camt.053": ("BkToCstmrStmt", "Stmt"),
    "camt.054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
}
_VERSIONS: Final = range(2, 14)

_STATEMENT: Final = {
    "Id": "Id",
    "CreDtTm": "CreDtTm",
    "ElctrncSeqNb": "ElctrncSeqNb",
    "LglSeqNb": "LglSeqNb",
    "StmtPgntn/PgNb": "PgNb",
    "StmtPgntn/LastPgInd": "LastPgInd",
    "RptPgntn/PgNb": "PgNb",
    "RptPgntn/LastPgInd": "LastPgInd",
    "NtfctnPgntn/PgNb": "PgNb",
    "NtfctnPgntn/LastPgInd": "LastPgInd",
    "Acct/Id/IBAN": "Acct",
    "Acct/Id/Othr/Id": "Acct",
    "Acct/Ccy": "Ccy",
    "TxsSummry/TtlNtries/NbOfNtries": "TtlNtries/NbOfNtries",
    "TxsSummry/TtlCdtNtries/NbOfNtries": "TtlCdtNtries/NbOfNtries",
    "TxsSummry/TtlCdtNtries/Sum": "TtlCdtNtries/Sum",
    "TxsSummry/TtlDbtNtries/NbOfNtries": "TtlDbtNtries/NbOfNtries",
    "TxsSummry/TtlDbtNtries/Sum": "TtlDbtNtries/Sum",
}
_BALANCE: Final = {
    "Tp/CdOrPrtry/Cd": "Cd",
    "Amt": "Amt",
    "CdtDbtInd": "CdtDbtInd",
    "Dt/Dt": "Dt",
    "Dt/DtTm": "Dt",
}
_CODES: Final = {
    "BkTxCd/Domn/Fmly/Cd": "Fmly",
    "BkTxCd/Domn/Fmly/SubFmlyCd": "SubFmlyCd",
}
_ENTRY: Final = {
    "NtryRef": "NtryRef",
    "Amt": "Amt",
    "CdtDbtInd": "CdtDbtInd",
    "RvslInd": "RvslInd",
    "Sts": "Sts",
    "Sts/Cd": "Sts",
    "Sts/Prtry": "Sts",
    "BookgDt/Dt": "BookgDt",
    "BookgDt/DtTm": "BookgDt",
    "ValDt/Dt": "ValDt",
    "ValDt/DtTm": "ValDt",
    "AcctSvcrRef": "AcctSvcrRef",
    "AmtDtls/InstdAmt/Amt": "InstdAmt",
    "AddtlNtryInf": "AddtlInf",
    "NtryDtls/Btch/MsgId": "Ref",
    "NtryDtls/Btch/PmtInfId": "Ref",
    **_CODES,
}
_REFERENCES: Final = (
    "EndToEndId InstrId UETR TxId PmtInfId MsgId MndtId ChqNb ClrSysRef AcctSvcrRef AcctOwnrTxId AcctSvcrTxId "
    "MktInfrstrctrTxId PrcgId Prtry/Ref"
).split()
_PARTIES: Final = {
    f"RltdPties/{party}{path}": f"{party}{field}"
    for party in ("Dbtr", "Cdtr", "UltmtDbtr", "UltmtCdtr")
    for path, field in (("/Nm", "/Nm"), ("/Pty/Nm", "/Nm"), ("Acct/Id/IBAN", "Acct"), ("Acct/Id/Othr/Id", "Acct"))
}
_TRANSACTION: Final = {
    **{f"Refs/{reference}": "Ref" for reference in _REFERENCES},
    "AmtDtls/InstdAmt/Amt": "InstdAmt",
    "RmtInf/Ustrd": "Ustrd",
    "RmtInf/Strd/CdtrRefInf/Ref": "Ref",
    "RmtInf/Strd/RfrdDocInf/Nb": "Ref",
    "RmtInf/Strd/AddtlRmtInf": "Ustrd",
    "RtrInf/Rsn/Cd": "RtrInf",
    "RtrInf/Rsn/Prtry": "RtrInf",
    "AddtlTxInf": "AddtlInf",
    **_PARTIES,
    **_CODES,
}


def root_of(name: str) -> Node | None:
    """What to look for in an element: the document of a statement, None for an envelope around it.

    Raises `FileRefused`, with the name, for a document of another kind or version.
    """
    namespace, _, local = name.rpartition(" ")
    if local != "Document":
        return None
    found = _NAMESPACE.fullmatch(namespace)
    if not found:
        kind = namespace.removeprefix("urn:iso:std:iso:20022:tech:xsd:")[:80] or "without a namespace"
        raise FileRefused(f"a document {kind}: bank statements are camt.052, camt.053 or camt.054", field="Document")
    if int(found[2]) not in _VERSIONS:
        raise FileRefused(f"{found[1]}.001.{found[2]}: versions 02 to 13 are read", field="Document")
    return _document(namespace, found[1])


def is_final(document: str) -> bool:
    """Whether a message's entries are not reported again: only a statement's are not."""
    return document.startswith("statement camt.053")


@lru_cache(maxsize=64)
def _document(namespace: str, kind: str) -> Node:
    message, statement = _MESSAGES[kind]
    root = Node(children={}, group=DOCUMENT)
    at = _reach(root, f"{message}/{statement}", namespace)
    at.group = f"{STATEMENT} {kind}"
    _add(at, _STATEMENT, namespace)
    balance = _reach(at, "Bal", namespace)
    balance.group = BALANCE
    _add(balance, _BALANCE, namespace)
    entry = _reach(at, "Ntry", namespace)
    entry.group = ENTRY
    _add(entry, _ENTRY, namespace)
    transaction = _reach(entry, "NtryDtls/TxDtls", namespace)
    transaction.group = TRANSACTION
    _add(transaction, _TRANSACTION, namespace)
    return root


def _add(node: Node, paths: dict[str, str], namespace: str) -> None:
    for path, field in paths.items():
        leaf = _reach(node, path, namespace)
        leaf.field = field
        leaf.attribute = "Ccy" if path.endswith("Amt") else None


def _reach(node: Node, path: str, namespace: str) -> Node:
    for part in path.split("/"):
        node = node.children.setdefault(f"{namespace} {part}", Node(children={}))
    return node
