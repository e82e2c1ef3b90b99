"""The API is killed with SIGKILL at every named point of every operation, and nothing is lost or done twice."""

import asyncio

import pytest

from bezant.base.failpoints import POINTS
from tests.crash.stories import STORIES, Victim, arm, assert_done, kill_on
from tests.support.agreement import assert_agreement, charge_of, wait_until_resolved
from tests.support.shop import Installation, Shop
from tests.support.simulator import SimulatorProcess

OF_COMMANDS = sorted(point for point in POINTS if point.startswith(("accept.", "call.", "record.")))
NOTHING_IS_COMMITTED = {"accept.before_begin", "accept.before_commit"}
TWICE_KILLED = ("create_automatic", "capture", "refund")


@pytest.mark.parametrize("point", OF_COMMANDS)
async def test_killed_client_repeats_and_learns_the_truth(
    point: str, database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    victims = await _killed_at(point, installation, shop)
    # Without jobs: it is the client's repeat alone that finds out.
    shop.server = await installation.serve(jobs=False)
    for victim, answer in zip(victims, await asyncio.gather(*(shop.settle(v.order) for v in victims)), strict=True):
        await assert_done(shop, psp.url, victim, answer)
        again = await shop.send(victim.order)
        assert again.status == 200
        assert again.body == answer.body
        assert again.replayed
    await assert_agreement(database_url, psp.url)


@pytest.mark.parametrize("point", OF_COMMANDS)
async def test_killed_and_no_client_repeats(
    point: str, database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    victims = await _killed_at(point, installation, shop)
    shop.server = await installation.serve()
    await wait_until_resolved(database_url)
    await assert_agreement(database_url, psp.url)
    for victim in victims:
        assert await _has_happened(psp.url, victim) is (point not in NOTHING_IS_COMMITTED)
        answer = await shop.send(victim.order)
        assert answer.replayed is (point not in NOTHING_IS_COMMITTED)
        await assert_done(shop, psp.url, victim, answer)
    await assert_agreement(database_url, psp.url)


@pytest.mark.parametrize(
    "point", ["call.before_send", "call.after_send", "record.before_commit", "record.after_commit"]
)
async def test_killed_again_while_finding_out(
    point: str, database_url: str, installation: Installation, psp: SimulatorProcess, shop: Shop
) -> None:
    armed = [(arm(installation, "accept.after_commit", STORIES[name]), STORIES[name]) for name in TWICE_KILLED]
    victims = await asyncio.gather(*(kill_on(shop, server, story) for server, story in armed))
    second = await installation.serve(failpoints=f"{point}=kill")
    await second.died()
    shop.server = await installation.serve()
    await wait_until_resolved(database_url)
    for victim in victims:
        await assert_done(shop, psp.url, victim, await shop.send(victim.order))
    await assert_agreement(database_url, psp.url)


async def _killed_at(point: str, installation: Installation, shop: Shop) -> list[Victim]:
    armed = [(arm(installation, point, story), story) for story in STORIES.values()]
    return await asyncio.gather(*(kill_on(shop, server, story) for server, story in armed))


async def _has_happened(psp_url: str, victim: Victim) -> bool:
    charge = await charge_of(psp_url, {"order_id": victim.order_id()})
    wanted = victim.story.attempt
    return charge is not None and any(o["kind"] == wanted and o["status"] == "succeeded" for o in charge["operations"])
