"""What we do at the PSP about a dispute: once, whatever dies or stays silent; and what the database refuses."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from bezant.audit.record import By
from bezant.base.db import DataRefused
from bezant.base.errors import Busy, Conflict, NotFound, Unprocessable
from bezant.disputes.bring import BringEvidence, EvidenceFile, bring
from bezant.psp.contract import Failure
from tests.disputes.world import DisputeWorld, Sale, dispute_world, told
from tests.support.disputes import pdf
from tests.support.verification import assert_verified_async

BY = By("os:jo", "because the test says so")
SECOND_OPEN_ROUND = """
INSERT INTO dispute_rounds SELECT dispute_id, merchant_id, payment_id, 2, amount_minor, currency, held_minor, 'open', 0,
    false, NULL, NULL, 0, now(), NULL
FROM dispute_rounds
"""
SECOND_ACTION = """
INSERT INTO dispute_actions SELECT gen_random_uuid(), merchant_id, payment_id, dispute_id, round, 'accept', 'unknown',
    NULL, NULL, now(), now(), 0, now(), now()
FROM dispute_actions
"""
SECOND_ROW = """
INSERT INTO disputes SELECT gen_random_uuid(), merchant_id, payment_id, psp, psp_account_id, psp_reference, stage,
    status, round, amount_minor, currency, NULL, NULL, NULL, NULL, NULL, 0, now(), now()
