"""What customers do: each story with how often it is told and the states in which its payment may end."""

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from bezant.demo import plays
from bezant.demo.plays import VISA, Play


class Story(msgspec.Struct, frozen=True):
    """A story. `weight`: how often, among the others; `ends_as`: the states that are right at its end."""

    name: str
    weight: int
    ends_as: frozenset[str]
    play: Play


def plan(stories: Sequence[Story], payments: int, chance: random.Random) -> list[Story]:
    """`payments` stories: each one once where there is room, the frequent ones first, the rest by weight; shuffled."""
    by_weight = sorted(stories, key=lambda story: -story.weight)
    told = by_weight[:payments]
    told += chance.choices(stories, weights=[story.weight for story in stories], k=payments - len(told))
    chance.shuffle(told)
    return told


def _states(text: str) -> frozenset[str]:
    return frozenset(text.split())


_EVERY_PSP: Final = (
    Story("pays at once", 30, _states("captured"), plays.pays(VISA)),
    Story("pays when the parcel leaves", 10, _states("captured"), plays.ships([100])),
    Story("a part is sold out: the rest is released", 6, _states("captured"), plays.ships([60])),
    Story("ordered, not shipped yet", 4, _states("authorized"), plays.authorizes),
    Story("cancels before shipping", 6, _states("canceled"), plays.cancels),
    Story("sends everything back", 7, _states("refunded"), plays.returns([100])),
    Story("sends one thing back", 6, _states("captured"), plays.returns([30])),
    Story("sends things back, one by one", 4, _states("refunded"), plays.returns([20, 30, 100])),
    Story("clicks three times: one key, one charge", 6, _states("captured"), plays.clicks_three_times),
    Story("chooses the card later", 3, _states("captured"), plays.pays_later),
    Story("leaves the cart behind", 2, _states("canceled"), plays.leaves_the_cart),
)

_SIMULATOR: Final = (
    Story("three parcels, three captures", 5, _states("captured"), plays.ships([30, 30, 100])),
    Story("one parcel now, the rest stays authorized", 2, _states("captured"), plays.ships([50], keeps_rest=True)),
    Story("one parcel, then the rest is canceled", 3, _states("captured"), plays.cancels_the_rest),
    Story("card declined", 4, _states("failed"), plays.pays("pm_card_declined")),
    Story("not enough money", 3, _states("failed"), plays.pays("pm_card_insufficient_funds")),
    Story("card expired", 2, _states("failed"), plays.pays("pm_card_expired")),
    Story("card stolen", 1, _states("failed"), plays.pays("pm_card_stolen")),
    Story("3-D Secure, approved", 5, _states("captured"), plays.acts("pm_card_3ds", "approve")),
    Story("3-D Secure, refused", 2, _states("failed"), plays.acts("pm_card_3ds", "refuse")),
    Story("3-D Secure, never decided: canceled", 1, _states("canceled"), plays.leaves_at_the_bank),
    Story(
        "3-D Secure, approved, browser closed",
        3,
        _states("captured"),
        plays.closes_the_browser("approve", "payment.captured"),
    ),
    Story(
        "3-D Secure, refused, browser closed",
        1,
        _states("failed"),
        plays.closes_the_browser("refuse", "payment.failed"),
    ),
    Story("wallet, approved", 3, _states("captured"), plays.acts("pm_wallet", "approve")),
    Story("wallet, refused", 1, _states("failed"), plays.acts("pm_wallet", "refuse")),
    Story("slow rail, approved", 4, _states("captured"), plays.pays_and_waits("pm_card_async", "payment.captured")),
    Story("slow rail, refused", 1, _states("failed"), plays.pays_and_waits("pm_card_async_fails", "payment.failed")),
    Story("webhook before the answer", 4, _states("captured"), plays.told("pm_card_webhook_first")),
    Story("every webhook twice", 4, _states("captured"), plays.told("pm_card_webhook_twice")),
    Story("webhooks shuffled", 4, _states("captured"), plays.told("pm_card_webhook_shuffled")),
    Story("PSP takes the money, never answers", 4, _states("captured"), plays.pays("pm_card_timeout_after")),
    Story("PSP takes the money, says nothing at all", 2, _states("captured"), plays.silent("pm_card_timeout_after")),
    Story("PSP never hears of it, never answers", 4, _states("captured"), plays.pays("pm_card_timeout_before")),
    Story("PSP takes the money, answers 500", 3, _states("captured"), plays.pays("pm_card_500_after")),
    Story("PSP does nothing, answers 500", 3, _states("captured"), plays.pays("pm_card_500_before")),
    Story("connection lost after the PSP took the money", 2, _states("captured"), plays.pays("pm_card_reset_after")),
    Story("the same, and no webhook either", 2, _states("captured"), plays.silent("pm_card_reset_after")),
    Story("the shop hangs up and asks again", 3, _states("captured"), plays.hangs_up),
    Story("PSP is slow", 2, _states("captured"), plays.pays("pm_card_slow_2s")),
    Story("capture without an answer", 2, _states("captured"), plays.trouble("capture", "timeout_after")),
    Story(
        "capture without answer or webhook",
        1,
        _states("captured"),
        plays.trouble("capture", "500_after", "webhook_never"),
    ),
    Story("capture never arrives", 2, _states("captured"), plays.trouble("capture", "reset_before")),
    Story("captured in the PSP's dashboard", 2, _states("captured"), plays.captured_at_the_psp),
    Story("refunded in the PSP's dashboard", 3, _states("captured"), plays.refunded_at_the_psp),
    Story("refund answered with 500", 2, _states("refunded"), plays.trouble("refund", "500_after")),
    Story("refund never arrives", 2, _states("refunded"), plays.trouble("refund", "timeout_before")),
    Story("cancel without an answer", 2, _states("canceled"), plays.trouble("cancel", "reset_after")),
    Story("paid through a 500, then sent back", 2, _states("refunded"), plays.trouble_then_return),
    Story("slow refund", 3, _states("refunded"), plays.trouble("refund", "async", hears="refund.succeeded")),
    Story(
        "slow refund, refused", 1, _states("captured"), plays.trouble("refund", "async_fails", hears="refund.failed")
    ),
    Story("refund comes back", 1, _states("captured"), plays.trouble("refund", "fails_later", hears="refund.failed")),
    Story("refund refused by the PSP", 1, _states("captured"), plays.trouble("refund", "fails")),
    Story("capture refused by the PSP", 1, _states("authorized"), plays.trouble("capture", "fails")),
)

_STRIPE: Final = (
    Story("card declined", 8, _states("failed"), plays.pays("pm_card_chargeCustomerFail")),
    Story("bank debit, done some seconds later", 8, _states("captured"), plays.debits(refused=False)),
    Story("bank debit, refused some seconds later", 3, _states("failed"), plays.debits(refused=True)),
)

STORIES: Final[dict[str, tuple[Story, ...]]] = {
    "simulator": (*_EVERY_PSP, *_SIMULATOR),
    "stripe": (*_EVERY_PSP, *_STRIPE),
}
"""The stories of each PSP: what only the simulator's magic words can bring about is left out elsewhere."""
