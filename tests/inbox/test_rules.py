"""What becomes of an event, decided without a database."""

from datetime import timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest

from bezant.base import ids
from bezant.inbox.contract import Applied, Aside, Effect, Reread, Waits
from bezant.inbox.rules import BACK_OFF_S, Kept, Status, aside, fate_of, is_torn, unanswered, waits
from bezant.psp.contract import Ask, Operation, Outcome, Verdict
from tests.inbox.acme import AT

PAYMENT = (uuid4(), uuid4())
ASK = Ask(
    operation=Operation.CAPTURE, reference="att_1", payment_reference="ord_1", amount_minor=1, currency="USD",
    payment_method="pm",
)  # fmt: skip
APPLIED, WAITS, ASIDE, REREAD = Applied(PAYMENT), Waits("early"), Aside("never"), Reread(ASK, PAYMENT)


def kept(tries: int = 0, account_id: UUID | None = None, merchant_id: UUID | None = None) -> Kept:
    return Kept(uuid4(), "acme", account_id, merchant_id, "evt_1", "op.done", b"", AT, tries, AT)


@pytest.mark.parametrize(
    ("effects", "status"),
    [
        ((), Status.APPLIED),
        ((APPLIED,), Status.APPLIED),
        ((Applied(None), APPLIED), Status.APPLIED),
        ((APPLIED, WAITS), Status.WAITING),
        ((APPLIED, REREAD), Status.WAITING),
        ((WAITS, REREAD), Status.WAITING),
        ((APPLIED, WAITS, REREAD, ASIDE), Status.ASIDE),
    ],
)
def test_the_worst_effect_decides_and_nothing_is_applied_in_part(effects: tuple[Effect, ...], status: Status):
    for order in permutations(effects):
        fate = fate_of(kept(), order, 30, was_asked=False)
        assert fate.status is status
        assert (fate.wait_s is None) == (status is not Status.WAITING)
        assert bool(fate.asks) == (REREAD in effects and WAITS not in effects and ASIDE not in effects)
        assert is_torn(order, fate) == (status is not Status.APPLIED and APPLIED in effects)


def test_asking_is_no_try_and_leases_the_event():
    fate = fate_of(kept(3), [APPLIED, REREAD], 30, was_asked=False)
    assert (fate.tries, fate.wait_s, fate.asks, fate.payment) == (3, 30, {1: REREAD}, PAYMENT)


def test_what_was_asked_once_is_not_asked_again_at_once():
    fate = fate_of(kept(3), [REREAD], 30, was_asked=True)
    assert (fate.status, fate.tries, fate.wait_s, fate.asks) == (Status.WAITING, 4, BACK_OFF_S[3], {})


def test_an_account_speaks_for_its_own_merchant_alone():
    mine = kept(account_id=uuid4(), merchant_id=PAYMENT[1])
    other = kept(account_id=uuid4(), merchant_id=uuid4())
    for effects in ([APPLIED], [REREAD]):
        assert fate_of(mine, effects, 30, was_asked=False).status is not Status.ASIDE
        fate = fate_of(other, effects, 30, was_asked=False)
        assert (fate.status, fate.payment) == (Status.ASIDE, None)
    assert fate_of(other, [Applied(None)], 30, was_asked=False).status is Status.APPLIED


def test_reasons_fit_their_column():
    assert waits(kept(), "x" * 900).reason == "x" * 500
    assert aside(kept(), "a\x00b").reason == "a\N{REPLACEMENT CHARACTER}b"
    assert aside(kept(), "").reason


def test_only_a_decided_answer_goes_on():
    answers = {verdict: unanswered({0: Outcome(verdict=verdict)}) for verdict in Verdict}
    assert {verdict for verdict, why in answers.items() if why is None} == {
        Verdict.APPROVED, Verdict.DECLINED, Verdict.PENDING,
    }  # fmt: skip
    both = {0: Outcome(verdict=Verdict.APPROVED), 1: Outcome(verdict=Verdict.UNKNOWN, contradiction="other currency")}
    assert unanswered(both) == "the PSP was asked: unknown, other currency"


def test_the_key_of_an_event_is_its_time_and_a_hash_of_who_told_it():
    first = ids.dated(AT, "acme", "", "evt_1")
    assert first == ids.dated(AT, "acme", "", "evt_1")
    assert first.version == 7
    assert first.int >> 80 == int(AT.timestamp() * 1000)
    others = {
        ids.dated(AT, "acme", "", "evt_2"), ids.dated(AT, "acme", uuid4().hex, "evt_1"),
        ids.dated(AT, "other", "", "evt_1"), ids.dated(AT + timedelta(milliseconds=1), "acme", "", "evt_1"),
    }  # fmt: skip
    assert first not in others
    assert len(others) == 4
    assert ids.earliest(AT) <= first < ids.earliest(AT + timedelta(milliseconds=1))
