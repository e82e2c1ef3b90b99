"""What every connector must do, shown against a server: `psp/contract.py` as behaviour."""

import asyncio

import msgspec
import pytest

from bezant.psp.contract import Ask, Operation, Outcome, Verdict
from tests.contract.peers import Lack, Peer

NEEDS_MANUAL = pytest.mark.needs(Lack.MANUAL_CAPTURE)


def check_echo(outcome: Outcome, ask: Ask) -> None:
    """An approved outcome says what the PSP did, in our currency, under our reference where its wire carries it."""
    assert outcome.verdict is Verdict.APPROVED, outcome
    assert outcome.psp_reference is not None
    assert ask.psp_reference in (None, outcome.psp_reference)
    assert outcome.amount_minor == ask.amount_minor or (
        outcome.amount_minor is None and ask.operation is Operation.CANCEL
    )
    assert outcome.currency in (None, ask.currency)
    assert outcome.reference in (None, ask.reference)
    assert outcome.failure is None
    assert outcome.next_action is None


def test_manifest_says_how_each_operation_is_resolved(peer: Peer) -> None:
    manifest = peer.connector.manifest
    assert set(manifest.resolution) == set(Operation)
    for resolution in manifest.resolution.values():
        assert resolution.lookup or resolution.replay_s > 0
        assert resolution.visibility_lag_s >= peer.visibility_lag_s


@pytest.mark.parametrize("capture", [pytest.param(False, marks=NEEDS_MANUAL), True], ids=["manual", "automatic"])
async def test_authorize(peer: Peer, capture: bool) -> None:
    ask = peer.new(capture=capture)
    outcome = await peer.do(ask)
    check_echo(outcome, ask)
    assert outcome.captured_minor == (1000 if capture else 0)


@pytest.mark.needs(Lack.DECLINES)
async def test_declines_have_our_codes(peer: Peer) -> None:
    for method, code in peer.declines.items():
        outcome = await peer.do(peer.new(payment_method=method))
        assert (outcome.verdict, outcome.failure and outcome.failure.code) == (Verdict.DECLINED, code), method
        assert outcome.failure is not None
        assert outcome.failure.message
        assert outcome.failure.decline_code
        assert outcome.captured_minor == 0


@NEEDS_MANUAL
async def test_capture_of_all(peer: Peer) -> None:
    ask = peer.on(await peer.authorized(), Operation.CAPTURE, 1000)
    check_echo(await peer.do(ask), ask)


@pytest.mark.needs(Lack.MANUAL_CAPTURE, Lack.PARTIAL_CAPTURE)
async def test_capture_of_a_part_releases_the_rest(peer: Peer) -> None:
    authorized = await peer.authorized()
    ask = peer.on(authorized, Operation.CAPTURE, 600)
    check_echo(await peer.do(ask), ask)
    more = await peer.do(peer.on(authorized, Operation.CAPTURE, 1))
    assert more.verdict is not Verdict.APPROVED


@pytest.mark.needs(Lack.MANUAL_CAPTURE, Lack.PARTIAL_CAPTURE)
async def test_several_captures_and_the_rest_released(peer: Peer) -> None:
    if not peer.connector.manifest.multi_capture:
        pytest.skip("this PSP captures once")
    authorized = await peer.authorized()
    for amount_minor in (300, 200):
        ask = peer.on(authorized, Operation.CAPTURE, amount_minor, final=False)
        check_echo(await peer.do(ask), ask)
    too_much = await peer.do(peer.on(authorized, Operation.CAPTURE, 501, final=False))
    assert too_much.verdict is Verdict.DECLINED
    rest = peer.on(authorized, Operation.CANCEL, 500)
    check_echo(await peer.do(rest), rest)
    assert (await peer.do(peer.on(authorized, Operation.CAPTURE, 1))).verdict is Verdict.DECLINED


