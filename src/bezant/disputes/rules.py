"""What a notice does to a dispute: rounds, amounts, journals, events. Pure; runs under the payment's row lock.

Each time that money is taken is a round; within it a dispute only moves on. So an older notice changes nothing, a later
round tells how the one before it ended, and only two decisions of one round can contradict each other: then the PSP is
asked, and its answer of now stands. Without a PSP that can be asked the first decision stands, save that what was won
can be lost in a further round.
"""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

import msgspec

from bezant.disputes.cases import Case
from bezant.disputes.states import ANSWERABLE, Dispute, Outcome, Stage, Status
from bezant.psp.notices import DisputeNotice

ROUND_OF: Final = {Stage.INQUIRY: 0, Stage.CHARGEBACK: 1, Stage.SECOND: 2}
"""Which round a stage is in, where the PSP does not count."""

LOST_RANK: Final = {Status.LOST: 0, Status.EXPIRED: 1, Status.ACCEPTED: 2}
"""Ways to lose; the one that says more stands."""

OPEN_RANK: Final = {Status.INQUIRY: 0, Status.NEEDS_RESPONSE: 0, Status.UNDER_REVIEW: 1, Status.CLOSED: 2}

LOOK_EVERY: Final = timedelta(days=1)
"""How often the PSP is asked about a dispute that is not decided: a webhook may have been lost."""

EXTENDED_BY: Final = timedelta(hours=1)
"""By how much a deadline must be put off for merchants to be reminded of it anew."""

LOOK_AFTER_DEADLINE: Final = timedelta(minutes=5)
BACK_OFF_S: Final = (60, 300, 1800, 7200, 21_600, 86_400)
DOUBTED_AFTER_CHECKS: Final = 3
"""A contradiction that the PSP has not resolved after so many looks is shown to a person."""


class Weight(IntEnum):
    """How much a notice counts.

    HINT: signed too little, so the PSP is only asked. WORD: told. FACT: money that a report shows. NOW: what the PSP
    says at this moment, being asked.
    """

    HINT = 0
    WORD = 1
    FACT = 2
    NOW = 3


def hear(case: Case, notice: DisputeNotice, weight: Weight, *, can_ask: bool) -> None:
    """Apply what is said of a dispute. Saying it again changes nothing more."""
    dispute = case.dispute
    if weight is Weight.HINT:
        _suspect(case, notice, can_ask=can_ask)
        return
    is_sure = weight is Weight.NOW or (weight is Weight.FACT and not can_ask)
    case.begin()
    wanted = _round_of(notice)
    if weight is Weight.NOW and notice.round is None and 1 <= wanted < dispute.round:
        wanted = dispute.round  # it speaks of how things stand, and cannot count
    if wanted >= dispute.round:
        _merge(dispute, notice)
    if dispute.status == Status.UNCONFIRMED or dispute.round < wanted:
        is_reached = _reach(case, notice, wanted, is_sure=is_sure, can_ask=can_ask)
    else:
        is_reached = dispute.round == wanted
        if not is_reached:
            _remember_contradiction(case, notice, wanted, can_ask=can_ask)
    if is_reached:
        if weight is Weight.NOW:
            _resolve_doubt(case, notice)
        _compare(case, notice, weight)
        _stand(case, notice, weight, is_sure=is_sure, can_ask=can_ask)
    _take_fee(case, notice)
    if weight is Weight.NOW:
        dispute.doubt, dispute.checks = None, 0
    case.tell_what_is_left()
    dispute.next_check_at = next_look_at(dispute, case.changes.now) if can_ask else None


def next_look_at(dispute: Dispute, now: datetime) -> datetime | None:
    """When the PSP is asked about it next; None where everything is decided."""
    if dispute.doubt is not None or dispute.status == Status.UNCONFIRMED:
        return now
    if not dispute.is_undecided:
        return None
    due_at = dispute.evidence_due_at
    if dispute.is_answerable and due_at is not None and due_at > now:
        return min(now + LOOK_EVERY, due_at + LOOK_AFTER_DEADLINE)
    return now + LOOK_EVERY


def unanswered(case: Case) -> None:
    """The PSP was asked and said nothing: later again, and a contradiction is shown to a person after a while."""
    dispute = case.dispute
    wait_s = BACK_OFF_S[min(dispute.checks, len(BACK_OFF_S) - 1)]
    dispute.checks += 1
    dispute.next_check_at = case.changes.now + timedelta(seconds=wait_s)
    if dispute.doubt is not None and dispute.checks == DOUBTED_AFTER_CHECKS:
        case.raise_break("contradiction", f"it is {dispute.status}, was also said to be {dispute.doubt}")


