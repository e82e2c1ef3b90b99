"""What the PSP holds and what we believe are compared, whether it can list its charges or must be asked for each."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from bezant.base.db import Database
from bezant.base.sealed import Sealer
from bezant.psp.account_secrets import AccountSecrets
from bezant.psp.accounts import Accounts
from bezant.psp.call import Caller, HttpTransport
from bezant.psp.desk import AccountDesk
from bezant.psp.registry import endpoints
from bezant.supported import CONNECTORS
from bezant.verify.report import Report
from bezant.verify.run import verify_psps
from tests.support.accounts import SOMEBODY, at_desk
from tests.support.databases import run, run_sql
from tests.support.platform import Merchant, Platform, request, running_platform
from tests.support.processes import bezant
from tests.support.verification import TEST_SEALER, describe

TRUNCATE = """
TRUNCATE merchants, payments, payment_attempts, ledger_entries, outbox_events, idempotency_keys, psp_requests CASCADE
"""
AMOUNTS, STRANGERS, MISSING = "psp_amounts_agree", "psp_charges_are_ours", "psp_holds_our_payments"


@pytest.fixture(scope="module")
def trading(module_database_url: str, tmp_path_factory: pytest.TempPathFactory):
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), "--no-jobs") as platform:
        yield platform


@pytest.fixture
def shop(trading: Platform) -> Merchant:
    """Each test begins with an empty PSP and nothing that it should hold."""
    request(f"{trading.simulator.url}/_simulator/reset", "POST")
    run_sql(trading.database_url, "SET session_replication_role = replica", TRUNCATE)
    return trading.merchant()


def compared(platform: Platform, *, listing: bool = True, sealer: Sealer | None = TEST_SEALER) -> Report:
    connectors = [c if listing else msgspec.structs.replace(c, holdings=None) for c in CONNECTORS]
    known = endpoints(connectors, platform.settings.psp_urls, {})

    async def compare() -> Report:
        database = Database(platform.database_url, connections_max=2)
        transport = HttpTransport(connections_max=4)
        await database.open()
        try:
            named = sealer and Accounts(database, connectors, known, platform.settings.psp_urls, sealer)
            caller = Caller(known, transport, timeout_s=5, concurrency=4, accounts=named)
            return await verify_psps(database, caller, lambda psp, count: None)
        finally:
            await transport.close()
            await database.close()

    return run(compare())


def found(report: Report) -> dict[str, set[str]]:
    return {check.name: {violation.id for violation in check.violations} for check in report.broken}


def post(platform: Platform, path: str, body: Mapping[str, Any]) -> Any:
    """A call that somebody else makes to the PSP, past Bezant."""
    headers = {"Authorization": "Bearer sim_dashboard", "Content-Type": "application/json"}
    answer = request(platform.simulator.url + path, "POST", json.dumps(body).encode(), headers)
    assert answer.status < 300, answer
    return answer.json


def test_a_psp_that_agrees(trading: Platform, shop: Merchant) -> None:
    for method in ("visa", "declined", "3ds", "partial"):
        shop.create(f"pm_card_{method}")
    shop.do(shop.create()["payment_id"], "refunds", value=1)
    manual = shop.create(capture_strategy="manual")["payment_id"]
    shop.do(manual, "capture", value=10, final=False)
    shop.do(manual, "capture", value=20)

    report = compared(trading)

    assert report.ok, describe(report)
    assert {check.name for check in report.checks} == {AMOUNTS, STRANGERS, MISSING, "psp_answers"}


def test_more_charges_than_a_page_holds(trading: Platform, shop: Merchant) -> None:
    body = {"amount": 5, "currency": "USD", "payment_method": "pm_card_visa", "payment_reference": "o"}
    ids = {post(trading, "/v1/charges", body | {"reference": f"stranger-{n}"})["id"] for n in range(205)}

    (strangers,) = compared(trading).broken

    assert strangers.count == len(ids)
    assert {violation.id for violation in strangers.violations} < ids


def test_a_charge_that_nobody_here_made(trading: Platform, shop: Merchant) -> None:
    body = {"amount": 5, "currency": "USD", "payment_method": "pm_card_visa", "payment_reference": "o"}
    unknown = post(trading, "/v1/charges", body | {"reference": "att_" + "0" * 32})["id"]
    foreign = post(trading, "/v1/charges", body | {"reference": "somebody's"})["id"]

    assert found(compared(trading)) == {STRANGERS: {unknown, foreign}}


def test_a_refund_made_in_the_dashboard(trading: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    shop.create()
    refund = {"amount": 7, "currency": "USD", "reference": "dashboard"}
    post(trading, f"/v1/charges/{payment['psp_reference']}/refunds", refund)

    assert found(compared(trading)) == {AMOUNTS: {payment["payment_id"]}}


@pytest.mark.parametrize("listing", [True, False])
def test_a_payment_that_the_psp_does_not_know(trading: Platform, shop: Merchant, listing: bool) -> None:
    lost = shop.create().json
    request(f"{trading.simulator.url}/_simulator/reset", "POST")
    shop.create()

    assert found(compared(trading, listing=listing)) == {MISSING: {lost["payment_id"]}}


def test_a_capture_made_in_the_dashboard(trading: Platform, shop: Merchant) -> None:
    payment = shop.create(capture_strategy="manual").json
    post(trading, f"/v1/charges/{payment['psp_reference']}/capture", {"amount": 7, "reference": "dashboard"})

    assert found(compared(trading)) == {AMOUNTS: {payment["payment_id"]}}


def test_a_psp_that_is_asked_for_each_payment_agrees(trading: Platform, shop: Merchant) -> None:
    shop.do(shop.create()["payment_id"], "refunds", value=1)
    manual = shop.create(capture_strategy="manual")["payment_id"]
    shop.do(manual, "capture", value=10, final=False)
    shop.do(manual, "capture", value=20)
    shop.do(shop.create(capture_strategy="manual")["payment_id"], "cancel")

    report = compared(trading, listing=False)

    assert report.ok, describe(report)


@pytest.mark.parametrize("operation", ["capture", "refund"])
def test_an_operation_that_the_asked_psp_does_not_know(trading: Platform, shop: Merchant, operation: str) -> None:
    payment = shop.create(capture_strategy="manual").json
    shop.do(payment["payment_id"], "capture", value=5)
    shop.do(payment["payment_id"], "refunds", value=5)
    tamper(trading, f"UPDATE payment_attempts SET psp_reference = 'op_none' WHERE operation = '{operation}'")

    assert found(compared(trading, listing=False)) == {MISSING: {payment["payment_id"]}}


def test_an_amount_that_the_asked_psp_holds_otherwise(trading: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    shop.create()
    which = f"psp_reference = '{payment['psp_reference']}'"
    tamper(trading, f"UPDATE payment_attempts SET moved_minor = 9, captured_minor = 9 WHERE {which}")

    assert found(compared(trading, listing=False)) == {AMOUNTS: {payment["payment_id"]}}


def test_what_an_open_attempt_explains_is_no_violation(trading: Platform, shop: Merchant) -> None:
    payment = shop.create("pm_card_timeout_after")
    assert payment.status == 202
    assert trading.charge_of(payment.json)["amount_captured"] == 10_000

    assert compared(trading).ok


def test_a_psp_that_does_not_answer_is_said(trading: Platform, shop: Merchant) -> None:
    shop.create()
    tamper(trading, "UPDATE payment_attempts SET psp = 'gone'")
    try:
        assert found(compared(trading))["psp_answers"] == {"gone"}
    finally:
        tamper(trading, "UPDATE payment_attempts SET psp = 'simulator'")


@pytest.mark.parametrize("listing", [True, False])
def test_what_is_in_a_merchants_own_account_is_compared_there(trading: Platform, shop: Merchant, listing: bool) -> None:
    ours = shop.create().json
    account = open_account(trading, shop, f"acme-{listing}".lower())
    theirs = shop.create().json
    assert compared(trading, listing=listing).ok
    assert found(compared(trading, listing=listing, sealer=None)) == {"psp_answers": {f"simulator {account}"}}
    request(f"{trading.simulator.url}/_simulator/reset", "POST")
    assert found(compared(trading, listing=listing)) == {MISSING: {ours["payment_id"], theirs["payment_id"]}}


def open_account(platform: Platform, shop: Merchant, name: str) -> str:
    """A new account of the merchant; its id."""
    secrets = AccountSecrets({"api_key": "sim_acme"})

    async def create(desk: AccountDesk) -> str:
        return (await desk.create(name, "simulator", shop.merchant_id, secrets, SOMEBODY)).account_id

    return run(at_desk(platform.database_url, create))


def tamper(trading: Platform, statement: str) -> None:
    """Change what triggers would refuse to change."""
    run_sql(trading.database_url, "SET session_replication_role = replica", statement)


def test_the_command_says_it_and_ends_with_one(trading: Platform, shop: Merchant) -> None:
    payment = shop.create().json
    with bezant("verify", "--psp", "--json", env=trading.env) as agreeing:
        assert agreeing.wait() == 0, agreeing.output()
        assert json.loads(agreeing.output())["ok"] is True
    refund = {"amount": 7, "currency": "USD", "reference": "dashboard"}
    post(trading, f"/v1/charges/{payment['psp_reference']}/refunds", refund)
    with bezant("verify", "--psp", env=trading.env) as differing:
        assert differing.wait() == 1, differing.output()
        assert AMOUNTS in differing.output()
        assert payment["payment_id"] in differing.output()
    with bezant("verify", env=trading.env) as without:
        assert without.wait() == 0, without.output()
