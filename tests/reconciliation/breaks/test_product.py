"""Breaks over HTTP and on the command line, in a running installation."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bezant.base import ids
from bezant.reconciliation.breaks import export
from bezant.reconciliation.matching.model import BreakKind
from tests.reconciliation.breaks.desk import found_break, operations
from tests.reconciliation.world import charge, world_on
from tests.support.databases import run
from tests.support.platform import Merchant, Platform, running_platform
from tests.support.processes import bezant
from tests.support.verification import assert_verified


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with running_platform(database_url, tmp_path, "--no-jobs") as platform:
        yield platform


@pytest.fixture
def operator(platform: Platform) -> Merchant:
    key = platform.with_services(lambda s: s.merchants.create_key("operator", "secret", [], None))
    return Merchant(platform, ids.show(ids.MERCHANT, ids.OPERATOR_MERCHANT), key.key, "")


async def missing(url: str) -> tuple[str, str, str]:
    """A break, and the operation and the line of which it is; the line's name looks like a formula."""
    async with world_on(url) as world:
        sale = await world.sells(await world.merchant(), 5_000)
        lines = await world.reports(charge(sale, gross_minor=4_990, line_reference="=cmd|' /C calc'!A0"))
        (operation,) = await operations(world, sale)
        (line,) = lines.values()
        break_id = await found_break(world, BreakKind.AMOUNT_MISMATCH, line, operation, at_risk_minor=10)
        return break_id, ids.show(ids.JOURNAL, operation), ids.show(ids.PSP_LINE, line)


def command(platform: Platform, *arguments: str) -> str:
    """What a command prints."""
    with bezant("reconciliation", *arguments, env=platform.env) as process:
        assert process.wait(60) == 0, process.output()
        return process.output()


def shown(platform: Platform, *arguments: str) -> Any:
    """The JSON that a command prints."""
    return json.loads(command(platform, *arguments, "--json").strip().splitlines()[-1])


def test_operator_works_on_a_break_over_http(platform: Platform, operator: Merchant) -> None:
    break_id, operation, line = run(missing(platform.database_url))
    at = f"/reconciliation/breaks/{break_id}"
    assert [each["break_id"] for each in operator.get("/reconciliation/breaks", kind="amount_mismatch")["data"]] == [
        break_id
    ]
    assert operator.call("POST", f"{at}/assign", {"owner": "ada"})["owner"] == "ada"
    assert operator.call("POST", f"{at}/comment", {"body": "They admit it."})["comments"][0]["body"] == "They admit it."
    dismissed = operator.call("POST", f"{at}/resolve", {"resolution": "dismissed", "reason": "no matter"})
    assert (dismissed.status, dismissed.code) == (422, "money_at_risk")
    wanted: dict[str, Any] = {"ours": [operation], "theirs": [line], "reason": "as they say"}
    assert operator.call("POST", "/reconciliation/matches", wanted).code == "amounts_differ"

    wanted["write_off"] = True
    made = operator.call("POST", "/reconciliation/matches", wanted, "key-1")
    assert (made.status, made["written_off"]["value"]) == (200, 10)
    again = operator.call("POST", "/reconciliation/matches", wanted, "key-1")
    assert (again.body, again.replayed) == (made.body, True)
    assert operator.get(at)["resolution"] == "matched"
    undone = operator.call("POST", f"/reconciliation/matches/{made['match_id']}/undo", {"reason": "not so"})
    assert (undone.status, undone["reopened"]) == (200, 2)

    accepted = operator.call("POST", f"{at}/resolve", {"resolution": "accepted", "reason": "it is so"})
    assert (accepted.status, accepted["status"], accepted["resolution"]) == (200, "resolved", "accepted")
    payment = platform.sql("SELECT id FROM payments")[0][0]
    (only,) = operator.get("/reconciliation/transit", payment=ids.show(ids.PAYMENT, payment))["data"]
    assert (only["in_transit"]["value"], only["why"]) == (0, "explained: by_hand")
    assert operator.get("/reconciliation/status")["operations"] == []
    assert operator.get("/reconciliation/breaks/brk_1").status == 404
    assert_verified(platform.database_url)


def test_breaks_are_for_the_operator_alone(platform: Platform) -> None:
    shop = platform.merchant()
    for path in ("/status", "/transit", "/breaks", "/exports/breaks"):
        assert shop.get(f"/reconciliation{path}").status == 403
    assert (
        shop.call("POST", "/reconciliation/matches", {"ours": ["x"], "theirs": ["y"], "reason": "none"}).status == 403
    )


def test_export_holds_no_formula(platform: Platform, operator: Merchant) -> None:
    break_id, *_ = run(missing(platform.database_url))
    platform.sql("UPDATE breaks SET detail = '=1+1', owner = '@ada'")
    answer = operator.get("/reconciliation/exports/breaks", kind="amount_mismatch")
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.body.decode()))
    assert (row["break_id"], row["detail"], row["owner"], row["at_risk_minor"]) == (break_id, "'=1+1", "'@ada", "10")
    assert command(platform, "breaks", "--csv").splitlines()[0] == ",".join(export.COLUMNS)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_begins_like_a_formula_is_escaped(text: str) -> None:
    assert export.cell(text) == f"'{text}"
    assert export.cell(f"a{text}") == f"a{text}"


@pytest.mark.parametrize("separator", [";", ";  ", "\t", "\n"])
def test_what_would_begin_like_one_where_cells_are_parted_otherwise_is_escaped(separator: str) -> None:
    assert export.cell(f"a{separator}=1+1;b") == f"a{separator[0]}'{separator[1:]}=1+1;b"


def test_operator_works_on_a_break_on_the_command_line(platform: Platform) -> None:
    break_id, operation, line = run(missing(platform.database_url))
    assert break_id in command(platform, "breaks", "--kind", "amount_mismatch")
    assert shown(platform, "assign", break_id, "ada")["owner"] == "ada"
    assert "They admit it." in command(platform, "comment", break_id, "They admit it.")
    made = shown(platform, "match", operation, line, "--write-off", "--reason", "as they say")
    assert made["written_off"] == {"value": 10, "currency": "USD"}
    assert shown(platform, "show", break_id)["resolution"] == "matched"
    assert "2 things are open" in command(platform, "unmatch", made["match_id"], "--reason", "not so")
    assert "AMOUNT" not in command(platform, "status")
    assert operation in command(platform, "transit")
    resolved = shown(platform, "resolve", break_id, "--as", "accepted", "--reason", "it is so")
    assert resolved["status"] == "resolved"
    assert UUID(hex=resolved["journal_id"].removeprefix("jrn_"))
    assert "Nothing is in transit." in command(platform, "transit")
    assert_verified(platform.database_url)
