"""Commands that meet on one payment, from many clients and through two API processes on one database."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from uuid import uuid4

import pytest

from tests.support.platform import Answer, Merchant, Platform, at_once, running_platform

Codes = Counter[tuple[int, str | None]]


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two API processes on one database."""
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), apis=2) as platform:
        yield platform


@pytest.fixture(autouse=True)
def _no_deadlock(platform: Platform) -> Iterator[None]:
    """Nothing of all this ever deadlocks."""
    yield
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert platform.sql(query) == [(0,)]
    assert '"level":"error"' not in "".join(api.output() for api in platform.apis)


def race(calls: Sequence[Callable[[], Answer]]) -> tuple[list[Answer], Codes]:
    """All calls at once: the answers, and how many had which status and code."""
    answers = at_once(calls)
    return answers, Counter((answer.status, answer.code) for answer in answers)


@pytest.mark.parametrize("apis", [1, 2])
@pytest.mark.parametrize("turn", range(3))
def test_of_two_refunds_of_60_on_100_one_succeeds(shop: Merchant, platform: Platform, apis: int, turn: int) -> None:
    payment_id = shop.create(value=100)["payment_id"]
    _, codes = race([lambda n=n: shop.do(payment_id, "refunds", value=60, api=(n + turn) % apis) for n in range(2)])
    assert codes == {(200, None): 1, (422, "amount_too_large"): 1}
    payment = shop.payment(payment_id)
    assert payment["amounts"]["refunded"] == platform.charge_of(payment)["amount_refunded"] == 60


@pytest.mark.parametrize("apis", [1, 2])
def test_of_50_refunds_of_30_on_1000_33_succeed(shop: Merchant, platform: Platform, apis: int) -> None:
    payment_id = shop.create(value=1_000)["payment_id"]
    _, codes = race([lambda n=n: shop.do(payment_id, "refunds", value=30, api=n % apis) for n in range(50)])
    assert codes == {(200, None): 33, (422, "amount_too_large"): 17}
    payment = shop.payment(payment_id)
    assert payment["amounts"]["refunded"] == platform.charge_of(payment)["amount_refunded"] == 990
    refunds = shop.get(f"/payments/{payment_id}/refunds").json["data"]
    assert [refund["status"] for refund in refunds] == ["succeeded"] * 33


def test_parallel_captures_never_take_more_than_was_authorized(shop: Merchant, platform: Platform) -> None:
    payment_id = shop.create(value=1_000, capture_strategy="manual")["payment_id"]
    _, codes = race([lambda n=n: shop.do(payment_id, "capture", value=300, final=False, api=n % 2) for n in range(20)])
    captured = codes.pop((200, None))
    assert 1 <= captured <= 3
    assert set(codes) <= {(409, "attempt_in_progress"), (422, "amount_too_large")}
    payment = shop.payment(payment_id)
    assert payment["amounts"]["captured"] == platform.charge_of(payment)["amount_captured"] == captured * 300


@pytest.mark.parametrize("turn", range(3))
def test_of_parallel_final_captures_one_wins(shop: Merchant, platform: Platform, turn: int) -> None:
    payment_id = shop.create(value=1_000, capture_strategy="manual")["payment_id"]
    _, codes = race([lambda n=n: shop.do(payment_id, "capture", api=(n + turn) % 2) for n in range(6)])
    assert codes.pop((200, None)) == 1
    assert set(codes) <= {(409, "attempt_in_progress"), (409, "invalid_state")}
    assert platform.charge_of(shop.payment(payment_id))["amount_captured"] == 1_000


@pytest.mark.parametrize("turn", range(6))
def test_of_capture_and_cancel_one_wins(shop: Merchant, platform: Platform, turn: int) -> None:
    payment_id = shop.create(value=1_000, capture_strategy="manual")["payment_id"]
    verbs = ("capture", "cancel")
    answers, codes = race(
        [lambda n=n, verb=verb: shop.do(payment_id, verb, api=(n + turn) % 2) for n, verb in enumerate(verbs)]
    )
    assert codes.pop((200, None)) == 1
    assert set(codes) <= {(409, "attempt_in_progress"), (409, "invalid_state")}
    payment = shop.payment(payment_id)
    charge = platform.charge_of(payment)
    ends = {"capture": ("captured", 1_000, 0), "cancel": ("canceled", 0, 1_000)}
    won = verbs[next(n for n, answer in enumerate(answers) if answer.status == 200)]
    assert (payment["status"], charge["amount_captured"], charge["amount_released"]) == ends[won]


