"""What people see of kept events and have tried again: each merchant its own by API, the operator all by command."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bezant.base.db import Database
from bezant.merchants.service import Merchants, NewMerchant
from tests.conftest import MASTER_KEY
from tests.inbox.acme import body_of, event
from tests.inbox.conftest import Acme
from tests.support.databases import run
from tests.support.platform import Answer, request
from tests.support.processes import bezant

API = "/api/v1/inbox_events"


class Shop:
    """A merchant with a key."""

    def __init__(self, acme: Acme, made: NewMerchant, key: str | None = None) -> None:
        self.acme = acme
        self.id = UUID(made.merchant_id.partition("_")[2])
        self.key = key or made.secret_key

    def get(self, path: str = "") -> Answer:
        return request(self.acme.url + API + path, "GET", None, {"Authorization": f"Bearer {self.key}"})

    def post(self, path: str) -> Answer:
        return request(self.acme.url + API + path, "POST", None, {"Authorization": f"Bearer {self.key}"})

    def told(self, *refs: str, **options: Any) -> str:
        """An event about a payment of this merchant, told to the platform's own account; its id."""
        payment_id = self.acme.payment(self.id)
        for ref in refs:
            self.acme.says(ref, f"pay:{payment_id}:{self.id}")
        return self.acme.tells(*refs, **options)


def shop_of(acme: Acme, scopes: list[str] | None = None) -> Shop:
    async def create() -> Shop:
        database = Database(acme.database_url, connections_max=1)
        await database.open()
        try:
            merchants = Merchants(database, 1000)
            made = await merchants.create("A shop", "USD", "simulator")
            key = None if scopes is None else await merchants.create_key(made.merchant_id, "secret", scopes, None)
            return Shop(acme, made, None if key is None else key.key)
        finally:
            await database.close()

    return run(create())


