"""What is checked payment by payment, with the very functions that the payments go by."""

from typing import Final

from bezant.base import ids
from bezant.ledger.rules import platform_fee_minor
from bezant.payments.states import Payment, status_of
from bezant.verify.payments import store
from bezant.verify.records.texts import Texts
from bezant.verify.report import Findings, Result, Rows, shown

_TEXTS: Final = (
    "order_id",
    "payment_method",
    "gateway_ref",
    "idempotency_key",
    "metadata",
    "details",
    "failure",
    "next_action",
)


async def check_payments(rows: Rows, texts: Texts) -> tuple[Result, ...]:
    """Status and fee of each payment; its texts are handed to `texts`."""
    statuses = Findings("status_is_derived", "Each payment's status is the one that its row derives.")
    fees = Findings("fee_is_derived", "Each payment's fee is the one that its terms give for what was captured.")
    async for row in rows.stream(store.PAYMENTS):
        payment = Payment(*row)
        subject = shown(ids.PAYMENT, payment.id)
        status = status_of(payment)
        if payment.status != status:
            statuses.add(subject, f"{payment.status}, but its amounts say {status}")
        fee_minor = platform_fee_minor(payment.captured_minor, payment.fee_basis_points, payment.fee_fixed_minor)
        if payment.platform_fee_minor != fee_minor:
            fees.add(subject, f"fee {payment.platform_fee_minor}, but its terms say {fee_minor}")
        texts.look("payments", subject, _TEXTS, [getattr(payment, name) for name in _TEXTS])
    return statuses.result(), fees.result()
