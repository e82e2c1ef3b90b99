"""The connector through the product's caller, against the double of Stripe's wire: what is lost, late or wrong."""

import math
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from bezant.connectors.stripe import CONNECTOR
from bezant.psp.call import Caller, Endpoint
from bezant.psp.contract import Ask, Credentials, Operation, Verdict
from tests.connectors.stripe.stripe_shop import Shop, new
from tests.support.stripe_wire.client import Wire
from tests.support.stripe_wire.faults import Fault

BACK = "https://shop.example/back?cart=1"


def path_of(wish: Ask) -> str:
    """The request that carries it out."""
    paths = {Operation.AUTHORIZE: "/v1/payment_intents$", Operation.REFUND: "/v1/refunds$"}
    return f"POST {paths.get(wish.operation, f'/v1/payment_intents/{wish.psp_reference}/')}"


async def moved(dashboard: Wire, wish: Ask) -> int:
    """How often Stripe did it, by its own books."""
    if wish.operation is Operation.AUTHORIZE:
        found = await dashboard.call("GET", "payment_intents?limit=100")
        return sum(intent["metadata"].get("bezant_reference") == wish.reference for intent in found["data"])
    if wish.operation is Operation.REFUND:
        return len((await dashboard.call("GET", f"refunds?payment_intent={wish.psp_reference}"))["data"])
    status = "succeeded" if wish.operation is Operation.CAPTURE else "canceled"
    return int((await dashboard.call("GET", f"payment_intents/{wish.psp_reference}"))["status"] == status)


@pytest.mark.parametrize("operation", list(Operation))
async def test_lost_reply_is_unknown_then_found_then_replayed(
    shop: Shop, dashboard: Wire, operation: Operation
) -> None:
    wish = await shop.ready_for(operation)
    await dashboard.fault(Fault.LOST, path_of(wish))
    assert (await shop.do(wish)).verdict is Verdict.UNKNOWN
    found = await shop.look(wish)
    again = await shop.do(wish)
    assert found.verdict is Verdict.APPROVED
    assert again == found
    assert await moved(dashboard, wish) == 1


@pytest.mark.parametrize("operation", list(Operation))
async def test_connection_that_ends_before_anything_happened_is_unknown_and_can_be_repeated(
    shop: Shop, dashboard: Wire, operation: Operation
) -> None:
    wish = await shop.ready_for(operation)
    await dashboard.fault(Fault.RESET, path_of(wish))
    assert (await shop.do(wish)).verdict is Verdict.UNKNOWN
    assert (await shop.look(wish)).verdict is Verdict.NOT_FOUND
    assert await moved(dashboard, wish) == 0
    assert (await shop.do(wish)).verdict is Verdict.APPROVED
    assert await moved(dashboard, wish) == 1


@pytest.mark.parametrize("operation", list(Operation))
async def test_500_that_is_kept_says_nothing_but_a_look_does(shop: Shop, dashboard: Wire, operation: Operation) -> None:
    for fault, seen in ((Fault.BROKEN, Verdict.APPROVED), (Fault.UNDONE, Verdict.NOT_FOUND)):
        wish = await shop.ready_for(operation)
        await dashboard.fault(fault, path_of(wish))
        assert [(await shop.do(wish)).verdict for _ in range(3)] == [Verdict.UNKNOWN] * 3
        assert (await shop.look(wish)).verdict is seen
        assert await moved(dashboard, wish) == (seen is Verdict.APPROVED)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (Fault.DOWN, Verdict.UNKNOWN),
        (Fault.BUSY, Verdict.NOT_EXECUTED),
        (Fault.LOCKED, Verdict.NOT_EXECUTED),
    ],
)
async def test_call_that_was_turned_away_moves_nothing_and_may_be_repeated(
    shop: Shop, dashboard: Wire, operation: Operation, fault: Fault, verdict: Verdict
) -> None:
    wish = await shop.ready_for(operation)
    await dashboard.fault(fault, path_of(wish))
    assert (await shop.do(wish)).verdict is verdict
    assert await moved(dashboard, wish) == 0
    assert (await shop.do(wish)).verdict is Verdict.APPROVED
    assert await moved(dashboard, wish) == 1


