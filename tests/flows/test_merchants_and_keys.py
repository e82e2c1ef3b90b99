"""Who may do what: merchants that are suspended or closed, keys that are revoked, narrow or publishable."""

from typing import Literal

import pytest

from bezant.app import Services
from bezant.merchants.service import KeyView, NewKey
from tests.support.platform import Answer, Merchant, Platform
from tests.support.waiting import wait_until

MONEY_VERBS = ("capture", "cancel", "refunds")


def test_suspended_merchant_makes_no_new_payments(shop: Merchant, platform: Platform) -> None:
    _set_status(shop, "suspended")
    answer = shop.create(order_id=f"ord-{shop.merchant_id}")
    assert (answer.status, answer.code) == (403, "merchant_inactive")
    assert platform.charges(payment_reference=f"ord-{shop.merchant_id}") == []
    assert shop.get("/payments").json["data"] == []


def test_suspended_merchant_cannot_confirm_either(shop: Merchant) -> None:
    payment_id = shop.create(confirm=False)["payment_id"]
    _set_status(shop, "suspended")
    answer = shop.do(payment_id, "confirm")
    assert (answer.status, answer.code) == (403, "merchant_inactive")
    assert shop.do(payment_id, "cancel")["status"] == "canceled"


def test_suspended_merchants_captures_refunds_and_reads_go_on(shop: Merchant) -> None:
    captured = shop.create()["payment_id"]
    first, second = (shop.create(capture_strategy="manual")["payment_id"] for _ in range(2))
    _set_status(shop, "suspended")
    assert shop.do(first, "capture")["status"] == "captured"
    assert shop.do(second, "cancel")["status"] == "canceled"
    assert shop.do(captured, "refunds")["status"] == "succeeded"
    assert shop.get("/payments").status == shop.get("/balance").status == 200


def test_payment_begun_before_the_suspension_may_be_finished_by_the_customer(
    shop: Merchant, platform: Platform
) -> None:
    payment = shop.create("pm_card_3ds").json
    _set_status(shop, "suspended")
    platform.customer_decides(payment, "approve")
    assert shop.do(payment["payment_id"], "confirm")["status"] == "captured"


def test_closed_merchant_only_reads(shop: Merchant, platform: Platform) -> None:
    captured = shop.create().json
    authorized = shop.create(capture_strategy="manual").json
    unconfirmed = shop.create(confirm=False).json
    _set_status(shop, "closed")
    refused = [
        shop.create(),
        shop.do(unconfirmed["payment_id"], "confirm"),
        shop.do(unconfirmed["payment_id"], "cancel"),
        shop.do(authorized["payment_id"], "capture"),
        shop.do(authorized["payment_id"], "cancel"),
        shop.do(captured["payment_id"], "refunds"),
    ]
    assert [(answer.status, answer.code) for answer in refused] == [(403, "merchant_inactive")] * len(refused)
    assert shop.payment(captured["payment_id"]) == captured
    assert shop.payment(authorized["payment_id"]) == authorized
    assert platform.charge_of(captured)["amount_refunded"] == 0
    assert shop.get("/balance").status == shop.get("/events").status == 200


def test_refusal_of_an_inactive_merchant_is_not_kept_under_the_key(shop: Merchant) -> None:
    _set_status(shop, "suspended")
    body = {"order_id": "o", "amount": {"value": 100, "currency": "USD"}, "payment_method": "pm_card_visa"}
    assert shop.call("POST", "/payments", body, "again-later").status == 403
    _set_status(shop, "active")
    again = shop.call("POST", "/payments", body, "again-later")
    assert (again.status, again["status"], again.replayed) == (200, "captured", False)


def test_stored_reply_is_replayed_even_once_the_merchant_is_suspended(shop: Merchant) -> None:
    body = {"order_id": "o", "amount": {"value": 100, "currency": "USD"}, "payment_method": "pm_card_visa"}
    first = shop.call("POST", "/payments", body, "once")
    _set_status(shop, "suspended")
    again = shop.call("POST", "/payments", body, "once")
    assert (again.status, again.replayed, again.body) == (200, True, first.body)


