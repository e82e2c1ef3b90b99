"""A shop after a day with everything in it: each way a payment can go, over real HTTP with the simulator."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from bezant.psp.account_secrets import AccountSecrets
from bezant.psp.desk import AccountDesk
from tests.conftest import TEMPLATE
from tests.support.accounts import SOMEBODY, at_desk
from tests.support.databases import copied_database, run
from tests.support.disputes import file, goes_on, heard, open_dispute, pdf, tell
from tests.support.platform import Merchant, Platform, running_platform
from tests.support.processes import free_port
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import receiving
from tests.verify.reconciled import reconcile

UNRESOLVED = "SELECT count(*) FROM payment_attempts WHERE status IN ('sending', 'pending', 'unknown')"


@pytest.fixture(scope="session")
def traded(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database in which two shops have traded. Nobody is connected: it can be copied."""
    with copied_database(server_url, TEMPLATE) as url:
        with traded_platform(url, tmp_path_factory.mktemp("home")):
            pass
        run(reconcile(url))
        yield url


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform on which two shops have traded, with its PSP still there."""
    with traded_platform(database_url, tmp_path) as platform:
        yield platform


@contextmanager
def traded_platform(database_url: str, home: Path) -> Iterator[Platform]:
    env = {"BEZANT_PSP_TIMEOUT_S": "1", "BEZANT_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8"}
    with running_platform(database_url, home, env=env) as platform:
        shops = [platform.merchant(), platform.merchant("EUR", fee_basis_points=150, fee_fixed_minor=0)]
        with ThreadPoolExecutor(len(shops)) as threads:
            list(threads.map(partial(trade, platform), shops))
        trade_in_own_account(platform)
        hear_of_events(platform)
        dispute(platform)
        wait_until(lambda: platform.sql(UNRESOLVED)[0][0] == 0, 60, "every attempt to be resolved")
        yield platform


def trade_in_own_account(platform: Platform) -> None:
    """A merchant whose account at the PSP was closed, and who trades in the next one."""
    shop = platform.merchant()
    run(at_desk(platform.database_url, partial(_open_accounts, merchant_id=shop.merchant_id)))
    shop.do(shop.create()["payment_id"], "refunds", value=1)


def dispute(platform: Platform) -> None:
    """A merchant with three disputes: one won, one lost, one that he has answered."""
    shop = platform.merchant()
    payments = [shop.create().json for _ in range(3)]
    for payment, status in zip(payments, ("won", "lost", "needs_response"), strict=True):
        at_psp = open_dispute(platform, payment)
        if status != "needs_response":
            goes_on(platform, at_psp, {"won": "win", "lost": "lose"}[status])
        tell(platform, at_psp)
    path = f"/disputes/{heard(shop, payments[2], 'needs_response')['dispute_id']}"
    shop.call("POST", f"{path}/evidence", {"texts": {"customer_name": "Jo"}, "files": [file("receipt", pdf())]})
    assert shop.call("POST", f"{path}/submit", {}).status == 200


def hear_of_events(platform: Platform) -> None:
    """A merchant with two servers: one takes what it is sent, the other one is down."""
    shop = platform.merchant()
    with receiving() as receiver:
        for url in (receiver.url, f"http://127.0.0.1:{free_port()}/hooks"):
            endpoint = shop.call("POST", "/webhook_endpoints", {"url": url, "event_types": ["dispute.won"]})
            shop.call("POST", f"/webhook_endpoints/{endpoint['webhook_endpoint_id']}/test", {})
        taken = "SELECT count(*) FROM webhook_deliveries WHERE status = 'delivered'"
        wait_until(lambda: platform.sql(taken)[0][0] == 1, 20, "a webhook to be taken")


async def _open_accounts(desk: AccountDesk, merchant_id: str) -> None:
    for name in ("acme-2026", "acme-2027"):
        secrets = AccountSecrets({"api_key": f"sim_{name}"}, (f"whsec_{name}_0123456789",))
        await desk.create(name, "simulator", merchant_id, secrets, SOMEBODY)
        if name == "acme-2026":
            await desk.close(name, SOMEBODY)


def trade(platform: Platform, shop: Merchant) -> None:
    """Every way a payment can go."""
    for method in ("visa", "declined", "timeout_after", "500_before", "reset_after", "async", "capture_fails"):
        shop.create(f"pm_card_{method}")
    refunded = shop.create()["payment_id"]
    shop.do(refunded, "refunds", value=3_000, reason="too small")
    shop.do(refunded, "refunds")
    shop.do(refunded, "refunds")
    shop.do(shop.create("pm_card_refund_fails")["payment_id"], "refunds")
    shop.do(shop.create("pm_card_refund_async")["payment_id"], "refunds", value=1)
    manual = shop.create(capture_strategy="manual")["payment_id"]
    shop.do(manual, "capture", value=2_500, final=False)
    shop.do(manual, "capture", value=2_500)
    shop.do(shop.create(capture_strategy="manual")["payment_id"], "cancel")
    partly = shop.create(capture_strategy="manual")["payment_id"]
    shop.do(partly, "capture", value=100, final=False)
    shop.do(partly, "cancel")
    shop.do(shop.create(confirm=False)["payment_id"], "cancel")
    shop.create(None, confirm=False)
    platform.customer_decides(shop.create("pm_card_3ds").json, "approve")
    platform.customer_decides(shop.create("pm_card_3ds").json, "refuse")
    shop.do(shop.create("pm_card_3ds")["payment_id"], "cancel")
    shop.create("pm_card_partial")
    lost = {"simulate": "capture:timeout_after refund:500_before"}
    shop.do(shop.create(capture_strategy="manual", metadata=lost)["payment_id"], "capture")
    shop.do(shop.create(metadata=lost)["payment_id"], "refunds")
