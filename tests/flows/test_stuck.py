"""What evidence cannot resolve goes to a person: the list of stuck attempts, and resolution by hand."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.platform import Answer, Merchant, Platform, running_platform


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose background jobs are off: what is unknown stays so."""
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), "--no-jobs") as platform:
        yield platform


def test_stuck_attempt_is_listed_until_it_is_resolved(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create("pm_card_500_before", 4_999)["payment_id"]
    assert shop.get("/attempts/stuck").json == {"data": []}
    attempt_id = _stick(platform, payment_id)
    (listed,) = shop.get("/attempts/stuck").json["data"]
    assert (listed["attempt_id"], listed["payment_id"]) == (attempt_id, payment_id)
    assert (listed["operation"], listed["amount"]) == ("authorize", {"value": 4_999, "currency": "USD"})
    assert (listed["status"], listed["reference"]) == ("unknown", attempt_id)
    assert listed["stuck_at"] is not None
    assert platform.merchant().get("/attempts/stuck").json == {"data": []}
    assert _resolve(shop, attempt_id, "declined").status == 200
    assert shop.get("/attempts/stuck").json == {"data": []}


def test_authorization_resolved_as_approved_posts_what_it_says(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create("pm_card_500_before")["payment_id"]
    attempt_id = _stick(platform, payment_id)
    name = by_hand()
    answer = _resolve(shop, attempt_id, "approved", psp_reference=name)
    assert (answer.status, answer["status"], answer["psp_reference"]) == (200, "captured", name)
    assert shop.accounts() == {
        "customer_funds_in_transit": 10_000,
        "merchant_payable": 9_680,
        "platform_fee_revenue": 320,
    }
    assert shop.event_types(payment_id) == ["payment.created", "payment.captured"]
    assert shop.payment(payment_id) == answer.json


def test_authorization_resolved_with_less_captured_posts_that(shop: Merchant, platform: Platform) -> None:
    attempt_id = _stick(platform, shop.create("pm_card_500_before")["payment_id"])
    answer = _resolve(shop, attempt_id, "approved", psp_reference=by_hand(), captured=0)
    assert (answer["status"], answer["amounts"]["captured"]) == ("authorized", 0)
    assert shop.accounts() == {}


def test_authorization_resolved_as_declined_fails_the_payment(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create("pm_card_500_before")["payment_id"]
    answer = _resolve(shop, _stick(platform, payment_id), "declined")
    assert (answer["status"], answer["failure"]["code"]) == ("failed", "resolved_by_hand")
    assert shop.accounts() == {}


def test_name_of_another_payment_at_the_psp_is_refused(shop: Merchant, platform: Platform) -> None:
    taken = shop.create()["psp_reference"]
    attempt_id = _stick(platform, shop.create("pm_card_500_before")["payment_id"])
    refused = _resolve(shop, attempt_id, "approved", psp_reference=taken)
    assert (refused.status, refused.code, refused["param"]) == (422, "psp_reference_taken", "/psp_reference")
    assert _resolve(shop, attempt_id, "approved", psp_reference=by_hand())["status"] == "captured"


@pytest.mark.parametrize(("outcome", "captured", "capturable"), [("approved", 6_000, 0), ("declined", 0, 10_000)])
def test_capture_is_resolved_as_the_person_says(
    shop: Merchant, platform: Platform, outcome: str, captured: int, capturable: int
) -> None:
    payment_id = shop.create(capture_strategy="manual", metadata={"simulate": "capture:500_before"})["payment_id"]
    assert shop.do(payment_id, "capture", value=6_000).status == 202
    answer = _resolve(shop, _stick(platform, payment_id), outcome)
    assert answer.status == 200
    assert (answer["amounts"]["captured"], answer["amounts"]["capturable"]) == (captured, capturable)
    assert shop.accounts().get("customer_funds_in_transit", 0) == captured


@pytest.mark.parametrize(
    ("outcome", "status", "in_transit"), [("approved", "succeeded", 6_000), ("declined", "failed", 10_000)]
)
def test_refund_is_resolved_as_the_person_says(
    shop: Merchant, platform: Platform, outcome: str, status: str, in_transit: int
) -> None:
    payment_id = shop.create(metadata={"simulate": "refund:500_before"})["payment_id"]
    refund = shop.do(payment_id, "refunds", value=4_000)
    assert refund.status == 202
    answer = _resolve(shop, _stick(platform, payment_id), outcome)
    assert (answer.status, answer["refund_id"], answer["status"]) == (200, refund["refund_id"], status)
    assert shop.accounts()["customer_funds_in_transit"] == in_transit


@pytest.mark.parametrize(("outcome", "status"), [("approved", "canceled"), ("declined", "authorized")])
def test_cancel_is_resolved_as_the_person_says(shop: Merchant, platform: Platform, outcome: str, status: str) -> None:
    payment_id = shop.create(capture_strategy="manual", metadata={"simulate": "cancel:500_before"})["payment_id"]
    assert shop.do(payment_id, "cancel").status == 202
    assert _resolve(shop, _stick(platform, payment_id), outcome)["status"] == status


def test_resolution_is_audited_with_who_what_and_why(shop: Merchant, platform: Platform) -> None:
    attempt_id = _stick(platform, shop.create("pm_card_500_before")["payment_id"])
    _resolve(shop, attempt_id, "declined", reason="The dashboard shows nothing.")
    query = "SELECT actor, action, subject, reason, detail::text FROM audit_log WHERE subject = $1"
    ((actor, action, subject, reason, detail),) = platform.sql(query, attempt_id)
    assert (action, subject, reason) == ("resolve_attempt", attempt_id, "The dashboard shows nothing.")
    assert actor.startswith("key_")
    assert "declined" in detail


def test_what_is_resolved_is_not_resolved_again(shop: Merchant, platform: Platform) -> None:
    attempt_id = _stick(platform, shop.create("pm_card_500_before")["payment_id"])
    _resolve(shop, attempt_id, "declined")
    again = _resolve(shop, attempt_id, "approved", psp_reference=by_hand())
    assert (again.status, again.code) == (409, "invalid_state")
    assert shop.accounts() == {}


def test_approval_without_the_psps_reference_is_refused_and_may_be_mended_at_once(
    shop: Merchant, platform: Platform
) -> None:
    attempt_id = _stick(platform, shop.create("pm_card_500_before")["payment_id"])
    refused = _resolve(shop, attempt_id, "approved")
    assert (refused.status, refused.code, refused["param"]) == (422, "psp_reference_missing", "/psp_reference")
    above = _resolve(shop, attempt_id, "approved", psp_reference=by_hand(), captured=10_001)
    assert (above.status, above.code) == (422, "amount_too_large")
    assert _resolve(shop, attempt_id, "approved", psp_reference=by_hand())["status"] == "captured"


def test_repeat_of_the_clients_key_after_the_resolution_tells_the_truth(shop: Merchant, platform: Platform) -> None:
    body = {"order_id": "o", "amount": {"value": 100, "currency": "USD"}, "payment_method": "pm_card_500_before"}
    first = shop.call("POST", "/payments", body, "key")
    assert first.status == 202
    _resolve(shop, _stick(platform, first["payment_id"]), "declined")
    again = shop.call("POST", "/payments", body, "key")
    assert (again.status, again["status"], again["payment_id"]) == (200, "failed", first["payment_id"])


def by_hand() -> str:
    """A name that the PSP's dashboard might show."""
    return f"ch_{uuid4().hex}"


def _stick(platform: Platform, payment_id: str) -> str:
    """Mark the open attempt of a payment as one that waits for a person, as an hour without an answer would."""
    query = """
    UPDATE payment_attempts SET stuck_at = now() WHERE payment_id = $1 AND status = 'unknown'
    RETURNING 'att_' || replace(id::text, '-', '')
    """
    ((attempt_id,),) = platform.sql(query, UUID(payment_id.partition("_")[2]))
    return attempt_id


def _resolve(
    shop: Merchant, attempt_id: str, outcome: str, *, reason: str = "As the dashboard shows.", **more: Any
) -> Answer:
    return shop.call("POST", f"/attempts/{attempt_id}/resolve", {"outcome": outcome, "reason": reason} | more)
