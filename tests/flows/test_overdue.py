"""What waits too long is given back: an authorization at its age, a customer's action that never comes."""

from collections.abc import Iterator
from typing import Any

import pytest

from bezant.payments.changes import Ages
from bezant.payments.overdue import cancel_overdue
from tests.support.platform import Merchant, Platform, running_platform
from tests.support.waiting import wait_until

AGE_S = 1
AGES = Ages(AGE_S, AGE_S)


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform where authorizations and customers' actions are overdue after a second."""
    ages = {"BEZANT_AUTHORIZATION_AGE_S": str(AGE_S), "BEZANT_ACTION_AGE_S": str(AGE_S)}
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), env=ages) as platform:
        yield platform


def test_authorization_at_its_age_is_given_back(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create(capture_strategy="manual")["payment_id"]
    payment = _overdue(shop, payment_id, "canceled")
    assert (payment["amounts"]["authorized"], payment["amounts"]["capturable"]) == (10_000, 0)
    assert platform.charge_of(payment)["amount_released"] == 10_000
    assert shop.event_types(payment_id) == ["payment.created", "payment.authorized", "payment.canceled"]
    origins = [a["data"]["origin"] for a in _attempts(shop, payment_id)]
    assert origins == ["client", "overdue"]


def test_job_of_the_server_does_it_by_itself(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(capture_strategy="manual").json
    assert shop.wait_for_status(payment["payment_id"], "canceled", timeout_s=30)
    assert platform.charge_of(payment)["amount_released"] == 10_000


def test_rest_of_a_partial_capture_is_given_back_at_its_age(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create(capture_strategy="manual")["payment_id"]
    shop.do(payment_id, "capture", value=6_000, final=False)
    payment = wait_until(lambda: _with_nothing_capturable(shop, payment_id), 20)
    assert (payment["status"], payment["amounts"]["captured"]) == ("captured", 6_000)
    charge = platform.charge_of(payment)
    assert (charge["amount_captured"], charge["amount_released"]) == (6_000, 4_000)


@pytest.mark.parametrize("payment_method", ["pm_card_3ds", "pm_wallet"])
def test_action_that_the_customer_never_takes_ends_the_payment(
    shop: Merchant, platform: Platform, payment_method: str
) -> None:
    payment = _overdue(shop, shop.create(payment_method)["payment_id"], "canceled")
    assert payment["next_action"] is None
    charge = platform.charge_of(payment)
    assert (charge["amount_authorized"], charge["operations"][-1]["kind"]) == (0, "cancel")
    assert shop.do(payment["payment_id"], "confirm").code == "invalid_state"


def test_only_the_outcome_of_the_cancel_changes_the_payment(shop: Merchant) -> None:
    payment_id = shop.create(capture_strategy="manual", metadata={"simulate": "cancel:async"})["payment_id"]
    payment = wait_until(lambda: _while_canceling(shop, payment_id), 20)
    assert payment["status"] == "authorized"
    assert shop.wait_for_status(payment_id, "canceled")


def test_authorization_whose_release_is_refused_stays_as_it_was(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create(capture_strategy="manual", metadata={"simulate": "cancel:fails"})["payment_id"]
    wait_until(lambda: _failed_cancel(shop, payment_id), 20)
    payment = shop.payment(payment_id)
    assert (payment["status"], payment["amounts"]["capturable"]) == ("authorized", 10_000)
    assert platform.charge_of(payment)["amount_released"] == 0
    assert shop.do(payment_id, "capture")["status"] == "captured"


def test_nothing_else_is_touched(shop: Merchant, platform: Platform) -> None:
    captured = shop.create()["payment_id"]
    unconfirmed = shop.create(confirm=False)["payment_id"]
    _overdue(shop, shop.create(capture_strategy="manual")["payment_id"], "canceled")
    platform.with_services(lambda s: cancel_overdue(s.database, AGES))
    assert shop.payment(captured)["status"] == "captured"
    assert shop.payment(unconfirmed)["status"] == "pending"
    assert [a["name"] for a in _attempts(shop, captured)] == ["authorize"]


def _overdue(shop: Merchant, payment_id: str, status: str) -> Any:
    """The payment once its age has passed and the job has seen it."""

    def swept() -> Any:
        shop.platform.with_services(lambda s: cancel_overdue(s.database, AGES))
        payment = shop.payment(payment_id)
        return payment if payment["status"] == status else None

    return wait_until(swept, 20, f"{payment_id} to be {status}")


def _with_nothing_capturable(shop: Merchant, payment_id: str) -> Any:
    payment = shop.payment(payment_id)
    return payment if payment["amounts"]["capturable"] == 0 else None


def _while_canceling(shop: Merchant, payment_id: str) -> Any:
    payment = shop.payment(payment_id)
    assert payment["status"] == "authorized"
    pending = payment["pending_operation"]
    return payment if pending is not None and pending["operation"] == "cancel" else None


def _failed_cancel(shop: Merchant, payment_id: str) -> bool:
    return [(a["name"], a["status"]) for a in _attempts(shop, payment_id)] == [
        ("authorize", "approved"),
        ("cancel", "declined"),
    ]


def _attempts(shop: Merchant, payment_id: str) -> list[Any]:
    items = shop.get(f"/payments/{payment_id}/timeline").json["data"]
    return [item for item in items if item["type"] == "attempt"]