def test_revoked_key_moves_nothing_from_the_next_request_on_though_it_was_just_used(
    shop: Merchant, platform: Platform
) -> None:
    captured = shop.create().json
    authorized = shop.create(capture_strategy="manual").json
    other = _new_key(shop)
    assert shop.get("/balance").status == 200  # both processes' caches know the key now
    _revoke(shop, shop.secret_key)
    refused = [
        shop.create(),
        shop.do(captured["payment_id"], "refunds"),
        *(shop.do(authorized["payment_id"], verb) for verb in MONEY_VERBS),
    ]
    assert [(answer.status, answer.code) for answer in refused] == [(401, "unauthorized")] * len(refused)
    assert platform.charge_of(captured)["amount_refunded"] == 0
    assert platform.charge_of(authorized)["amount_captured"] == 0
    shown = shop.get(f"/payments/{authorized['payment_id']}", bearer=other.key)
    assert (shown.status, shown["status"]) == (200, "authorized")


def test_revoked_key_reads_nothing_either_within_seconds(shop: Merchant) -> None:
    assert shop.get("/balance").status == 200
    _revoke(shop, shop.secret_key)
    wait_until(lambda: shop.get("/balance").status == 401, 8)


def test_revoked_publishable_key_confirms_nothing(shop: Merchant, platform: Platform) -> None:
    payment = shop.create(confirm=False).json
    shown = shop.get(
        f"/payments/{payment['payment_id']}", bearer=shop.publishable_key, client_secret=payment["client_secret"]
    )
    assert shown.status == 200
    _revoke(shop, shop.publishable_key)
    answer = shop.call(
        "POST",
        f"/payments/{payment['payment_id']}/confirm",
        {"client_secret": payment["client_secret"]},
        bearer=shop.publishable_key,
    )
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert platform.charges(payment_reference=payment["order_id"]) == []


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("payments:write", {"create"}),
        ("payments:read", {"list", "stuck"}),
        ("ledger:read", {"balance"}),
        ("events:read", {"events"}),
        ("operations:write", {"resolve"}),
    ],
)
def test_key_does_what_its_scopes_say_and_nothing_else(shop: Merchant, scope: str, allowed: set[str]) -> None:
    key = _new_key(shop, scope).key
    body = {"order_id": "o", "amount": {"value": 100, "currency": "USD"}, "payment_method": "pm_card_visa"}
    resolve = {"outcome": "declined", "reason": "never seen there"}
    answers: dict[str, Answer] = {
        "create": shop.call("POST", "/payments", body, bearer=key),
        "list": shop.get("/payments", bearer=key),
        "stuck": shop.get("/attempts/stuck", bearer=key),
        "balance": shop.get("/balance", bearer=key),
        "events": shop.get("/events", bearer=key),
        "resolve": shop.call("POST", f"/attempts/att_{'0' * 32}/resolve", resolve, bearer=key),
    }
    may = {name for name, answer in answers.items() if answer.code != "forbidden"}
    assert may == allowed
    assert all(answer.status == 403 for name, answer in answers.items() if name not in allowed)


@pytest.mark.parametrize("bearer", ["sk_unknown", "", "pk_unknown"])
def test_unknown_key_is_unauthorized(shop: Merchant, bearer: str) -> None:
    answer = shop.get("/payments", bearer=bearer)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_stored_keys_are_hashes(shop: Merchant, platform: Platform) -> None:
    for (row,) in platform.sql("SELECT to_jsonb(k)::text FROM api_keys AS k"):
        assert shop.secret_key not in row
        assert shop.publishable_key not in row


def test_last_use_of_a_key_is_written_down(shop: Merchant) -> None:
    unused = _new_key(shop)

    async def use(services: Services) -> None:
        await services.merchants.authenticate(shop.secret_key)
        for job in services.merchants.jobs():
            await job.run()

    assert _key(shop, shop.secret_key).last_used_at is None
    shop.platform.with_services(use)
    assert _key(shop, shop.secret_key).last_used_at is not None
    assert _key(shop, unused.key).last_used_at is None


def _set_status(shop: Merchant, status: Literal["active", "suspended", "closed"]) -> None:
    shop.platform.with_services(lambda s: s.merchants.set_status(shop.merchant_id, status))


def _new_key(shop: Merchant, *scopes: str) -> NewKey:
    return shop.platform.with_services(lambda s: s.merchants.create_key(shop.merchant_id, "secret", scopes, None))


def _key(shop: Merchant, key: str) -> KeyView:
    keys = shop.platform.with_services(lambda s: s.merchants.keys(shop.merchant_id))
    return next(k for k in keys if key.startswith(k.display.removesuffix("...")))


def _revoke(shop: Merchant, key: str) -> None:
    key_id = _key(shop, key).key_id
    shop.platform.with_services(lambda s: s.merchants.revoke(shop.merchant_id, key_id))
