"""The connector against localstripe, wherever localstripe does what Stripe does.

Not asked of it, because it is wrong there: repeating a key (it makes a second PaymentIntent), refunds above the charge
(it accepts them), search (it has none), decline codes (it knows one). `test_stripe_answers.py` has those, in Stripe's
own shapes.
"""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from bezant.connectors.stripe import CONNECTOR
from bezant.psp.contract import Credentials, Operation, Outcome, PspSilence, Verdict
from bezant.psp.notices import Notice
from tests.connectors.stripe.stripe_support import KEY, Http, ask
from tests.support.receiver import receiving
from tests.support.waiting import wait_until_async

AUTHENTICATION_REQUIRED = "4000002760003184"
CHARGE_FAILS = "4000000000000341"
OWN = Credentials(fields={"secret_key": KEY})
REFUSED_LATER = {"type": "sepa_debit", "sepa_debit[iban]": "DE62370400440532013001"}


async def card(http: Http, number: str) -> str:
    form = {
        "type": "card",
        "card[number]": number,
        "card[exp_month]": "12",
        "card[exp_year]": "2034",
        "card[cvc]": "123",
    }
    return str((await http.post("/v1/payment_methods", form))["id"])


def fresh() -> str:
    return f"att_{uuid4().hex}"


async def authorized(http: Http, *, capture: bool = False, amount_minor: int = 4999) -> str:
    wish = ask(Operation.AUTHORIZE, reference=fresh(), capture=capture, amount_minor=amount_minor)
    outcome = await CONNECTOR.authorize(wish, http)
    assert outcome.verdict is Verdict.APPROVED
    assert outcome.psp_reference is not None
    return outcome.psp_reference


async def captured(http: Http, psp_reference: str, amount_minor: int) -> Outcome:
    return await CONNECTOR.capture(ask(Operation.CAPTURE, psp_reference=psp_reference, amount_minor=amount_minor), http)


async def refunded(http: Http, psp_reference: str, amount_minor: int, reference: str) -> Outcome:
    wish = ask(Operation.REFUND, psp_reference=psp_reference, amount_minor=amount_minor, reference=reference)
    return await CONNECTOR.refund(wish, http)


async def fetched(http: Http, operation: Operation, psp_reference: str, reference: str = "att_none") -> Outcome:
    return await CONNECTOR.fetch(ask(operation, psp_reference=psp_reference, reference=reference), http)


async def test_manual_authorization_holds_and_takes_nothing(http: Http) -> None:
    wish = ask(Operation.AUTHORIZE, reference=fresh())
    outcome = await CONNECTOR.authorize(wish, http)
    assert (outcome.verdict, outcome.amount_minor, outcome.captured_minor) == (Verdict.APPROVED, 4999, 0)
    assert (outcome.currency, outcome.reference, outcome.operation_reference) == ("USD", wish.reference, None)
    assert outcome.psp_reference is not None
    assert outcome.psp_reference.startswith("pi_")
    assert await fetched(http, Operation.AUTHORIZE, outcome.psp_reference) == outcome
    assert (await fetched(http, Operation.CAPTURE, outcome.psp_reference)).verdict is Verdict.NOT_FOUND
    assert (await fetched(http, Operation.CANCEL, outcome.psp_reference)).verdict is Verdict.NOT_FOUND


async def test_automatic_capture_takes_the_money_at_once(http: Http) -> None:
    outcome = await CONNECTOR.authorize(ask(Operation.AUTHORIZE, capture=True), http)
    assert (outcome.verdict, outcome.amount_minor, outcome.captured_minor) == (Verdict.APPROVED, 4999, 4999)
    assert outcome.operation_reference is not None
    assert outcome.operation_reference.startswith("ch_")


@pytest.mark.parametrize("capture", [True, False])
async def test_declined_card(http: Http, capture: bool) -> None:
    for method in ("pm_card_chargeCustomerFail", await card(http, CHARGE_FAILS)):
        outcome = await CONNECTOR.authorize(ask(Operation.AUTHORIZE, payment_method=method, capture=capture), http)
        assert (outcome.verdict, outcome.captured_minor) == (Verdict.DECLINED, 0)
        assert outcome.failure is not None
        assert (outcome.failure.code, outcome.failure.decline_code) == ("card_declined", "card_declined")


async def test_payment_method_that_is_not_there_is_a_decline(http: Http) -> None:
    outcome = await CONNECTOR.authorize(ask(Operation.AUTHORIZE, payment_method="pm_nobody"), http)
    assert outcome.verdict is Verdict.DECLINED
    assert outcome.failure is not None
    assert outcome.failure.code == "payment_method_invalid"


