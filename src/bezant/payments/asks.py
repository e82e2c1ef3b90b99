"""What a PSP is asked for an attempt. Pure."""

import msgspec

from bezant.payments.create import Details
from bezant.payments.states import Attempt, Payment
from bezant.psp.contract import Ask, Operation, attempt_reference


def ask_for(payment: Payment, attempt: Attempt) -> Ask:
    """The ask of an attempt: the same each time it is built, since a repeat under one key must be one request."""
    details = msgspec.json.decode(payment.details, type=Details)
    return Ask(
        operation=Operation(attempt.operation),
        reference=attempt_reference(attempt.id),
        payment_reference=payment.order_id,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        payment_method=attempt.payment_method,
        psp_reference=attempt.psp_reference if attempt.operation == Operation.AUTHORIZE else payment.gateway_ref,
        operation_reference=attempt.psp_reference,
        capture=attempt.captures,
        final=attempt.final,
        metadata=msgspec.json.decode(payment.metadata, type=dict[str, str]),
        customer=details.customer,
        description=details.description,
        statement_descriptor=details.statement_descriptor,
        return_url=details.return_url,
    )
