"""Webhooks at the door: what is taken, kept once and answered, and what is refused."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from msgspec.structs import replace

from bezant.base import ids
from bezant.base.db import Database
from bezant.inbox.contract import Account
from bezant.inbox.receive import Arrival, Keep
from bezant.psp.contract import Credentials
from bezant.psp.notices import RawEvent
from tests.inbox.acme import ACME, AT, BODY_MAX, CARELESS_BODY_MAX, body_of, event, signature
from tests.inbox.conftest import WEBHOOKS, Acme, beside
from tests.support.platform import Answer, at_once, request
from tests.support.proxy import open_proxy
from tests.support.waiting import wait_until_async

ONE = body_of(event("evt_1", "r1"))
CARD = "4111111111111111"


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_signed_event_is_kept_as_it_came_and_answered(deaf: Acme):
    answer = deaf.post(ONE)
    assert (answer.status, answer.json) == (200, {"received": True})
    (row,) = deaf.sql(
        "SELECT psp, psp_account_id, event_id, type, status, tries, next_try_at = received_at, occurred_at, body,"
        " merchant_id FROM inbox_events"
    )
    assert row[:8] == ("acme", None, "evt_1", "op.done", "received", 0, True, AT)
    assert b'"id":"evt_1"' in row[8]
    assert row[9] is None


def test_every_altered_byte_is_refused_and_nothing_is_kept(deaf: Acme):
    header = signature(ONE, "acme-new")
    for place in range(0, len(ONE), 7):
        altered = ONE[:place] + bytes([ONE[place] ^ 1]) + ONE[place + 1 :]
        refused(deaf.post(altered, headers={"Acme-Signature": header}), 400, "signature_invalid")
    for place in range(len(header) - 8, len(header)):
        altered = header[:place] + ("0" if header[place] != "0" else "1") + header[place + 1 :]
        refused(deaf.post(ONE, headers={"Acme-Signature": altered}), 400, "signature_invalid")
    refused(deaf.post(ONE, headers={"Acme-Signature": ""}), 400, "signature_invalid")
    assert deaf.count() == 0


def test_a_signature_of_another_time_is_stale(deaf: Acme):
    for at_s in (time.time() - 400, time.time() + 400):
        refused(deaf.post(ONE, at_s=at_s), 400, "signature_stale")
    assert deaf.count() == 0


def test_while_a_secret_is_rotated_both_are_good(deaf: Acme):
    assert deaf.post(ONE, secret="acme-old").status == 200
    assert deaf.post(ONE, secret="acme-new").status == 200
    refused(deaf.post(ONE, secret="acme-older"), 400, "signature_invalid")


def test_an_account_without_a_secret_believes_nobody(deaf: Acme):
    deaf.account("bare-shop", deaf.merchant())
    for secret in ("", "secret-of-bare-shop"):
        answer = deaf.post(ONE, account="bare-shop", secret=secret or "x")
        refused(answer, 400, "signature_invalid")
        assert answer["detail"] == "No webhook secret is set up for this account.", "the connector is not even asked"


def test_unknown_psps_and_accounts_are_not_found(deaf: Acme):
    deaf.account("shop", deaf.merchant())
    for path in ("/nobody", "/acme/nobody", "/nobody/shop", "/careless/shop"):
        refused(request(deaf.url + WEBHOOKS + path, "POST", ONE), 404, "not_found")
    assert request(deaf.url + WEBHOOKS + "/acme", "GET").status == 405


def test_a_large_body_is_refused_before_it_is_looked_at(deaf: Acme):
    for psp, limit in (("acme", BODY_MAX), ("careless", CARELESS_BODY_MAX)):
        refused(deaf.post(b" " * (limit + 1), psp=psp, headers={"Acme-Signature": ""}), 413, "content_too_large")
        exact = ONE + b" " * (limit - len(ONE))
        assert deaf.post(exact, psp=psp).status == 200


def test_what_is_verified_but_not_an_event_is_refused(deaf: Acme):
    for body in (b"", b"{}", b"[1]", b"\xff", b"[" * 10_000, b'[{"id": "e", "type": "t", "at": "yesterday"}]'):
        refused(deaf.post(body), 400, "invalid_request")
    assert deaf.count() == 0


@pytest.mark.parametrize(
    "bad",
    [
        event(""),
        event("e" * 256),
        event("e\x00"),
        event("e", type_=""),
        event("e", type_="t" * 101),
        event("e", type_="t\n"),
        event("e", at=datetime(1, 1, 1, tzinfo=UTC)),
        event("e", at=datetime(9999, 12, 31, tzinfo=UTC)),
        event("e") | {"at": "0001-01-01T00:00:00+14:00"},
        event("e") | {"at": "2026-11-23T12:00:00"},
    ],
    ids=range(10),
)
def test_what_cannot_be_kept_is_refused_whole(deaf: Acme, bad: dict[str, str]):
    refused(deaf.post(body_of(event("good"), bad)), 400, "invalid_request")
    assert deaf.count() == 0


def test_no_key_is_needed_and_no_body_is_searched_for_cards(deaf: Acme):
    body = body_of(event(f"evt_{CARD}", CARD))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": "k" * 200}
    assert deaf.post(body, headers=headers).status == 200
    assert deaf.count() == 1


def test_the_same_event_is_kept_once_and_always_answered(deaf: Acme):
    assert [deaf.post(ONE).status for _ in range(3)] == [200] * 3
    assert deaf.post(body_of(event("evt_1", "something else"))).status == 200
    assert deaf.count() == 1
    assert b"r1" in deaf.sql("SELECT body FROM inbox_events")[0][0]


def test_duplicates_that_race_in_two_processes_are_kept_once(deaf: Acme):
    bodies = [body_of(*(event(f"evt_{n}") for n in range(k, k + 5))) for k in range(8)]
    with deaf.server(jobs=False) as other:
        sent = [(body, url) for body in bodies for url in (deaf.url, other) * 2]
        answers = at_once([lambda body=body, url=url: deaf.post(body, url=url) for body, url in sent])
    assert {answer.status for answer in answers} == {200}
    assert deaf.count() == 12


async def test_of_duplicates_that_are_kept_by_one_statement_one_is_new(quiet: Acme):
    database = Database(quiet.database_url, connections_max=3)
    await database.open()
    try:
        account = Account(psp="acme", id=None, merchant_id=None, webhooks=ACME, secrets=(), credentials=Credentials())
        raw = RawEvent(event_id="evt_1", type="op.done", occurred_at=AT, body=b"{}")
        events = {ids.dated(AT, "acme", "", f"evt_{n}"): replace(raw, event_id=f"evt_{n}") for n in range(3)}
        (first, one), (second, two), (third, three) = events.items()
        arrivals = [
            Arrival(account, each) for each in ({second: two, first: one}, {first: one}, {first: one, third: three})
        ]
        rung: list[bool] = []
        keep = Keep(database, lambda: rung.append(True))
        assert list(await keep(arrivals)) == [2, 0, 1]
        assert list(await keep(arrivals)) == [0, 0, 0]
        assert rung == [True]
    finally:
        await database.close()


def test_accounts_do_not_share_event_ids(deaf: Acme):
    for name in ("shop-a", "shop-b"):
        deaf.account(name, deaf.merchant())
    for account in (None, "shop-a", "shop-b", None, "shop-a"):
        assert deaf.post(ONE, account=account).status == 200
    assert deaf.post(ONE, psp="careless").status == 200
    assert deaf.count() == 4
    rows = deaf.sql("SELECT a.name, e.merchant_id = a.merchant_id FROM inbox_events e JOIN psp_accounts a"
                    " ON a.id = e.psp_account_id ORDER BY a.name")  # fmt: skip
    assert rows == [("shop-a", True), ("shop-b", True)]


def test_one_account_cannot_sign_for_another(deaf: Acme):
    for name in ("shop-a", "shop-b"):
        deaf.account(name, deaf.merchant())
    refused(deaf.post(ONE, account="shop-a", secret="secret-of-shop-b"), 400, "signature_invalid")
    refused(deaf.post(ONE, secret="secret-of-shop-b"), 400, "signature_invalid")
    refused(deaf.post(ONE, account="shop-a", secret="acme-new"), 400, "signature_invalid")


def test_a_closed_account_still_hears(deaf: Acme):
    deaf.account("shop", deaf.merchant(), status="closed")
    assert deaf.post(ONE, account="shop").status == 200


def test_a_request_with_many_events_keeps_them_all(deaf: Acme):
    body = body_of(*(event(f"evt_{n}", f"r{n}") for n in range(150)), event("evt_0", "again"))
    assert deaf.post(body).status == 200
    assert deaf.count() == 150


def test_a_request_with_no_event_is_answered(deaf: Acme):
    assert deaf.post(body_of()).status == 200
    assert deaf.count() == 0


def test_a_flood_is_refused_and_what_forgers_send_does_not_count(quiet: Acme):
    quiet.account("shop", quiet.merchant())
    with quiet.server(jobs=False, rate_per_s=3) as quiet.url:
        for _ in range(10):
            refused(quiet.post(ONE, secret="forged"), 400, "signature_invalid")
        answers = [quiet.post(body_of(event(f"evt_{n}"))) for n in range(6)]
        assert [answer.status for answer in answers[:3]] == [200] * 3
        limited = [answer for answer in answers if answer.status != 200]
        assert limited
        for answer in limited:
            refused(answer, 429, "rate_limited")
            assert int(answer.headers["retry-after"]) >= 1
        assert quiet.post(ONE, account="shop").status == 200, "another account has a rate of its own"
        assert quiet.count() == 7 - len(limited)


async def test_with_the_database_away_nothing_is_answered_for(quiet: Acme):
    async with open_proxy(quiet.database_url) as proxy:
        away = Acme(proxy.url)
        async with beside(away.server(jobs=False)) as url:
            assert (await asyncio.to_thread(quiet.post, ONE, url=url)).status == 200
            await proxy.cut()
            answer = await asyncio.to_thread(quiet.post, body_of(event("evt_2")), url=url)
            refused(answer, 503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            await proxy.open()
            assert (await asyncio.to_thread(quiet.post, body_of(event("evt_2")), url=url)).status == 200
    assert await asyncio.to_thread(quiet.count) == 2


@pytest.mark.parametrize("is_done", [False, True])
async def test_when_the_line_breaks_it_is_answered_once_it_is_certain(quiet: Acme, is_done: bool):
    """The statement waits at the server for a lock; the line is cut before it is done, or after."""
    holder = await asyncpg.connect(quiet.database_url)
    watcher = await asyncpg.connect(quiet.database_url)
    async with open_proxy(quiet.database_url) as proxy, beside(Acme(proxy.url).server(jobs=False)) as url:
        assert (await asyncio.to_thread(quiet.post, body_of(event("evt_0")), url=url)).status == 200  # prepares it
        await holder.execute("BEGIN")
        await holder.execute("LOCK TABLE inbox_events IN EXCLUSIVE MODE")
        posting = asyncio.create_task(asyncio.to_thread(quiet.post, ONE, url=url))
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'inbox_events'::regclass AND NOT granted"
        await wait_until_async(lambda: watcher.fetchval(waiting))
        if is_done:
            proxy.stall()
            await holder.execute("ROLLBACK")
            await wait_until_async(lambda: watcher.fetchval("SELECT count(*) = 2 FROM inbox_events"))
        await proxy.cut()
        proxy.release()
        await proxy.open()
        if not is_done:
            await holder.execute("ROLLBACK")
        assert (await posting).status == 200
    assert await watcher.fetchval("SELECT count(*) FROM inbox_events") == 2
    await watcher.close()
    await holder.close()


async def test_a_database_that_says_nothing_is_not_waited_for_for_ever(quiet: Acme):
    async with open_proxy(quiet.database_url) as proxy, beside(Acme(proxy.url).server(jobs=False)) as url:
        assert (await asyncio.to_thread(quiet.post, ONE, url=url)).status == 200
        proxy.stall()
        answer = await asyncio.to_thread(quiet.post, body_of(event("evt_2")), url=url)
        refused(answer, 503, "unavailable")
        await proxy.cut()
        proxy.release()
        await proxy.open()
        assert (await asyncio.to_thread(quiet.post, body_of(event("evt_2")), url=url)).status == 200
    assert await asyncio.to_thread(quiet.count) == 2


def test_what_came_is_counted_by_result(deaf: Acme):
    deaf.post(ONE)
    deaf.post(ONE)
    deaf.post(ONE, secret="forged")
    deaf.post(ONE, at_s=1)
    request(f"{deaf.url}{WEBHOOKS}/{uuid4().hex}", "POST", ONE)
    shown = request(f"{deaf.url}/metrics", "GET").body.decode()
    for result in ("accepted", "duplicate", "signature_invalid", "signature_stale"):
        assert f'bezant_inbox_events_total{{psp="acme",result="{result}"}} 1.0' in shown
    assert shown.count("bezant_inbox_events_total{") == 4
