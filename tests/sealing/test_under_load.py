"""The master key is changed, again and again, while merchants sell through accounts that it seals."""

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from bezant.base import ids
from bezant.base.config import Settings
from bezant.base.db import Database
from bezant.base.master_key import add_kept_key, drop_former_kept_keys
from bezant.base.migrate import migrate
from bezant.base.postgres import Embedded
from bezant.base.sealed import Sealer
from bezant.payments.render import ClientSecrets
from bezant.psp.account_secrets import AccountSecrets
from bezant.psp.desk import AccountDesk
from bezant.sealing.rotate import Rotated, rotate
from tests.support.accounts import SOMEBODY, Accountable, accountable
from tests.support.databases import run
from tests.support.platform import Merchant
from tests.support.verification import describe, verified
from tests.support.waiting import wait_until

UNSET = {"BEZANT_DATABASE_URL": "", "BEZANT_MASTER_KEY": ""}
TURNS, SOLD_BETWEEN = 3, 16


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with an embedded database of its own, which its user can reach also as root."""
    with tempfile.TemporaryDirectory(prefix="bezant-sealing-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        yield home
        Embedded(home).stop()


class Seller:
    """Sells until told to stop, each payment through two processes and a browser."""

    def __init__(self, shop: Merchant) -> None:
        self.shop = shop
        self.sold = 0

    def sell(self, stop: threading.Event) -> None:
        while not stop.is_set():
            for api in (0, 1):
                self._sell_one(api, 1 - api)
                self.sold += 1

    def _sell_one(self, one: int, other: int) -> None:
        payment = self.shop.create(api=one, capture_strategy="manual")
        assert (payment.status, payment["status"]) == (200, "authorized"), payment
        path, secret = f"/payments/{payment['payment_id']}", payment["client_secret"]
        seen = self.shop.get(path, bearer=self.shop.publishable_key, client_secret=secret, api=other)
        assert seen.status == 200, seen
        captured = self.shop.do(payment["payment_id"], "capture", api=other)
        assert (captured.status, captured["status"]) == (200, "captured"), captured


def test_nobody_who_sells_notices(home: Path) -> None:
    url = Embedded(home).ensure_running()
    run(migrate(url))
    kept = Settings(home=home)
    with accountable(url, home, envs=(UNSET, UNSET)) as place:
        sellers = [Seller(shop) for shop in (open_shop(place, kept, "acme"), open_shop(place, kept, "other"))]
        stop = threading.Event()
        with ThreadPoolExecutor(len(sellers)) as threads:
            selling = [threads.submit(seller.sell, stop) for seller in sellers]
            try:
                for _ in range(TURNS):
                    turn_key(url, kept)
                    for api in (0, 1):
                        wait_until(partial(derives_from_newest, sellers[0].shop, kept, api), 20)
                    goal = sum(seller.sold for seller in sellers) + SOLD_BETWEEN
                    wait_until(partial(reached, sellers, goal), 60)
            finally:
                stop.set()
            for each in selling:
                each.result()
        assert place.psp.keys() == {"sim_acme", "sim_other"}
    report = run(verified(url, Sealer(kept.master_keys())))
    assert report.ok, describe(report)


def open_shop(place: Accountable, kept: Settings, name: str) -> Merchant:
    shop = place.platform.merchant()
    secrets = AccountSecrets({"api_key": f"sim_{name}"})

    async def create(desk: AccountDesk) -> None:
        await desk.create(name, "simulator", shop.merchant_id, secrets, SOMEBODY)

    place.at_desk(create, Sealer(kept.master_keys()))
    return shop


def turn_key(url: str, kept: Settings) -> None:
    """A new key, everything under it, and the one before the last forgotten."""
    assert kept.kept_master_key is not None
    drop_former_kept_keys(kept.kept_master_key)
    add_kept_key(kept.kept_master_key)
    rotated = run(rotated_by(url, Sealer(kept.master_keys())))
    assert (rotated.rows["psp_accounts"], rotated.unopened) == (2, [])


def derives_from_newest(shop: Merchant, kept: Settings, api: int) -> bool:
    """Whether the process has noticed the change."""
    payment = shop.create(None, confirm=False, api=api).json
    payment_id = ids.parse(ids.PAYMENT, payment["payment_id"])
    assert payment_id is not None
    return payment["client_secret"] == ClientSecrets(kept.master_keys()).of(payment_id)


async def rotated_by(url: str, sealer: Sealer) -> Rotated:
    database = Database(url, connections_max=1)
    await database.open()
    try:
        return await rotate(database, sealer, lambda _: None)
    finally:
        await database.close()


def reached(sellers: list[Seller], goal: int) -> bool:
    return sum(seller.sold for seller in sellers) >= goal
