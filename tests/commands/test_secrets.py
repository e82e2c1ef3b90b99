"""`bezant secrets ...`: the master key is changed while the API serves, and nobody notices but the auditor."""

import json
import signal
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bezant.base import ids
from bezant.base.config import Settings
from bezant.base.master_key import derived, kept_keys
from bezant.base.migrate import migrate
from bezant.base.postgres import Embedded
from bezant.base.sealed import Sealer, key_id_of
from bezant.payments.render import ClientSecrets
from bezant.psp.account_secrets import AccountSecrets
from tests.support.accounts import SOMEBODY, Accountable, accountable, added_to
from tests.support.databases import run
from tests.support.platform import MASTER_KEY, Answer, Api, Merchant
from tests.support.processes import bezant
from tests.support.verification import describe, verified
from tests.support.waiting import wait_until

NEXT_KEY = "the next master key" + "1" * 32
ROTATING = {"BEZANT_MASTER_KEY": NEXT_KEY, "BEZANT_MASTER_KEY_OLD": MASTER_KEY}
READY = {"BEZANT_MASTER_KEY": MASTER_KEY, "BEZANT_MASTER_KEY_OLD": NEXT_KEY}


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Accountable]:
    """Processes at each step of a change: with the former key and the next in reserve, and with the next key."""
    with accountable(database_url, tmp_path / "home", envs=(READY, ROTATING)) as place:
        yield place


def said(place: Accountable, *arguments: str, env: Mapping[str, str]) -> tuple[int, str]:
    with bezant("secrets", *arguments, env=added_to(place.platform.env, env)) as process:
        return process.wait(60), process.output()


def told(place: Accountable, *arguments: str, env: Mapping[str, str]) -> Any:
    status, output = said(place, *arguments, "--json", env=env)
    assert status == 0, output
    return json.loads(output)


def status(place: Accountable, env: Mapping[str, str]) -> dict[str, int]:
    """How many accounts are sealed with the newest, the former, or a missing key."""
    found = json.loads(said(place, "status", "--json", env=env)[1].splitlines()[0])
    return {rows["key"]: rows["rows"] for rows in found}


def browser(shop: Merchant, payment: Any, api: int) -> Answer:
    secret = payment["client_secret"]
    path = f"/payments/{payment['payment_id']}"
    return shop.get(path, bearer=shop.publishable_key, client_secret=secret, api=api)


def test_the_master_key_is_changed_while_the_api_serves(place: Accountable) -> None:
    acme = place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme")
    before = acme.create(key="before", api=0)
    assert status(place, ROTATING) == {"former": 1}

    rotated = told(place, "rotate", "--reason", "once a year", env=ROTATING)
    assert rotated["rows"] == {"psp_accounts": 1, "webhook_endpoints": 0}
    assert status(place, ROTATING) == {"newest": 1}
    after = acme.create(key="after", api=1)
    for api in (0, 1):
        assert acme.create(api=api)["status"] == "captured"
        for payment in (before, after):
            assert browser(acme, payment.json, api).status == 200
        assert acme.create(key="before", api=api, order_id=before["order_id"]).body == before.body
        assert acme.create(key="after", api=api, order_id=after["order_id"]).body == after.body
    assert place.psp.keys() == {"sim_acme"}

    report = run(verified(place.platform.database_url, Sealer([derived(NEXT_KEY)])))
    assert report.ok, describe(report)
    rows = place.platform.sql("SELECT action, subject, reason FROM audit_log WHERE action LIKE '%master%'")
    assert rows == [("rotate_master_key", rotated["key_id"], "once a year")]
    assert told(place, "rotate", env=ROTATING)["rows"] == {"psp_accounts": 0, "webhook_endpoints": 0}
    assert len(place.platform.sql("SELECT 1 FROM audit_log WHERE action LIKE '%master%'")) == 1
    assert said(place, "forget", env=ROTATING) == (
        0,
        "Nothing is sealed with a former key: BEZANT_MASTER_KEY_OLD may be unset, everywhere.\n",
    )


def test_the_former_key_is_not_forgotten_while_it_is_needed(place: Accountable) -> None:
    place.account_of(place.platform.merchant(), "acme", "sim_acme")
    assert said(place, "forget", env=ROTATING) == (
        1,
        "error: 1 rows are still sealed with it: run `bezant secrets rotate` first.\n",
    )


