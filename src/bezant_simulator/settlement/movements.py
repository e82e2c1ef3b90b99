"""What has moved money on a charge, read from the charge itself: each with a name that never changes. Pure."""

from collections.abc import Iterator

from bezant_simulator.model import Charge, Kind, Operation, OperationStatus
from bezant_simulator.settlement.model import Movement, RowType


def movements(charge: Charge) -> Iterator[Movement]:
    """Everything that has moved money so far."""
    for operation in charge.operations:
        yield from _of_operation(charge, operation)
    for dispute in charge.disputes:
        currency = dispute.currency or charge.currency
        for count, move in enumerate(dispute.moves, start=1):
            is_taken = move.amount < 0
            yield Movement(
                line_id=f"txn_{dispute.id.removeprefix('dp_')}_{count}",
                type=RowType.DISPUTE if is_taken else RowType.DISPUTE_REVERSED,
                charge_id=charge.id,
                operation_id=dispute.id,
                reference="",
                currency=currency,
                amount=move.amount,
                at=move.at,
                fee=dispute.fee if is_taken else 0,
            )


def _of_operation(charge: Charge, operation: Operation) -> Iterator[Movement]:
    done = operation.done
    if done is None:
        # a state of an earlier version does not say when
        done = operation.at if operation.status is OperationStatus.SUCCEEDED else None
    if done is None or operation.kind not in (Kind.CAPTURE, Kind.REFUND):
        return
    line_id = f"txn_{operation.id.removeprefix('op_')}"
    is_capture = operation.kind is Kind.CAPTURE
    names = (charge.id, operation.id, operation.reference or "", charge.currency)
    row_type, amount = (RowType.CHARGE, operation.amount) if is_capture else (RowType.REFUND, -operation.amount)
    yield Movement(line_id, row_type, *names, amount, done)
    if operation.undone is not None:
        yield Movement(f"{line_id}_failed", RowType.REFUND_FAILED, *names, operation.amount, operation.undone)
