"""What customers do: each story with how often it is told and the states in which its payment may end."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from bezant.demo.visit import Visit

Play = Callable[[Visit], Awaitable[None]]

VISA: Final = "pm_card_visa"


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


def _pays(payment_method: str) -> Play:
    async def play(visit: Visit) -> None:
        await visit.pay(payment_method)

    return play


def _acts(payment_method: str, decision: str) -> Play:
    async def play(visit: Visit) -> None:
        await visit.pay(payment_method)
        await visit.act(decision)

    return play


def _ships(percents: Sequence[int], *, keeps_rest: bool = False) -> Play:
    """Pays by authorization, and the parcels that leave are captured; the last one releases the rest unless kept."""

    async def play(visit: Visit) -> None:
        await visit.pay(VISA, "manual")
        for number, percent in enumerate(percents, 1):
            is_last = number == len(percents) and not keeps_rest
            await visit.capture(None if percent == 100 else visit.part(percent), final=is_last)

    return play


def _returns(percents: Sequence[int]) -> Play:
    """Pays, then sends things back: each percentage of the price is one refund, 100 is all that is left."""

    async def play(visit: Visit) -> None:
        await visit.pay(VISA)
        for percent in percents:
            await visit.refund(None if percent == 100 else visit.part(percent))

    return play


def _trouble(operation: str, word: str) -> Play:
    """The PSP fails in the given way on the operation after the payment."""

    async def play(visit: Visit) -> None:
        await visit.pay(VISA, "automatic" if operation == "refund" else "manual", f"{operation}:{word}")
        await {"capture": visit.capture, "cancel": visit.cancel, "refund": visit.refund}[operation]()

    return play


async def _authorizes(visit: Visit) -> None:
    await visit.pay(VISA, "manual")


async def _cancels(visit: Visit) -> None:
    await visit.pay(VISA, "manual")
    await visit.cancel()


async def _cancels_the_rest(visit: Visit) -> None:
    await visit.pay(VISA, "manual")
    await visit.capture(visit.part(40), final=False)
    await visit.cancel()


async def _clicks_three_times(visit: Visit) -> None:
    await visit.pay_impatiently(VISA)


async def _pays_later(visit: Visit) -> None:
    await visit.pay(None)
    await visit.confirm(VISA)


async def _leaves_the_cart(visit: Visit) -> None:
    await visit.pay(None)
    await visit.cancel()


async def _leaves_at_the_bank(visit: Visit) -> None:
    await visit.pay("pm_card_3ds")
    await visit.cancel()


async def _hangs_up(visit: Visit) -> None:
    await visit.pay_and_hang_up("pm_card_timeout_after")


async def _trouble_then_return(visit: Visit) -> None:
    await visit.pay("pm_card_500_after")
    await visit.settle()
    await visit.refund()


def _states(text: str) -> frozenset[str]:
    return frozenset(text.split())


_EVERY_PSP: Final = (
    Story("pays at once", 30, _states("captured"), _pays(VISA)),
    Story("pays when the parcel leaves", 10, _states("captured"), _ships([100])),
    Story("a part is sold out: the rest is released", 6, _states("captured"), _ships([60])),
    Story("ordered, not shipped yet", 4, _states("authorized"), _authorizes),
    Story("cancels before shipping", 6, _states("canceled"), _cancels),
    Story("sends everything back", 7, _states("refunded"), _returns([100])),
    Story("sends one thing back", 6, _states("captured"), _returns([30])),
    Story("sends things back, one by one", 4, _states("refunded"), _returns([20, 30, 100])),
    Story("clicks three times: one key, one charge", 6, _states("captured"), _clicks_three_times),
    Story("chooses the card later", 3, _states("captured"), _pays_later),
    Story("leaves the cart behind", 2, _states("canceled"), _leaves_the_cart),
)

_SIMULATOR: Final = (
    Story("three parcels, three captures", 5, _states("captured"), _ships([30, 30, 100])),
    Story("one parcel now, the rest stays authorized", 2, _states("captured"), _ships([50], keeps_rest=True)),
    Story("one parcel, then the rest is canceled", 3, _states("captured"), _cancels_the_rest),
    Story("card declined", 4, _states("failed"), _pays("pm_card_declined")),
    Story("not enough money", 3, _states("failed"), _pays("pm_card_insufficient_funds")),
    Story("card expired", 2, _states("failed"), _pays("pm_card_expired")),
    Story("card stolen", 1, _states("failed"), _pays("pm_card_stolen")),
    Story("3-D Secure, approved", 5, _states("captured"), _acts("pm_card_3ds", "approve")),
    Story("3-D Secure, refused", 2, _states("failed"), _acts("pm_card_3ds", "refuse")),
    Story("3-D Secure, never decided: canceled", 1, _states("canceled"), _leaves_at_the_bank),
    Story("wallet, approved", 3, _states("captured"), _acts("pm_wallet", "approve")),
    Story("wallet, refused", 1, _states("failed"), _acts("pm_wallet", "refuse")),
    Story("slow rail: approved some seconds later", 3, _states("captured"), _pays("pm_card_async")),
    Story("PSP takes the money, never answers", 4, _states("captured"), _pays("pm_card_timeout_after")),
    Story("PSP never hears of it, never answers", 4, _states("captured"), _pays("pm_card_timeout_before")),
    Story("PSP takes the money, answers 500", 3, _states("captured"), _pays("pm_card_500_after")),
    Story("PSP does nothing, answers 500", 3, _states("captured"), _pays("pm_card_500_before")),
    Story("connection lost after the PSP took the money", 3, _states("captured"), _pays("pm_card_reset_after")),
    Story("the shop hangs up and asks again", 3, _states("captured"), _hangs_up),
    Story("PSP is slow", 2, _states("captured"), _pays("pm_card_slow_2s")),
    Story("capture without an answer", 3, _states("captured"), _trouble("capture", "timeout_after")),
    Story("capture never arrives", 2, _states("captured"), _trouble("capture", "reset_before")),
    Story("refund answered with 500", 2, _states("refunded"), _trouble("refund", "500_after")),
    Story("refund never arrives", 2, _states("refunded"), _trouble("refund", "timeout_before")),
    Story("cancel without an answer", 2, _states("canceled"), _trouble("cancel", "reset_after")),
    Story("paid through a 500, then sent back", 2, _states("refunded"), _trouble_then_return),
    Story("refund acknowledged, done later", 2, _states("refunded"), _trouble("refund", "async")),
    Story("refund refused by the PSP", 1, _states("captured"), _trouble("refund", "fails")),
    Story("capture refused by the PSP", 1, _states("authorized"), _trouble("capture", "fails")),
)

_STRIPE: Final = (Story("card declined", 8, _states("failed"), _pays("pm_card_chargeCustomerFail")),)

STORIES: Final[dict[str, tuple[Story, ...]]] = {
    "simulator": (*_EVERY_PSP, *_SIMULATOR),
    "stripe": (*_EVERY_PSP, *_STRIPE),
}
"""The stories of each PSP: what only the simulator's magic words can bring about is left out elsewhere."""
