"""What a customer does in each story, step by step."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bezant.demo.visit import Visit

Play = Callable[[Visit], Awaitable[None]]

VISA: Final = "pm_card_visa"


def pays(payment_method: str) -> Play:
    """Pays, and that is all."""

    async def play(visit: Visit) -> None:
        await visit.pay(payment_method)

    return play


def pays_and_waits(payment_method: str, event_type: str) -> Play:
    """The shop ships when a webhook says so, and asks nobody."""

    async def play(visit: Visit) -> None:
        await visit.pay(payment_method)
        await visit.hears(event_type)

    return play


def debits(*, refused: bool) -> Play:
    """Gives an account instead of a card; the account's bank decides later."""

    async def play(visit: Visit) -> None:
        await visit.pay_by_debit(refused=refused)
        await visit.hears("payment.failed" if refused else "payment.captured")

    return play


def acts(payment_method: str, decision: str) -> Play:
    """Decides on the page of bank or wallet, and comes back."""

    async def play(visit: Visit) -> None:
        await visit.pay(payment_method)
        await visit.act(decision)

    return play


def closes_the_browser(decision: str, event_type: str) -> Play:
    """The customer decides at the bank and never comes back: only webhooks tell."""

    async def play(visit: Visit) -> None:
        await visit.pay("pm_card_3ds")
        await visit.act(decision, comes_back=False)
        await visit.hears(event_type)

    return play


def told(payment_method: str) -> Play:
    """Pays, gets the parcel, sends a part back, while the PSP tells of all of it in its own way."""

    async def play(visit: Visit) -> None:
        await visit.pay(payment_method, "manual")
        await visit.capture()
        await visit.refund(visit.part(30))

    return play


def ships(percents: Sequence[int], *, keeps_rest: bool = False) -> Play:
    """Pays by authorization, and the parcels that leave are captured; the last one releases the rest unless kept."""

    async def play(visit: Visit) -> None:
        await visit.pay(VISA, "manual")
        for number, percent in enumerate(percents, 1):
            is_last = number == len(percents) and not keeps_rest
            await visit.capture(None if percent == 100 else visit.part(percent), final=is_last)

    return play


def returns(percents: Sequence[int]) -> Play:
    """Pays, then sends things back: each percentage of the price is one refund, 100 is all that is left."""

    async def play(visit: Visit) -> None:
        await visit.pay(VISA)
        for percent in percents:
            await visit.refund(None if percent == 100 else visit.part(percent))

    return play


def trouble(operation: str, *words: str, hears: str | None = None) -> Play:
    """The PSP fails in the given ways on the operation after the payment."""

    async def play(visit: Visit) -> None:
        simulate = " ".join(f"{operation}:{word}" for word in words)
        await visit.pay(VISA, "automatic" if operation == "refund" else "manual", simulate)
        await {"capture": visit.capture, "cancel": visit.cancel, "refund": visit.refund}[operation]()
        if hears is not None:
            await visit.hears(hears)

    return play


def silent(payment_method: str) -> Play:
    """The PSP neither answers nor sends a webhook."""

    async def play(visit: Visit) -> None:
        await visit.pay(payment_method, simulate="authorize:webhook_never")

    return play


async def authorizes(visit: Visit) -> None:
    """Ordered; nothing has left the house yet."""
    await visit.pay(VISA, "manual")


async def cancels(visit: Visit) -> None:
    """Changes their mind before anything was shipped."""
    await visit.pay(VISA, "manual")
    await visit.cancel()


async def cancels_the_rest(visit: Visit) -> None:
    """One parcel leaves, the rest is called off."""
    await visit.pay(VISA, "manual")
    await visit.capture(visit.part(40), final=False)
    await visit.cancel()


async def clicks_three_times(visit: Visit) -> None:
    """Is impatient."""
    await visit.pay_impatiently(VISA)


async def pays_later(visit: Visit) -> None:
    """Chooses the card after the order was made."""
    await visit.pay(None)
    await visit.confirm(VISA)


async def leaves_the_cart(visit: Visit) -> None:
    """Never chooses a card."""
    await visit.pay(None)
    await visit.cancel()


async def leaves_at_the_bank(visit: Visit) -> None:
    """Is sent to the bank and decides nothing there."""
    await visit.pay("pm_card_3ds")
    await visit.cancel()


async def hangs_up(visit: Visit) -> None:
    """The shop does not wait for the PSP."""
    await visit.pay_and_hang_up("pm_card_timeout_after")


async def trouble_then_return(visit: Visit) -> None:
    """The PSP answers 500; once a webhook says that it was paid, all of it goes back."""
    await visit.pay("pm_card_500_after")
    await visit.hears("payment.captured")
    await visit.refund()


async def refunded_at_the_psp(visit: Visit) -> None:
    """Somebody refunds past the shop, which hears of it."""
    await visit.pay(VISA)
    await visit.desk.refund(await visit.charge(), visit.part(40))
    await visit.hears("refund.succeeded")


async def captured_at_the_psp(visit: Visit) -> None:
    """Somebody takes the money past the shop, which hears of it."""
    await visit.pay(VISA, "manual")
    await visit.desk.capture(await visit.charge())
    await visit.hears("payment.captured")