FROM disputes
"""
WORDS = BringEvidence(texts={"customer_name": "Jenny Rosen"})


@pytest_asyncio.fixture
async def world(database_url: str) -> AsyncIterator[DisputeWorld]:
    async with dispute_world(database_url) as world:
        yield world
    await assert_verified_async(database_url)


async def disputed(world: DisputeWorld, **more: object) -> Sale:
    sale = await world.sells(await world.merchant(), 10_000)
    await world.hears(told(sale, **more))
    return sale


async def brings(world: DisputeWorld, body: BringEvidence = WORDS) -> None:
    dispute = await world.dispute()
    async with world.database.transaction() as transaction:
        await bring(transaction, dispute["merchant_id"], dispute["id"], body)


async def takes_up(world: DisputeWorld) -> None:
    """As the job does, once leases are dead."""
    await world.execute(
        "UPDATE dispute_actions SET lease_until = now(), next_check_at = now() WHERE next_check_at > now()"
    )
    await world.jobs["disputes.take_up"]()


async def actions(world: DisputeWorld) -> list[tuple[str, str]]:
    rows = await world.rows("SELECT action, status FROM dispute_actions ORDER BY created_at")
    return [(row["action"], row["status"]) for row in rows]


async def test_everything_that_was_brought_is_handed_in_under_one_name(world: DisputeWorld) -> None:
    await disputed(world)
    await brings(world)
    await brings(world, BringEvidence(files=[EvidenceFile("receipt", "r.pdf", pdf())]))
    shown = await world.disputes.act((await world.dispute())["id"], "submit", BY)
    assert (shown.status, shown.evidence.submitted) == ("under_review", True)
    (ask,) = world.bank.submitted
    assert ask.texts == {"customer_name": "Jenny Rosen"}
    assert [(f.field, f.content, f.content_type) for f in ask.files] == [("receipt", pdf(), "application/pdf")]
    assert ask.reference.startswith("dsa_")
    with pytest.raises(Conflict):
        await brings(world)


async def test_answer_that_is_lost_is_found_by_looking_and_nothing_is_sent_twice(world: DisputeWorld) -> None:
    await disputed(world)
    await brings(world)
    world.bank.silent = 1
    shown = await world.disputes.act((await world.dispute())["id"], "submit", BY)
    assert (shown.status, shown.action and shown.action.status) == ("needs_response", "unknown")
    with pytest.raises(Busy):
        await brings(world)
    with pytest.raises(Busy):
        await world.disputes.act((await world.dispute())["id"], "accept", BY)
    await takes_up(world)
    assert await actions(world) == [("submit", "approved")]
    assert len(world.bank.submitted) == 1
    assert (await world.dispute())["status"] == "under_review"


async def test_action_of_a_process_that_died_before_the_call_is_sent_once(world: DisputeWorld) -> None:
    await disputed(world)
    await brings(world)
    await world.begins()
    await takes_up(world)
    await takes_up(world)
    assert await actions(world) == [("submit", "approved")]
    assert len(world.bank.submitted) == 1


async def test_dispute_that_ended_meanwhile_was_not_accepted_by_us(world: DisputeWorld) -> None:
    sale = await disputed(world)
    await world.begins("accept")
    world.bank.holds["dp_1"] = told(sale, "won")
    await takes_up(world)
    assert await actions(world) == [("accept", "declined")]
    await world.looks()
    assert (await world.dispute())["status"] == "won"
    assert world.bank.accepted == []


async def test_refusal_of_the_psp_leaves_the_dispute_to_be_answered_again(world: DisputeWorld) -> None:
    await disputed(world)
    await brings(world)
    dispute_id = (await world.dispute())["id"]
    world.bank.refuses = Failure(code="psp_refused", message="Not this way.")
    shown = await world.disputes.act(dispute_id, "submit", BY)
    assert shown.action is not None
    assert (shown.status, shown.action.status, shown.action.failure) == (
        "needs_response",
        "declined",
        world.bank.refuses,
    )
    world.bank.refuses = None
    assert (await world.disputes.act(dispute_id, "submit", BY)).status == "under_review"
    assert await actions(world) == [("submit", "declined"), ("submit", "approved")]


async def test_webhook_that_is_quicker_than_the_answer_changes_nothing(world: DisputeWorld) -> None:
    sale = await disputed(world)
    dispute_id = (await world.dispute())["id"]
    world.bank.silent = 1
    await world.disputes.act(dispute_id, "accept", BY)
    await world.hears(told(sale, "lost"))
    await takes_up(world)
    assert (await world.dispute())["status"] == "accepted"
    assert await world.journals(sale) == ["dispute_lost:1", "dispute_opened:1"]


async def test_nothing_is_handed_in_without_evidence_after_the_deadline_or_for_nobody(world: DisputeWorld) -> None:
    await disputed(world)
    dispute = await world.dispute()
    with pytest.raises(Unprocessable) as missing:
        await world.disputes.act(dispute["id"], "submit", BY)
    assert missing.value.code == "evidence_missing"
    await brings(world)
    await world.execute("UPDATE disputes SET evidence_due_at = now() - interval '1 second'")
    with pytest.raises(Unprocessable) as late:
        await world.disputes.act(dispute["id"], "submit", BY)
    assert late.value.code == "evidence_overdue"
    with pytest.raises(NotFound):
        await world.disputes.act(dispute["payment_id"], "submit", BY)


async def test_psp_where_disputes_cannot_be_answered_says_so(database_url: str) -> None:
    async with dispute_world(database_url, can_ask=False) as world:
        await disputed(world)
        await brings(world)
        with pytest.raises(Unprocessable) as refused:
            await world.disputes.act((await world.dispute())["id"], "submit", BY)
        assert refused.value.code == "unsupported_by_psp"


async def test_merchant_is_reminded_once_at_each_of_the_days_before(world: DisputeWorld) -> None:
    sale = await disputed(world, evidence_due_at=datetime.now(UTC) + timedelta(days=9))
    reminders = []
    for days_left in (9, 7, 6, 3, 2, 1, 0):
        await world.execute(
            "UPDATE disputes SET evidence_due_at = now() + make_interval(days => $1) + interval '-1 minute'", days_left
        )
        await world.jobs["disputes.remind"]()
        await world.jobs["disputes.remind"]()
        reminders.append((await world.events(sale)).count("dispute.evidence_due"))
    assert reminders == [0, 1, 1, 2, 2, 3, 3]
    rows = await world.rows(
        "SELECT data ->> 'days_left' AS days FROM outbox_events WHERE type = 'dispute.evidence_due'"
    )
    assert sorted(row["days"] for row in rows) == ["1", "3", "7"]


async def test_nobody_is_reminded_of_what_was_answered(world: DisputeWorld) -> None:
    sale = await disputed(world, evidence_due_at=datetime.now(UTC) + timedelta(days=2))
    await brings(world)
    await world.disputes.act((await world.dispute())["id"], "submit", BY)
    await world.jobs["disputes.remind"]()
    assert "dispute.evidence_due" not in await world.events(sale)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE disputes SET psp_reference = 'another'", "disputes_identity"),
        ("UPDATE disputes SET round = 0, stage = 'inquiry', status = 'closed'", "disputes_identity"),
        ("UPDATE disputes SET stage = 'second'", "disputes_stage_agrees"),
        ("UPDATE disputes SET status = 'inquiry'", "disputes_stage_agrees"),
        ("DELETE FROM disputes", "never_deleted"),
        ("DELETE FROM dispute_rounds", "never_deleted"),
        ("DELETE FROM dispute_actions", "never_deleted"),
        ("UPDATE dispute_rounds SET amount_minor = 1", "dispute_rounds_identity"),
        ("UPDATE dispute_rounds SET outcome = 'lost'", "dispute_rounds_decided"),
        ("UPDATE dispute_rounds SET outcome = 'lost', decided_at = now()", "disputes_agree_with_payment"),
        ("UPDATE dispute_rounds SET overturned = true", "dispute_rounds_overturned"),
        ("UPDATE payments SET disputed_minor = 1, disputed_open_minor = 1", "disputes_agree_with_payment"),
        ("UPDATE dispute_actions SET status = 'declined', failure = '{}'", "payment_attempts_first_outcome_stands"),
        ("UPDATE dispute_evidence SET words = 'other'", "dispute_evidence_stays"),
        ("DELETE FROM dispute_evidence", "dispute_evidence_stays"),
        (SECOND_OPEN_ROUND, "dispute_rounds_one_open"),
        (SECOND_ACTION, "dispute_actions_once"),
        (SECOND_ROW, "disputes_once"),
    ],
)
async def test_database_refuses(world: DisputeWorld, statement: str, constraint: str) -> None:
    await disputed(world)
    await brings(world)
    await world.disputes.act((await world.dispute())["id"], "submit", BY)
    with pytest.raises(DataRefused) as refused:
        await world.execute(statement)
    assert refused.value.constraint == constraint
