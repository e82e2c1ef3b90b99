"""The demo's shop as a receiver: what it believes, that each event has one effect, and that it would see disorder."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from standardwebhooks import Webhook

from bezant.demo.mailbox import Fault, Mailbox, Trouble
from bezant.demo.orders import Event, Orders
from bezant.demo.signature import TOLERANCE_S, is_signed

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
NOW = datetime.now(UTC)


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    """The headers as the specification's own library makes them."""
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", at, body.decode()),
    }


def event(name: str = "evt_1", kind: str = "payment.captured", sequence: str = "1", **data: Any) -> Event:
    amounts = {"captured": 500, "refunded": 0}
    known = {"status": "captured", "amounts": amounts, **data}
    return Event(id=name, type=kind, subject="pay_1", sequence=sequence, time=NOW, data=known)


def refund(name: str, kind: str, sequence: str) -> Event:
    return event(name, kind, sequence, refund={"refund_id": "ref_1", "amount": {"value": 200, "currency": "USD"}})


def payment(status: str = "captured", captured: int = 500, refunded: int = 0) -> dict[str, Any]:
    return {"payment_id": "pay_1", "status": status, "amounts": {"captured": captured, "refunded": refunded}}


def learned(*events: Event) -> Orders:
    orders = Orders()
    for each in events:
        orders.learn(each, NOW + timedelta(seconds=2))
    return orders


def test_what_an_outsiders_library_signs_is_believed():
    body = b'{"id":"evt_1"}'
    assert is_signed(SECRET, signed(body), body, NOW.timestamp())
    rotated = {**signed(body), "webhook-signature": f"v1,bm90IGl0 {signed(body)['webhook-signature']}"}
    assert is_signed(SECRET, rotated, body, NOW.timestamp())


def test_what_nobody_signed_is_not():
    body = b'{"id":"evt_1"}'
    headers, now_s = signed(body), NOW.timestamp()
    for place in range(len(body)):
        altered = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        assert not is_signed(SECRET, headers, altered, now_s)
    for changed in ({"webhook-id": "evt_2"}, {"webhook-timestamp": str(int(now_s) - 1)}, {"webhook-signature": "v1,"}):
        assert not is_signed(SECRET, {**headers, **changed}, body, now_s)
    stranger = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert not is_signed(SECRET, signed(body, secret=stranger), body, now_s)
    assert not is_signed(SECRET, headers, body, now_s + TOLERANCE_S + 2)
    assert not is_signed(SECRET, {}, body, now_s)


def test_event_that_comes_again_has_one_effect():
    orders = learned(event("evt_1"), *[refund("evt_2", "refund.succeeded", "2")] * 3)
    assert (orders.repeats, orders.out_of_order) == (2, [])
    assert orders.events_of("pay_1") == ["evt_1", "evt_2"]
    assert orders.differences([payment(refunded=200)]) == []
    assert orders.waited_s == {"evt_1": 2.0, "evt_2": 2.0}


def test_refund_that_comes_back_is_the_shops_again():
    failed, succeeded = refund("evt_3", "refund.failed", "3"), refund("evt_2", "refund.succeeded", "2")
    assert learned(event(), succeeded, failed).differences([payment()]) == []
    assert learned(event(), failed).differences([payment()]) == []


def test_event_out_of_order_is_seen():
    orders = learned(event("evt_2", sequence="2"), event("evt_1", kind="payment.authorized", sequence="1"))
    assert orders.out_of_order == ["evt_1 (payment.authorized) of pay_1 came after a later one"]


def test_what_the_shop_was_told_wrong_or_never_is_seen():
    assert learned(event()).differences([payment(captured=501)]) != []
    assert learned().differences([payment()]) == [
        "pay_1: by its webhooks ('unheard of', 0, 0), by the API ('captured', 500, 0)"
    ]


def test_each_payment_has_trouble_once_and_none_near_the_end():
    trouble = Trouble(among_first=40)
    faults = [trouble.strikes(msgspec.structs.replace(event(f"evt_{n}"), subject=f"pay_{n}")) for n in range(100)]
    assert [n for n, fault in enumerate(faults) if fault] == [4, 17, 30]
    assert set(trouble.counts) == set(Fault)
    assert trouble.strikes(event("evt_4")) is None, "its second coming"
    one_payment = Trouble(among_first=100)
    assert sum(one_payment.strikes(event(f"evt_{n}")) is not None for n in range(100)) == 1


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def sent(web: aiohttp.ClientSession, mailbox: Mailbox, each: Event, *, secret: str = SECRET) -> int | None:
    """The status with which it is answered; None where the connection was dropped."""
    body = msgspec.json.encode(each)
    headers = signed(body, secret=secret, at=datetime.now(UTC))
    try:
        async with web.post(f"{mailbox.url}/webhooks", data=body, headers=headers) as response:
            return response.status
    except aiohttp.ServerDisconnectedError:
        return None


async def test_mailbox_fails_in_each_way_and_then_takes_what_comes_again(web: aiohttp.ClientSession):
    mailbox = Mailbox(Orders(), Trouble(among_first=40))
    mailbox.secret = SECRET
    events = [msgspec.structs.replace(event(f"evt_{n}"), subject=f"pay_{n}") for n in range(40)]
    async with mailbox.serving():
        first = [await sent(web, mailbox, each) for each in events]
        again = [await sent(web, mailbox, each) for each in events]
    troubled = {n: status for n, status in enumerate(first) if status != 204}
    assert troubled == {4: None, 17: None, 30: 500}
    assert set(again) == {204}
    orders = mailbox.orders
    assert sorted(orders.waited_s) == sorted(each.id for each in events)
    assert orders.repeats == 38, "all but the one that was dropped and the one that was refused before it was taken"
    assert mailbox.tries == 80


async def test_mailbox_refuses_what_a_stranger_signed(web: aiohttp.ClientSession):
    mailbox = Mailbox(Orders(), Trouble(among_first=0))
    mailbox.secret = SECRET
    async with mailbox.serving():
        stranger = "whsec_" + base64.b64encode(b"x" * 32).decode()
        assert await sent(web, mailbox, event(), secret=stranger) == 400
        assert (mailbox.forged, mailbox.orders.waited_s) == (1, {})


async def test_shop_waits_for_what_it_was_not_told_yet():
    orders = Orders()
    waiting = asyncio.create_task(orders.heard("pay_1", "refund.succeeded"))
    orders.learn(event(), NOW)
    await asyncio.sleep(0)
    assert not waiting.done()
    orders.learn(refund("evt_2", "refund.succeeded", "2"), NOW)
    await waiting
    await orders.heard("pay_1", "payment.captured")
