"""Which attempt a notice speaks of. Pure.

A PSP's event names our reference, its own name of the operation, or neither. Effects are keyed by the attempt, else by
the PSP's operation id, so the same operation is found under whichever name it comes.
"""

from collections.abc import Iterable, Sequence
from enum import Enum

from bezant.base import ids
from bezant.payments.rules import NOT_PROCESSED
from bezant.payments.states import Attempt, AttemptStatus, decode_failure
from bezant.psp.contract import Operation, Outcome, Verdict


class Unmatched(Enum):
    """Why a notice speaks of no attempt of ours.

    FOREIGN: the PSP did it without us. EARLY: an operation of ours in flight may be the one, and has no name yet.
    """

    FOREIGN = "foreign"
    EARLY = "early"


def find(attempts: Sequence[Attempt], operation: Operation, outcome: Outcome) -> Attempt | Unmatched:
    """The attempt of this payment that `outcome` is about."""
    same = [a for a in attempts if a.operation == operation]
    by_reference = [a for a in same if outcome.reference == ids.show(ids.ATTEMPT, a.id)]
    if by_reference:
        return by_reference[0]
    name = outcome.psp_reference if operation is Operation.AUTHORIZE else outcome.operation_reference
    by_name = [a for a in same if name is not None and a.psp_reference == name]
    if by_name:
        return by_name[0]
    match operation:
        case Operation.CAPTURE:
            return _capture(attempts, same, outcome)
        case Operation.CANCEL:
            return _cancel(attempts, same)
        case Operation.REFUND:
            return _early_if(a for a in same if _is_nameless(a, outcome) and a.is_unresolved)
        case _:
            return _early_if(a for a in same if a.is_unresolved and a.psp_reference is None)


def is_another_payment(attempt: Attempt, outcome: Outcome) -> bool:
    """Whether an authorization is of another payment at the PSP than the one that we hold under the same reference.

    Whoever shares the account can write our reference on a payment of his own; its outcome is none of this attempt.
    """
    names = (attempt.psp_reference, outcome.psp_reference)
    return attempt.operation == Operation.AUTHORIZE and None not in names and names[0] != names[1]


def contradicts(attempt: Attempt, outcome: Outcome) -> bool:
    """Whether the notice denies the outcome that stands: it is older, or a change of mind. Only the PSP knows."""
    if not attempt.is_conclusive:
        return False
    if outcome.verdict is Verdict.DECLINED:
        return attempt.status == AttemptStatus.APPROVED
    return outcome.verdict is Verdict.APPROVED and attempt.status == AttemptStatus.DECLINED


def _capture(attempts: Iterable[Attempt], captures: Sequence[Attempt], outcome: Outcome) -> Attempt | Unmatched:
    """A PSP that does not echo our reference for a capture allows one per payment: the amount tells whether it is ours.

    An authorization that took the money at once is the capture, too. One that we have not heard of comes first.
    """
    authorizations = [a for a in attempts if a.operation == Operation.AUTHORIZE]
    taking = [a for a in authorizations if a.captures and a.status == AttemptStatus.APPROVED]
    if all(a.status != AttemptStatus.APPROVED for a in authorizations):
        return Unmatched.EARLY
    own = [a for a in captures if _is_nameless(a, outcome)]
    for candidates in (
        [a for a in own if a.is_unresolved],
        [a for a in own if a.status == AttemptStatus.APPROVED],
        taking,
        [a for a in own if _was_given_up(a)],
    ):
        if candidates:
            return candidates[0]
    return Unmatched.FOREIGN


def _cancel(attempts: Iterable[Attempt], cancels: Sequence[Attempt]) -> Attempt | Unmatched:
    for candidates in (
        [a for a in cancels if a.is_unresolved],
        [a for a in cancels if a.status == AttemptStatus.APPROVED],
        [a for a in cancels if _was_given_up(a)],
    ):
        if candidates:
            return candidates[-1]
    busy = (Operation.AUTHORIZE, Operation.CAPTURE)
    return _early_if(a for a in attempts if a.operation in busy and a.is_unresolved)


def _early_if(possible: Iterable[Attempt]) -> Unmatched:
    return Unmatched.EARLY if any(True for _ in possible) else Unmatched.FOREIGN


def _is_nameless(attempt: Attempt, outcome: Outcome) -> bool:
    return attempt.psp_reference is None and outcome.amount_minor in (None, attempt.amount_minor)


def _was_given_up(attempt: Attempt) -> bool:
    """Held for never arrived: it may have arrived after all."""
    failure = decode_failure(attempt.failure)
    return failure is not None and failure.code == NOT_PROCESSED.code
