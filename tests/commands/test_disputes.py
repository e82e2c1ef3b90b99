"""`bezant disputes`: seen and answered by whoever runs the installation."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.disputes import heard, open_dispute
from tests.support.platform import Merchant, Platform, running_platform
from tests.support.processes import bezant
from tests.support.verification import assert_verified


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with running_platform(database_url, tmp_path / "home", webhooks=True) as platform:
        yield platform
        assert_verified(platform.database_url)


@pytest.fixture
def shop(platform: Platform) -> Merchant:
    return platform.merchant()


def said(platform: Platform, *arguments: str) -> tuple[int, str]:
    with bezant("disputes", *arguments, env=platform.env) as process:
        return process.wait(60), process.output()


def disputed(platform: Platform, shop: Merchant) -> Any:
    payment = shop.create().json
    open_dispute(platform, payment)
    return heard(shop, payment, "needs_response")


def test_disputes_are_listed_shown_and_answered(platform: Platform, shop: Merchant) -> None:
    assert said(platform, "list") == (0, "There are no disputes.\n")
    first, second = disputed(platform, shop), disputed(platform, shop)
    status, output = said(platform, "list", "--status", "needs_response")
    assert status == 0, output
    for words in (first["dispute_id"], second["payment_id"], "100.00 USD", "chargeback"):
        assert words in output
    status, output = said(platform, "list", "--merchant", platform.merchant().merchant_id, "--json")
    assert (status, json.loads(output)) == (0, [])

    shop.call("POST", f"/disputes/{first['dispute_id']}/evidence", {"texts": {"customer_name": "[bold]Jo[/]"}})
    status, output = said(platform, "show", first["dispute_id"])
    assert (status, "customer_name: [bold]Jo[/]" in output) == (0, True), output
    status, output = said(platform, "submit", first["dispute_id"], "--reason", "the merchant asked us to")
    assert (status, output) == (0, f"{first['dispute_id']} is under_review (submit: approved)\n")
    status, output = said(platform, "accept", second["dispute_id"], "--reason", "not worth it")
    assert (status, output) == (0, f"{second['dispute_id']} is accepted (accept: approved)\n")
    status, output = said(platform, "accept", second["dispute_id"], "--reason", "once more")
    assert (status, "comes too late" in output, "Traceback" in output) == (1, True, False)
    reasons = platform.sql("SELECT action, reason FROM audit_log WHERE subject LIKE 'dsp%' ORDER BY created_at")
    assert reasons == [("submit_dispute", "the merchant asked us to"), ("accept_dispute", "not worth it")]


def test_policy_says_who_bears_what_is_lost(platform: Platform, shop: Merchant) -> None:
    status, output = said(platform, "policy", shop.merchant_id, "--loss", "platform", "--reason", "as agreed")
    assert (status, output) == (0, f"{shop.merchant_id}: the platform bears what is lost, the platform the fees\n")
    dispute = disputed(platform, shop)
    said(platform, "accept", dispute["dispute_id"], "--reason", "not worth it")
    assert shop.accounts()["dispute_loss_expense"] == 10_000
    assert shop.accounts()["merchant_payable"] == 9_680


@pytest.mark.parametrize(
    "arguments",
    [("show", "dsp_nothing"), ("show", f"dsp_{'0' * 32}"), ("policy", f"mer_{'0' * 32}", "--reason", "because")],
)
def test_what_is_not_there_is_one_line(platform: Platform, arguments: tuple[str, ...]) -> None:
    status, output = said(platform, *arguments)
    assert (status, "Traceback" in output, len(output.splitlines()) <= 2) == (1, False, True), output