def ids_of(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [each["event_id"] for each in answer["data"]]


def test_a_merchant_sees_what_names_its_payments_or_came_to_its_accounts(acme: Acme):
    mine, other = shop_of(acme), shop_of(acme)
    acme.account("mine", mine.id)
    seen = {mine.told("r1"), acme.tells(type_="news", account="mine")}
    hidden = {other.told("r2"), acme.tells("r3")}
    acme.is_settled()
    assert set(ids_of(mine.get())) == seen
    for event_id in hidden:
        shown = f"/inb_{acme.kept(event_id)['id'].hex}"
        assert mine.get(shown).status == mine.post(shown + "/retry").status == 404
    assert mine.get("/inb_x").status == mine.get("/evt_" + "0" * 32).status == 404


def test_an_event_is_shown_with_what_the_psp_said_but_a_list_has_no_bodies(acme: Acme):
    mine = shop_of(acme)
    acme.account("mine", mine.id)
    event_id = acme.tells("whsec_0123456789", "r1", account="mine")
    kept = acme.becomes(event_id, "applied")
    shown = mine.get(f"/inb_{kept['id'].hex}").json
    body = json.loads(shown.pop("body"))
    assert body == {
        "id": event_id, "type": "op.done", "at": "2026-11-23T12:00:00Z", "refs": ["[redacted]", "r1"],
    }  # fmt: skip
    assert mine.get().json["data"] == [shown]
    assert shown["psp_account"] == "mine"
    assert (shown["status"], shown["tries"], shown["occurred_at"]) == ("applied", 1, "2026-11-23T12:00:00Z")


def test_a_list_is_paged_and_narrowed(acme: Acme):
    mine = shop_of(acme)
    acme.account("mine", mine.id)
    acme.account("mine2", mine.id, "careless")
    acme.says("w", "wait")
    first, second = acme.tells("w", account="mine"), acme.tells(type_="news", account="mine")
    third = acme.tells("r3", account="mine2", psp="careless")
    acme.becomes(first, "waiting")
    acme.becomes(third, "aside", "applied", "waiting")
    pages: list[str] = []
    cursor = ""
    while True:
        page = mine.get(f"?limit=1{cursor}")
        pages += ids_of(page)
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(pages) == sorted([first, second, third])
    assert ids_of(mine.get("?status=unknown")) == [second]
    assert ids_of(mine.get("?psp=careless")) == [third]
    assert ids_of(mine.get("?type=news")) == [second]
    assert ids_of(mine.get("?since=2099-01-01T00:00:00Z")) == []
    assert len(ids_of(mine.get("?since=2020-01-01T00:00:00Z"))) == 3
    for bad in ("?status=lost", "?cursor=x", "?since=today", "?limit=0", "?who=me"):
        assert mine.get(bad).status == 400


def test_what_waits_or_stands_aside_is_tried_again_at_once(acme: Acme):
    mine = shop_of(acme)
    acme.account("mine", mine.id)
    acme.says("r1", "aside")
    acme.says("r2", "wait")
    stuck = [acme.tells("r1", account="mine"), acme.tells("r2", account="mine")]
    for event_id in stuck:
        acme.becomes(event_id, "aside", "waiting", tries=1)
    for ref in ("r1", "r2"):
        acme.says(ref, "apply")
    for event_id in stuck:
        path = f"/inb_{acme.kept(event_id)['id'].hex}/retry"
        answer = mine.post(path)
        assert answer.status in (200, 409), answer
        acme.becomes(event_id, "applied")
        refusal = mine.post(path)
        assert (refusal.status, refusal.code) == (409, "invalid_state")
    assert acme.booked() == ["r1", "r2"]


@pytest.mark.parametrize(("scope", "reads", "writes"), [("inbox:read", 200, 403), ("payments:read", 403, 403)])
def test_a_key_needs_the_scope(acme: Acme, scope: str, reads: int, writes: int):
    mine = shop_of(acme, [scope])
    assert (mine.get().status, mine.post("/inb_" + "0" * 32 + "/retry").status) == (reads, writes)


@pytest.fixture
def env(deaf: Acme, tmp_path: Path) -> dict[str, str]:
    return {
        "BEZANT_DATABASE_URL": deaf.database_url,
        "BEZANT_HOME": str(tmp_path / "home"),
        "BEZANT_MASTER_KEY": MASTER_KEY,
    }


def inbox(env: dict[str, str], *arguments: str) -> tuple[int, str]:
    with bezant("inbox", *arguments, env=env) as process:
        return process.wait(60), process.output()


def test_the_operator_lists_shows_and_retries(deaf: Acme, env: dict[str, str]):
    assert inbox(env, "list") == (0, "Nothing was found.\n")
    deaf.account("shop", deaf.merchant())
    deaf.says("r1", "aside")
    with deaf.server():
        stuck, fine = deaf.tells("r1", account="shop"), deaf.tells("r2")
        kept = deaf.becomes(stuck, "aside")
        deaf.becomes(fine, "applied")
    event_id = f"inb_{kept['id'].hex}"
    status, output = inbox(env, "list")
    assert status == 0
    for words in (event_id, stuck, fine, "acme/shop", "aside, 1 try", "never", "applied"):
        assert words in output
    status, output = inbox(env, "list", "--status", "aside", "--json")
    assert [each["event_id"] for each in json.loads(output)["data"]] == [stuck]
    assert inbox(env, "list", "--since", "2099-01-01") == (0, "Nothing was found.\n")
    status, output = inbox(env, "show", event_id)
    assert status == 0
    assert "reason: never" in output
    assert '"refs":["r1"]' in output
    status, output = inbox(env, "retry", event_id)
    assert (status, output.startswith("1 tried again")) == (0, True), output
    assert deaf.kept(stuck)["status"] == "received"


def test_the_operator_retries_all_of_a_status(deaf: Acme, env: dict[str, str]):
    deaf.says("r1", "aside")
    body = body_of(*(event(f"evt_{n}", "r1") for n in range(5)), event("evt_news", type_="news"))
    assert deaf.post(body).status == 200
    with deaf.server():
        deaf.is_settled()
    status, output = inbox(env, "retry", "--status", "aside", "--psp", "acme", "--type", "op.done")
    assert (status, output.startswith("5 tried again")) == (0, True), output
    assert deaf.sql("SELECT count(*) FROM inbox_events WHERE status = 'received' AND tries = 0") == [(5,)]
    assert inbox(env, "retry", "--status", "aside")[1].startswith("0 tried again")


@pytest.mark.parametrize(
    "arguments",
    [("retry",), ("retry", "inb_" + "0" * 32), ("retry", "--status", "applied"), ("show", "inb_nothing"),
     ("retry", "inb_" + "0" * 32, "--status", "aside"), ("retry", "inb_" + "0" * 32, "--psp", "acme")],
)  # fmt: skip
def test_what_the_operator_gets_wrong_is_said_in_one_line(env: dict[str, str], arguments: tuple[str, ...]):
    status, output = inbox(env, *arguments)
    assert status != 0
    assert "Traceback" not in output
