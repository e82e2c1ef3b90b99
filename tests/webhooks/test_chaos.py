"""Everything at once: events, workers, failing servers, and people who disable, enable, rotate and send again."""

import asyncio
from random import Random

import pytest
from aiohttp import web

from bezant.base.db import DatabaseError
from bezant.base.errors import Conflict
from bezant.webhooks.views import RedeliverWebhooks, RotateWebhookSecret
from tests.support.verification import verified
from tests.webhooks.world import Request, World, payments

BY = "a test"


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_or_overtaken_whatever_people_do_meanwhile(
    world: World, database_url: str, seed: int
) -> None:
    random = Random(seed)
    receivers = [await world.receiver() for _ in range(3)]
    endpoints = [await world.endpoint(receiver.url, "payment.*") for receiver in receivers]
    of = payments(6)

    async def moody(request: Request) -> web.StreamResponse:
        return web.Response(status=random.choice([200, 200, 500]))

    for receiver in receivers:
        receiver.answer = moody

    async def somebody_does_something() -> None:
        endpoint_id, what = random.choice(endpoints), random.randrange(6)
        async with world.database.transaction() as transaction:
            at = (transaction, world.merchant_id, endpoint_id)
            if what == 0:
                await world.endpoints.disable(*at, BY)
            elif what == 1:
                await world.endpoints.enable(*at, keep_waiting=True, by=BY)
            elif what == 2:
                await world.endpoints.rotate_secret(*at, RotateWebhookSecret(overlap_s=0), BY)
            elif what == 3:
                await world.deliveries.redeliver_many(*at, RedeliverWebhooks(statuses=("delivered",), limit=7))
            elif what == 4:
                await world.endpoints.test(*at)
            else:
                ids = await world.sql("SELECT id FROM webhook_deliveries ORDER BY random() LIMIT 1")
                for (delivery_id,) in ids:
                    await world.deliveries.redeliver(transaction, world.merchant_id, delivery_id)

    async with world.running(*(world.webhooks() for _ in range(3))):
        for _ in range(40):
            await world.author.say(*random.sample(of, 3))
            for _ in range(2):
                try:
                    await somebody_does_something()
                except (Conflict, DatabaseError):
                    pass  # it waits behind another, or is disabled, or two changed the same: they may repeat it
            await world.hasten()
        for endpoint_id, receiver in zip(endpoints, receivers, strict=True):
            receiver.answer = receiver.takes
            async with world.database.transaction() as transaction:
                await world.endpoints.enable(transaction, world.merchant_id, endpoint_id, keep_waiting=True, by=BY)
        await world.told()
        for _ in range(200):
            await world.hasten()
            if not await world.one("SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"):
                break
            await asyncio.sleep(0.05)
    assert await world.sql("SELECT * FROM webhook_deliveries WHERE status = 'pending'") == []
    for receiver in receivers:
        assert {subject: names for subject, names in receiver.names().items() if subject in world.author.said} == dict(
            world.author.said
        )
    report = await verified(database_url)
    assert not {check.name for check in report.broken} & {
        "waiting_webhooks_are_due",
        "webhooks_are_of_their_event",
        "delivered_webhooks_were_taken",
    }
