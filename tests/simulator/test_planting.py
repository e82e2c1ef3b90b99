"""What is wrong in the papers on request: as often as asked, where the labels say, and nowhere else."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.simulator.papers import Row, adds_up, entries, numbers, of_type, report, settle, statement
from tests.support.simulator import Client, client, running_simulator

ROW_KINDS = [
    "missing_psp_row", "missing_internal_row", "duplicate_psp_row", "amount_mismatch", "fee_mismatch",
    "currency_mismatch", "typo_in_reference", "late_row",
]  # fmt: skip
DEPOSIT_KINDS = ["unmatched_deposit", "missing_deposit", "split_deposit", "merged_deposit"]


@pytest.fixture(scope="module")
def own_psp() -> Iterator[str]:
    with running_simulator() as process:
        yield process.url


@pytest_asyncio.fixture
async def psp(own_psp: str) -> AsyncIterator[Client]:
    async with client(own_psp) as each:
        await each.call("POST", "/_simulator/reset")
        yield each


async def plant(psp: Client, seed: int = 1, **kinds: int) -> None:
    answer = await psp.call("POST", "/_simulator/plant", {"kinds": kinds, "seed": seed})
    assert answer.body["waiting"] == kinds


async def charges(psp: Client, count: int, **fields: Any) -> list[dict[str, Any]]:
    return [(await psp.create(capture=True, amount=1_000 + number, **fields)).body for number in range(count)]


async def papers(psp: Client, **options: Any) -> tuple[list[Row], list[dict[str, Any]]]:
    """A settlement's report, which agrees with itself whatever is wrong with it, and what was planted."""
    settled = await settle(psp, **options)
    rows = await report(psp, settled)
    assert adds_up(rows)
    return rows, settled["planted"]


async def honest(psp: Client) -> dict[str, dict[str, Any]]:
    """The charges of the PSP's own book, by their references."""
    return {fact["reference"]: fact for fact in (await psp.call("GET", "/_simulator/charges")).body["data"]}


@pytest.mark.parametrize("kind", ROW_KINDS)
async def test_what_is_planted_is_there_as_often_as_asked_and_nowhere_else(psp: Client, kind: str) -> None:
    made = await charges(psp, 8)
    book = await honest(psp)
    await plant(psp, **{kind: 2})
    rows, labels = await papers(psp)
    assert [label["kind"] for label in labels] == [kind, kind]
    touched = {label["charge_id"] for label in labels}
    assert len(touched) == 2
    by_charge = {charge["id"]: charge for charge in made}
    for row in of_type(rows, "charge"):
        if row["charge_id"] not in touched:
            charge = by_charge.pop(row["charge_id"])
            gross = charge["amount_captured"]
            fee = (gross * 290 * 2 + 10_000) // 20_000 + 30
            assert (numbers(row), row["reference"]) == ((gross, fee, gross - fee), charge["reference"])
            assert (row["currency"], row["presented_currency"]) == ("USD", "")
    assert by_charge.keys() == touched & {charge["id"] for charge in made}
    assert await honest(psp) == book


async def rows_about(psp: Client, kind: str, **options: Any) -> tuple[list[Row], dict[str, Any], list[Row]]:
    """The rows about the charge on which one thing of that kind was planted, its label, and all rows."""
    await plant(psp, **{kind: 1})
    rows, (label,) = await papers(psp, **options)
    return [row for row in rows if row["charge_id"] == label["charge_id"]], label, rows


async def test_a_missing_row_never_comes(psp: Client) -> None:
    await charges(psp, 3)
    about, label, rows = await rows_about(psp, "missing_psp_row")
    assert (about, len(of_type(rows, "charge"))) == ([], 2)
    assert (await honest(psp))[label["reference"]]["id"] == label["charge_id"]
    await psp.modify(label["charge_id"], "refunds", amount=100)
    assert [row["type"] for row in await report(psp, await settle(psp))] == ["refund", "payout", "total"]


async def test_a_late_row_comes_with_the_next_report_and_its_payout(psp: Client) -> None:
    await charges(psp, 3)
    about, label, _ = await rows_about(psp, "late_row")
    assert about == []
    await psp.modify(label["charge_id"], "refunds", amount=100)
    settled = await settle(psp)
    row, refund = of_type(await report(psp, settled), "charge", "refund")
    assert (row["reference"], row["line_id"]) == (label["reference"], label["line_id"])
    assert settled["report"]["payouts"][0]["amount"] == int(row["net"]) + int(refund["net"])
    await psp.modify(label["charge_id"], "refunds", amount=50)
    assert [row["type"] for row in await report(psp, await settle(psp))] == ["refund", "payout", "total"]


