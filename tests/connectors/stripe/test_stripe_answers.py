"""Answers in Stripe's own shapes, for what no local double does right: declines, contradictions, search, paging."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.base.money import EXPONENTS as ISO_EXPONENTS
from bezant.connectors.stripe import CONNECTOR, MANIFEST
from bezant.connectors.stripe.mapping import DECLINES, WHOLE_TENS
from bezant.psp.contract import Ask, Operation, Outcome, PspSilence, Verdict
from tests.connectors.stripe.stripe_support import INTENT, REFERENCE, Json, Script, ask, error, intent, resource

LATER = [Operation.CAPTURE, Operation.CANCEL, Operation.REFUND]
CARD = "card_error"


async def answered(wish: Ask, *answers: tuple[int, object]) -> Outcome:
    return await CONNECTOR.of(wish.operation)(wish, Script(*answers))


async def fetched(wish: Ask, *answers: tuple[int, object]) -> Outcome:
    return await CONNECTOR.fetch(wish, Script(*answers))


def refund_of(**changes: Any) -> Json:
    ours = {"bezant_reference": REFERENCE}
    known: Json = {"amount": 4999, "payment_intent": INTENT, "metadata": ours}
    return resource("refund", **{**known, **changes})


@pytest.mark.parametrize(
    ("code", "decline_code", "ours", "retryable"),
    [
        ("card_declined", "generic_decline", "card_declined", False),
        ("card_declined", "insufficient_funds", "insufficient_funds", True),
        ("card_declined", "lost_card", "lost_card", False),
        ("card_declined", "stolen_card", "stolen_card", False),
        ("expired_card", None, "expired_card", False),
        ("incorrect_cvc", None, "incorrect_cvc", True),
        ("processing_error", None, "processing_error", True),
        ("card_declined", "authentication_required", "authentication_required", True),
        ("card_declined", "a_code_of_next_year", "card_declined", False),
        ("a_code_of_next_year", None, "card_declined", False),
    ],
)
async def test_declined_card(code: str, decline_code: str | None, ours: str, retryable: bool) -> None:
    body = error(CARD, code, decline_code=decline_code, payment_intent=intent("requires_payment_method"))
    outcome = await answered(ask(Operation.AUTHORIZE), (402, body))
    assert (outcome.verdict, outcome.psp_reference) == (Verdict.DECLINED, INTENT)
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.retryable) == (ours, retryable)
    assert outcome.failure.decline_code == (decline_code or code)
    seen = await fetched(
        ask(Operation.AUTHORIZE, psp_reference=INTENT),
        (200, intent("requires_payment_method", last_payment_error=body["error"])),
    )
    assert seen.failure == outcome.failure


async def test_advice_goes_before_the_table() -> None:
    again = error(CARD, "card_declined", decline_code="do_not_honor", advice_code="try_again_later")
    never = error(CARD, "card_declined", decline_code="insufficient_funds", advice_code="do_not_try_again")
    for body, retryable in ((again, True), (never, False)):
        outcome = await answered(ask(Operation.AUTHORIZE), (402, body))
        assert outcome.failure is not None
        assert outcome.failure.retryable is retryable


async def test_failure_codes_are_words_of_ours() -> None:
    assert all(code.replace("_", "").isalpha() and code.islower() for code, _ in DECLINES.values())


async def test_redirect_is_handed_to_the_customer() -> None:
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks.stripe.com/3d", "return_url": None}}
    shopper = ask(Operation.AUTHORIZE, return_url="https://shop.example/back")
    outcome = await answered(shopper, (200, intent("requires_action", next_action=action)))
    assert (outcome.verdict, outcome.psp_reference) == (Verdict.PENDING, INTENT)
    assert outcome.next_action is not None
    assert outcome.next_action.url == "https://hooks.stripe.com/3d"


@pytest.mark.parametrize("kind", ["use_stripe_sdk", "an_action_of_next_year", None])
async def test_action_without_a_page_is_pending(kind: str | None) -> None:
    body = intent("requires_action", next_action={"type": kind, str(kind): {"anything": 1}})
    shopper = ask(Operation.AUTHORIZE, return_url="https://shop.example/back", psp_reference=INTENT)
    for call in (answered, fetched):
        outcome = await call(shopper, (200, body))
        assert (outcome.verdict, outcome.next_action) == (Verdict.PENDING, None)


async def test_action_without_a_page_or_a_way_back_is_a_decline_that_says_what_is_missing() -> None:
    body = intent("requires_action", next_action={"type": "use_stripe_sdk", "use_stripe_sdk": {}})
    for call in (answered, fetched):
        outcome = await call(ask(Operation.AUTHORIZE, psp_reference=INTENT), (200, body))
        assert (outcome.verdict, outcome.psp_reference) == (Verdict.DECLINED, INTENT)
        assert outcome.failure is not None
        assert (outcome.failure.code, outcome.failure.retryable) == ("authentication_required", True)
        assert "return_url" in outcome.failure.message
    page = {"type": "oxxo_display_details", "oxxo_display_details": {"hosted_voucher_url": "https://pay.example/v"}}
    outcome = await answered(ask(Operation.AUTHORIZE), (200, intent("requires_action", next_action=page)))
    assert outcome.verdict is Verdict.PENDING


async def test_authorization_that_was_captured_since_is_still_what_was_asked() -> None:
    body = intent("succeeded", capture_method="manual", amount_received=3000, latest_charge="ch_1")
    wish = ask(Operation.AUTHORIZE, psp_reference=INTENT)
    outcome = await fetched(wish, (200, body))
    assert (outcome.verdict, outcome.amount_minor, outcome.captured_minor) == (Verdict.APPROVED, 4999, 0)
    assert outcome.operation_reference is None
    whole = await fetched(ask(Operation.AUTHORIZE, psp_reference=INTENT, capture=True), (200, body))
    assert (whole.captured_minor, whole.operation_reference) == (3000, "ch_1")
    at_once = intent("succeeded", capture_method="automatic", amount_received=4999, latest_charge="ch_1")
    assert (await fetched(wish, (200, at_once))).captured_minor == 4999


async def test_hold_is_what_stripe_says_and_not_what_was_asked() -> None:
    body = intent("requires_capture", amount_capturable=3000)
    outcome = await answered(ask(Operation.AUTHORIZE), (200, body))
    assert (outcome.verdict, outcome.amount_minor, outcome.captured_minor) == (Verdict.APPROVED, 3000, 0)


async def test_reference_and_currency_are_those_of_the_answer() -> None:
    body = intent("succeeded", currency="eur", metadata={"bezant_reference": "att_other"}, amount_received=4999)
    outcome = await answered(ask(Operation.AUTHORIZE), (200, body))
    assert (outcome.currency, outcome.reference) == ("EUR", "att_other")


async def test_partial_capture_says_what_was_taken() -> None:
    body = intent("succeeded", amount_received=3000, latest_charge="ch_1")
    outcome = await answered(ask(Operation.CAPTURE, amount_minor=3000), (200, body))
    assert (outcome.verdict, outcome.amount_minor) == (Verdict.APPROVED, 3000)
    assert outcome.operation_reference == "ch_1"


async def test_money_taken_counts_whatever_the_status() -> None:
    body = intent("requires_capture", amount_received=1000, amount_capturable=3999, latest_charge="ch_1")
    outcome = await fetched(ask(Operation.CAPTURE), (200, body))
    assert (outcome.verdict, outcome.amount_minor) == (Verdict.APPROVED, 1000)


async def test_success_without_an_amount_is_no_answer() -> None:
    silent = intent("succeeded", latest_charge="ch_1")
    del silent["amount_received"]
    for body in (silent, intent("succeeded", amount_received=0)):
        with pytest.raises(PspSilence):
            await answered(ask(Operation.CAPTURE), (200, body))


async def test_expanded_charge_says_what_was_captured() -> None:
    body = intent("succeeded", latest_charge=resource("charge", amount=4999, amount_captured=3000, captured=True))
    del body["amount_received"]
    assert (await fetched(ask(Operation.CAPTURE), (200, body))).amount_minor == 3000


@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL])
async def test_accepted_but_not_done_is_pending(operation: Operation) -> None:
    body = intent("requires_capture", amount_capturable=4999)
    assert (await answered(ask(operation), (200, body))).verdict is Verdict.PENDING
    assert (await fetched(ask(operation), (200, body))).verdict is Verdict.NOT_FOUND


@pytest.mark.parametrize("operation", list(Operation))
async def test_status_that_nobody_knows_is_pending(operation: Operation) -> None:
    status = "a_status_of_next_year"
    body = refund_of(status=status) if operation is Operation.REFUND else intent(status)
    assert (await answered(ask(operation), (200, body))).verdict is Verdict.PENDING


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("succeeded", Verdict.APPROVED),
        ("pending", Verdict.PENDING),
        ("requires_action", Verdict.PENDING),
        (None, Verdict.PENDING),
        ("failed", Verdict.DECLINED),
        ("canceled", Verdict.DECLINED),
    ],
)
async def test_refund_by_its_status(status: str | None, verdict: Verdict) -> None:
    outcome = await answered(ask(Operation.REFUND), (200, refund_of(status=status, failure_reason="declined")))
    moved = 4999 if verdict is Verdict.APPROVED else None
    assert (outcome.verdict, outcome.amount_minor, outcome.reference) == (verdict, moved, REFERENCE)
    assert (outcome.failure is not None) is (verdict is Verdict.DECLINED)


async def test_refund_above_the_charge_is_refused() -> None:
    body = error("invalid_request_error", None, param="amount")
    outcome = await answered(ask(Operation.REFUND), (400, body))
    assert outcome.verdict is Verdict.DECLINED
    assert outcome.failure is not None
    assert outcome.failure.code == "psp_refused"


async def test_second_copy_of_a_capture_finds_the_first() -> None:
    body = error("invalid_request_error", "payment_intent_unexpected_state")
    seen = intent("succeeded", amount_received=4999)
    outcome = await answered(ask(Operation.CAPTURE), (400, body), (200, seen))
    assert (outcome.verdict, outcome.amount_minor) == (Verdict.APPROVED, 4999)


async def test_second_copy_of_a_cancel_and_of_a_refund_finds_the_first() -> None:
    moved = (400, error("invalid_request_error", "payment_intent_unexpected_state"))
    assert (await answered(ask(Operation.CANCEL), moved, (200, intent("canceled")))).verdict is Verdict.APPROVED
    spent = (400, error("invalid_request_error", "charge_already_refunded"))
    there: Json = {"object": "list", "data": [refund_of()], "has_more": False}
    assert (await answered(ask(Operation.REFUND), spent, (200, there))).verdict is Verdict.APPROVED
    nothing: Json = {"object": "list", "data": [], "has_more": False}
    refused = await answered(ask(Operation.REFUND), spent, (200, nothing))
    assert refused.verdict is Verdict.DECLINED
    assert refused.failure is not None
    assert refused.failure.code == "already_refunded"


async def test_capture_of_what_was_given_up_is_declined() -> None:
    moved = (400, error("invalid_request_error", "payment_intent_unexpected_state"))
    outcome = await answered(ask(Operation.CAPTURE), moved, (200, intent("canceled")))
    assert outcome.verdict is Verdict.DECLINED
    assert outcome.failure is not None
    assert outcome.failure.code == "authorization_expired"


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize(
    ("status", "kind", "code", "verdict"),
    [
        (400, "idempotency_error", None, Verdict.UNKNOWN),
        (409, "idempotency_error", "idempotency_key_in_use", Verdict.UNKNOWN),
        (409, "invalid_request_error", "lock_timeout", Verdict.NOT_EXECUTED),
        (424, "api_error", None, Verdict.UNKNOWN),
        (401, "invalid_request_error", "api_key_expired", Verdict.NOT_EXECUTED),
        (403, "invalid_request_error", None, Verdict.NOT_EXECUTED),
        (400, "invalid_request_error", "amount_too_small", Verdict.DECLINED),
        (402, CARD, "card_declined", Verdict.DECLINED),
    ],
)
async def test_refusals(operation: Operation, status: int, kind: str, code: str | None, verdict: Verdict) -> None:
    outcome = await answered(ask(operation), (status, error(kind, code)))
    assert outcome.verdict is verdict
    assert (outcome.failure is not None) is (verdict is Verdict.DECLINED)


async def test_refusal_names_the_connected_account_as_a_thing_to_check() -> None:
    body = error("invalid_request_error", "account_invalid")
    outcome = await answered(ask(Operation.AUTHORIZE), (403, body))
    assert outcome.verdict is Verdict.NOT_EXECUTED
    assert outcome.detail is not None
    assert "connected_account" in outcome.detail


@pytest.mark.parametrize("status", [400, 404])
async def test_missing_object_is_conclusive_only_for_an_authorization(status: int) -> None:
    body = error("invalid_request_error", "resource_missing")
    assert (await answered(ask(Operation.AUTHORIZE), (status, body))).verdict is Verdict.DECLINED
    for operation in LATER:
        assert (await answered(ask(operation), (status, body))).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
@pytest.mark.parametrize("operation", list(Operation))
async def test_refused_look_up_is_no_evidence(operation: Operation, status: int) -> None:
    with pytest.raises(PspSilence):
        await fetched(ask(operation), (status, error("invalid_request_error", "resource_missing")))


@pytest.mark.parametrize("operation", [Operation.CAPTURE, Operation.CANCEL])
async def test_answer_about_another_payment_is_no_answer(operation: Operation) -> None:
    other = intent("succeeded", id="pi_other", amount_received=4999)
    for call in (answered, fetched):
        with pytest.raises(PspSilence):
            await call(ask(operation), (200, other))
    with pytest.raises(PspSilence):
        await answered(ask(Operation.REFUND), (200, refund_of(payment_intent="pi_other")))


async def test_later_operations_need_the_payment_at_stripe() -> None:
    for operation in LATER:
        with pytest.raises(PspSilence):
            await answered(ask(operation, psp_reference=None))
        with pytest.raises(PspSilence):
            await fetched(ask(operation, psp_reference=None))


async def test_search_believes_only_our_reference() -> None:
    held = intent("requires_capture", amount_capturable=4999)
    stranger = intent("succeeded", id="pi_other", metadata={"bezant_reference": "att_other"})
    send = Script((200, {"object": "search_result", "data": [stranger, held], "has_more": False}))
    outcome = await CONNECTOR.fetch(ask(Operation.AUTHORIZE), send)
    assert (outcome.verdict, outcome.psp_reference) == (Verdict.APPROVED, INTENT)
    assert send.requests[0].query["query"] == f"metadata['bezant_reference']:'{REFERENCE}'"
    nothing: Json = {"object": "search_result", "data": [stranger], "has_more": False}
    assert (await fetched(ask(Operation.AUTHORIZE), (200, nothing))).verdict is Verdict.NOT_FOUND


async def test_two_payments_for_one_attempt_go_to_a_person() -> None:
    twice = [intent("succeeded", amount_received=4999), intent("succeeded", id="pi_second", amount_received=4999)]
    with pytest.raises(PspSilence, match="pi_second"):
        await fetched(ask(Operation.AUTHORIZE), (200, {"data": twice, "has_more": False}))


async def test_confirmation_under_way_is_pending() -> None:
    body = {"data": [intent("requires_payment_method")], "has_more": False}
    assert (await fetched(ask(Operation.AUTHORIZE), (200, body))).verdict is Verdict.PENDING


async def test_refund_is_sought_on_every_page() -> None:
    first = [refund_of(id=f"re_{n}", metadata={}) for n in range(2)]
    send = Script((200, {"data": first, "has_more": True}), (200, {"data": [refund_of(id="re_9")], "has_more": False}))
    outcome = await CONNECTOR.fetch(ask(Operation.REFUND), send)
    assert outcome.operation_reference == "re_9"
    assert [request.query.get("starting_after") for request in send.requests] == [None, "re_1"]


@pytest.mark.parametrize("body", [[], "text", None, {}, {"id": INTENT}, {"error": "text"}])
@pytest.mark.parametrize("status", [200, 400])
async def test_answer_of_another_shape_is_never_an_outcome(body: object, status: int) -> None:
    for operation in Operation:
        with pytest.raises(Exception, match=r".") as raised:
            await answered(ask(operation), (status, body))
        assert not isinstance(raised.value, AssertionError | IndexError)


@pytest.mark.parametrize(("currency", "amount_minor"), [("MGA", 750), ("KWD", 5124), ("BHD", 1), ("TND", 999)])
async def test_amounts_that_stripe_cannot_carry_are_never_sent(currency: str, amount_minor: int) -> None:
    for operation in (Operation.AUTHORIZE, Operation.CAPTURE, Operation.REFUND):
        outcome = await answered(ask(operation, currency=currency, amount_minor=amount_minor))
        assert outcome.verdict is Verdict.DECLINED
        assert outcome.failure is not None
        assert outcome.failure.code == "amount_not_supported"


@given(currency=st.sampled_from(sorted(ISO_EXPONENTS)), amount_minor=st.integers(1, 999_999_999_999))
async def test_every_amount_is_sent_in_stripes_unit_and_read_back(currency: str, amount_minor: int) -> None:
    shift = MANIFEST.exponents.get(currency, ISO_EXPONENTS[currency]) - ISO_EXPONENTS[currency]
    if currency in WHOLE_TENS:
        amount_minor -= amount_minor % 10
    if shift < 0:
        amount_minor -= amount_minor % 10**-shift
    if amount_minor == 0:
        return
    held: Json = {"id": INTENT, "status": "succeeded", "currency": currency.lower(), "last_payment_error": None}
    sent = amount_minor * 10**shift if shift >= 0 else amount_minor // 10**-shift
    send = Script((200, {**held, "amount": sent, "amount_received": sent}))
    outcome = await CONNECTOR.authorize(ask(Operation.AUTHORIZE, currency=currency, amount_minor=amount_minor), send)
    assert (send.requests[0].form or {})["amount"] == str(sent)
    assert (outcome.amount_minor, outcome.captured_minor, outcome.currency) == (amount_minor, amount_minor, currency)


async def test_fraction_of_a_krona_in_an_answer_is_no_answer() -> None:
    with pytest.raises(PspSilence):
        await answered(ask(Operation.AUTHORIZE), (200, intent("succeeded", currency="isk", amount_received=4999)))