@pytest.mark.needs(Lack.MANUAL_CAPTURE, Lack.OVER_CAPTURE)
async def test_capture_above_the_authorization_is_declined_for_good(peer: Peer) -> None:
    ask = peer.on(await peer.authorized(), Operation.CAPTURE, 1001)
    outcome = await peer.do(ask)
    assert outcome.verdict is Verdict.DECLINED
    assert outcome.failure is not None
    assert not outcome.failure.retryable


@NEEDS_MANUAL
async def test_cancel_leaves_nothing_to_capture(peer: Peer) -> None:
    authorized = await peer.authorized()
    ask = peer.on(authorized, Operation.CANCEL, 1000)
    check_echo(await peer.do(ask), ask)
    assert (await peer.do(peer.on(authorized, Operation.CAPTURE, 1000))).verdict is not Verdict.APPROVED


async def test_cancel_after_capture_is_not_approved(peer: Peer) -> None:
    authorized = await peer.authorized(capture=True)
    outcome = await peer.do(peer.on(authorized, Operation.CANCEL, 1000))
    assert outcome.verdict is Verdict.DECLINED, outcome


async def test_refund_in_parts_and_of_all(peer: Peer) -> None:
    authorized = await peer.authorized(capture=True)
    for amount_minor in (300, 700):
        ask = peer.on(authorized, Operation.REFUND, amount_minor)
        outcome = await peer.do(ask)
        check_echo(outcome, ask)
        assert outcome.operation_reference is not None


@pytest.mark.needs(Lack.OVER_REFUND)
async def test_refund_above_the_capture_is_declined(peer: Peer) -> None:
    authorized = await peer.authorized(capture=True)
    assert (await peer.do(peer.on(authorized, Operation.REFUND, 600))).verdict is Verdict.APPROVED
    outcome = await peer.do(peer.on(authorized, Operation.REFUND, 401))
    assert outcome.verdict is Verdict.DECLINED, outcome


@pytest.mark.needs(Lack.LOOKUP_AUTHORIZE)
@pytest.mark.parametrize("capture", [pytest.param(False, marks=NEEDS_MANUAL), True], ids=["manual", "automatic"])
async def test_fetch_finds_an_authorization_by_our_reference(peer: Peer, capture: bool) -> None:
    ask = peer.new(capture=capture)
    done = await peer.do(ask)
    found = await peer.found(ask)
    check_echo(found, ask)
    assert (found.psp_reference, found.captured_minor) == (done.psp_reference, done.captured_minor)
    again = await peer.found(msgspec.structs.replace(ask, psp_reference=done.psp_reference))
    assert again == found


@pytest.mark.needs(Lack.MANUAL_CAPTURE, Lack.LOOKUP_AUTHORIZE)
async def test_fetch_of_an_authorization_tells_later_captures_apart(peer: Peer) -> None:
    if not peer.connector.manifest.multi_capture:
        pytest.skip("this PSP captures once")
    ask = peer.new()
    done = await peer.do(ask)
    await peer.do(peer.on(done, Operation.CAPTURE, 400, final=False))
    found = await peer.found(ask)
    assert (found.verdict, found.amount_minor, found.captured_minor) == (Verdict.APPROVED, 1000, 0)


@pytest.mark.needs(Lack.DECLINES, Lack.LOOKUP_AUTHORIZE)
async def test_fetch_finds_a_decline_where_the_psp_keeps_it(peer: Peer) -> None:
    method = next(iter(peer.declines))
    ask = peer.new(payment_method=method)
    await peer.do(ask)
    found = await peer.found(ask)
    assert found.verdict is Verdict.DECLINED, found
    assert found.failure is not None
    assert found.failure.code == peer.declines[method]


@NEEDS_MANUAL
@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL])
async def test_fetch_finds_a_capture_and_a_cancel(peer: Peer, operation: Operation) -> None:
    ask = peer.on(await peer.authorized(), operation, 1000)
    done = await peer.do(ask)
    found = await peer.found(ask)
    check_echo(found, ask)
    assert found == done


