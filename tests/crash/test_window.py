"""A customer whose window has passed is not charged any more, whatever became of the process that was at it."""

import asyncio

import pytest

from tests.crash.stories import STORIES, arm, assert_done, kill_on
from tests.support.agreement import assert_agreement, charge_of, wait_until_resolved
from tests.support.shop import LEASE_S, Installation, Shop
from tests.support.simulator import SimulatorProcess
from tests.support.waiting import wait_until_async

WINDOW_S = 1
NEVER_SENT = ("accept.after_commit", "call.before_send")
SENT = ("call.after_send", "record.before_begin", "record.before_commit")
CREATES = ("create_automatic", "create_manual")
GIVEN_BACK = {"create_automatic": "refunded", "create_manual": "canceled"}


@pytest.mark.parametrize("name", CREATES)
async def test_what_never_reached_the_psp_is_not_sent_after_the_window(
    name: str, database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    armed = [arm(installation, point, STORIES[name], authorize_window_s=WINDOW_S) for point in NEVER_SENT]
    victims = await asyncio.gather(*(kill_on(shop, server, STORIES[name]) for server in armed))
    shop.server = await installation.serve(authorize_window_s=WINDOW_S)
    await wait_until_resolved(database_url)
    for victim in victims:
        answer = await shop.send(victim.order)
        assert answer.status == 200
        assert answer.replayed
        assert answer.body["status"] == "failed"
        assert answer.body["failure"]["code"] == "not_processed"
        assert await charge_of(psp.url, answer.body) is None
    await assert_agreement(database_url, psp.url)


@pytest.mark.parametrize("name", CREATES)
async def test_what_reached_the_psp_is_given_back_after_the_window(
    name: str, database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    armed = [arm(installation, point, STORIES[name], authorize_window_s=WINDOW_S) for point in SENT]
    victims = await asyncio.gather(*(kill_on(shop, server, STORIES[name]) for server in armed))
    shop.server = await installation.serve(authorize_window_s=WINDOW_S)
    await wait_until_resolved(database_url)
    for victim in victims:
        answer = await shop.send(victim.order)
        assert answer.status == 200
        assert answer.body["status"] == GIVEN_BACK[name]
        charge = await charge_of(psp.url, answer.body)
        assert charge is not None
        assert charge["amount_captured"] == charge["amount_refunded"]
        assert charge["amount_captured"] + charge["amount_released"] == charge["amount_authorized"]
        timeline = await shop.get(f"/payments/{answer.body['payment_id']}/timeline")
        assert [i["name"] for i in timeline["data"] if i["type"] == "break"] == ["late_authorization"]
    await assert_agreement(database_url, psp.url)


async def test_recorded_in_time_stays_charged(
    database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    story = STORIES["create_automatic"]
    victim = await kill_on(shop, arm(installation, "record.after_commit", story, authorize_window_s=WINDOW_S), story)
    shop.server = await installation.serve(authorize_window_s=WINDOW_S)
    answer = await shop.send(victim.order)
    assert answer.replayed
    await assert_done(shop, psp.url, victim, answer)
    await assert_agreement(database_url, psp.url)


@pytest.mark.parametrize("point", ["accept.after_commit", "record.before_commit"])
async def test_client_that_asks_again_itself_opens_a_new_window(
    point: str, database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    armed = [(arm(installation, point, STORIES[name], authorize_window_s=WINDOW_S), STORIES[name]) for name in CREATES]
    victims = await asyncio.gather(*(kill_on(shop, server, story) for server, story in armed))
    shop.server = await installation.serve(jobs=False, authorize_window_s=30)
    for victim, answer in zip(victims, await asyncio.gather(*(shop.settle(v.order) for v in victims)), strict=True):
        await assert_done(shop, psp.url, victim, answer)
    await assert_agreement(database_url, psp.url)


async def test_looking_at_a_payment_again_and_again_does_not_delay_its_outcome(
    database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    story = STORIES["create_automatic"]
    victim = await kill_on(shop, arm(installation, "accept.after_commit", story, authorize_window_s=WINDOW_S), story)
    shop.server = await installation.serve(authorize_window_s=WINDOW_S)
    page = await shop.get(f"/payments?order_id={victim.order_id()}")
    path = f"/payments/{page['data'][0]['payment_id']}"

    async def is_decided() -> bool:
        return (await shop.get(path))["status"] == "failed"

    await wait_until_async(is_decided, LEASE_S + 20)
    await assert_agreement(database_url, psp.url)
