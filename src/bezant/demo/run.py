"""A demo from the first process to the last table."""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import aiohttp
import msgspec
from rich.console import Console

from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.base.sealed import Sealer
from bezant.demo import report
from bezant.demo.books import differences
from bezant.demo.checkouts import go_shopping
from bezant.demo.closing import Closing, close_the_day
from bezant.demo.desk import Desk
from bezant.demo.mailbox import Mailbox, Trouble
from bezant.demo.orders import Orders
from bezant.demo.provider import PspName
from bezant.demo.shop import Shop, StoryFailed
from bezant.demo.stage import Stage, set_up
from bezant.demo.summary import Summary, summarize
from bezant.demo.tally import Tally, take
from bezant.demo.traffic import traffic
from bezant.demo.visit import Street
from bezant.merchants.service import Merchants, NewMerchant
from bezant.verify.report import Report
from bezant.verify.run import verify

_WATCH_S: Final = 1.0


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for. Without a port the usual one is taken if it is free."""

    payments: int
    exits: bool
    json_file: Path | None
    psp: PspName
    host: str
    port: int | None


async def play(settings: Settings, options: Options, out: Console, progress: Console) -> Summary:
    """Set everything up, shop, show what came of it; then stay until cancelled, unless told to exit."""
    began_at = time.monotonic()
    async with set_up(settings, options.psp, options.host, options.port, progress) as stage:
        merchant = await _merchant(settings, stage)
        try:
            async with _street(stage, merchant, options.payments) as street:
                summary = await _shop_and_check(settings, stage, street, merchant, options, progress, began_at)
                report.show(summary, out)
                if options.json_file is not None:
                    _write(options.json_file, summary)
                if not options.exits:
                    report.show_way_on(_links(stage, merchant), curl(stage.api_url, merchant.secret_key), out)
                    with suppress(asyncio.CancelledError):
                        await _stay(stage)
        except (StoryFailed, aiohttp.ClientError, TimeoutError) as error:
            stage.require_running()
            logs = settings.home / "demo"
            raise OperatorError(f"The demo cannot go on: {error or type(error).__name__}. See {logs}.") from error
    return summary


@asynccontextmanager
async def _street(stage: Stage, merchant: NewMerchant, payments: int) -> AsyncIterator[Street]:
    """The shop with its webhook endpoint, open for as long as the block lasts."""
    mailbox = Mailbox(Orders(), Trouble(among_first=2 * payments))
    async with aiohttp.ClientSession() as web, mailbox.serving():
        shop = Shop(web, stage.api_url, merchant.secret_key)
        async with mailbox.registered(shop):
            yield Street(shop, mailbox, Desk(web, stage.psp, stage.psp_url), web)


async def _shop_and_check(
    settings: Settings,
    stage: Stage,
    street: Street,
    merchant: NewMerchant,
    options: Options,
    progress: Console,
    began_at: float,
) -> Summary:
    shop, orders = street.shop, street.mailbox.orders
    shopping = await go_shopping(street, stage.psp, options.payments, uuid4().hex[:8], progress)
    calls = shop.counts.calls
    with progress.status("Reading everything back"):
        tally = await take(shop)
        psp_differences = await differences(street.web, stage.psp, stage.psp_url, tally.payments)
        decided, deliveries = tally.decided_by_webhook, len(shopping.deliveries)
        webhooks = await traffic(street, stage.api_url, stage.psp, decided=decided, deliveries=deliveries)
    closing = await _close_the_day(stage, street, tally, progress)
    with progress.status("Reading the books once more"):
        tally = await take(shop)
    with progress.status("Verifying every invariant"):
        verified = await _verified(settings, stage)
    stage.require_running()
    return summarize(
        psp=stage.psp,
        merchant_id=merchant.merchant_id,
        shopping=shopping,
        counts=shop.counts,
        calls_while_shopping=calls,
        tally=tally,
        webhooks=webhooks,
        closing=closing,
        psp_differences=psp_differences,
        shop_differences=orders.differences(tally.payments),
        verified=verified,
        urls=_urls(stage),
        began_at=began_at,
    )


async def _close_the_day(stage: Stage, street: Street, tally: Tally, progress: Console) -> Closing | None:
    """Only the simulator writes reports and bank statements here."""
    if stage.psp != "simulator":
        return None
    currencies = {str(payment["amount"]["currency"]) for payment in tally.payments}
    with progress.status("Closing the day: reports, bank statements, reconciliation"):
        async with _database(stage) as database:
            return await close_the_day(street.web, stage.psp_url, database, currencies, len(tally.payments))


async def _merchant(settings: Settings, stage: Stage) -> NewMerchant:
    async with _database(stage) as database:
        return await Merchants(database, settings.rate_limit_per_s).create("Demo Shop", "USD", stage.psp)


async def _verified(settings: Settings, stage: Stage) -> Report:
    async with _database(stage) as database:
        return await verify(database, sealer=Sealer(settings.master_keys()))


@asynccontextmanager
async def _database(stage: Stage) -> AsyncIterator[Database]:
    database = Database(stage.database_url, connections_max=1, application="bezant demo")
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def _stay(stage: Stage) -> None:
    while True:
        await asyncio.sleep(_WATCH_S)
        stage.require_running()


def _urls(stage: Stage) -> dict[str, str]:
    behind = "/_simulator/charges" if stage.psp == "simulator" else "/v1/payment_intents"
    return {
        "api": f"{stage.api_url}/api/v1",
        "reference": f"{stage.api_url}/docs",
        "metrics": f"{stage.api_url}/metrics",
        stage.psp: stage.psp_url + behind,
    }


def _links(stage: Stage, merchant: NewMerchant) -> dict[str, str]:
    return {
        **_urls(stage),
        "webhooks": f"{stage.api_url}/api/v1/webhook_endpoints",
        "merchant": merchant.merchant_id,
        "secret key": merchant.secret_key,
        "publishable key": merchant.publishable_key,
    }


def curl(api_url: str, secret_key: str) -> str:
    """A payment to try by hand."""
    body = {
        "order_id": "ord_9x7k2m",
        "amount": {"value": 4999, "currency": "USD"},
        "payment_method": "pm_card_visa",
        "capture_strategy": "manual",
    }
    return " \\\n    ".join(
        (
            f"curl -s {api_url}/api/v1/payments",
            f"-H 'Authorization: Bearer {secret_key}'",
            f"-H 'Idempotency-Key: {uuid4().hex[:12]}'",
            "-H 'Content-Type: application/json'",
            f"-d {shlex.quote(msgspec.json.encode(body).decode())}",
        )
    )


def _write(path: Path, summary: Summary) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}.") from error