def test_100_identical_creates_under_one_key_make_one_charge(shop: Merchant, platform: Platform) -> None:
    order_id = f"ord-{uuid4().hex}"
    body = {"order_id": order_id, "amount": {"value": 100, "currency": "USD"}, "payment_method": "pm_card_visa"}
    answers, codes = race([lambda n=n: shop.call("POST", "/payments", body, "one-key", api=n % 2) for n in range(100)])
    assert set(codes) <= {(200, None), (409, "idempotency_key_in_use")}
    done = [answer for answer in answers if answer.status == 200]
    assert len({answer.body for answer in done}) == 1
    assert sum(not answer.replayed for answer in done) == 1
    assert len(platform.charges(payment_reference=order_id)) == 1
    assert len(shop.get("/payments").json["data"]) == 1


def test_100_different_keys_for_one_order_make_100_charges(shop: Merchant, platform: Platform) -> None:
    order_id = f"ord-{uuid4().hex}"
    _, codes = race([lambda n=n: shop.create(value=100, order_id=order_id, api=n % 2) for n in range(100)])
    assert codes == {(200, None): 100}
    charges = platform.charges(payment_reference=order_id)
    assert len({charge["id"] for charge in charges}) == 100
    assert sum(charge["amount_captured"] for charge in charges) == 10_000
    assert shop.accounts()["customer_funds_in_transit"] == 10_000


def test_many_keys_in_opposite_orders_from_two_processes_never_deadlock(shop: Merchant, platform: Platform) -> None:
    orders = [f"ord-{uuid4().hex}" for _ in range(40)]

    def send(n: int, api: int) -> Answer:
        return shop.create(value=100, order_id=orders[n], key=f"key-{n}", api=api)

    for _ in range(2):
        _, codes = race(
            [
                *(lambda n=n: send(n, 0) for n in range(40)),
                *(lambda n=n: send(n, 1) for n in reversed(range(40))),
            ]
        )
        assert set(codes) <= {(200, None), (409, "idempotency_key_in_use")}
    for order_id in orders:
        assert len(platform.charges(payment_reference=order_id)) == 1


def test_refunds_of_many_payments_in_opposite_orders_never_deadlock(shop: Merchant, platform: Platform) -> None:
    payments = [shop.create(value=100)["payment_id"] for _ in range(20)]
    _, codes = race(
        [
            *(lambda p=p: shop.do(p, "refunds", value=40, api=0) for p in payments),
            *(lambda p=p: shop.do(p, "refunds", value=40, api=1) for p in reversed(payments)),
        ]
    )
    assert codes == {(200, None): 40}
    assert shop.accounts()["customer_funds_in_transit"] == 20 * 20


def test_key_that_is_revoked_meanwhile_moves_all_or_nothing(shop: Merchant, platform: Platform) -> None:
    (revoked,) = platform.sql("SELECT id FROM api_keys WHERE kind = 'secret' ORDER BY created_at DESC LIMIT 1")
    order_id = f"ord-{uuid4().hex}"

    def revoke() -> Answer | None:
        platform.sql("UPDATE api_keys SET revoked_at = now() WHERE id = $1", revoked[0])
        return None

    answers = at_once([*(lambda n=n: shop.create(order_id=order_id, api=n % 2) for n in range(30)), revoke])
    codes = Counter((answer.status, answer.code) for answer in answers if answer is not None)
    assert set(codes) <= {(200, None), (401, "unauthorized")}
    assert len(platform.charges(payment_reference=order_id)) == codes[(200, None)]
    after = [shop.create(order_id=order_id, api=api) for api in (0, 1)]
    assert [(answer.status, answer.code) for answer in after] == [(401, "unauthorized")] * 2
    assert len(platform.charges(payment_reference=order_id)) == codes[(200, None)]