@pytest.mark.parametrize("operation", list(Operation))
async def test_answer_that_takes_too_long_is_unknown_and_the_repeat_meets_its_own_key(
    shop: Shop, dashboard: Wire, operation: Operation
) -> None:
    wish = await shop.ready_for(operation)
    await dashboard.fault(Fault.SLOW, path_of(wish))
    assert (await shop.do(wish)).verdict is Verdict.UNKNOWN
    meanwhile = await shop.do(wish)
    assert meanwhile.verdict in (Verdict.UNKNOWN, Verdict.APPROVED)
    while (outcome := await shop.do(wish)).verdict is Verdict.UNKNOWN:
        assert outcome.detail
    assert outcome.verdict is Verdict.APPROVED
    assert await moved(dashboard, wish) == 1


@pytest.mark.parametrize("operation", list(Operation))
async def test_look_up_that_fails_is_no_evidence(shop: Shop, dashboard: Wire, operation: Operation) -> None:
    wish = await shop.ready_for(operation)
    await shop.do(wish)
    for fault in (Fault.DOWN, Fault.BUSY):
        await dashboard.fault(fault, "GET /v1/")
        assert (await shop.look(wish)).verdict in (Verdict.UNKNOWN, Verdict.NOT_EXECUTED)
    assert (await shop.look(wish)).verdict is Verdict.APPROVED


async def test_key_that_stripe_has_forgotten_would_move_money_twice_and_is_why_replays_end(
    shop: Shop, dashboard: Wire
) -> None:
    wish = new(Operation.AUTHORIZE, capture=True)
    await shop.do(wish)
    await dashboard.steer("forget_key", key=wish.reference)
    await shop.do(wish)
    assert await moved(dashboard, wish) == 2
    assert CONNECTOR.manifest.resolution[Operation.AUTHORIZE].replay_s < 24 * 3600
    both = await shop.look(wish)
    assert both.verdict is Verdict.UNKNOWN  # two for one attempt: a person decides
    assert both.detail is not None
    assert "2 PaymentIntents" in both.detail


@pytest.mark.parametrize("capture", [True, False])
async def test_customer_who_authenticates_comes_back_to_the_shop_and_has_paid(
    shop: Shop, dashboard: Wire, capture: bool
) -> None:
    wish = new(Operation.AUTHORIZE, payment_method="pm_card_threeDSecure2Required", return_url=BACK, capture=capture)
    outcome = await shop.do(wish)
    assert outcome.verdict is Verdict.PENDING
    assert outcome.next_action is not None
    known = msgspec.structs.replace(wish, psp_reference=outcome.psp_reference)
    assert await shop.look(known) == outcome == await shop.look(wish)
    came_back = urlsplit(await dashboard.answer_the_bank(outcome.next_action.url, "approve"))
    assert came_back.netloc == "shop.example"
    assert parse_qs(came_back.query)["cart"] == ["1"]
    assert parse_qs(came_back.query)["payment_intent"] == [outcome.psp_reference]
    done = await shop.look(known)
    assert (done.verdict, done.amount_minor, done.next_action) == (Verdict.APPROVED, 4999, None)
    assert done.captured_minor == (4999 if capture else 0)


async def test_customer_who_refuses_at_the_bank_is_a_decline(shop: Shop, dashboard: Wire) -> None:
    wish = new(Operation.AUTHORIZE, payment_method="pm_card_threeDSecure2Required", return_url=BACK)
    outcome = await shop.do(wish)
    assert outcome.next_action is not None
    await dashboard.answer_the_bank(outcome.next_action.url, "refuse")
    declined = await shop.look(msgspec.structs.replace(wish, psp_reference=outcome.psp_reference))
    assert declined.verdict is Verdict.DECLINED
    assert declined.failure is not None
    assert (declined.failure.code, declined.failure.retryable) == ("authentication_failed", True)


async def test_customer_who_never_comes_back_can_be_given_up(shop: Shop) -> None:
    wish = new(Operation.AUTHORIZE, payment_method="pm_card_threeDSecure2Required", return_url=BACK)
    waiting = await shop.do(wish)
    gone = await shop.do(new(Operation.CANCEL, psp_reference=waiting.psp_reference))
    assert gone.verdict is Verdict.APPROVED
    seen = await shop.look(msgspec.structs.replace(wish, psp_reference=waiting.psp_reference))
    assert (seen.verdict, seen.failure and seen.failure.code) == (Verdict.DECLINED, "canceled")


async def test_card_that_wants_authentication_where_there_is_no_way_back_is_a_decline(shop: Shop) -> None:
    outcome = await shop.do(new(Operation.AUTHORIZE, payment_method="pm_card_authenticationRequired"))
    assert outcome.verdict is Verdict.DECLINED
    assert outcome.failure is not None
    assert outcome.failure.code == "authentication_required"


