"""What evidence could not resolve: listed and resolved by a person, from the command line."""

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Merchant, Platform, request, running_platform
from tests.support.processes import bezant
from tests.support.verification import assert_verified


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """An API without jobs, so that what is unknown stays so."""
    with running_platform(database_url, tmp_path / "home", "--no-jobs") as platform:
        yield platform
        assert_verified(platform.database_url)


@pytest.fixture
def shop(platform: Platform) -> Merchant:
    return platform.merchant()


def told(platform: Platform, *arguments: str) -> tuple[int, str]:
    with bezant("attempts", *arguments, env=platform.env) as process:
        return process.wait(60), process.output()


def stuck(platform: Platform, shop: Merchant) -> Any:
    """The one attempt of a payment that nobody answered for, as it is after many vain checks."""
    assert request(f"{platform.simulator.url}/_simulator/settings", "POST", b'{"outage": "500"}').status == 200
    payment = shop.create()
    assert payment.status == 202, payment
    platform.sql("UPDATE payment_attempts SET stuck_at = now(), lease_until = now() - interval '1 second'")
    status, output = told(platform, "--stuck", "--json")
    assert status == 0, output
    (attempt,) = json.loads(output)
    assert (attempt["payment_id"], attempt["merchant_id"]) == (payment["payment_id"], shop.merchant_id)
    return attempt


def test_nothing_is_stuck(platform: Platform):
    assert told(platform, "--stuck") == (0, "Nothing is stuck.\n")
    assert told(platform, "--stuck", "--json") == (0, "[]\n")


def test_list_names_attempt_payment_and_amount(platform: Platform, shop: Merchant):
    attempt = stuck(platform, shop)
    status, output = told(platform, "--stuck")
    assert status == 0
    for words in (attempt["attempt_id"], attempt["payment_id"], shop.merchant_id, "authorize", "100.00 USD"):
        assert words in output


def test_approved_by_a_person_posts_and_is_audited(platform: Platform, shop: Merchant):
    attempt = stuck(platform, shop)
    status, output = told(
        platform, "resolve", attempt["attempt_id"], "--outcome=approved", "--reason=seen in the PSP's dashboard",
        "--psp-reference=ch_seen",
    )  # fmt: skip
    assert (status, output) == (0, f"{attempt['attempt_id']} is approved\n")
    payment = shop.payment(attempt["payment_id"])
    assert (payment["status"], payment["psp_reference"], payment["amounts"]["captured"]) == (
        "captured",
        "ch_seen",
        10_000,
    )
    assert shop.accounts()["customer_funds_in_transit"] == 10_000
    assert platform.sql("SELECT actor, action, subject, reason FROM audit_log") == [
        (
            f"os:{pwd.getpwuid(os.getuid()).pw_name}",
            "resolve_attempt",
            attempt["attempt_id"],
            "seen in the PSP's dashboard",
        )
    ]
    status, output = told(platform, "resolve", attempt["attempt_id"], "--outcome=declined", "--reason=no, wait")
    assert (status, output) == (1, "error: The attempt is approved already.\n")


def test_declined_by_a_person_moves_nothing(platform: Platform, shop: Merchant):
    attempt = stuck(platform, shop)
    status, output = told(platform, "resolve", attempt["attempt_id"], "--outcome=declined", "--reason=not at the PSP")
    assert status == 0, output
    payment = shop.payment(attempt["payment_id"])
    assert (payment["status"], payment["failure"]["code"]) == ("failed", "resolved_by_hand")
    assert shop.accounts() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resolve", "att_nonsense", "--outcome=declined", "--reason=because"), "There is no attempt 'att_nonsense'"),
        (("resolve", f"att_{'0' * 32}", "--outcome=declined", "--reason=because"), "There is no such attempt."),
        (("resolve", f"att_{'0' * 32}", "--outcome=declined", "--reason=x"), "--reason takes 3 to 500 characters."),
    ],
)
def test_mistakes_are_one_clear_line(arguments: tuple[str, ...], message: str, platform: Platform):
    status, output = told(platform, *arguments)
    assert status == 1
    assert output.startswith(f"error: {message}")


def test_approved_authorization_needs_its_reference(platform: Platform, shop: Merchant):
    attempt = stuck(platform, shop)
    status, output = told(platform, "resolve", attempt["attempt_id"], "--outcome=approved", "--reason=I believe so")
    assert (status, output) == (1, "error: An approved authorization needs its reference.\n")
    assert shop.payment(attempt["payment_id"])["status"] == "pending"