@pytest.mark.needs(Lack.LOOKUP_REFUND)
async def test_fetch_finds_each_refund(peer: Peer) -> None:
    authorized = await peer.authorized(capture=True)
    asks = [peer.on(authorized, Operation.REFUND, amount_minor) for amount_minor in (300, 200)]
    done = [await peer.do(ask) for ask in asks]
    for ask, outcome in zip(asks, done, strict=True):
        assert await peer.found(ask) == outcome
        known = msgspec.structs.replace(ask, operation_reference=outcome.operation_reference)
        assert await peer.found(known) == outcome


async def test_fetch_finds_nothing_where_nothing_was_asked(peer: Peer) -> None:
    assert (await peer.look(peer.new())).verdict is Verdict.NOT_FOUND


@NEEDS_MANUAL
@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL])
async def test_fetch_finds_no_capture_or_cancel_that_was_not_asked(peer: Peer, operation: Operation) -> None:
    ask = peer.on(await peer.authorized(), operation, 1000)
    assert (await peer.look(ask)).verdict is Verdict.NOT_FOUND


async def test_fetch_finds_no_refund_that_was_not_asked(peer: Peer) -> None:
    ask = peer.on(await peer.authorized(capture=True), Operation.REFUND, 100)
    assert (await peer.look(ask)).verdict is Verdict.NOT_FOUND


@pytest.mark.needs(Lack.IDEMPOTENCY_KEYS)
async def test_the_same_authorization_twice_is_one(peer: Peer) -> None:
    ask = peer.new(capture=True)
    first, second = await peer.do(ask), await peer.do(ask)
    assert first == second
    # One charge of 1,000 can be refunded by 1,000 and no more.
    assert (await peer.do(peer.on(first, Operation.REFUND, 1000))).verdict is Verdict.APPROVED


@pytest.mark.needs(Lack.IDEMPOTENCY_KEYS, Lack.MANUAL_CAPTURE)
@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL])
async def test_the_same_capture_or_cancel_twice_is_one(peer: Peer, operation: Operation) -> None:
    ask = peer.on(await peer.authorized(), operation, 1000)
    first, second = await peer.do(ask), await peer.do(ask)
    check_echo(first, ask)
    assert first == second


@pytest.mark.needs(Lack.IDEMPOTENCY_KEYS, Lack.OVER_REFUND)
async def test_the_same_refund_many_times_at_once_moves_money_once(peer: Peer) -> None:
    authorized = await peer.authorized(capture=True)
    ask = peer.on(authorized, Operation.REFUND, 600)
    outcomes = await asyncio.gather(*(peer.do(ask) for _ in range(5)))
    assert {o.verdict for o in outcomes} <= {Verdict.APPROVED, Verdict.UNKNOWN}
    assert len({o.operation_reference for o in outcomes if o.verdict is Verdict.APPROVED}) == 1
    assert (await peer.do(peer.on(authorized, Operation.REFUND, 400))).verdict is Verdict.APPROVED
    assert (await peer.do(peer.on(authorized, Operation.REFUND, 1))).verdict is Verdict.DECLINED


@pytest.mark.needs(Lack.IDEMPOTENCY_KEYS, Lack.LOOKUP_AUTHORIZE)
@pytest.mark.parametrize("change", [{"amount_minor": 999}, {"currency": "EUR"}], ids=["amount", "currency"])
async def test_another_request_under_the_same_key_says_nothing_about_the_first(
    peer: Peer, change: dict[str, object]
) -> None:
    ask = peer.new(capture=True)
    done = await peer.do(ask)
    assert (await peer.do(msgspec.structs.replace(ask, **change))).verdict is Verdict.UNKNOWN
    found = await peer.found(ask)
    assert (found.psp_reference, found.amount_minor, found.currency) == (done.psp_reference, 1000, ask.currency)