async def test_slow_rail_is_pending_until_it_decides(shop: Shop, dashboard: Wire) -> None:
    for approved, verdict in ((True, Verdict.APPROVED), (False, Verdict.DECLINED)):
        wish = new(Operation.AUTHORIZE, payment_method="pm_usBankAccount", capture=True, return_url=BACK)
        waiting = await shop.do(wish)
        assert waiting.verdict is Verdict.PENDING
        await dashboard.steer(f"payment_intents/{waiting.psp_reference}/settle", approved=approved)
        assert (await shop.look(wish)).verdict is verdict


async def test_refund_that_is_late(shop: Shop, dashboard: Wire) -> None:
    sold = await shop.authorized(payment_method="pm_card_pendingRefund", capture=True)
    wish = new(Operation.REFUND, psp_reference=sold.psp_reference, amount_minor=1000)
    waiting = await shop.do(wish)
    assert waiting.verdict is Verdict.PENDING
    await dashboard.steer(f"refunds/{waiting.operation_reference}/settle", status="succeeded")
    done = await shop.look(wish)
    assert (done.verdict, done.amount_minor) == (Verdict.APPROVED, 1000)
    assert done.operation_reference == waiting.operation_reference


async def test_refund_that_comes_back(shop: Shop, dashboard: Wire) -> None:
    sold = await shop.authorized(payment_method="pm_card_refundFail", capture=True)
    wish = new(Operation.REFUND, psp_reference=sold.psp_reference)
    done = await shop.do(wish)
    assert done.verdict is Verdict.APPROVED
    await dashboard.steer(f"refunds/{done.operation_reference}/settle", status="failed")
    failed = await shop.look(wish)
    assert (failed.verdict, failed.operation_reference) == (Verdict.DECLINED, done.operation_reference)
    assert failed.failure is not None
    assert failed.failure.decline_code == "expired_or_canceled_card"
    assert (await shop.do(new(Operation.REFUND, psp_reference=sold.psp_reference))).verdict is Verdict.APPROVED


async def test_disputed_payment_is_not_refunded(shop: Shop) -> None:
    sold = await shop.authorized(payment_method="pm_card_createDispute", capture=True)
    refused = await shop.do(new(Operation.REFUND, psp_reference=sold.psp_reference))
    assert (refused.verdict, refused.failure and refused.failure.code) == (Verdict.DECLINED, "disputed")


async def test_refusals_have_our_words(shop: Shop) -> None:
    for changes, code in (
        ({"amount_minor": 49}, "amount_too_small"),
        ({"amount_minor": 100_000_000}, "amount_too_large"),
        ({"payment_method": "pm_card_of_nobody"}, "payment_method_invalid"),
    ):
        outcome = await shop.do(new(Operation.AUTHORIZE, **changes))
        assert (outcome.verdict, outcome.failure and outcome.failure.code) == (Verdict.DECLINED, code)
    held = await shop.authorized()
    too_much = await shop.do(new(Operation.CAPTURE, psp_reference=held.psp_reference, amount_minor=5000))
    assert (too_much.verdict, too_much.failure and too_much.failure.code) == (Verdict.DECLINED, "amount_too_large")


async def test_key_that_is_not_known_executes_nothing(stripe_wire_url: str) -> None:
    stranger = Shop(stripe_wire_url, "acct_1Stranger", 10)
    for fields in ({"secret_key": "rubbish"}, dict(stranger.credentials.fields)):
        endpoint = Endpoint(CONNECTOR, stripe_wire_url, Credentials(fields=fields))
        caller = Caller({"stripe": endpoint}, stranger.transport, timeout_s=10, concurrency=1)
        for operation in Operation:
            wish = new(operation, psp_reference=None if operation is Operation.AUTHORIZE else "pi_1")
            outcome = (await caller.perform("stripe", wish, send_before=math.inf)).outcome
            assert outcome.verdict is Verdict.NOT_EXECUTED
    await stranger.transport.close()


async def test_connected_account_has_its_own_books(shop: Shop, connected: Shop) -> None:
    theirs = await connected.authorized()
    wish = new(Operation.CAPTURE, psp_reference=theirs.psp_reference)
    assert (await shop.do(wish)).verdict is Verdict.UNKNOWN
    assert (await shop.look(wish)).verdict is Verdict.UNKNOWN
    assert (await connected.do(wish)).verdict is Verdict.APPROVED