async def test_a_row_of_a_charge_that_nobody_made_is_paid_like_any_other(psp: Client) -> None:
    await charges(psp, 3)
    about, label, _ = await rows_about(psp, "missing_internal_row")
    assert [row["reference"] for row in about] == [label["reference"]]
    assert label["reference"] not in await honest(psp)
    assert (await psp.call("GET", f"/v1/charges/{label['charge_id']}")).status == 404


async def test_a_duplicate_has_a_name_of_its_own(psp: Client) -> None:
    await charges(psp, 3)
    about, label, _ = await rows_about(psp, "duplicate_psp_row")
    first, second = about
    assert first["line_id"] != second["line_id"]
    assert {first["line_id"], second["line_id"]} == {label["line_id"], label["written"]}
    own = {"line_id", "row", "payout_id"}
    assert {k: v for k, v in first.items() if k not in own} == {k: v for k, v in second.items() if k not in own}


@pytest.mark.parametrize("kind", ["amount_mismatch", "fee_mismatch"])
async def test_a_wrong_number_is_far_enough_from_the_right_one(psp: Client, kind: str) -> None:
    await charges(psp, 3)
    (row,), label, _ = await rows_about(psp, kind)
    gross, fee, _ = numbers(row)
    true = (await honest(psp))[label["reference"]]["amount_captured"]
    if kind == "amount_mismatch":
        assert true // 100 < abs(gross - true) <= true // 10 + 2
        assert fee == (gross * 290 * 2 + 10_000) // 20_000 + 30
    else:
        assert gross == true
        assert fee >= 1.2 * ((true * 290 * 2 + 10_000) // 20_000 + 30)


@pytest.mark.parametrize("currency", ["USD", "EUR"])
async def test_a_wrong_amount_of_a_converted_row_is_wrong_in_both_currencies(psp: Client, currency: str) -> None:
    await charges(psp, 2, currency="EUR", payment_reference="pay_1")
    rates = {"EUR": {"currency": currency, "rate": "1.25"}}
    (row,), label, _ = await rows_about(psp, "amount_mismatch", settle_in=rates)
    true = (await honest(psp))[label["reference"]]["amount_captured"]
    if currency == "USD":
        assert int(row["presented_amount"]) != true
        assert int(row["gross"]) == (int(row["presented_amount"]) * 5 + 2) // 4
    else:
        assert (row["presented_amount"], int(row["gross"]) != true) == ("", True)


async def test_a_wrong_currency_is_what_the_customer_is_said_to_have_paid_in(psp: Client) -> None:
    await charges(psp, 3)
    (row,), _, _ = await rows_about(psp, "currency_mismatch")
    assert (row["currency"], row["presented_currency"], row["presented_amount"]) == ("USD", "EUR", row["gross"])


async def test_a_typo_leaves_the_charge_to_be_found(psp: Client) -> None:
    await charges(psp, 3)
    (row,), label, _ = await rows_about(psp, "typo_in_reference")
    for name in ("reference", "operation_id"):
        differing = [a for a, b in zip(row[name], label[name], strict=True) if a != b]
        assert len(differing) == 1
    assert row["charge_id"] == label["charge_id"]


async def test_refunds_may_be_missing_mistyped_late_or_twice_but_have_the_right_amounts(psp: Client) -> None:
    (charge,) = await charges(psp, 1)
    await settle(psp)
    await psp.modify(charge["id"], "refunds", amount=100)
    await plant(psp, amount_mismatch=1, fee_mismatch=1, currency_mismatch=1, duplicate_psp_row=1)
    rows, labels = await papers(psp)
    assert [label["kind"] for label in labels] == ["duplicate_psp_row"]
    assert [numbers(row) for row in of_type(rows, "refund")] == [(-100, 0, -100)] * 2
    planted = (await psp.call("GET", "/_simulator/planted")).body
    assert planted["waiting"] == {"amount_mismatch": 1, "fee_mismatch": 1, "currency_mismatch": 1}


async def test_nothing_is_planted_twice_on_one_charge(psp: Client) -> None:
    for charge in await charges(psp, 6):
        await psp.modify(charge["id"], "refunds", amount=100)
    await plant(psp, typo_in_reference=4, duplicate_psp_row=4)
    _, labels = await papers(psp)
    touched = [label["charge_id"] for label in labels]
    assert len(touched) == len({*touched}) == 6
    assert sum((await psp.call("GET", "/_simulator/planted")).body["waiting"].values()) == 2


async def deposits(psp: Client, **kinds: int) -> tuple[dict[str, int], list[tuple[str, str, str, str]], Any]:
    """The payouts of a settlement, the entries of its statement, and what was planted."""
    await plant(psp, **kinds)
    settled = await settle(psp, payouts=4)
    root = await statement(psp, settled["statements"][0]["id"])
    payouts = {payout["id"]: payout["amount"] for payout in settled["report"]["payouts"]}
    assert sum(minor(entry) for entry in entries(root)) == settled["statements"][0]["closing"]
    return payouts, entries(root), settled["planted"]


def minor(entry: tuple[str, str, str, str]) -> int:
    return int(entry[0].replace(".", ""))


async def test_a_deposit_that_is_missing_is_not_at_the_bank(psp: Client) -> None:
    await charges(psp, 4)
    payouts, found, (label,) = await deposits(psp, missing_deposit=1)
    assert label["reference"] in payouts
    del payouts[label["reference"]]
    assert {entry[1]: minor(entry) for entry in found} == payouts


async def test_a_deposit_that_is_split_comes_in_two_parts_under_one_name(psp: Client) -> None:
    await charges(psp, 4)
    payouts, found, (label,) = await deposits(psp, split_deposit=1)
    parts = [minor(entry) for entry in found if entry[1] == label["reference"]]
    assert (len(parts), sum(parts), min(parts) > 0) == (2, payouts[label["reference"]], True)
    assert len(found) == 5


async def test_two_payouts_may_come_as_one_deposit_that_names_both(psp: Client) -> None:
    await charges(psp, 4)
    payouts, found, (label,) = await deposits(psp, merged_deposit=1)
    both = (label["reference"], label["written"])
    (merged,) = [entry for entry in found if entry[1] == "NOTPROVIDED"]
    assert (minor(merged), merged[2]) == (sum(payouts[each] for each in both), f"PAYOUTS {both[0]} {both[1]}")
    assert len(found) == 3


async def test_a_deposit_of_a_stranger_names_no_payout(psp: Client) -> None:
    await charges(psp, 4)
    payouts, found, (label,) = await deposits(psp, unmatched_deposit=1)
    (stranger,) = [entry for entry in found if entry[1] not in payouts]
    assert not any(payout in stranger[2] for payout in payouts)
    assert label["reference"].startswith("bk_")


async def test_everything_may_be_wrong_at_once(psp: Client) -> None:
    await charges(psp, 40)
    kinds = dict.fromkeys(ROW_KINDS + DEPOSIT_KINDS, 2)
    await plant(psp, **kinds)
    rows, labels = await papers(psp, payouts=12)
    counts = {kind: sum(label["kind"] == kind for label in labels) for kind in kinds}
    assert counts == kinds
    charge_ids = [label["charge_id"] for label in labels if label["kind"] in ROW_KINDS]
    assert len(charge_ids) == len({*charge_ids}) == 2 * len(ROW_KINDS)
    payouts = [label["payout_id"] for label in labels if label["kind"] in DEPOSIT_KINDS[1:]]
    assert len(payouts) == len({*payouts}) == 6
    planted = (await psp.call("GET", "/_simulator/planted")).body
    assert (planted["data"], planted["waiting"]) == (labels, {})
    assert {label["report_id"] for label in labels if "report_id" in label} == {rows[0]["report_id"]}


async def test_what_finds_no_place_waits_for_the_next_settlement(psp: Client) -> None:
    await charges(psp, 1)
    await plant(psp, fee_mismatch=2, merged_deposit=1)
    _, first = await papers(psp)
    await charges(psp, 2)
    _, second = await papers(psp, payouts=2)
    assert [label["kind"] for label in first] == ["fee_mismatch"]
    assert sorted(label["kind"] for label in second) == ["fee_mismatch", "merged_deposit"]


async def test_the_seed_says_where(psp: Client) -> None:
    async def planted(seed: int) -> list[tuple[str, int, str]]:
        """What was planted: on which of the charges, counted in their order, and how wrong it is."""
        await psp.call("POST", "/_simulator/reset")
        order = {charge["id"]: number for number, charge in enumerate(await charges(psp, 20))}
        await plant(psp, seed, amount_mismatch=2, fee_mismatch=2, missing_psp_row=2, late_row=2)
        _, labels = await papers(psp)
        return [(label["kind"], order[label["charge_id"]], label.get("written", "")) for label in labels]

    first = await planted(7)
    assert first == await planted(7)
    assert first != await planted(8)


@pytest.mark.parametrize("body", [{"kinds": {"gremlins": 1}}, {"kinds": {"late_row": -1}}, {"seed": 1}, {"kinds": []}])
async def test_what_cannot_be_planted_is_said(psp: Client, body: dict[str, object]) -> None:
    assert (await psp.call("POST", "/_simulator/plant", body)).status == 400
