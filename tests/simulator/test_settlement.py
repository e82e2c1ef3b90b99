"""What the simulator reports of the money it moved, what it pays out of it, and what the bank says."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.simulator.papers import adds_up, balance, entries, numbers, of_type, report, settle, statement
from tests.support.simulator import Client, SimulatorProcess, client, running_simulator
from tests.support.waiting import wait_until_async


@pytest.fixture(scope="module")
def own_psp() -> Iterator[str]:
    with running_simulator(async_delay_s=0.05) as process:
        yield process.url


@pytest_asyncio.fixture
async def psp(own_psp: str) -> AsyncIterator[Client]:
    """A simulator that has settled nothing yet."""
    async with client(own_psp) as each:
        assert (await each.call("POST", "/_simulator/reset")).status == 200
        yield each


async def test_each_movement_is_a_row_with_the_names_that_its_caller_knows(psp: Client) -> None:
    charge = (await psp.create(amount=10_000)).body
    captured = (await psp.modify(charge["id"], "capture", amount=7_000, final=False)).body
    refunded = (await psp.modify(charge["id"], "refunds", amount=3_000)).body
    rows = await report(psp, await settle(psp))
    names = [(row["type"], row["charge_id"], row["operation_id"], row["reference"]) for row in rows[:2]]
    assert names == [
        ("charge", charge["id"], captured["id"], captured["reference"]),
        ("refund", charge["id"], refunded["id"], refunded["reference"]),
    ]
    assert [numbers(row) for row in rows[:3]] == [(7_000, 233, 6_767), (-3_000, 0, -3_000), (-3_767, 0, -3_767)]
    assert [row["type"] for row in rows[2:]] == ["payout", "total"]
    assert {row["currency"] for row in rows} == {"USD"}
    assert adds_up(rows)


async def test_a_charge_captured_at_once_is_reported_under_its_own_reference(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    await psp.create()
    await psp.create("pm_card_declined", capture=True)
    (row,) = of_type(await report(psp, await settle(psp)), "charge")
    assert (row["charge_id"], row["reference"]) == (charge["id"], charge["reference"])
    assert row["operation_id"].startswith("op_")


async def test_what_was_settled_is_not_settled_again(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    await psp.create(capture=True)
    first = await report(psp, await settle(psp))
    assert (await psp.call("POST", "/_simulator/settle", {})).body["report"] is None
    await psp.modify(charge["id"], "refunds", amount=400)
    second = await report(psp, await settle(psp))
    assert len(of_type(first, "charge")) == 2
    assert [row["type"] for row in second] == ["refund", "payout", "total"]
    assert not {row["line_id"] for row in first if row["line_id"]} & {row["line_id"] for row in second}


async def test_what_is_pending_is_settled_once_it_is_decided(psp: Client) -> None:
    await psp.settings(async_delay_s=3_600)
    await psp.create("pm_card_async", capture=True)
    await psp.settings(async_delay_s=0.05)
    soon = (await psp.create("pm_card_async", capture=True)).body

    async def is_collected() -> bool:
        return (await psp.call("GET", f"/v1/charges/{soon['id']}")).body["status"] == "collected"

    await wait_until_async(is_collected, 5.0, "the charge")
    assert [row["charge_id"] for row in of_type(await report(psp, await settle(psp)), "charge")] == [soon["id"]]


async def test_a_refund_that_fails_after_it_was_reported_comes_back(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    refund = (await psp.modify(charge["id"], "refunds", amount=300, metadata={"simulate": "refund:fails_later"})).body
    refunded_at = (await psp.facts(charge["reference"]))[0]["operations"][-1]["at"]
    before = await report(psp, await settle(psp, at=refunded_at))

    async def has_failed() -> bool:
        return (await psp.call("GET", f"/v1/operations/{refund['id']}")).body["status"] == "failed"

    await wait_until_async(has_failed, 5.0, "the refund's failure")
    (row,) = of_type(await report(psp, await settle(psp)), "refund_failed")
    (taken,) = of_type(before, "refund")
    assert (row["operation_id"], row["reference"], numbers(row)) == (refund["id"], refund["reference"], (300, 0, 300))
    assert (taken["operation_id"], numbers(taken)) == (refund["id"], (-300, 0, -300))
    assert taken["line_id"] != row["line_id"]


async def test_a_dispute_is_taken_with_its_fee_and_given_back_without(psp: Client) -> None:
    charge = (await psp.create(capture=True, amount=7_000)).body
    dispute = (await psp.call("POST", f"/_simulator/charges/{charge['id']}/dispute", {})).body
    taken = of_type(await report(psp, await settle(psp)), "dispute")
    await psp.call("POST", f"/_simulator/disputes/{dispute['id']}/win")
    returned = of_type(await report(psp, await settle(psp)), "dispute_reversed")
    await psp.call("POST", f"/_simulator/disputes/{dispute['id']}/reopen")
    again = of_type(await report(psp, await settle(psp)), "dispute")
    rows = [*taken, *returned, *again]
    assert [numbers(row) for row in rows] == [(-7_000, 1_500, -8_500), (7_000, 0, 7_000), (-7_000, 1_500, -8_500)]
    assert {row["operation_id"] for row in rows} == {dispute["id"]}
    assert {row["charge_id"] for row in rows} == {charge["id"]}
    assert len({row["line_id"] for row in rows}) == 3


async def test_an_inquiry_takes_nothing(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    await psp.call("POST", f"/_simulator/charges/{charge['id']}/dispute", {"inquiry": True})
    assert of_type(await report(psp, await settle(psp)), "dispute") == []


async def test_each_currency_is_paid_to_its_own_account(psp: Client) -> None:
    for currency, amount in (("USD", 10_000), ("JPY", 5_000), ("KWD", 12_345)):
        await psp.create(capture=True, currency=currency, amount=amount)
    settled = await settle(psp)
    assert adds_up(await report(psp, settled))
    assert {(each["currency"], each["amount"]) for each in settled["report"]["payouts"]} == {
        ("USD", 9_680), ("JPY", 4_825), ("KWD", 11_957),
    }  # fmt: skip
    found = {each["account"]: await statement(psp, each["id"]) for each in settled["statements"]}
    assert {account: balance(root, "CLBD") for account, root in found.items()} == {
        "SIMULATOR-USD": "96.80", "SIMULATOR-JPY": "4825", "SIMULATOR-KWD": "11.957",
    }  # fmt: skip


async def test_a_payout_arrives_under_its_name_and_the_balances_go_on(psp: Client) -> None:
    await psp.create(capture=True, amount=10_000)
    first = await settle(psp)
    await psp.create(capture=True, amount=20_000)
    second = await settle(psp, bank_fees=[{"currency": "USD", "amount": 250, "description": "Account & card fee"}])
    roots = [await statement(psp, each["statements"][0]["id"]) for each in (first, second)]
    ids = [each["report"]["payouts"][0]["id"] for each in (first, second)]
    assert entries(roots[0]) == [("96.80", ids[0], f"PAYOUT {ids[0]}", "ESCT")]
    assert entries(roots[1]) == [
        ("193.90", ids[1], f"PAYOUT {ids[1]}", "ESCT"),
        ("-2.50", "NOTPROVIDED", "Account & card fee", "CHRG"),
    ]
    assert [(balance(root, "OPBD"), balance(root, "CLBD")) for root in roots] == [
        ("0.00", "96.80"),
        ("96.80", "288.20"),
    ]
    listed = (await psp.call("GET", "/_simulator/statements?account=SIMULATOR-USD")).body["data"]
    assert [each["sequence"] for each in listed] == [1, 2]
    assert (await psp.call("GET", "/_simulator/statements?account=SIMULATOR-EUR")).body["data"] == []


async def test_a_payout_below_zero_is_taken_from_the_bank(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    await settle(psp)
    await psp.modify(charge["id"], "refunds", amount=700)
    settled = await settle(psp)
    (payout,) = settled["report"]["payouts"]
    (row,) = of_type(await report(psp, settled), "payout")
    root = await statement(psp, settled["statements"][0]["id"])
    assert (payout["amount"], numbers(row)) == (-700, (700, 0, 700))
    assert entries(root) == [("-7.00", payout["id"], f"PAYOUT {payout['id']}", "ESDD")]


async def test_a_payout_of_nothing_waits_for_the_next(psp: Client) -> None:
    charge = (await psp.create(capture=True)).body
    await psp.modify(charge["id"], "refunds", amount=941)
    first = await settle(psp)
    assert (first["report"]["payouts"], first["statements"]) == ([], [])
    await psp.create(capture=True, amount=10_000)
    second = await settle(psp)
    (payout,) = second["report"]["payouts"]
    rows = [*await report(psp, first), *await report(psp, second)]
    assert {row["payout_id"] for row in rows if row["type"] != "total"} == {payout["id"]}
    assert payout["amount"] == 9_680


async def test_without_a_payout_the_rows_name_the_one_that_will_come(psp: Client) -> None:
    await psp.create(capture=True)
    first = await settle(psp, payout=False)
    assert (first["report"]["payouts"], first["statements"]) == ([], [])
    second = await settle(psp)
    (payout,) = second["report"]["payouts"]
    (charge,) = of_type(await report(psp, first), "charge")
    assert (charge["payout_id"], payout["amount"]) == (payout["id"], 941)
    assert [row["type"] for row in await report(psp, second)] == ["payout", "total"]


async def test_a_batch_may_be_paid_in_several_payouts(psp: Client) -> None:
    for _ in range(7):
        await psp.create(capture=True)
    settled = await settle(psp, payouts=3)
    assert adds_up(await report(psp, settled))
    assert [each["amount"] for each in settled["report"]["payouts"]] == [3 * 941, 3 * 941, 941]


@pytest.mark.parametrize("where", ["call", "settings"])
async def test_euros_may_be_settled_in_dollars(psp: Client, where: str) -> None:
    charge = (await psp.create(capture=True, currency="EUR", amount=10_000)).body
    await psp.modify(charge["id"], "refunds", amount=333)
    await psp.call("POST", f"/_simulator/charges/{charge['id']}/dispute", {"amount": 1_000})
    await psp.create(capture=True, currency="GBP")
    rates = {"EUR": {"currency": "USD", "rate": "1.0837"}}
    if where == "settings":
        await psp.settings(settle_in=rates)
    rows = await report(psp, await settle(psp, **({"settle_in": rates} if where == "call" else {})))
    assert adds_up(rows)
    fx = [row for row in rows if row["presented_currency"]]
    assert [(row["type"], row["currency"], *numbers(row), row["presented_amount"]) for row in fx] == [
        ("charge", "USD", 10_837, 344, 10_493, "10000"),
        ("refund", "USD", -361, 0, -361, "-333"),
        ("dispute", "USD", -1_084, 1_626, -2_710, "-1000"),
    ]
    assert {(row["presented_currency"], row["fx_rate"]) for row in fx} == {("EUR", "1.0837")}
    (other,) = of_type([row for row in rows if row["currency"] == "GBP"], "charge")
    assert (other["gross"], other["presented_amount"], other["fx_rate"]) == ("1000", "", "")


async def test_a_rate_minds_the_decimals_of_both_currencies(psp: Client) -> None:
    await psp.create(capture=True, currency="JPY", amount=10_000)
    rates = {"JPY": {"currency": "KWD", "rate": 0.00205}}
    (row,) = of_type(await report(psp, await settle(psp, settle_in=rates)), "charge")
    assert (row["currency"], row["gross"], row["presented_amount"]) == ("KWD", "20500", "10000")


async def test_fees_and_adjustments_are_about_no_charge(psp: Client) -> None:
    await psp.create(capture=True)
    fees = [{"currency": "USD", "amount": 500, "description": "Monthly fee, November"}]
    settled = await settle(psp, fees=fees, adjustments=[{"currency": "USD", "amount": -100}])
    rows = await report(psp, settled)
    (fee,), (adjustment,) = of_type(rows, "fee"), of_type(rows, "adjustment")
    assert (numbers(fee), fee["charge_id"], fee["description"]) == ((-500, 0, -500), "", "Monthly fee, November")
    assert numbers(adjustment) == (-100, 0, -100)
    assert adds_up(rows)
    assert settled["report"]["payouts"][0]["amount"] == 341


async def test_the_fees_are_what_the_settings_say(psp: Client) -> None:
    await psp.settings(fee_basis_points=150, fee_fixed=10, dispute_fee=2_000)
    charge = (await psp.create(capture=True, amount=3_333)).body
    dispute = (await psp.call("POST", f"/_simulator/charges/{charge['id']}/dispute", {"amount": 100})).body
    rows = await report(psp, await settle(psp))
    assert [numbers(row)[:2] for row in rows[:2]] == [(3_333, 60), (-100, 2_000)]
    assert dispute["fee"] == 2_000


async def test_a_batch_ends_where_it_is_told_to(psp: Client) -> None:
    early = (await psp.create(capture=True)).body
    until = (await psp.facts(early["reference"]))[0]["operations"][-1]["at"]
    late = (await psp.create(capture=True)).body
    first = await settle(psp, at=until)
    second = await settle(psp, at="2031-01-02T03:04:05Z")
    assert [row["charge_id"] for row in of_type(await report(psp, first), "charge")] == [early["id"]]
    assert [row["charge_id"] for row in of_type(await report(psp, second), "charge")] == [late["id"]]
    (payout,) = of_type(await report(psp, second), "payout")
    assert payout["at"] == "2031-01-02T03:04:05.000000Z"
    refused = await psp.call("POST", "/_simulator/settle", {"at": until})
    assert (refused.status, refused.error["code"]) == (422, "too_early")


async def test_reports_are_listed_and_those_that_came_later(psp: Client) -> None:
    for _ in range(3):
        await psp.create(capture=True)
        await settle(psp)
    listed: list[dict[str, Any]] = (await psp.call("GET", "/_simulator/reports")).body["data"]
    assert [each["rows"] for each in listed] == [2, 2, 2]
    later = await psp.call("GET", f"/_simulator/reports?after={listed[0]['id']}")
    assert later.body["data"] == listed[1:]
    assert (await psp.call("GET", "/_simulator/reports/rep_nothing")).status == 404
    assert (await psp.call("GET", "/_simulator/statements/stm_nothing")).status == 404
    assert (await psp.call("DELETE", "/_simulator/reports")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"at": "yesterday"},
        {"at": "2026-11-23T12:00:00"},
        {"payouts": 0},
        {"settle_in": {"EUR": {"currency": "USD", "rate": "0"}}},
        {"settle_in": {"EUR": {"currency": "USD", "rate": "NaN"}}},
        {"fees": [{"currency": "USD", "amount": 0}]},
        {"fees": [{"currency": "USD", "amount": 1, "description": "two\nlines"}]},
        {"nonsense": True},
    ],
)
async def test_what_cannot_be_settled_is_said(psp: Client, body: dict[str, object]) -> None:
    assert (await psp.call("POST", "/_simulator/settle", body)).status == 400


async def test_papers_survive_sigkill_and_nothing_is_settled_twice(own_simulator: SimulatorProcess) -> None:
    async with client(own_simulator.url) as psp:
        for amount in (1_000, 2_000, 3_000):
            await psp.create(capture=True, amount=amount)
        await psp.call("POST", "/_simulator/plant", {"kinds": {"late_row": 1, "missing_psp_row": 1}})
        settled = await settle(psp)
        await settle(psp, payout=False)
        await psp.create(capture=True, amount=4_000)
        await psp.call("POST", "/_simulator/plant", {"kinds": {"fee_mismatch": 1}})
        paths = [
            "/_simulator/reports",
            "/_simulator/planted",
            "/_simulator/statements",
            f"/_simulator/reports/{settled['report']['id']}",
            f"/_simulator/statements/{settled['statements'][0]['id']}",
        ]
        before = [(await psp.call("GET", path)).body for path in paths]
    for _ in range(2):
        own_simulator.kill()
        own_simulator.start()
    async with client(own_simulator.url) as psp:
        assert [(await psp.call("GET", path)).body for path in paths] == before
        last = await settle(psp)
        rows = await report(psp, last)
        assert [row["gross"] for row in of_type(rows, "charge")] == ["4000"]
        assert [label["kind"] for label in last["planted"]] == ["fee_mismatch"]
        (late_and_new,) = last["report"]["payouts"]
        assert last["statements"][0]["opening"] == settled["statements"][0]["closing"]
        assert late_and_new["amount"] > int(of_type(rows, "charge")[0]["net"])
        await psp.call("POST", "/_simulator/reset")
        assert (await psp.call("GET", "/_simulator/reports")).body["data"] == []