async def test_refused_key_executes_nothing(http: Http) -> None:
    stranger = Http(http.session, http.base_url, key="rubbish")
    outcome = await CONNECTOR.authorize(ask(Operation.AUTHORIZE), stranger)
    assert outcome.verdict is Verdict.NOT_EXECUTED
    assert outcome.detail is not None
    assert "secret_key" in outcome.detail


async def test_capture_in_full(http: Http) -> None:
    payment = await authorized(http)
    outcome = await captured(http, payment, 4999)
    assert (outcome.verdict, outcome.amount_minor, outcome.currency) == (Verdict.APPROVED, 4999, "USD")
    assert await fetched(http, Operation.CAPTURE, payment) == outcome


async def test_partial_capture_releases_the_rest(http: Http) -> None:
    payment = await authorized(http)
    outcome = await captured(http, payment, 3000)
    assert (outcome.verdict, outcome.amount_minor) == (Verdict.APPROVED, 3000)
    again = await captured(http, payment, 1999)
    assert again.verdict is Verdict.DECLINED
    assert (await fetched(http, Operation.CAPTURE, payment)).amount_minor == 3000


async def test_capture_is_seen_as_it_was_after_a_refund(http: Http) -> None:
    payment = await authorized(http)
    await captured(http, payment, 3000)
    await refunded(http, payment, 1000, fresh())
    assert (await fetched(http, Operation.CAPTURE, payment)).amount_minor == 3000
    whole = ask(Operation.AUTHORIZE, psp_reference=payment, capture=True)
    assert (await CONNECTOR.fetch(whole, http)).captured_minor == 3000
    assert (await fetched(http, Operation.AUTHORIZE, payment)).captured_minor == 0


async def test_cancel_gives_the_hold_up(http: Http) -> None:
    payment = await authorized(http)
    outcome = await CONNECTOR.cancel(ask(Operation.CANCEL, psp_reference=payment), http)
    assert (outcome.verdict, outcome.psp_reference) == (Verdict.APPROVED, payment)
    assert await fetched(http, Operation.CANCEL, payment) == outcome
    assert (await fetched(http, Operation.CAPTURE, payment)).verdict is Verdict.DECLINED


async def test_cancel_after_capture_is_refused(http: Http) -> None:
    payment = await authorized(http, capture=True)
    outcome = await CONNECTOR.cancel(ask(Operation.CANCEL, psp_reference=payment), http)
    assert outcome.verdict is Verdict.DECLINED
    assert (await fetched(http, Operation.CANCEL, payment)).verdict is Verdict.DECLINED


async def test_refunds_in_parts_are_each_found_by_our_reference(http: Http) -> None:
    payment = await authorized(http, capture=True)
    references = [fresh(), fresh()]
    outcomes = [await refunded(http, payment, 1000 + n, reference) for n, reference in enumerate(references)]
    for n, (reference, outcome) in enumerate(zip(references, outcomes, strict=True)):
        assert (outcome.verdict, outcome.amount_minor, outcome.currency) == (Verdict.APPROVED, 1000 + n, "USD")
        assert (outcome.reference, outcome.psp_reference) == (reference, payment)
        assert await fetched(http, Operation.REFUND, payment, reference) == outcome
        known = ask(Operation.REFUND, psp_reference=payment, operation_reference=outcome.operation_reference)
        assert await CONNECTOR.fetch(known, http) == outcome
    assert (await fetched(http, Operation.REFUND, payment, fresh())).verdict is Verdict.NOT_FOUND


async def test_customer_action_stays_pending_until_the_bank_has_answered(http: Http) -> None:
    wish = ask(Operation.AUTHORIZE, payment_method=await card(http, AUTHENTICATION_REQUIRED))
    outcome = await CONNECTOR.authorize(wish, http)  # localstripe knows no return_url, so there is no way back
    assert (outcome.verdict, outcome.failure and outcome.failure.code) == (Verdict.DECLINED, "authentication_required")
    assert outcome.psp_reference is not None
    shopper = ask(Operation.AUTHORIZE, psp_reference=outcome.psp_reference, return_url="https://shop.example/back")
    outcome = await CONNECTOR.fetch(shopper, http)
    assert (outcome.verdict, outcome.next_action, outcome.failure) == (Verdict.PENDING, None, None)
    await authenticate(http, str(outcome.psp_reference), success=True)
    assert (await CONNECTOR.fetch(shopper, http)).verdict is Verdict.APPROVED


async def test_customer_action_that_fails_is_a_decline(http: Http) -> None:
    wish = ask(Operation.AUTHORIZE, payment_method=await card(http, AUTHENTICATION_REQUIRED))
    payment = (await CONNECTOR.authorize(wish, http)).psp_reference
    assert payment is not None
    await authenticate(http, payment, success=False)
    outcome = await fetched(http, Operation.AUTHORIZE, payment)
    assert outcome.verdict is Verdict.DECLINED
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.retryable) == ("authentication_failed", True)