def test_rows_whose_key_is_not_given_are_named_by_status_and_by_rotate(place: Accountable) -> None:
    place.account_of(place.platform.merchant(), "acme", "sim_acme")
    alone = {"BEZANT_MASTER_KEY": NEXT_KEY}
    former = Sealer([derived(MASTER_KEY)]).key_id
    code, output = said(place, "status", env=alone)
    assert code == 1
    assert former in output
    code, output = said(place, "rotate", env=alone)
    assert code == 1
    assert "1 rows do not open and stay as they are" in output
    assert "BEZANT_MASTER_KEY_OLD" in output
    assert MASTER_KEY not in output
    assert status(place, ROTATING) == {"former": 1}


@pytest.mark.parametrize("point", ["rotate.before_commit", "rotate.after_commit"])
def test_killed_at_any_point_it_is_finished_by_a_repeat(place: Accountable, point: str) -> None:
    shops = [place.platform.merchant() for _ in range(3)]
    for number, shop in enumerate(shops):
        place.account_of(shop, f"acme-{number}", f"sim_acme_{number}")
    killed = {**ROTATING, "BEZANT_FAILPOINTS": f"{point}:psp_accounts=kill"}
    assert said(place, "rotate", env=killed)[0] == -signal.SIGKILL
    for number, shop in enumerate(shops):
        assert shop.create(api=number % 2)["status"] == "captured"
    assert said(place, "rotate", env=ROTATING)[0] == 0
    assert status(place, ROTATING) == {"newest": 3}
    assert place.psp.keys() == {"sim_acme_0", "sim_acme_1", "sim_acme_2"}


@pytest.fixture
def embedded_home() -> Iterator[Path]:
    """A home with an embedded database of its own, which its user can reach also as root."""
    with tempfile.TemporaryDirectory(prefix="bezant-secrets-") as folder:
        Path(folder).chmod(0o711)
        home = Path(folder) / "home"
        yield home
        Embedded(home).stop()


def test_a_kept_key_is_changed_by_the_command_alone_and_running_processes_notice(embedded_home: Path) -> None:
    url = Embedded(embedded_home).ensure_running()
    run(migrate(url))
    kept = Settings(home=embedded_home)
    env = {"BEZANT_DATABASE_URL": "", "BEZANT_MASTER_KEY": ""}  # not set: the key is kept beside the database
    with accountable(url, embedded_home, envs=(env, env)) as place:
        acme = place.platform.merchant()
        assert sum(told(place, "rotate", env=env)["rows"].values()) == 0, "nothing is sealed yet"
        for api in (0, 1):
            wait_until(partial(derives_from_newest, acme, kept, api), 20)
        told(place, "forget", env=env)

        secrets = AccountSecrets({"api_key": "sim_acme"})
        sealer = Sealer(kept.master_keys())
        first = sealer.key_id
        place.at_desk(lambda d: d.create("acme", "simulator", acme.merchant_id, secrets, SOMEBODY), sealer)
        before = acme.create(api=0).json
        rotated = told(place, "rotate", env=env)
        assert rotated["rows"]["psp_accounts"] == 1
        assert status(place, env) == {"newest": 1}
        assert [key_id_of(derived(key)) for key in kept_keys(embedded_home / "master.key")] == [
            rotated["key_id"],
            first,
        ]

        since = Api(added_to(place.platform.env, env))
        place.platform.apis.append(since)
        since.launch()
        since.wait_until_ready()
        after = acme.create(api=2).json
        assert after["client_secret"].partition("_secret_")[2] != before["client_secret"].partition("_secret_")[2]
        for api in (0, 1, 2):
            assert acme.create(api=api)["status"] == "captured"
            assert [browser(acme, payment, api).status for payment in (before, after)] == [200, 200]
        assert place.psp.keys() == {"sim_acme"}

        assert told(place, "rotate", env=env)["rows"]["psp_accounts"] == 0, "a repeat makes no third key"
        assert told(place, "forget", env=env)["former"] == [first]
        assert status(place, env) == {"newest": 1}
        fourth = Api(added_to(place.platform.env, env))
        place.platform.apis.append(fourth)
        fourth.launch()
        fourth.wait_until_ready()
        assert [browser(acme, payment, 3).status for payment in (before, after)] == [404, 200]
        assert acme.create(api=3)["status"] == "captured"
        assert place.psp.keys() == {"sim_acme"}
    report = run(verified(url, Sealer(kept.master_keys())))
    assert report.ok, describe(report)


def derives_from_newest(shop: Merchant, kept: Settings, api: int) -> bool:
    """Whether the process has noticed the change."""
    payment = shop.create(None, confirm=False, api=api).json
    payment_id = ids.parse(ids.PAYMENT, payment["payment_id"])
    assert payment_id is not None
    return payment["client_secret"] == ClientSecrets(kept.master_keys()).of(payment_id)
