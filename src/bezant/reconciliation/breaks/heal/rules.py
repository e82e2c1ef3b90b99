"""What a PSP is asked about an operation that its reports do not name, and what its answer means. Pure."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from bezant.psp.contract import Ask, Operation, Outcome, Verdict, attempt_reference

TRIES_MAX: Final = 10
_FIRST: Final = timedelta(hours=1)
_LONGEST: Final = timedelta(days=7)
_DECIDED: Final = (Verdict.APPROVED, Verdict.DECLINED, Verdict.PENDING)


class Lost(msgspec.Struct, frozen=True, array_like=True):
    """An operation that was not reported, with its attempt, in the order of the statement that reads it.

    `asked`: what the attempt tries; None where a person or a PSP did it without one.
    """

    break_id: UUID
    merchant_id: UUID
    operation_id: UUID
    kind: str
    currency: str
    amount_minor: int
    psp: str
    psp_account_id: UUID | None
    payment_id: UUID
    payment_name: str | None
    order_id: str
    attempt_id: UUID | None
    asked: str | None
    asked_minor: int
    payment_method: str
    operation_name: str | None
    captures: bool
    final: bool
    tries: int

    @property
    def names(self) -> list[str]:
        """What an event may call it."""
        own = None if self.attempt_id is None else attempt_reference(self.attempt_id)
        return [name for name in (own, self.operation_name, self.payment_name) if name]


def wait(tries: int) -> timedelta | None:
    """When it is looked for again, after so many tries; None: it is left to people."""
    return None if tries >= TRIES_MAX else min(_LONGEST, _FIRST * 2**tries)


def ask_of(lost: Lost) -> Ask | None:
    """What its PSP is asked; None for what cannot be asked by an attempt, such as a dispute."""
    if lost.attempt_id is None or lost.asked is None:
        return None
    is_authorization = lost.asked == Operation.AUTHORIZE
    return Ask(
        operation=Operation(lost.asked),
        reference=attempt_reference(lost.attempt_id),
        payment_reference=lost.order_id,
        amount_minor=lost.asked_minor,
        currency=lost.currency,
        payment_method=lost.payment_method,
        psp_reference=lost.operation_name if is_authorization else lost.payment_name,
        operation_reference=lost.operation_name,
        capture=lost.captures,
        final=lost.final,
    )


def says_something(outcome: Outcome) -> bool:
    """Whether an answer is one that a webhook could have brought."""
    return outcome.verdict in _DECIDED


def denial(lost: Lost, outcome: Outcome) -> str | None:
    """What an answer says against what is booked; None where it agrees, or says nothing.

    What a PSP declines after all is a contradiction that payments see by themselves.
    """
    if outcome.contradiction is not None:
        return outcome.contradiction
    if outcome.verdict in (Verdict.NOT_FOUND, Verdict.NOT_EXECUTED):
        return "it knows of no such operation"
    is_taken = lost.kind == "capture" and lost.asked == Operation.AUTHORIZE and outcome.verdict is Verdict.APPROVED
    if is_taken and outcome.captured_minor != lost.amount_minor:
        return f"it has captured {outcome.captured_minor}, booked were {lost.amount_minor}"
    return None


def answered(outcome: Outcome, ask: Ask) -> Outcome:
    """The answer with the names by which it was asked, where it leaves them out."""
    return msgspec.structs.replace(
        outcome,
        psp_reference=outcome.psp_reference or ask.psp_reference,
        operation_reference=outcome.operation_reference or ask.operation_reference,
        reference=outcome.reference or ask.reference,
    )