def has_arrived(action: str, status: str) -> bool:
    """Whether a dispute of this status, which waits for no answer any more, has had ours."""
    return status in (("lost", "accepted") if action == "accept" else ("under_review", "won", "lost", "closed"))


def accepted(case: Case) -> None:
    """The PSP has taken our word that we give in."""
    if case.dispute.round and case.rounds[-1].outcome != Outcome.WON:
        _lose(case, Status.ACCEPTED)


def handed_in(case: Case) -> None:
    """The PSP has our evidence."""
    if case.dispute.status in ANSWERABLE:
        case.dispute.status = Status.UNDER_REVIEW
        case.tell("dispute.updated")


def _round_of(notice: DisputeNotice) -> int:
    by_stage = ROUND_OF[Stage(notice.stage)]
    return by_stage if notice.round is None or by_stage == 0 else max(notice.round, 1)


def _suspect(case: Case, notice: DisputeNotice, *, can_ask: bool) -> None:
    """The PSP signs too little of it to be believed: it is asked."""
    if can_ask and (case.dispute.status == Status.UNCONFIRMED or case.dispute.status != notice.status):
        case.dispute.next_check_at = case.changes.now


def _reach(case: Case, notice: DisputeNotice, wanted: int, *, is_sure: bool, can_ask: bool) -> bool:
    """Bring the dispute into the round that is spoken of; whether it is there.

    Money is taken again only after it was given back, so what came before was won.
    """
    dispute = case.dispute
    if wanted == 0:
        dispute.stage, dispute.status = Stage.INQUIRY, Status.INQUIRY
        case.tell("dispute.opened")
        return True
    if dispute.round and case.rounds[-1].outcome == Outcome.LOST:
        if not is_sure:
            _doubt(case, Outcome.WON, f"round {wanted} after a round that was lost", can_ask=can_ask)
            return False
        _overturn(case)
    while dispute.round < wanted:
        if dispute.round and case.rounds[-1].outcome == Outcome.OPEN:
            _win(case)
        _open(case, notice)
    return True


def _open(case: Case, notice: DisputeNotice) -> None:
    dispute = case.dispute
    dispute.round += 1
    dispute.stage = Stage.CHARGEBACK if dispute.round == 1 else Stage.SECOND
    dispute.status = Status.NEEDS_RESPONSE
    dispute.amount_minor, dispute.currency = notice.amount_minor, notice.currency
    dispute.reminded_days = None
    case.open_round()
    case.tell("dispute.opened")


def _win(case: Case) -> None:
    case.dispute.status = Status.WON
    case.win()
    case.tell("dispute.won")


def _overturn(case: Case) -> None:
    """It was lost, and is won all the same."""
    case.dispute.status = Status.WON
    case.overturn()
    case.tell("dispute.won")


def _lose(case: Case, how: Status) -> None:
    dispute = case.dispute
    if case.rounds[-1].outcome == Outcome.OPEN:
        dispute.status = how
        case.lose()
        case.tell("dispute.lost")
    elif LOST_RANK[how] > LOST_RANK[Status(dispute.status)]:
        dispute.status = how
        case.tell("dispute.updated")


def _merge(dispute: Dispute, notice: DisputeNotice) -> None:
    """Details that come with whatever notice has them: the later deadline, the first reason."""
    if dispute.reason is None and notice.reason:
        dispute.reason = notice.reason.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:200]
    due_at, before = notice.evidence_due_at, dispute.evidence_due_at
    if due_at is not None and (before is None or due_at > before):
        dispute.evidence_due_at = due_at
        if before is None or due_at - before > EXTENDED_BY:
            dispute.reminded_days = None


def _compare(case: Case, notice: DisputeNotice, weight: Weight) -> None:
    """The amount of a round never changes. A report is not compared: it may speak in the currency it settles in."""
    dispute = case.dispute
    is_same = (notice.amount_minor, notice.currency) == (dispute.amount_minor, dispute.currency)
    if dispute.round and not is_same and weight is not Weight.FACT:
        said = f"{notice.amount_minor} {notice.currency}"
        case.raise_break("amount_mismatch", f"{dispute.amount_minor} {dispute.currency} is booked, {said} is told")


def _stand(case: Case, notice: DisputeNotice, weight: Weight, *, is_sure: bool, can_ask: bool) -> None:
    """Within the round that is spoken of: move on, or find that it was decided otherwise."""
    said = Status(notice.status)
    if case.dispute.round == 0:
        _ask_further(case, said, weight)
    elif said in OPEN_RANK and said is not Status.CLOSED:
        _go_on(case, notice, said, weight)
    elif said in (Status.WON, Status.CLOSED):
        _is_won(case, is_sure=is_sure, can_ask=can_ask)
    else:
        _is_lost(case, notice, said, is_sure=is_sure, can_ask=can_ask)


