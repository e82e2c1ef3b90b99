"""What evidence could not resolve goes to a person: the list of stuck attempts, and the resolution by hand."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.audit.record import By
from bezant.base import ids
from bezant.base.batch import Batcher
from bezant.base.db import Database
from bezant.base.errors import Busy, Conflict, NotFound, Unprocessable
from bezant.base.money import Money
from bezant.idempotency.claims import Reply
from bezant.payments import store
from bezant.payments.apply import Recording
from bezant.payments.states import Attempt
from bezant.psp.contract import Failure, Operation, Outcome, Verdict

_STUCK_MAX = 1_000
_LEASE = timedelta(seconds=10)


class AttemptView(msgspec.Struct, frozen=True):
    """An attempt, for people."""

    attempt_id: str
    payment_id: str
    merchant_id: str
    operation: str
    amount: Money
    status: str
    psp: str
    psp_reference: str | None
    reference: str
    checks: int
    detail: str | None
    stuck_at: datetime | None
    created_at: datetime


class AttemptList(msgspec.Struct, frozen=True):
    """Attempts that wait for a person, oldest first."""

    data: list[AttemptView]


class ResolveAttempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person found out at the PSP. `psp_reference` is required for an approved authorization.

    `captured`: of an approved authorization, what was taken with it, in minor units.
    """

    outcome: Literal["approved", "declined"]
    reason: Annotated[str, Meta(min_length=3, max_length=500)]
    psp_reference: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    captured: Annotated[int, Meta(ge=0)] | None = None


class Resolution:
    """Lists and resolves stuck attempts."""

    def __init__(self, database: Database, record: Batcher[Recording, Reply]) -> None:
        self._database = database
        self._record = record

    async def stuck(self, merchant_id: UUID | None) -> list[AttemptView]:
        """Attempts that wait for a person; of all merchants where None is given."""
        async with self._database.connection() as connection:
            return [attempt_view(a) for a in await store.stuck(connection, merchant_id, _STUCK_MAX)]

    async def merchant_of(self, attempt_id: UUID) -> UUID:
        """Whose an attempt is, for an operator. Raises NotFound."""
        async with self._database.connection() as connection:
            merchant_id = await store.merchant_of_attempt(connection, attempt_id)
        if merchant_id is None:
            raise NotFound("There is no such attempt.")
        return merchant_id

    async def resolve(self, merchant_id: UUID, attempt_id: UUID, resolved: ResolveAttempt, actor: str) -> Reply:
        """Record what a person says as the attempt's outcome, with state, journal, event and audit in one transaction.

        Raises NotFound, Conflict (`invalid_state`) where an outcome stands already, Busy (`attempt_in_progress`)
        while a process is calling, Unprocessable where an approved authorization lacks its reference or gives one that
        another attempt has.
        """
        async with self._database.connection() as connection:
            attempt = (await store.attempts(connection, [(attempt_id, merchant_id)])).get(attempt_id)
            if attempt is None:
                raise NotFound("There is no such attempt.")
            if attempt.is_conclusive:
                raise Conflict("invalid_state", f"The attempt is {attempt.status} already.")
            outcome = outcome_of(attempt, resolved)
            if resolved.psp_reference and await store.reference_is_taken(connection, attempt, resolved.psp_reference):
                raise Unprocessable(
                    "psp_reference_taken", "Another attempt has this reference at the PSP.", param="/psp_reference"
                )
            # The lease keeps everybody else away for as long as this takes.
            taken = await store.take_up(connection, (attempt_id, merchant_id), _LEASE, None, None)
        if taken is None:
            raise Busy("attempt_in_progress", "A process is calling the PSP for this attempt.", retry_after_s=5)
        return await self._record.submit(
            Recording(
                merchant_id=merchant_id,
                payment_id=attempt.payment_id,
                attempt_id=attempt.id,
                refund_id=attempt.refund_id,
                operation=attempt.operation,
                outcome=outcome,
                by=By(actor, resolved.reason),
            )
        )


def outcome_of(attempt: Attempt, resolved: ResolveAttempt) -> Outcome:
    """The outcome that a person's words mean for this attempt. Raises Unprocessable."""
    if resolved.outcome == "declined":
        failure = Failure(code="resolved_by_hand", message="Found declined by a person.")
        return Outcome(verdict=Verdict.DECLINED, failure=failure)
    is_authorization = attempt.operation == Operation.AUTHORIZE
    if is_authorization and resolved.psp_reference is None:
        raise Unprocessable(
            "psp_reference_missing", "An approved authorization needs its reference.", param="/psp_reference"
        )
    captured_minor = (
        (attempt.amount_minor if attempt.captures else 0) if resolved.captured is None else resolved.captured
    )
    if captured_minor > attempt.amount_minor or (captured_minor and not is_authorization):
        raise Unprocessable("amount_too_large", "More than the attempt asked for.", param="/captured")
    return Outcome(
        verdict=Verdict.APPROVED,
        psp_reference=resolved.psp_reference,
        operation_reference=resolved.psp_reference,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        captured_minor=captured_minor,
    )


def attempt_view(attempt: Attempt) -> AttemptView:
    """An attempt as people see it."""
    return AttemptView(
        attempt_id=ids.show(ids.ATTEMPT, attempt.id),
        payment_id=ids.show(ids.PAYMENT, attempt.payment_id),
        merchant_id=ids.show(ids.MERCHANT, attempt.merchant_id),
        operation=attempt.operation,
        amount=Money(attempt.amount_minor, attempt.currency),
        status=attempt.status,
        psp=attempt.psp,
        psp_reference=attempt.psp_reference,
        reference=ids.show(ids.ATTEMPT, attempt.id),
        checks=attempt.checks,
        detail=attempt.detail,
        stuck_at=attempt.stuck_at,
        created_at=attempt.created_at,
    )
