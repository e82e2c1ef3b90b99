"""A PSP's papers as an outsider reads them: reports with the csv module, statements with an XML parser."""

import csv
import io
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from tests.support.simulator import Client

Row = dict[str, str]
CAMT = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"


async def settle(psp: Client, **options: Any) -> dict[str, Any]:
    answer = await psp.call("POST", "/_simulator/settle", options)
    assert answer.status == 201, answer.body
    return answer.body


async def report(psp: Client, settled: dict[str, Any]) -> list[Row]:
    """The rows of a settlement's report, totals included."""
    answer = await psp.call("GET", f"/_simulator/reports/{settled['report']['id']}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(answer.body), strict=True))


async def statement(psp: Client, statement_id: str) -> Element:
    """The statement's root."""
    answer = await psp.call("GET", f"/_simulator/statements/{statement_id}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml")
    return fromstring(answer.body)


def of_type(rows: Sequence[Row], *types: str) -> list[Row]:
    return [row for row in rows if row["type"] in types]


def numbers(row: Row) -> tuple[int, int, int]:
    return int(row["gross"]), int(row["fee"]), int(row["net"])


def adds_up(rows: Sequence[Row]) -> bool:
    """Whether the report agrees with itself: each net, each total, each payout with the rows that name it."""
    movements = of_type(rows, *({row["type"] for row in rows} - {"payout", "total"}))
    for row in [*movements, *of_type(rows, "payout")]:
        gross, fee, net = numbers(row)
        assert net == gross - fee
    for total in of_type(rows, "total"):
        mine = [row for row in rows if row["currency"] == total["currency"] and row is not total]
        assert int(total["row"]) == len(mine)
        assert int(total["net"]) == sum(int(row["net"]) for row in mine if row["type"] != "payout")
    for payout in of_type(rows, "payout"):
        paid = [row for row in movements if row["payout_id"] == payout["payout_id"]]
        assert int(payout["net"]) == -sum(int(row["net"]) for row in paid)
        assert {row["currency"] for row in paid} == {payout["currency"]}
    positions = [int(row["row"]) for row in rows if row["type"] != "total"]
    assert positions == list(range(1, len(positions) + 1))
    return True


def entries(root: Element) -> list[tuple[str, str, str, str]]:
    """Of each entry: the amount with its sign, the end-to-end id, the text, and what the bank calls it."""
    found: list[tuple[str, str, str, str]] = []
    for entry in root.iter(f"{CAMT}Ntry"):
        sign = "-" if text(entry, "CdtDbtInd") == "DBIT" else ""
        end_to_end = text(entry, "NtryDtls/TxDtls/Refs/EndToEndId")
        remittance = text(entry, "NtryDtls/TxDtls/RmtInf/Ustrd")
        code = text(entry, "BkTxCd/Domn/Fmly/SubFmlyCd")
        found.append((sign + text(entry, "Amt"), end_to_end, remittance, code))
    return found


def balance(root: Element, kind: str) -> str:
    """The statement's balance of that code, with its sign."""
    (found,) = [each for each in root.iter(f"{CAMT}Bal") if text(each, "Tp/CdOrPrtry/Cd") == kind]
    return ("-" if text(found, "CdtDbtInd") == "DBIT" else "") + text(found, "Amt")


def text(element: Element, path: str) -> str:
    found = element.find("/".join(CAMT + part for part in path.split("/")))
    assert found is not None, path
    assert found.text is not None, path
    return found.text
