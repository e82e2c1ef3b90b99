"""Every word of the simulator, for every operation, ends in the state that the simulator holds."""

from collections.abc import Iterator
from typing import Any

import pytest

from bezant_simulator.behaviours import WORDS
from tests.support.agreement import assert_agreement
from tests.support.databases import run
from tests.support.platform import Answer, Merchant, Platform, running_platform

AMOUNT = 10_000

APPROVES = set(
    "visa mastercard amex discover diners jcb unionpay approve slow_2s webhook_first webhook_twice webhook_shuffled "
    "dispute_lost dispute_won refund_fails refund_async refund_async_fails".split()
)
LOSES_THE_ANSWER = set(
    "timeout_after timeout_before 500_after 500_before reset_after reset_before rate_limited".split()
)
DECLINES = {
    "declined": "card_declined",
    "fails": "card_declined",
    "insufficient_funds": "insufficient_funds",
    "expired": "expired_card",
    "stolen": "stolen_card",
}
DECIDES_LATER = {"async": True, "async_fails": False}
NEEDS_THE_CUSTOMER = {"3ds": "pm_card_3ds", "wallet": "pm_wallet"}
CAPTURES_APART = {"capture_fails"}
STRATEGIES = ("automatic", "manual")

FAILED_LATER = {"capture": "capture_failed", "cancel": "cancel_failed", "refund": "refund_failed"}
FAILS_LATER = {"async_fails"} | set(DECLINES)
NOT_FOR_LATER = {"3ds", "partial"}
"""What only an authorization can be; on anything later the simulator takes it for approval."""


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that soon loses patience with its PSP."""
    env = {"BEZANT_PSP_TIMEOUT_S": "2.5"}
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), env=env) as platform:
        yield platform


@pytest.fixture(autouse=True)
def _agrees(platform: Platform) -> Iterator[None]:
    yield
    run(assert_agreement(platform.database_url, platform.simulator.url))


def test_every_word_is_in_the_matrix() -> None:
    known = APPROVES | LOSES_THE_ANSWER | set(DECLINES) | set(DECIDES_LATER) | CAPTURES_APART | {"3ds", "partial"}
    assert known == set(WORDS)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("word", sorted(APPROVES))
def test_create_approved(word: str, strategy: str, shop: Merchant, platform: Platform) -> None:
    answer, repeat = _twice(shop, f"pm_card_{word}", strategy)
    assert answer.status == 200
    _is_done(shop, platform, answer.json, strategy, AMOUNT)
    assert (repeat.status, repeat.body, repeat.replayed) == (200, answer.body, True)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("word", sorted(DECLINES))
def test_create_declined(word: str, strategy: str, shop: Merchant, platform: Platform) -> None:
    answer, repeat = _twice(shop, f"pm_card_{word}", strategy)
    assert answer.status == 200
    assert answer["status"] == "failed"
    assert answer["failure"]["code"] == DECLINES[word]
    assert platform.charge_of(answer.json)["amount_authorized"] == 0
    assert (repeat.status, repeat.body, repeat.replayed) == (200, answer.body, True)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("word", sorted(LOSES_THE_ANSWER))
def test_create_without_an_answer_is_found_out(word: str, strategy: str, shop: Merchant, platform: Platform) -> None:
    order = _order(f"pm_card_{word}", strategy)
    answer = shop.create(**order)
    assert answer.status == 202
    assert answer["status"] == "pending"
    pending = answer["pending_operation"]
    assert (pending["operation"], pending["amount"], pending["reason"]) == ("authorize", AMOUNT, "unknown")
    payment = shop.wait_for_status(answer["payment_id"], "captured", "authorized", "failed")
    _is_done(shop, platform, payment, strategy, AMOUNT)
    _shows_the_current_state(shop.create(**order), payment)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("word", sorted(DECIDES_LATER))
def test_create_decided_later(word: str, strategy: str, shop: Merchant, platform: Platform) -> None:
    order = _order(f"pm_card_{word}", strategy)
    answer = shop.create(**order)
    assert answer.status == 202
    assert (answer["status"], answer["next_action"]) == ("pending", None)
    assert answer["pending_operation"]["reason"] == "processing"
    payment = shop.wait_for_status(answer["payment_id"], "captured", "authorized", "failed")
    if DECIDES_LATER[word]:
        _is_done(shop, platform, payment, strategy, AMOUNT)
    else:
        assert (payment["status"], payment["failure"]["code"]) == ("failed", "card_declined")
    _shows_the_current_state(shop.create(**order), payment)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("decision", ["approve", "refuse"])
@pytest.mark.parametrize("page", sorted(NEEDS_THE_CUSTOMER))
def test_create_decided_by_the_customer(
    page: str, decision: str, strategy: str, shop: Merchant, platform: Platform
) -> None:
    order = _order(NEEDS_THE_CUSTOMER[page], strategy)
    answer = shop.create(**order)
    assert answer.status == 202
    assert answer["status"] == "pending"
    assert answer["next_action"]["type"] == "redirect"
    platform.customer_decides(answer.json, decision)
    payment = shop.wait_for_status(answer["payment_id"], "captured", "authorized", "failed")
    assert payment["next_action"] is None
    if decision == "approve":
        _is_done(shop, platform, payment, strategy, AMOUNT)
    else:
        assert payment["status"] == "failed"
        assert payment["failure"]["code"] in ("authentication_failed", "customer_refused")
    _shows_the_current_state(shop.create(**order), payment)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_create_authorized_in_part(strategy: str, shop: Merchant, platform: Platform) -> None:
    answer, repeat = _twice(shop, "pm_card_partial", strategy)
    assert answer.status == 200
    _is_done(shop, platform, answer.json, strategy, AMOUNT // 2)
    assert repeat.body == answer.body


def test_create_whose_capture_fails_stays_authorized(shop: Merchant, platform: Platform) -> None:
    answer, repeat = _twice(shop, "pm_card_capture_fails", "automatic")
    assert answer.status == 200
    _is_done(shop, platform, answer.json, "manual", AMOUNT)
    assert repeat.body == answer.body
    canceled = shop.do(answer["payment_id"], "cancel")
    assert (canceled.status, canceled["status"]) == (200, "canceled")


@pytest.mark.parametrize("word", sorted(set(WORDS) - NOT_FOR_LATER))
@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
def test_later_operation(operation: str, word: str, shop: Merchant, platform: Platform) -> None:
    strategy = "automatic" if operation == "refund" else "manual"
    created = shop.create(capture_strategy=strategy, metadata={"simulate": f"{operation}:{word}"})
    assert created.status == 200
    payment_id, verb = created["payment_id"], "refunds" if operation == "refund" else operation
    key = f"key-{operation}-{word}"
    answer = shop.do(payment_id, verb, key)
    is_open = word in LOSES_THE_ANSWER or word in DECIDES_LATER
    assert answer.status == (202 if is_open else 200)
    before = shop.payment(payment_id) if not is_open else _pending(operation, word, answer)
    payment = shop.wait_for_status(payment_id, "authorized", "captured", "canceled", "refunded")
    fails = word in FAILS_LATER
    expected = {"capture": "captured", "cancel": "canceled", "refund": "refunded"}
    assert payment["status"] == (
        ("captured" if operation == "refund" else "authorized") if fails else expected[operation]
    )
    assert before is None or before["status"] == payment["status"]
    _agrees_with_psp(platform, payment)
    if fails:
        assert _failure(shop, operation, payment)["code"] == FAILED_LATER[operation]
    repeat = shop.do(payment_id, verb, key)
    assert repeat.replayed
    assert repeat.status == 200
    if not is_open:
        assert repeat.body == answer.body
    elif operation == "refund":
        assert repeat["status"] == ("failed" if fails else "succeeded")
    else:
        assert repeat.json == payment


@pytest.mark.parametrize(
    ("method", "operation", "code"),
    [
        ("pm_card_capture_fails", "capture", "capture_failed"),
        ("pm_card_refund_fails", "refunds", "refund_failed"),
        ("pm_card_refund_async", "refunds", None),
        ("pm_card_refund_async_fails", "refunds", "refund_failed"),
    ],
)
def test_payment_method_that_troubles_later(
    method: str, operation: str, code: str | None, shop: Merchant, platform: Platform
) -> None:
    created = shop.create(method, capture_strategy="manual" if operation == "capture" else "automatic").json
    answer = shop.do(created["payment_id"], operation)
    assert answer.status == (202 if "async" in method else 200)
    payment = shop.wait_for_status(created["payment_id"], "authorized", "captured", "refunded")
    assert payment["status"] == ("refunded" if code is None else created["status"])
    if code is not None:
        assert _failure(shop, "capture" if operation == "capture" else "refund", payment)["code"] == code
    _agrees_with_psp(platform, payment)


def _order(method: str, strategy: str) -> dict[str, Any]:
    name = f"{method}-{strategy}"
    return {"payment_method": method, "capture_strategy": strategy, "order_id": f"ord-{name}", "key": f"key-{name}"}


def _twice(shop: Merchant, method: str, strategy: str) -> tuple[Answer, Answer]:
    order = _order(method, strategy)
    return shop.create(**order), shop.create(**order)


def _is_done(shop: Merchant, platform: Platform, payment: Any, strategy: str, amount: int) -> None:
    taken = amount if strategy == "automatic" else 0
    assert payment["status"] == ("captured" if taken else "authorized")
    assert payment["failure"] is None
    assert payment["amounts"] == {
        "authorized": amount,
        "captured": taken,
        "refunded": 0,
        "disputed": 0,
        "capturable": amount - taken,
        "refundable": taken,
    }
    assert shop.payment(payment["payment_id"]) == payment
    _agrees_with_psp(platform, payment)


def _agrees_with_psp(platform: Platform, payment: Any) -> None:
    charge = platform.charge_of(payment)
    assert payment["psp_reference"] == charge["id"]
    for name in ("authorized", "captured", "refunded"):
        assert payment["amounts"][name] == charge[f"amount_{name}"], name
    left = charge["amount_authorized"] - charge["amount_captured"] - charge["amount_released"]
    assert payment["amounts"]["capturable"] == left


def _shows_the_current_state(repeat: Answer, payment: Any) -> None:
    assert (repeat.status, repeat.replayed) == (200, True)
    assert repeat.json == payment


def _pending(operation: str, word: str, answer: Answer) -> None:
    if operation == "refund":
        assert answer["status"] == "pending"
        return
    assert answer["status"] == "authorized"
    assert answer["pending_operation"]["operation"] == operation
    assert answer["pending_operation"]["reason"] == ("processing" if word in DECIDES_LATER else "unknown")


def _failure(shop: Merchant, operation: str, payment: Any) -> Any:
    if operation != "refund":
        return payment["failure"]
    (refund,) = shop.get(f"/payments/{payment['payment_id']}/refunds").json["data"]
    assert refund["status"] == "failed"
    return refund["failure"]
