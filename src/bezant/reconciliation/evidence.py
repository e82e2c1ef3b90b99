"""What a PSP reports of our payments that we do not know, or did not know for certain, is evidence: it is booked first.

A line becomes the notice that its PSP's webhook would have brought, and goes the same way into the books.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from bezant.base import ids
from bezant.base.db import Database, DataRefused
from bezant.base.log import logger
from bezant.inbox.contract import Applied, Handlers, Told
from bezant.psp.contract import Failure, Operation, Outcome, Verdict
from bezant.psp.notices import DisputeNotice, Notice
from bezant.psp.reports import LineKind
from bezant.reconciliation import store
from bezant.reconciliation.rules import PspLine

_AT_ONCE: Final = 64
_REFUND_FAILED: Final = Failure(code="refund_failed", message="The refund came back, as the PSP reports.")
_log = logger(__name__)


class Evidence:
    """Hands what lines say to those who handle it when a webhook says it."""

    def __init__(self, database: Database, handlers: Handlers) -> None:
        self._database = database
        self._handlers = handlers

    async def hear(self, lines: Sequence[PspLine]) -> int:
        """Have what these lines say booked where it is not; how many were understood."""
        attempts = {a for line in lines if (a := ids.parse(ids.ATTEMPT, line.reference or "")) is not None}
        async with self._database.connection() as connection:
            operations = await store.operations_of_attempts(connection, sorted(attempts))
        told = [
            Told(event_id=line.id, psp=line.psp, psp_account_id=line.psp_account_id, notice=notice, confirmed=True)
            for line in lines
            if (notice := notice_of(line, operations)) is not None and type(notice) in self._handlers
        ]
        return sum([await self._hear(batch) for batch in _batches(told)])

    async def _hear(self, told: Sequence[Told]) -> int:
        try:
            async with self._database.transaction() as transaction:
                effects = await self._handlers[type(told[0].notice)](transaction, told)
        except DataRefused as error:
            if len(told) > 1:
                return sum([await self._hear([one]) for one in told])
            _log.warning("evidence_refused", line=ids.show(ids.PSP_LINE, told[0].event_id), error=str(error))
            return 0
        return sum(isinstance(effect, Applied) for effect in effects)


def notice_of(line: PspLine, operations: Mapping[UUID, str]) -> Notice | DisputeNotice | None:
    """What a line says of an operation or a dispute; `operations`: what each attempt tries.

    None where it says nothing that could be booked: it names nothing, or tells its amount in another currency only.
    """
    amount_minor = line.gross_minor if line.presented_minor is None else line.presented_minor
    currency = line.presented_currency or line.currency
    if line.psp_reference is None and line.reference is None:
        return None
    match line.kind:
        case LineKind.CHARGE:
            return _charge(line, amount_minor, currency, operations)
        case LineKind.REFUND:
            return Notice(operation=Operation.REFUND, outcome=_approved(line, -amount_minor, currency, line.reference))
        case LineKind.REFUND_FAILED:
            outcome = Outcome(
                verdict=Verdict.DECLINED,
                psp_reference=line.psp_reference,
                operation_reference=line.operation_reference,
                reference=line.reference,
                failure=_REFUND_FAILED,
            )
            return Notice(operation=Operation.REFUND, outcome=outcome)
        case LineKind.DISPUTE | LineKind.DISPUTE_REVERSED if line.operation_reference is not None:
            is_taken = line.kind == LineKind.DISPUTE
            return DisputeNotice(
                dispute_reference=line.operation_reference,
                psp_reference=line.psp_reference,
                status="needs_response" if is_taken else "won",
                amount_minor=abs(amount_minor),
                currency=currency,
                fee_minor=line.fee_minor if is_taken and line.fee_minor else None,
                fee_currency=line.currency if is_taken and line.fee_minor else None,
            )
        case _:
            return None


def _charge(line: PspLine, amount_minor: int, currency: str, operations: Mapping[UUID, str]) -> Notice:
    attempt_id = ids.parse(ids.ATTEMPT, line.reference or "")
    operation = operations.get(attempt_id) if attempt_id is not None else None
    if operation == Operation.AUTHORIZE:
        outcome = _approved(line, amount_minor, currency, line.reference, captured_minor=amount_minor)
        return Notice(operation=Operation.AUTHORIZE, outcome=outcome)
    reference = line.reference if operation == Operation.CAPTURE else None
    return Notice(operation=Operation.CAPTURE, outcome=_approved(line, amount_minor, currency, reference))


def _approved(
    line: PspLine, amount_minor: int, currency: str, reference: str | None, captured_minor: int = 0
) -> Outcome:
    return Outcome(
        verdict=Verdict.APPROVED,
        psp_reference=line.psp_reference,
        operation_reference=line.operation_reference,
        reference=reference,
        amount_minor=amount_minor,
        currency=currency,
        captured_minor=captured_minor,
    )


def _batches(told: Sequence[Told]) -> Iterator[Sequence[Told]]:
    """One class of notices at a time, a payment's in the order of their lines."""
    for kind in (Notice, DisputeNotice):
        of_kind = [item for item in told if type(item.notice) is kind]
        for start in range(0, len(of_kind), _AT_ONCE):
            yield of_kind[start : start + _AT_ONCE]
