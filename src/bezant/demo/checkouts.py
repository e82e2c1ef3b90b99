"""Drives the visits: many at once, each by its story, and then waits until no outcome is open."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bezant.demo.arrivals import bezant_was_told, shop_has_heard
from bezant.demo.shop import Json, Shop, StoryFailed, is_open
from bezant.demo.stories import STORIES, Story, plan
from bezant.demo.visit import Street, Visit

SEED: Final = 20_261_123
_AT_ONCE: Final = 32
_RESOLVED_WITHIN_S: Final = 120.0
_POLL_S: Final = 0.3


class Shopping(msgspec.Struct, frozen=True):
    """What the customers did, and how it went. `failures`: what a story did not allow; `untold`, `unheard`: what is
    amiss with webhooks of the PSP, and to the shop. `deliveries`: those to the shop, as the API lists them.
    """

    stories: dict[str, int]
    failures: list[str]
    untold: list[str]
    unheard: list[str]
    deliveries: list[Json]
    duration_s: float
    resolving_s: float


async def go_shopping(street: Street, psp: str, payments: int, run: str, console: Console) -> Shopping:
    """Tell `payments` stories, wait until every outcome is known and every webhook there, and check how each ended."""
    told = plan(STORIES[psp], payments, random.Random(SEED))  # noqa: S311 - the same mixture each time
    visits = [_visit(street, run, number) for number in range(payments)]
    shop = street.shop
    began_at = time.monotonic()
    with _progress(console) as progress:
        failures = await _play(told, visits, progress)
        bought_at = time.monotonic()
        failures += await _resolve(shop, progress)
        untold = await bezant_was_told(shop, street.desk, await shop.every("/payments"), progress)
        deliveries, unheard = await shop_has_heard(shop, street.mailbox, progress)
        resolved_at = time.monotonic()
    return Shopping(
        stories=dict(Counter(story.name for story in told).most_common()),
        failures=[*failures, *await _wrong_ends(told, visits)],
        untold=untold,
        unheard=unheard,
        deliveries=deliveries,
        duration_s=bought_at - began_at,
        resolving_s=resolved_at - bought_at,
    )


def _visit(street: Street, run: str, number: int) -> Visit:
    return Visit(street, f"demo-{run}-{number + 1:05}", random.Random(f"{SEED}-{number}"))  # noqa: S311


async def _play(told: Sequence[Story], visits: Sequence[Visit], progress: Progress) -> list[str]:
    bar = progress.add_task("checkouts", total=len(told))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(story: Story, visit: Visit) -> str | None:
        async with slots:
            try:
                await story.play(visit)
            except (StoryFailed, aiohttp.ClientError, TimeoutError) as error:
                return f"{story.name} ({visit.order_id}): {error or type(error).__name__}"
            finally:
                progress.advance(bar)
        return None

    outcomes = await asyncio.gather(*map(one, told, visits))
    return [failure for failure in outcomes if failure is not None]


async def _resolve(shop: Shop, progress: Progress) -> list[str]:
    """Wait until the background jobs have found out what became of everything."""
    bar = progress.add_task("resolving unknown outcomes", total=None)
    give_up_at = time.monotonic() + _RESOLVED_WITHIN_S
    most = 0
    while True:
        waiting = [payment for payment in await shop.every("/payments") if is_open(payment)]
        most = max(most, len(waiting))
        progress.update(bar, total=most, completed=most - len(waiting))
        if not waiting:
            progress.update(bar, total=max(1, most), completed=max(1, most))
            return []
        if time.monotonic() >= give_up_at:
            return [f"{p['payment_id']} is still open: {p['pending_operation']}" for p in waiting]
        await asyncio.sleep(_POLL_S)


async def _wrong_ends(told: Sequence[Story], visits: Sequence[Visit]) -> list[str]:
    wrong: list[str] = []
    for story, visit in zip(told, visits, strict=True):
        if not visit.payment:
            continue  # the story failed before, and is listed
        await visit.refresh()
        status = visit.payment["status"]
        if status not in story.ends_as:
            wrong.append(f"{story.name} ({visit.payment_id}) ended {status}, not {' or '.join(sorted(story.ends_as))}")
    return wrong


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