def _ask_further(case: Case, said: Status, weight: Weight) -> None:
    """An inquiry: nothing moves, whatever it comes to."""
    rank = OPEN_RANK.get(said, OPEN_RANK[Status.CLOSED])
    status = next(s for s in (Status.INQUIRY, Status.UNDER_REVIEW, Status.CLOSED) if OPEN_RANK[s] == rank)
    if rank > OPEN_RANK[Status(case.dispute.status)] or weight is Weight.NOW:
        case.dispute.status = status


def _go_on(case: Case, notice: DisputeNotice, said: Status, weight: Weight) -> None:
    dispute, outcome = case.dispute, case.rounds[-1].outcome
    status = Status.UNDER_REVIEW if said is Status.UNDER_REVIEW else Status.NEEDS_RESPONSE
    if outcome == Outcome.WON and weight is Weight.NOW and notice.round is None:
        _open(case, notice)  # it was won, and is open now: taken once more
        outcome = case.rounds[-1].outcome
    if outcome == Outcome.OPEN and OPEN_RANK[status] > OPEN_RANK[Status(dispute.status)]:
        dispute.status = status


def _is_won(case: Case, *, is_sure: bool, can_ask: bool) -> None:
    match case.rounds[-1].outcome:
        case Outcome.OPEN:
            _win(case)
        case Outcome.LOST if is_sure:
            _overturn(case)
        case Outcome.LOST:
            _doubt(case, Outcome.WON, "said to be won, but it was lost before", can_ask=can_ask)
        case _:
            pass


def _is_lost(case: Case, notice: DisputeNotice, said: Status, *, is_sure: bool, can_ask: bool) -> None:
    is_won = case.rounds[-1].outcome == Outcome.WON
    if not is_won:
        _lose(case, said)
    elif notice.round is not None and (is_sure or not can_ask):
        case.raise_break("contradiction", f"round {notice.round} was won, and is said to be lost")
    elif is_sure or not can_ask:
        _open(case, notice)
        _lose(case, said)
    else:
        _doubt(case, Outcome.LOST, "said to be lost, but it was won before", can_ask=True)


def _take_fee(case: Case, notice: DisputeNotice) -> None:
    """The PSP's fee for the round that the notice itself names: told with every notice of it, taken once."""
    number = _round_of(notice)
    if notice.fee_minor is not None and 1 <= number <= len(case.rounds):
        case.take_fee(case.rounds[number - 1], notice.fee_minor, notice.fee_currency or notice.currency)


def _remember_contradiction(case: Case, notice: DisputeNotice, wanted: int, *, can_ask: bool) -> None:
    """An earlier round than the current one is spoken of: news only if it was not won, as we had to think."""
    is_lost = notice.status in LOST_RANK and wanted >= 1
    if is_lost and case.rounds[wanted - 1].outcome == Outcome.WON and case.rounds[-1].outcome != Outcome.LOST:
        _doubt(case, Outcome.LOST, f"round {wanted} is said to be lost, but there is one after it", can_ask=can_ask)


def _doubt(case: Case, said: Outcome, why: str, *, can_ask: bool) -> None:
    """Two decisions contradict each other: the PSP knows, or a person has to."""
    if can_ask:
        case.dispute.doubt = case.dispute.doubt or said
    else:
        case.raise_break("contradiction", why)


def _resolve_doubt(case: Case, notice: DisputeNotice) -> None:
    """Lost now, and won at some time: so it was won first, and lost in a further round."""
    is_lost = bool(case.rounds) and case.rounds[-1].outcome == Outcome.LOST and notice.status in LOST_RANK
    if case.dispute.doubt == Outcome.WON and is_lost and notice.round is None:
        _overturn(case)
        _open(case, notice)


def reminder(dispute: Dispute, days_before: tuple[int, ...], now: datetime) -> int | None:
    """The reminder that is due: the least of `days_before` that its deadline is within, once each."""
    due_at = dispute.evidence_due_at
    if due_at is None or not dispute.is_answerable or due_at <= now:
        return None
    due = [days for days in days_before if due_at - now <= timedelta(days=days)]
    if not due or (dispute.reminded_days is not None and dispute.reminded_days <= min(due)):
        return None
    return min(due)


class Limits(msgspec.Struct, frozen=True):
    """How much may be brought against one dispute."""

    all_words_max: int = 150_000
    file_max: int = 2_000_000
    all_files_max: int = 4_500_000
