"""What was kept is applied once, as a whole or not at all, and what cannot be applied holds nobody up."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from bezant.inbox.rules import BACK_OFF_S
from tests.inbox.acme import body_of, event
from tests.inbox.conftest import Acme, beside
from tests.inbox.served import PAYMENT
from tests.support.platform import request
from tests.support.waiting import wait_until


def test_an_event_is_applied_once_however_often_it_comes(acme: Acme):
    for _ in range(3):
        acme.tells("r1", event_id="evt_1")
        acme.becomes("evt_1", "applied")
    kept = acme.kept("evt_1")
    assert (kept["tries"], kept["reason"], kept["next_try_at"]) == (1, None, None)
    assert kept["settled_at"] is not None
    assert acme.booked() == ["r1"]


def test_the_payment_of_an_event_is_kept_with_it(acme: Acme):
    merchant_id = acme.merchant()
    payment_id = acme.payment(merchant_id)
    acme.says("r1", f"pay:{payment_id}:{merchant_id}")
    kept = acme.becomes(acme.tells("r1", "r2"), "applied")
    assert (kept["payment_id"], kept["merchant_id"]) == (payment_id, merchant_id)
    assert acme.booked() == ["r1", "r2"]


def test_an_event_about_payments_of_several_merchants_belongs_to_none(acme: Acme):
    for ref in ("r1", "r2"):
        merchant_id = acme.merchant()
        acme.says(ref, f"pay:{acme.payment(merchant_id)}:{merchant_id}")
    kept = acme.becomes(acme.tells("r1", "r2"), "applied")
    assert (kept["payment_id"], kept["merchant_id"]) == (None, None)


def test_what_says_nothing_about_money_is_applied(acme: Acme):
    acme.becomes(acme.tells(type_="meaningless"), "applied")
    acme.becomes(acme.tells(type_="op.none"), "applied")
    assert acme.booked() == []


def test_an_unknown_type_is_kept_and_counted(acme: Acme):
    kept = acme.becomes(acme.tells("r1", type_="news.letter"), "unknown")
    assert kept["settled_at"] is not None
    assert acme.booked() == []
    wait_until(
        lambda: 'bezant_inbox_applied_total{psp="acme",status="unknown"} 1.0' in request(f"{acme.url}/metrics", "GET")
        .body.decode()
    )  # fmt: skip


def test_what_comes_before_its_time_waits_and_is_tried_again(acme: Acme):
    acme.says("r1", "wait")
    event_id = acme.tells("r1")
    kept = acme.becomes(event_id, "waiting")
    assert kept["reason"] == "nothing of ours is there yet"
    assert kept["settled_at"] is None
    acme.says("r1", "apply")
    assert acme.becomes(event_id, "applied")["reason"] is None
    assert acme.booked() == ["r1"]


def test_each_wait_is_longer_and_after_three_days_the_event_stands_aside(acme: Acme):
    assert 3 * 86_400 <= sum(BACK_OFF_S) < 4 * 86_400
    assert sorted(BACK_OFF_S) == list(BACK_OFF_S)
    acme.says("r1", "wait")
    event_id = acme.tells("r1")
    gap = "SELECT extract(epoch FROM next_try_at - now())::float8 FROM inbox_events"
    for tries, pause_s in enumerate(BACK_OFF_S, start=1):
        kept = acme.becomes(event_id, "waiting", tries=tries)
        assert kept["tries"] == tries
        if pause_s > 60:
            assert 0.85 * pause_s < acme.sql(gap)[0][0] < 1.1 * pause_s
        acme.hurry()
    kept = acme.becomes(event_id, "aside")
    assert (kept["tries"], kept["reason"]) == (len(BACK_OFF_S) + 1, "nothing of ours is there yet")


BAD = {
    "raise": "waiting", "refuse": "waiting", "miscount": "waiting", "wait": "waiting", "aside": "aside",
    "broken": "aside", "stray": "waiting",
}  # fmt: skip


def test_what_is_bad_alone_is_stopped_and_its_neighbours_are_applied(deaf: Acme):
    good = [f"good{n:02}" for n in range(20)]
    for n, (word, _) in enumerate(BAD.items()):
        deaf.tells(*good[n * 2 : n * 2 + 1], event_id=f"neighbour{n}")
        deaf.says(f"{word}_1", f"pay:{uuid4()}:{uuid4()}" if word == "stray" else word if word != "refuse" else "apply")
        deaf.tells(f"{word}_1", event_id=f"bad {word}", type_="op.broken" if word == "broken" else "op.done")
    rest = [ref for ref in good if ref not in {good[n * 2] for n in range(len(BAD))}]
    deaf.tells(*rest)
    with deaf.server():
        for word, status in BAD.items():
            kept = deaf.becomes(f"bad {word}", status)
            assert kept["reason"], word
            assert "sk_test_0123456789abcdef" not in kept["reason"], "a reason holds no secret"
        wait_until(lambda: deaf.booked() == good)


def test_a_handler_that_names_a_payment_that_does_not_exist_stops_that_event_alone(deaf: Acme):
    deaf.says("b", f"reread:{uuid4()}:{uuid4()}")
    event_id = deaf.tells("a", "b")
    deaf.tells("good")
    with deaf.server():
        assert "payment_id" in deaf.becomes(event_id, "waiting", tries=1)["reason"]
        wait_until(lambda: deaf.booked() == ["good"])


def test_an_event_whose_row_cannot_even_be_written_stops_nobody_else(deaf: Acme):
    deaf.sql("ALTER TABLE inbox_events ADD CONSTRAINT cursed CHECK (event_id <> 'cursed' OR tries = 0)")
    deaf.tells("r1", event_id="cursed")
    deaf.tells("r2")
    with deaf.server(batch_max=2):
        wait_until(lambda: deaf.booked() == ["r2"])
        deaf.tells("r3")
        deaf.tells("r4")
        wait_until(lambda: deaf.booked() == ["r2", "r3", "r4"])
    assert deaf.kept("cursed")["status"] == "received"


@pytest.mark.parametrize("word", ["wait", "aside", "raise", "reread always"])
def test_an_event_is_applied_as_a_whole_or_not_at_all(deaf: Acme, word: str):
    deaf.says("b", word)
    deaf.tells("good1")
    event_id = deaf.tells("a", "b", "c")
    deaf.tells("good2")
    with deaf.server():
        deaf.becomes(event_id, "aside" if word == "aside" else "waiting", tries=1)
        wait_until(lambda: deaf.booked() == ["good1", "good2"])
        deaf.says("b", "apply")
        assert request_retry(deaf, event_id)
        deaf.becomes(event_id, "applied")
    assert deaf.booked() == ["a", "b", "c", "good1", "good2"]


def request_retry(acme: Acme, event_id: str) -> bool:
    """What `bezant inbox retry` does."""
    return bool(
        acme.sql(
            "UPDATE inbox_events SET status = 'received', tries = 0, next_try_at = now(), reason = null,"
            " settled_at = null WHERE event_id = $1 RETURNING id", event_id,
        )
    )  # fmt: skip


def test_an_accounts_event_cannot_touch_another_merchants_payment(acme: Acme):
    mine, theirs = acme.merchant(), acme.merchant()
    acme.account("mine", mine)
    acme.says("steal", f"pay:{acme.payment(theirs)}:{theirs}")
    acme.says("own", f"pay:{acme.payment(mine)}:{mine}")
    stolen, own = acme.tells("before", "steal", account="mine"), acme.tells("own", account="mine")
    kept = acme.becomes(stolen, "aside")
    assert "another merchant" in kept["reason"]
    assert (kept["merchant_id"], kept["payment_id"]) == (mine, None)
    assert acme.becomes(own, "applied")["merchant_id"] == mine
    assert acme.booked() == ["own"]


def test_what_nobody_handles_stands_aside_until_somebody_does(acme: Acme):
    mixed, dispute = acme.tells("r1", "dsp_1", type_="op.disputed"), acme.tells("dsp_2", type_="dispute.opened")
    for event_id in (mixed, dispute):
        assert acme.becomes(event_id, "aside")["reason"] == "no_handler:DisputeNotice"
    assert acme.booked() == []
    with acme.server(disputes=True):
        for event_id in (mixed, dispute):
            wait_until(lambda event_id=event_id: acme.kept(event_id)["status"] == "applied", 20)
    assert acme.booked() == ["dsp_1", "dsp_2", "r1"]


def test_two_processes_apply_everything_once(deaf: Acme):
    refs = [f"r{n:03}" for n in range(500)]
    for at in range(0, 500, 100):
        answer = deaf.post(body_of(*(event(f"evt_{ref}", ref) for ref in refs[at : at + 100])))
        assert answer.status == 200
    with deaf.server(batch_max=16), deaf.server(batch_max=16):
        deaf.is_settled()
    assert deaf.booked() == refs


def test_a_transaction_that_always_loses_against_others_keeps_nobody_else_waiting(deaf: Acme):
    deaf.says("r1", "roll_back")
    event_id = deaf.tells("r1")
    deaf.tells("r2")
    with deaf.server():
        wait_until(lambda: deaf.booked() == ["r2"], 20)
        deaf.becomes(event_id, "waiting", tries=1)
        deaf.says("r1", "apply")
        deaf.becomes(event_id, "applied")
    assert deaf.booked() == ["r1", "r2"]


async def test_a_payment_that_somebody_holds_keeps_no_other_waiting(deaf: Acme):
    payment_id, merchant_id = PAYMENT
    on_thread = asyncio.to_thread
    await on_thread(deaf.says, "held", f"pay:{payment_id}:{merchant_id}")
    event_id = await on_thread(deaf.tells, "held")
    await on_thread(deaf.tells, "free")
    holder = await asyncpg.connect(deaf.database_url)
    try:
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM payments WHERE id = $1 FOR UPDATE", payment_id)
            async with beside(deaf.server()):
                await on_thread(wait_until, lambda: deaf.booked() == ["free"], 20)
                kept = await on_thread(deaf.becomes, event_id, "waiting")
                assert "lock timeout" in kept["reason"]
    finally:
        await holder.close()


def test_more_than_a_batch_is_applied_without_waiting_for_the_next_look(quiet: Acme):
    with quiet.server(batch_max=1) as quiet.url:
        answer = quiet.post(body_of(*(event(f"evt_{n}", f"r{n:02}") for n in range(40))))
        assert answer.status == 200
        wait_until(lambda: len(quiet.booked()) == 40, 10, "40 batches, which would take 20 s at one each half second")


def test_at_a_stop_in_the_middle_the_next_process_goes_on(deaf: Acme):
    refs = [f"r{n:03}" for n in range(200)]
    for at in range(0, 200, 100):
        deaf.post(body_of(*(event(f"evt_{ref}", ref) for ref in refs[at : at + 100])))
    with deaf.server(batch_max=2):
        wait_until(lambda: len(deaf.booked()) > 10)
    assert deaf.booked() == sorted(set(deaf.booked()))
    with deaf.server():
        deaf.is_settled()
    assert deaf.booked() == refs


def test_a_psp_that_is_gone_leaves_its_events_waiting(acme: Acme):
    event_id = acme.tells("r1")
    acme.becomes(event_id, "applied")
    acme.sql(
        "INSERT INTO inbox_events (id, psp, event_id, type, body, status, next_try_at, occurred_at, received_at)"
        " VALUES ($1, 'gone', 'evt_gone', 'op.done', '{}', 'received', now(), now(), now())", UUID(int=5),
    )  # fmt: skip
    assert acme.becomes("evt_gone", "waiting")["reason"] == "no PSP named gone is known"
