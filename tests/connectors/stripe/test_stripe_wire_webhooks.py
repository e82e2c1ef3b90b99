"""Webhooks of the double of Stripe's wire over real HTTP: signed, repeated, of the right account, in any order."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from bezant.connectors.stripe import CONNECTOR
from bezant.psp.contract import Credentials, Operation, Verdict
from bezant.psp.notices import DisputeNotice, Notice, WebhookRefused, WebhookRequest
from tests.connectors.stripe.stripe_shop import Shop, new
from tests.support.receiver import Receiver, receiving
from tests.support.stripe_wire.client import KEY, Wire
from tests.support.stripe_wire.refusals import Json


class Ear:
    """An endpoint of an account, and what is said there."""

    def __init__(self, receiver: Receiver, secret: str, credentials: Credentials) -> None:
        self.receiver = receiver
        self.secret = secret
        self.credentials = credentials

    def read(self, request: WebhookRequest) -> list[Notice | DisputeNotice]:
        assert CONNECTOR.webhooks is not None
        now = datetime.now(UTC)
        events = CONNECTOR.webhooks.accept(request, [self.secret], self.credentials, now)
        return [notice for event in events for notice in CONNECTOR.webhooks.notices(event) or ()]

    async def hears(self, status: str, number: int = 1) -> list[DisputeNotice]:
        def says(request: WebhookRequest) -> bool:
            return any(isinstance(said, DisputeNotice) and said.status == status for said in self.read(request))

        requests = await self.receiver.get(says, number)
        return [said for request in requests for said in self.read(request) if isinstance(said, DisputeNotice)]


@pytest_asyncio.fixture
async def ear(dashboard: Wire) -> AsyncIterator[Ear]:
    async with receiving() as receiver:
        endpoint = await register(dashboard, receiver)
        yield Ear(receiver, endpoint["secret"], Credentials(fields={"secret_key": KEY}))
        await dashboard.call("DELETE", f"webhook_endpoints/{endpoint['id']}")


async def register(dashboard: Wire, receiver: Receiver, **more: str) -> Json:
    form = {"url": receiver.url, "enabled_events[]": "*", "api_version": "2026-06-24.dahlia", **more}
    return await dashboard.call("POST", "webhook_endpoints", form)


async def test_dispute_is_told_from_its_opening_to_its_end(shop: Shop, dashboard: Wire, ear: Ear) -> None:
    sold = await shop.authorized(payment_method="pm_card_createDispute", capture=True)
    opened = (await ear.hears("needs_response"))[0]
    assert (opened.psp_reference, opened.amount_minor, opened.currency) == (sold.psp_reference, 4999, "USD")
    assert opened.reason == "fraudulent"
    assert opened.evidence_due_at is not None
    evidence = {"evidence[uncategorized_text]": "winning_evidence", "submit": "true"}
    await dashboard.call("POST", f"disputes/{opened.dispute_reference}", evidence)
    for won in await ear.hears("won", 2):
        assert won.dispute_reference == opened.dispute_reference


async def test_inquiry_is_told_apart_from_a_dispute(shop: Shop, dashboard: Wire, ear: Ear) -> None:
    await shop.authorized(payment_method="pm_card_createDisputeInquiry", capture=True)
    asked = (await ear.hears("inquiry"))[0]
    await dashboard.steer(f"disputes/{asked.dispute_reference}/close", status="warning_closed")
    assert (await ear.hears("closed"))[0].dispute_reference == asked.dispute_reference


async def test_hold_that_stripe_gives_up_is_a_cancel_of_nobody(shop: Shop, dashboard: Wire, ear: Ear) -> None:
    held = await shop.authorized()
    await dashboard.steer(f"payment_intents/{held.psp_reference}/expire")

    def says(request: WebhookRequest) -> bool:
        return any(isinstance(n, Notice) and n.operation is Operation.CANCEL for n in ear.read(request))

    for request in await ear.receiver.get(says, 2):
        (notice,) = ear.read(request)
        assert isinstance(notice, Notice)
        assert (notice.outcome.psp_reference, notice.outcome.reference) == (held.psp_reference, None)
    gone = await shop.do(new(Operation.CAPTURE, psp_reference=held.psp_reference))
    assert (gone.verdict, gone.failure and gone.failure.code) == (Verdict.DECLINED, "authorization_expired")


async def test_webhook_is_repeated_until_it_is_taken(shop: Shop, ear: Ear) -> None:
    ear.receiver.status = 503
    held = await shop.authorized()

    def says(request: WebhookRequest) -> bool:
        return any(isinstance(n, Notice) and n.outcome.psp_reference == held.psp_reference for n in ear.read(request))

    thrice = await ear.receiver.get(says, 3)
    ear.receiver.status = 200
    assert len({request.body for request in thrice}) == 1


async def test_secret_is_rolled_with_both_signing_meanwhile(shop: Shop, dashboard: Wire) -> None:
    async with receiving() as receiver:
        endpoint = await register(dashboard, receiver)
        old = endpoint["secret"]
        fresh = (await dashboard.steer(f"webhook_endpoints/{endpoint['id']}/roll"))["secret"]
        await shop.authorized()
        both = (await receiver.get(lambda request: True))[0]
        for secret in (old, fresh):
            Ear(receiver, secret, shop.credentials).read(both)
        await dashboard.steer(f"webhook_endpoints/{endpoint['id']}/roll", finish=True)
        receiver.got.clear()
        await shop.authorized()
        only = (await receiver.get(lambda request: b"requires_capture" in request.body))[0]
        Ear(receiver, fresh, shop.credentials).read(only)
        await dashboard.call("DELETE", f"webhook_endpoints/{endpoint['id']}")
        with pytest.raises(WebhookRefused):
            Ear(receiver, old, shop.credentials).read(only)


async def test_events_of_connected_accounts_belong_to_theirs_alone(
    shop: Shop, connected: Shop, dashboard: Wire
) -> None:
    async with receiving() as receiver:
        endpoint = await register(dashboard, receiver, connect="true")
        await shop.authorized()  # the platform's own: goes elsewhere
        held = await connected.authorized()
        request = (await receiver.get(lambda request: b"requires_capture" in request.body))[0]
        await dashboard.call("DELETE", f"webhook_endpoints/{endpoint['id']}")
        (notice,) = Ear(receiver, endpoint["secret"], connected.credentials).read(request)
        assert isinstance(notice, Notice)
        assert notice.outcome.psp_reference == held.psp_reference
        coffee = Credentials(fields={"secret_key": KEY, "connected_account": "acct_1Coffee"})
        assert Ear(receiver, endpoint["secret"], coffee).read(request) == []
        with pytest.raises(WebhookRefused) as refused:
            Ear(receiver, endpoint["secret"], shop.credentials).read(request)
        assert refused.value.code == "invalid_request"


async def test_shuffled_and_repeated_events_say_the_same(shop: Shop, dashboard: Wire, ear: Ear) -> None:
    await dashboard.steer("hold")
    held = await shop.authorized()
    taken = await shop.do(new(Operation.CAPTURE, psp_reference=held.psp_reference))
    back = await shop.do(new(Operation.REFUND, psp_reference=held.psp_reference, amount_minor=100))
    delivered = (await dashboard.steer("release", shuffled=True, twice=True))["delivered"]
    said: dict[Operation, set[str | None]] = {}
    for request in await ear.receiver.get(lambda request: True, delivered):
        for notice in ear.read(request):
            assert isinstance(notice, Notice)
            said.setdefault(notice.operation, set()).add(notice.outcome.operation_reference)
    assert said == {
        Operation.AUTHORIZE: {None},
        Operation.CAPTURE: {taken.operation_reference},
        Operation.REFUND: {back.operation_reference},
    }
