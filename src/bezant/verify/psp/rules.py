"""Whether what a PSP holds is what we believe. Pure."""

from datetime import datetime
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.payments.states import Attempt, Payment
from bezant.psp.contract import Holding, Operation, Outcome, Verdict


class Place(msgspec.Struct, frozen=True):
    """An account at a PSP. Without an id it is the platform's own."""

    psp: str
    account_id: UUID | None

    def __str__(self) -> str:
        return self.psp if self.account_id is None else f"{self.psp} {ids.show(ids.PSP_ACCOUNT, self.account_id)}"


class Belief(msgspec.Struct, frozen=True):
    """What our rows say of a charge."""

    attempt_id: UUID
    payment_id: UUID
    status: str
    currency: str
    authorized_minor: int
    captured_minor: int
    refunded_minor: int
    psp_reference: str | None
    updated_at: datetime
    is_open: bool


def attempt_of(reference: str) -> UUID | None:
    """The attempt that a charge names, None where the reference is not one of ours."""
    return ids.parse(ids.ATTEMPT, reference)


def difference(holding: Holding, belief: Belief, began_at: datetime) -> str | None:
    """How the two differ; None where they agree, or where an attempt is open or something changed meanwhile."""
    if belief.is_open or belief.updated_at >= began_at:
        return None
    if holding.currency != belief.currency:
        return f"{holding.psp_reference} is in {holding.currency}, our attempt in {belief.currency}"
    held = (holding.authorized_minor, holding.captured_minor, holding.refunded_minor)
    believed = (belief.authorized_minor, belief.captured_minor, belief.refunded_minor)
    if held != believed:
        return f"{holding.psp_reference} holds {_amounts(held)}; we believe {_amounts(believed)}"
    if belief.status == "approved" and belief.psp_reference != holding.psp_reference:
        return f"held as {holding.psp_reference}, known to us as {belief.psp_reference}"
    return None


def difference_of_answer(payment: Payment, attempt: Attempt, outcome: Outcome) -> str | None:
    """How the answer about an approved attempt differs from what we hold; None where it says nothing else.

    A PSP may show on an authorization what was captured since, and call one that was given back canceled.
    """
    what = f"the {attempt.operation} of {attempt.amount_minor}, {attempt.psp_reference}"
    is_authorization = attempt.operation == Operation.AUTHORIZE
    if outcome.verdict is Verdict.NOT_FOUND:
        return f"the PSP does not know {what}"
    if outcome.verdict is Verdict.DECLINED:
        was_given_back = is_authorization and payment.captured_minor == 0 and payment.released_minor > 0
        return None if was_given_back else f"the PSP declined {what}"
    if outcome.contradiction is not None:
        return f"{what}: {outcome.contradiction}"
    if outcome.verdict is not Verdict.APPROVED:
        return None
    if outcome.amount_minor not in (None, attempt.moved_minor):
        return f"{what} moved {attempt.moved_minor}, but the PSP says {outcome.amount_minor}"
    if is_authorization and outcome.captured_minor not in (attempt.captured_minor, payment.captured_minor):
        return f"{what} captured {payment.captured_minor}, but the PSP says {outcome.captured_minor}"
    return None


def _amounts(amounts: tuple[int, int, int]) -> str:
    return "authorized {}, captured {}, refunded {}".format(*amounts)
