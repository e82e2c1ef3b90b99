"""Events that cannot be believed as they came: the PSP is asked, and its answer is what counts."""

import pytest

from bezant.inbox.rereads import SLOTS, SLOTS_OF_PSP
from tests.inbox.acme import body_of, event
from tests.inbox.conftest import Acme
from tests.inbox.served import PAYMENT
from tests.support.waiting import wait_until

BOOKED = "SELECT psp, verdict, trusted, confirmed FROM acme_booked WHERE ref = $1"


@pytest.mark.parametrize("verdict", ["approved", "declined", "pending"])
def test_what_a_careless_psp_tells_is_asked_before_anything_is_booked(acme: Acme, verdict: str):
    acme.answers("r1", verdict)
    kept = acme.becomes(acme.tells("r1", psp="careless"), "applied")
    assert acme.sql(BOOKED, "r1") == [("careless", verdict, False, True)]
    assert acme.asked() == ["r1"]
    assert kept["tries"] == 1


def test_a_contradiction_is_asked_too(acme: Acme):
    acme.says("r1", "reread")
    acme.answers("r1", "declined")
    kept = acme.becomes(acme.tells("r1", "r2"), "applied")
    assert acme.sql(BOOKED, "r1") == [("acme", "declined", True, True)]
    assert acme.sql(BOOKED, "r2") == [("acme", "approved", True, False)]
    assert (kept["payment_id"], kept["merchant_id"]) == PAYMENT


@pytest.mark.parametrize(
    ("verdict", "reason"), [("unknown", "unknown"), ("not_found", "not_found"), ("not_executed", "not_executed"),
                            ("raise", "unknown, OSError")],
)  # fmt: skip
def test_without_a_decided_answer_it_waits_and_asks_again(acme: Acme, verdict: str, reason: str):
    acme.answers("r1", verdict)
    event_id = acme.tells("r1", psp="careless")
    kept = acme.becomes(event_id, "waiting", tries=1)
    assert kept["reason"] == f"the PSP was asked: {reason}"
    assert acme.booked() == []
    acme.answers("r1", "approved")
    acme.becomes(event_id, "applied")
    assert acme.booked() == ["r1"]


def test_an_answer_that_contradicts_again_waits_instead_of_asking_for_ever(acme: Acme):
    acme.says("r1", "reread always")
    kept = acme.becomes(acme.tells("r1"), "waiting", tries=1)
    assert kept["reason"] == "what the PSP answered contradicts what stands"
    assert len(acme.asked()) == 1


def test_all_operations_of_an_event_are_asked(acme: Acme):
    acme.becomes(acme.tells("r1", "r2", "r3", psp="careless"), "applied")
    assert acme.asked() == ["r1", "r2", "r3"]
    assert acme.booked() == ["r1", "r2", "r3"]


def test_a_psp_that_hangs_holds_up_its_own_account_alone(quiet: Acme):
    hanging = [f"h{n:02}" for n in range(4 * SLOTS + 3)]
    for ref in hanging:
        quiet.answers(ref, "hang")
    with quiet.server(batch_max=SLOTS // 2) as quiet.url:
        assert quiet.post(body_of(*(event(f"evt_{ref}", ref) for ref in hanging)), psp="careless").status == 200
        wait_until(lambda: len(quiet.asked()) == SLOTS)
        quiet.becomes(quiet.tells("mine"), "applied")
        quiet.becomes(quiet.tells("more"), "applied")
        assert len(quiet.asked()) == SLOTS
        assert quiet.booked() == ["mine", "more"]
        quiet.sql("UPDATE acme_answers SET verdict = 'approved'")
        quiet.is_settled()
    assert quiet.booked() == [*hanging, "mine", "more"]
    assert quiet.asked() == hanging


def test_a_psp_that_hangs_for_many_accounts_takes_no_more_than_its_share(quiet: Acme):
    accounts = [f"shop{n}" for n in range(SLOTS_OF_PSP // SLOTS + 1)]
    for name in accounts:
        merchant_id = quiet.merchant()
        quiet.account(name, merchant_id, "careless")
        payment_id = quiet.payment(merchant_id)
        for n in range(SLOTS):
            quiet.says(f"{name} {n:02}", f"reread:{payment_id}:{merchant_id}")
            quiet.answers(f"{name} {n:02}", "hang")
    with quiet.server(batch_max=SLOTS // 2) as quiet.url:
        for name in accounts:
            events = (event(f"evt_{name}_{n}", f"{name} {n:02}") for n in range(SLOTS))
            assert quiet.post(body_of(*events), psp="careless", account=name).status == 200
        wait_until(lambda: len(quiet.asked()) == SLOTS_OF_PSP)
        quiet.becomes(quiet.tells("mine"), "applied")
        assert len(quiet.asked()) == SLOTS_OF_PSP
        quiet.sql("UPDATE acme_answers SET verdict = 'approved'")
        quiet.is_settled()
        assert len(quiet.asked()) == len(accounts) * SLOTS
        assert len(quiet.booked()) == len(accounts) * SLOTS + 1


def test_what_was_being_asked_when_the_process_stopped_is_asked_again(quiet: Acme):
    quiet.answers("r1", "hang")
    with quiet.server() as quiet.url:
        event_id = quiet.tells("r1", psp="careless")
        kept = quiet.becomes(event_id, "waiting")
        assert (kept["tries"], kept["reason"]) == (0, "the PSP is being asked")
        wait_until(quiet.asked)
    quiet.answers("r1", "approved")
    assert quiet.kept(event_id)["status"] == "waiting"
    lease = "SELECT extract(epoch FROM next_try_at - received_at)::float8 FROM inbox_events"
    assert quiet.sql(lease)[0][0] > 20
    quiet.hurry()
    with quiet.server():
        quiet.becomes(event_id, "applied")
    assert quiet.booked() == ["r1"]
    assert quiet.asked() == ["r1", "r1"]