async def test_customer_action_can_be_canceled(http: Http) -> None:
    wish = ask(Operation.AUTHORIZE, payment_method=await card(http, AUTHENTICATION_REQUIRED))
    payment = (await CONNECTOR.authorize(wish, http)).psp_reference
    assert (await CONNECTOR.cancel(ask(Operation.CANCEL, psp_reference=payment), http)).verdict is Verdict.APPROVED
    assert payment is not None
    outcome = await fetched(http, Operation.AUTHORIZE, payment)
    assert outcome.verdict is Verdict.DECLINED
    assert outcome.failure is not None
    assert outcome.failure.code == "canceled"


async def test_slow_rail_is_pending_until_it_decides(http: Http) -> None:
    method = str((await http.post("/v1/payment_methods", REFUSED_LATER))["id"])
    wish = ask(Operation.AUTHORIZE, payment_method=method, capture=True, currency="EUR")
    outcome = await CONNECTOR.authorize(wish, http)
    assert (outcome.verdict, outcome.captured_minor) == (Verdict.PENDING, 0)
    payment = str(outcome.psp_reference)

    async def decided() -> Outcome | None:
        seen = await fetched(http, Operation.AUTHORIZE, payment)
        return None if seen.verdict is Verdict.PENDING else seen

    outcome = await wait_until_async(decided, 20)
    assert outcome is not None
    assert (outcome.verdict, outcome.captured_minor, outcome.currency) == (Verdict.DECLINED, 0, "EUR")
    assert outcome.failure is not None
    assert outcome.failure.code == "card_declined"


@pytest.mark.parametrize(
    ("currency", "amount_minor"), [("JPY", 500), ("KWD", 5120), ("ISK", 7), ("UGX", 7), ("MGA", 700)]
)
async def test_amounts_come_back_in_our_unit(http: Http, currency: str, amount_minor: int) -> None:
    wish = ask(Operation.AUTHORIZE, currency=currency, amount_minor=amount_minor, capture=True)
    outcome = await CONNECTOR.authorize(wish, http)
    assert (outcome.amount_minor, outcome.captured_minor, outcome.currency) == (amount_minor, amount_minor, currency)
    assert outcome.psp_reference is not None
    back = ask(Operation.REFUND, currency=currency, amount_minor=amount_minor, psp_reference=outcome.psp_reference)
    assert (await CONNECTOR.refund(back, http)).amount_minor == amount_minor


async def test_what_cannot_be_looked_up_stays_unknown(http: Http) -> None:
    with pytest.raises(PspSilence):
        await CONNECTOR.fetch(ask(Operation.AUTHORIZE), http)  # localstripe has no search: a 404 is no "not found"
    with pytest.raises(PspSilence):
        await fetched(http, Operation.CAPTURE, "pi_of_another_account")
    elsewhere = await captured(http, "pi_of_another_account", 4999)
    assert elsewhere.verdict is Verdict.UNKNOWN


async def test_webhooks_of_localstripe_are_believed_and_read(http: Http) -> None:
    assert CONNECTOR.webhooks is not None
    secret = "whsec_localstripe"
    async with receiving() as receiver:
        form = {"url": receiver.url, "secret": secret}
        async with http.session.post(f"{http.base_url}/_config/webhooks/tests", data=form) as response:
            assert response.status == 200
        sale = ask(Operation.AUTHORIZE, reference=fresh(), capture=True)
        sold = await CONNECTOR.authorize(sale, http)
        held = await authorized(http)
        taken = await captured(http, held, 3000)
        said: dict[str | None, Notice] = {}
        for outcome in (sold, taken):
            (request,) = await receiver.get(lambda request, o=outcome: str(o.psp_reference).encode() in request.body)
            (event,) = CONNECTOR.webhooks.accept(request, [secret], OWN, datetime.now(UTC))
            told = CONNECTOR.webhooks.notices(event)
            assert told
            notice = told[0]
            assert isinstance(notice, Notice)
            said[notice.outcome.psp_reference] = notice
    assert said[sold.psp_reference] == Notice(operation=Operation.AUTHORIZE, outcome=sold)
    assert said[held] == Notice(operation=Operation.CAPTURE, outcome=taken)


async def authenticate(http: Http, payment: str, *, success: bool) -> None:
    """Be the customer at the bank's page."""
    secret = str((await http.post(f"/v1/payment_intents/{payment}", {"metadata[seen]": "yes"}))["client_secret"])
    form = {"client_secret": secret, "success": "true" if success else "false"}
    await http.post(f"/v1/payment_intents/{payment}/_authenticate", form)
