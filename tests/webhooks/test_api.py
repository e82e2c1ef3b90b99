"""Merchants manage their endpoints, read the log of deliveries and have them sent again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from bezant.base import ids
from bezant.merchants.service import Merchants
from bezant.webhooks.rules import ENDPOINTS_MAX
from tests.webhooks.client import Client, serving
from tests.webhooks.world import Request, World, new_merchant, payments


@pytest_asyncio.fixture
async def shop(world: World) -> AsyncIterator[Client]:
    async with serving(world) as client:
        yield client


async def test_the_secret_is_shown_when_an_endpoint_is_made_and_never_again(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url, description="the shop", event_types=["payment.*", "payment.*"])
    assert made["secret"].startswith("whsec_")
    assert (made["status"], made["event_types"], made["description"]) == ("enabled", ["payment.*"], "the shop")
    shown = await shop.get(f"/webhook_endpoints/{made['webhook_endpoint_id']}")
    listed = await shop.get("/webhook_endpoints")
    assert "secret" not in shown.json
    assert listed["data"] == [shown.json]
    rows = await world.sql("SELECT * FROM webhook_endpoints"), await world.sql("SELECT * FROM idempotency_keys")
    assert made["secret"].removeprefix("whsec_") not in repr(rows)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/",
        f"https://{'a' * 64}.example/",
        "https://user:password@shop.example/",
        "http://93.184.216.34/",
        "ftp://93.184.216.34/",
    ],
)
async def test_url_that_leads_inside_is_refused_and_nothing_is_made(world: World, shop: Client, url: str):
    refused = await shop.post("/webhook_endpoints", url=url)
    assert (refused.status, refused.code, refused["param"]) == (422, "webhook_url_refused", "/url")
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    moved = await shop.call("PATCH", f"/webhook_endpoints/{made['webhook_endpoint_id']}", {"url": url})
    assert (moved.status, moved.code) == (422, "webhook_url_refused")
    assert [row[0] for row in await world.sql("SELECT url FROM webhook_endpoints")] == [receiver.url]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "/url"),
        ({"url": 1}, "/url"),
        ({"url": "x"}, "/url"),
        ({"url": "https://a.example/" + "x" * 2048}, "/url"),
        ({"url": "https://a.example/", "event_types": ["*"]}, "/event_types"),
        ({"url": "https://a.example/", "event_types": ["payment.captured "]}, "/event_types"),
        ({"url": "https://a.example/", "event_types": ["payment.captured\n"]}, "/event_types"),
        ({"url": "https://a.example/", "description": "x" * 501}, "/description"),
        ({"url": "https://a.example/", "secret": "whsec_mine"}, "/secret"),
    ],
)
async def test_body_that_is_not_as_documented_is_refused(shop: Client, body: dict[str, object], param: str):
    answer = await shop.call("POST", "/webhook_endpoints", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer["param"].startswith(param)


async def test_a_merchant_has_at_most_sixteen_endpoints_however_many_are_asked_for_at_once(world: World, shop: Client):
    receiver = await world.receiver()
    asked = [shop.post("/webhook_endpoints", url=receiver.url) for _ in range(ENDPOINTS_MAX + 4)]
    answers = await asyncio.gather(*asked)
    assert sorted(a.status for a in answers) == [200] * ENDPOINTS_MAX + [422] * 4
    assert {a.code for a in answers if a.status == 422} == {"too_many_webhook_endpoints"}
    first = next(a for a in answers if a.status == 200)
    await shop.call("DELETE", f"/webhook_endpoints/{first['webhook_endpoint_id']}")
    await shop.create(receiver.url)


async def test_repeating_a_request_makes_one_endpoint_and_shows_its_secret_again(world: World, shop: Client):
    receiver = await world.receiver()
    answers = await asyncio.gather(*(shop.post("/webhook_endpoints", "key-1", url=receiver.url) for _ in range(5)))
    assert len({a.raw for a in answers}) == 1
    other = await shop.post("/webhook_endpoints", "key-1", url=receiver.url + "/other")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert len((await shop.get("/webhook_endpoints"))["data"]) == 1


async def test_repeating_a_rotation_rotates_once(world: World, shop: Client):
    made = await shop.create((await world.receiver()).url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}/rotate_secret"
    first, again = await shop.post(path, "key-1"), await shop.post(path, "key-1")
    assert first["secret"] == again["secret"] != made["secret"]


async def test_repeating_a_refusal_or_a_test_gives_the_same_reply(world: World, shop: Client):
    made = await shop.create((await world.receiver()).url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    first, again = await shop.post(f"{path}/test", "key-1"), await shop.post(f"{path}/test", "key-1")
    assert (first.raw, first.replayed, again.replayed) == (again.raw, False, True)
    await shop.post(f"{path}/disable")
    refused = await shop.post(f"{path}/redeliver", "key-2")
    await shop.post(f"{path}/enable")
    again = await shop.post(f"{path}/redeliver", "key-2")
    assert (refused.status, refused.code, again.raw, again.replayed) == (409, "invalid_state", refused.raw, True)


async def test_while_a_secret_is_rotated_both_verify_and_then_only_the_new_one(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    new = (await shop.post(f"{path}/rotate_secret"))["secret"]
    await shop.post(f"{path}/test")
    (both,) = await receiver.wait_for(1)
    for secret in (made["secret"], new):
        Webhook(secret).verify(both.body.decode(), both.headers)
    newest = (await shop.post(f"{path}/rotate_secret", overlap_s=0))["secret"]
    await shop.post(f"{path}/test")
    got = (await receiver.wait_for(2))[1]
    Webhook(newest).verify(got.body.decode(), got.headers)
    assert len(got.headers["webhook-signature"].split()) == 1


async def test_secrets_cannot_be_piled_up(world: World, shop: Client):
    made = await shop.create((await world.receiver()).url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}/rotate_secret"
    statuses = [(await shop.post(path)).status for _ in range(6)]
    assert statuses == [200] * 4 + [409] * 2
    assert (await shop.post(path, overlap_s=0)).status == 200


async def test_a_test_event_goes_to_the_endpoint_that_is_tested_only(world: World, shop: Client):
    tested, other = await world.receiver(), await world.receiver()
    made = await shop.create(tested.url, event_types=["refund.created"])
    await shop.create(other.url)
    answer = await shop.post(f"/webhook_endpoints/{made['webhook_endpoint_id']}/test")
    assert (answer.status, answer["status"], answer["event_type"]) == (200, "pending", "webhook_endpoint.test")
    tried = await shop.tried(answer.json)
    (one,) = tried["tries"]
    assert (tried["status"], one["status"], one["answer"], one["manual"]) == ("delivered", 200, "thanks", True)
    (got,) = tested.got
    assert got.event["data"]["webhook_endpoint_id"] == made["webhook_endpoint_id"]
    await world.settled()
    assert other.got == []


async def test_a_disabled_endpoint_can_be_tested_before_it_is_enabled(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    assert (await shop.post(f"{path}/disable"))["disabled_reason"] == "requested"
    await world.author.say(*payments(1))
    await world.told()
    await shop.tried((await shop.post(f"{path}/test")).json)
    assert [r.event["type"] for r in receiver.got] == ["webhook_endpoint.test"]


async def test_what_happens_while_an_endpoint_is_disabled_comes_in_order_when_it_is_enabled(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url, event_types=["payment.*"])
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    await shop.post(f"{path}/disable")
    of = payments(5)
    for _ in range(3):
        await world.author.say(*of)
    await world.told()
    assert receiver.got == []
    enabled = await shop.post(f"{path}/enable")
    assert (enabled["status"], enabled["disabled_reason"], enabled["failing_since"]) == ("enabled", None, None)
    await world.settled()
    assert receiver.names() == world.author.said


async def test_enabling_may_let_go_what_has_waited(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url, event_types=["payment.*"])
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    await shop.post(f"{path}/disable")
    (payment,) = payments(1)
    await world.author.say(payment, times=3)
    await world.told()
    await shop.post(f"{path}/enable", waiting="cancel")
    await world.author.say(payment)
    await world.settled()
    assert await world.statuses() == {"canceled": 3, "delivered": 1}
    assert [r.name for r in receiver.got] == world.author.said[ids.show(ids.PAYMENT, payment)][3:]


async def test_what_waits_for_an_endpoint_that_is_deleted_is_canceled_and_it_is_gone(world: World, shop: Client):
    receiver = await world.receiver()
    receiver.answer = receiver.refuses()
    made = await shop.create(receiver.url)
    await world.author.say(*payments(3), times=2)
    await receiver.wait_for(3)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    deleted = await shop.call("DELETE", path)
    assert (deleted.status, deleted["status"]) == (200, "deleted")
    await world.settled()
    assert await world.statuses() == {"canceled": 6}
    for call in (shop.get(path), shop.call("DELETE", path), shop.post(f"{path}/enable"), shop.post(f"{path}/test")):
        assert (await call).status == 404
    assert (await shop.get("/webhook_endpoints"))["data"] == []


async def test_changed_url_and_filters_count_from_then_on(world: World, shop: Client):
    old, new = await world.receiver(), await world.receiver()
    old.answer = old.refuses()
    made = await shop.create(old.url, description="old")
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    (payment,) = payments(1)
    await world.author.say(payment, kind="payment.captured")
    await old.wait_for(1)
    changes = {"url": new.url, "description": None, "event_types": ["refund.*"]}
    changed = await shop.call("PATCH", path, changes)
    assert {name: changed[name] for name in changes} == changes
    assert (await shop.call("PATCH", path, {})).json["url"] == new.url
    await world.author.say(payment, kind="payment.failed")
    await world.author.say(payment, kind="refund.created")
    await world.hasten()
    await world.settled()
    assert [r.event["type"] for r in new.got] == ["payment.captured", "refund.created"]


async def test_the_log_says_what_was_answered(world: World, shop: Client):
    receiver = await world.receiver()

    async def answer(request: Request) -> web.StreamResponse:
        return web.Response(status=418, body=b"\x00teapot \xff" + b"x" * 5_000)

    receiver.answer = answer
    made = await shop.create(receiver.url)
    await world.author.say(*payments(1))
    await receiver.wait_for(1)
    await world.wait_until("SELECT count(*) = 1 FROM webhook_tries")
    (listed,) = await shop.deliveries(made)
    shown = await shop.delivery(listed)
    (one,) = shown["tries"]
    assert (listed["status"], one["status"], one["error"], one["manual"]) == ("pending", 418, None, False)
    assert one["answer"].startswith("\ufffdteapot \ufffdxxx")
    assert len(one["answer"].encode()) <= 1024 + 2
    assert one["latency_ms"] >= 0
    next_try_in = datetime.fromisoformat(listed["next_try_at"]) - datetime.now(UTC)
    assert timedelta(seconds=1) < next_try_in < timedelta(seconds=6)


async def test_the_list_of_deliveries_pages_and_filters(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    first, second = payments(2)
    for kind in ("payment.created", "payment.captured"):
        await world.author.say(first, second, kind=kind)
    await world.settled()
    seen: list[str] = []
    cursor = ""
    while True:
        path = f"/webhook_endpoints/{made['webhook_endpoint_id']}/deliveries?limit=1{cursor}"
        page = await shop.get(path)
        seen += [delivery["webhook_delivery_id"] for delivery in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    everything = await shop.deliveries(made)
    assert seen == [delivery["webhook_delivery_id"] for delivery in everything]
    assert len(set(seen)) == 4
    assert len(await shop.deliveries(made, "event_type=payment.created")) == 2
    assert len(await shop.deliveries(made, f"payment_id={ids.show(ids.PAYMENT, first)}")) == 2
    assert len(await shop.deliveries(made, "status=delivered")) == 4
    assert await shop.deliveries(made, "status=failed") == []
    assert await shop.deliveries(made, "created_lt=2020-01-01T00:00:00Z") == []
    assert len(await shop.deliveries(made, "created_gte=2020-01-01T00:00:00Z")) == 4
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}/deliveries"
    for query in ("cursor=x", "status=lost", "payment_id=x", "limit=0", "unknown=1", "created_lt=1"):
        assert (await shop.get(f"{path}?{query}")).status == 400, query


async def test_a_delivered_event_is_sent_again_on_request(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    await world.author.say(*payments(1))
    await world.settled()
    (delivery,) = await shop.deliveries(made)
    again = await shop.post(f"/webhook_deliveries/{delivery['webhook_delivery_id']}/redeliver")
    assert (again.status, again["status"]) == (200, "pending")
    tried = await shop.tried(delivery, 2)
    assert [one["manual"] for one in tried["tries"]] == [False, True]
    assert len(set(receiver.ids())) == 1
    assert len(receiver.got) == 2


async def test_a_waiting_delivery_is_tried_now_and_its_schedule_stays(world: World, shop: Client):
    receiver = await world.receiver()
    receiver.answer = receiver.refuses()
    made = await shop.create(receiver.url)
    await world.author.say(*payments(1), times=2)
    await receiver.wait_for(1)
    await world.wait_until("SELECT count(*) = 1 FROM webhook_deliveries WHERE tries = 1 AND lease_until IS NULL")
    await world.sql("UPDATE webhook_deliveries SET next_try_at = now() + interval '1 day' WHERE tries = 1")
    behind, head = await shop.deliveries(made)
    if behind["next_try_at"] is not None:
        behind, head = head, behind
    refused = await shop.post(f"/webhook_deliveries/{behind['webhook_delivery_id']}/redeliver")
    assert (refused.status, refused.code) == (409, "invalid_state")
    await shop.post(f"/webhook_deliveries/{head['webhook_delivery_id']}/redeliver")
    await receiver.wait_for(2)
    await world.wait_until("SELECT count(*) = 2 FROM webhook_tries")
    shown = await shop.delivery(head)
    assert [one["manual"] for one in shown["tries"]] == [False, True]
    assert datetime.fromisoformat(shown["next_try_at"]) - datetime.now(UTC) > timedelta(hours=23)
    assert await world.one("SELECT max(tries) FROM webhook_deliveries") == 1


async def test_many_deliveries_are_sent_again_in_order(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}/redeliver"
    of = payments(6)
    await world.author.say(*of, times=2)
    await world.author.say(*of, kind="refund.created")
    await world.settled()
    await world.sql("UPDATE webhook_deliveries SET status = 'failed' WHERE event_type = 'payment.captured'")
    receiver.got.clear()
    redelivered, cursor = 0, None
    while True:
        further = {} if cursor is None else {"cursor": cursor}
        done = await shop.call("POST", path, {"limit": 5, "event_types": ["payment.*"], **further})
        assert done.status == 200, done.raw
        redelivered += done["redelivered"]
        cursor = done["next_cursor"]
        if not done["has_more"]:
            break
    await world.settled()
    assert redelivered == len(receiver.got) == 12
    for payment in of:
        subject = ids.show(ids.PAYMENT, payment)
        came = [r.name for r in receiver.got if r.event["subject"] == subject]
        assert sorted(came) == sorted(world.author.said[subject][:2])
    nothing = await shop.post(path, statuses=["failed"])
    assert (nothing["redelivered"], nothing["has_more"]) == (0, False)
    everything = await shop.post(path, statuses=["failed", "delivered"], created_lt="2030-01-01T00:00:00Z")
    assert everything["redelivered"] == 18
    await world.settled()
    assert await world.statuses() == {"delivered": 18}


async def test_any_time_may_be_asked_for_but_only_with_its_offset(world: World, shop: Client):
    made = await shop.create((await world.receiver()).url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}/redeliver"
    unclear = await shop.post(path, created_gte="2026-11-23T12:00:00")
    assert (unclear.status, unclear.code, unclear["param"]) == (400, "invalid_request", "/created_gte")
    first, last = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
    assert await shop.deliveries(made, f"created_gte={first.replace('+', '%2B')}&created_lt={last}") == []
    everything = await shop.post(path, created_gte=first, created_lt=last)
    assert (everything.status, everything["redelivered"]) == (200, 0)


async def test_a_payment_that_is_sent_again_whole_comes_in_order_though_the_first_fails_at_first(
    world: World, shop: Client
):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    (payment,) = payments(1)
    await world.author.say(payment, times=4)
    await world.settled()
    receiver.got.clear()
    receiver.answer = receiver.refuses()
    await shop.post(f"/webhook_endpoints/{made['webhook_endpoint_id']}/redeliver", statuses=["delivered"])
    await receiver.wait_for(1)
    await world.wait_until("SELECT count(*) = 1 FROM webhook_tries WHERE status = 500")
    receiver.answer = receiver.takes
    await world.hasten()
    await world.settled()
    assert receiver.names() == world.author.said
    assert len(receiver.got) == 5


async def test_nobody_sees_or_changes_what_is_anothers(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    await world.author.say(*payments(1))
    await world.settled()
    (delivery,) = await shop.deliveries(made)
    stranger = ids.show(ids.MERCHANT, await new_merchant(world.database))
    key = (await Merchants(world.database, 1_000).create_key(stranger, "secret", (), None)).key
    other = shop.with_key(key)
    endpoint, one = (
        f"/webhook_endpoints/{made['webhook_endpoint_id']}",
        f"/webhook_deliveries/{delivery['webhook_delivery_id']}",
    )
    for verb in ("enable", "disable", "rotate_secret", "test", "redeliver"):
        assert (await other.post(f"{endpoint}/{verb}")).status == 404, verb
    assert (await other.call("PATCH", endpoint, {"description": "mine"})).status == 404
    assert (await other.call("DELETE", endpoint)).status == 404
    assert (await other.post(f"{one}/redeliver")).status == 404
    for path in (endpoint, f"{endpoint}/deliveries", one):
        assert (await other.get(path)).status == 404, path
    assert (await other.get("/webhook_endpoints"))["data"] == []
    assert len(receiver.got) == 1


async def test_a_key_needs_the_scope_and_a_revoked_one_points_no_events_anywhere(world: World, shop: Client):
    merchants, merchant = Merchants(world.database, 1_000), ids.show(ids.MERCHANT, world.merchant_id)
    reads = await merchants.create_key(merchant, "secret", ["webhooks:read"], None)
    writes = await merchants.create_key(merchant, "secret", ["webhooks:write"], None)
    receiver = await world.receiver()
    reader, writer = shop.with_key(reads.key), shop.with_key(writes.key)
    assert (await reader.post("/webhook_endpoints", url=receiver.url)).status == 403
    assert (await reader.get("/webhook_endpoints")).status == 200
    assert (await writer.get("/webhook_endpoints")).status == 403
    await writer.create(receiver.url)
    await merchants.revoke(merchant, writes.key_id)
    assert (await writer.post("/webhook_endpoints", url=receiver.url)).status == 401
    await merchants.set_status(merchant, "closed")
    assert (await shop.post("/webhook_endpoints", url=receiver.url)).code == "merchant_inactive"
    assert (await shop.get("/webhook_endpoints")).status == 200


async def test_every_change_of_an_endpoint_is_audited_without_its_secrets(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url + "?token=merchants-own")
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    rotated = await shop.post(f"{path}/rotate_secret")
    await shop.call("PATCH", path, {"event_types": ["refund.*"]})
    await shop.post(f"{path}/disable")
    await shop.post(f"{path}/enable")
    await shop.call("DELETE", path)
    rows = await world.sql("SELECT action, actor, subject, detail::text FROM audit_log ORDER BY created_at")
    assert [row[0] for row in rows] == [
        "create_webhook_endpoint",
        "rotate_webhook_secret",
        "update_webhook_endpoint",
        "disable_webhook_endpoint",
        "enable_webhook_endpoint",
        "delete_webhook_endpoint",
    ]
    assert {row[2] for row in rows} == {made["webhook_endpoint_id"]}
    assert all(row[1].startswith("key_") for row in rows)
    for secret in (made["secret"], rotated["secret"], "merchants-own"):
        assert secret not in repr(rows)


async def test_what_is_sent_again_in_bulk_waits_when_its_endpoint_is_disabled_meanwhile(world: World, shop: Client):
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    path = f"/webhook_endpoints/{made['webhook_endpoint_id']}"
    (payment,) = payments(1)
    await world.author.say(payment, times=3)
    await world.settled()
    receiver.answer = receiver.refuses()
    await shop.post(f"{path}/redeliver", statuses=["delivered"])
    await receiver.wait_for(4)
    await shop.post(f"{path}/disable")
    receiver.answer = receiver.takes
    await world.wait_until("SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE lease_until IS NOT NULL)")
    sent = len(receiver.got)
    await world.hasten()
    await shop.tried((await shop.post(f"{path}/test")).json)
    assert len(receiver.got) == sent + 1


async def test_what_is_sent_again_goes_before_what_waits_behind_it(world: World, shop: Client):
    """Of three events the first was taken, the second waits for its next try, the third behind it."""
    receiver = await world.receiver()
    made = await shop.create(receiver.url)
    (payment,) = payments(1)
    await world.author.say(payment)
    await world.settled()
    receiver.answer = receiver.refuses()
    await world.author.say(payment, times=2)
    await receiver.wait_for(2)
    await world.wait_until("SELECT count(*) = 1 FROM webhook_deliveries WHERE tries = 1 AND next_try_at > now()")
    await world.wait_until("SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE lease_until IS NOT NULL)")
    first = (await shop.deliveries(made))[-1]
    await shop.post(f"/webhook_deliveries/{first['webhook_delivery_id']}/redeliver")
    await receiver.wait_for(3)
    await world.wait_until("SELECT count(*) = 3 FROM webhook_tries")
    due = "SELECT id FROM webhook_deliveries WHERE next_try_at IS NOT NULL"
    assert [row[0] for row in await world.sql(due)] == [ids.parse(ids.WEBHOOK_DELIVERY, first["webhook_delivery_id"])]
    receiver.answer = receiver.takes
    await world.hasten()
    await world.settled()
    subject = ids.show(ids.PAYMENT, payment)
    numbers = [world.author.said[subject].index(request.name) for request in receiver.got]
    assert numbers == [0, 1, 0, 0, 1, 2]
