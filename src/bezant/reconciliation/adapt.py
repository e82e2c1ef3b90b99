"""Rows as the matcher takes them. Pure."""

from typing import Final

from bezant.base import ids
from bezant.psp.reports import LineKind
from bezant.reconciliation.matching import model
from bezant.reconciliation.rules import Operation, PspLine

KINDS: Final = {
    "capture": LineKind.CHARGE,
    "refund": LineKind.REFUND,
    "refund_failed": LineKind.REFUND_FAILED,
    "dispute_opened": LineKind.DISPUTE,
    "dispute_won": LineKind.DISPUTE_REVERSED,
}
"""Kinds of facts of the ledger: what a PSP calls its report of them."""

LINE_KINDS: Final = {kind.value: kind for kind in LineKind}


def operation(row: Operation) -> model.Operation:
    """An operation in transit."""
    own = (row.correlation_id, row.operation_reference) if row.operation_reference else (row.correlation_id,)
    payment = ids.show(ids.PAYMENT, row.payment_id)
    return model.Operation(
        row.id,
        KINDS[row.kind],
        row.payment_id,
        row.currency,
        row.amount_minor,
        row.effective_at,
        own,
        (row.psp_reference, payment) if row.psp_reference else (payment,),
    )


def line(row: PspLine) -> model.Line:
    """A line of a report."""
    reference = row.reference
    is_payment = reference is not None and reference.startswith(ids.PAYMENT)
    own = tuple(name for name in (None if is_payment else reference, row.operation_reference) if name)
    of_payment = tuple(name for name in (row.psp_reference, reference if is_payment else None) if name)
    return model.Line(
        row.id,
        LINE_KINDS[row.kind],
        row.currency,
        row.gross_minor,
        row.fee_minor,
        row.net_minor,
        row.occurred_at,
        own,
        of_payment,
        row.presented_currency,
        row.presented_minor,
        row.payout_id,
    )
