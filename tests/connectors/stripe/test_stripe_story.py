"""A shopping story through the real PSP caller: its checks must believe every honest answer of Stripe's wire."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest_asyncio

from bezant.connectors.stripe import CONNECTOR
from bezant.psp.call import Caller, Endpoint, HttpTransport
from bezant.psp.contract import Credentials, Operation, Outcome, Verdict
from tests.connectors.stripe.stripe_support import KEY, ask

Perform = Callable[..., Awaitable[Outcome]]


@pytest_asyncio.fixture
async def perform(localstripe_url: str) -> AsyncIterator[Perform]:
    """Performs an operation, then asks what became of it: the two must agree."""
    transport = HttpTransport(connections_max=4)
    endpoint = Endpoint(CONNECTOR, localstripe_url, Credentials(fields={"secret_key": KEY}))
    caller = Caller({"stripe": endpoint}, transport, timeout_s=10, concurrency=4)

    async def both(operation: Operation, **changes: Any) -> Outcome:
        wish = ask(operation, reference=f"att_{uuid4().hex}", **changes)
        outcome = (await caller.perform("stripe", wish, time.monotonic() + 10)).outcome
        if outcome.verdict is Verdict.APPROVED:
            known = (
                wish
                if operation is not Operation.AUTHORIZE
                else ask(operation, reference=wish.reference, psp_reference=outcome.psp_reference, **changes)
            )
            assert (await caller.fetch("stripe", known)).outcome == outcome
        return outcome

    yield both
    await transport.close()


async def test_buy_take_a_part_and_give_some_back(perform: Perform) -> None:
    held = await perform(Operation.AUTHORIZE)
    assert (held.verdict, held.captured_minor) == (Verdict.APPROVED, 0)
    payment = held.psp_reference
    taken = await perform(Operation.CAPTURE, psp_reference=payment, amount_minor=3000)
    assert (taken.verdict, taken.amount_minor) == (Verdict.APPROVED, 3000)
    for amount_minor in (1000, 2000):
        back = await perform(Operation.REFUND, psp_reference=payment, amount_minor=amount_minor)
        assert (back.verdict, back.amount_minor) == (Verdict.APPROVED, amount_minor)


async def test_buy_at_once(perform: Perform) -> None:
    sold = await perform(Operation.AUTHORIZE, capture=True, currency="JPY", amount_minor=500)
    assert (sold.verdict, sold.amount_minor, sold.captured_minor) == (Verdict.APPROVED, 500, 500)
    back = await perform(Operation.REFUND, psp_reference=sold.psp_reference, currency="JPY", amount_minor=500)
    assert back.verdict is Verdict.APPROVED


async def test_change_of_mind(perform: Perform) -> None:
    held = await perform(Operation.AUTHORIZE)
    assert (await perform(Operation.CANCEL, psp_reference=held.psp_reference)).verdict is Verdict.APPROVED
    assert (await perform(Operation.CAPTURE, psp_reference=held.psp_reference)).verdict is not Verdict.APPROVED


async def test_card_that_is_declined(perform: Perform) -> None:
    refused = await perform(Operation.AUTHORIZE, payment_method="pm_card_chargeCustomerFail")
    assert refused.verdict is Verdict.DECLINED
    assert refused.failure is not None
    assert refused.failure.code == "card_declined"
