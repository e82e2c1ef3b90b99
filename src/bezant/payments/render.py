"""What the outside sees of a payment, a refund and an event. Pure."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.master_key import MasterKeys
from bezant.base.money import Money
from bezant.payments.states import Attempt, AttemptStatus, Payment, Refund, decode_failure, decode_next_action
from bezant.psp.contract import Customer, Failure, NextAction, Operation

_HIDDEN = b"\x00"
_HIDDEN_SECRET = re.compile(rb"\x00([0-9a-f]{8})?")


class AmountsView(msgspec.Struct, frozen=True):
    """Minor units of the payment's currency."""

    authorized: int
    captured: int
    refunded: int
    disputed: int
    capturable: int
    refundable: int


class PendingOperationView(msgspec.Struct, frozen=True):
    """An attempt whose outcome is open.

    `reason`: `processing` (it is under way or the PSP will decide) or `unknown`.
    """

    operation: str
    amount: int
    since: datetime
    reason: str


class PaymentView(msgspec.Struct, frozen=True):
    """A payment as a secret key sees it."""

    payment_id: str
    status: str
    order_id: str
    amount: Money
    amounts: AmountsView
    capture_strategy: str
    payment_method: str | None
    psp: str
    psp_reference: str | None
    client_secret: str
    next_action: NextAction | None
    pending_operation: PendingOperationView | None
    failure: Failure | None
    metadata: dict[str, str]
    customer: Customer | None
    description: str | None
    created_at: datetime
    updated_at: datetime


class PublicPaymentView(msgspec.Struct, frozen=True):
    """A payment as a browser sees it, with the publishable key and the client secret."""

    payment_id: str
    status: str
    amount: Money
    next_action: NextAction | None
    failure: Failure | None
    created_at: datetime


class RefundView(msgspec.Struct, frozen=True):
    """A refund."""

    refund_id: str
    payment_id: str
    status: str
    amount: Money
    reason: str | None
    psp_reference: str | None
    failure: Failure | None
    created_at: datetime
    updated_at: datetime


class _Details(msgspec.Struct, frozen=True):
    customer: Customer | None = None
    description: str | None = None


class ClientSecrets:
    """Derives each payment's client secret from the master key; nothing of it is stored."""

    def __init__(self, master_keys: MasterKeys) -> None:
        self._master = master_keys
        self._derived_of: Sequence[bytes] = ()
        self._keys: dict[bytes, bytes] = {}
        self._newest = b""
        self._derive()

    def of(self, payment_id: UUID) -> str:
        """`pay_..._secret_...`: 128 bits of HMAC-SHA-256 over the id, by the newest key."""
        if self._derived_of is not self._master.keys:
            self._derive()
        return _client_secret(self._newest, payment_id)

    def hidden(self, payment_id: UUID, body: bytes) -> bytes:
        """`body` as it may be stored: a byte that JSON never holds, and the name of the key, stand for the secret."""
        for name, key in self._keys.items():
            body = body.replace(_client_secret(key, payment_id).encode(), _HIDDEN + name)
        return body

    def shown(self, payment_id: UUID, body: bytes) -> bytes:
        """The stored `body` as it was sent, byte for byte; with the secret of now once its own key is not given."""

        def secret(found: re.Match[bytes]) -> bytes:
            if found[1] not in self._keys:
                self._refresh()
            return _client_secret(self._keys.get(found[1], self._newest), payment_id).encode()

        return _HIDDEN_SECRET.sub(secret, body)

    def matches(self, payment_id: UUID, secret: str) -> bool:
        """Whether it was derived from a key that is given. Constant-time comparison."""
        if self._matches(payment_id, secret):
            return True
        return self._refresh() and self._matches(payment_id, secret)

    def _matches(self, payment_id: UUID, secret: str) -> bool:
        given = secret.encode()
        return any(hmac.compare_digest(_client_secret(k, payment_id).encode(), given) for k in self._keys.values())

    def _refresh(self) -> bool:
        """Whether there are other keys than before: another process may know a newer one already."""
        self._master.refresh()
        if self._derived_of is self._master.keys:
            return False
        self._derive()
        return True

    def _derive(self) -> None:
        self._derived_of = self._master.keys
        keys = [hashlib.sha256(b"client_secret\x00" + key).digest() for key in self._derived_of]
        self._keys = {hashlib.sha256(b"name\x00" + key).hexdigest()[:8].encode(): key for key in keys}
        self._newest = keys[0]


def _client_secret(key: bytes, payment_id: UUID) -> str:
    mac = hmac.digest(key, payment_id.bytes, "sha256")[:16]
    return f"{ids.show(ids.PAYMENT, payment_id)}_secret_{mac.hex()}"


def payment_view(payment: Payment, unresolved: Iterable[Attempt], now: datetime, secrets: ClientSecrets) -> PaymentView:
    """The payment with what is still open of it. `unresolved` may hold attempts that have been resolved meanwhile."""
    p = payment
    details = msgspec.json.decode(p.details, type=_Details)
    return PaymentView(
        payment_id=ids.show(ids.PAYMENT, p.id),
        status=p.status,
        order_id=p.order_id,
        amount=Money(p.amount_minor, p.currency),
        amounts=amounts_view(p),
        capture_strategy=p.capture_strategy,
        payment_method=p.payment_method,
        psp=p.psp,
        psp_reference=p.gateway_ref,
        client_secret=secrets.of(p.id),
        next_action=decode_next_action(p.next_action),
        pending_operation=_pending_operation(unresolved, now),
        failure=decode_failure(p.failure),
        metadata=_raw(p.metadata),
        customer=details.customer,
        description=details.description,
        created_at=p.created_at,
        updated_at=p.updated_at,
    )


def public_payment_view(payment: Payment) -> PublicPaymentView:
    """What a browser may know: no amounts moved, no metadata, no PSP."""
    return PublicPaymentView(
        payment_id=ids.show(ids.PAYMENT, payment.id),
        status=payment.status,
        amount=Money(payment.amount_minor, payment.currency),
        next_action=decode_next_action(payment.next_action),
        failure=decode_failure(payment.failure),
        created_at=payment.created_at,
    )


def refund_view(refund: Refund) -> RefundView:
    """The refund."""
    return RefundView(
        refund_id=ids.show(ids.REFUND, refund.id),
        payment_id=ids.show(ids.PAYMENT, refund.payment_id),
        status=refund.status,
        amount=Money(refund.amount_minor, refund.currency),
        reason=refund.reason,
        psp_reference=refund.psp_reference,
        failure=decode_failure(refund.failure),
        created_at=refund.created_at,
        updated_at=refund.updated_at,
    )


def amounts_view(payment: Payment) -> AmountsView:
    """What happened so far, and what may still happen."""
    return AmountsView(
        authorized=payment.authorized_minor,
        captured=payment.captured_minor,
        refunded=payment.refunded_minor,
        disputed=payment.disputed_minor,
        capturable=payment.capturable_minor,
        refundable=payment.refundable_minor,
    )


def event_data(
    payment: Payment,
    refund: Refund | None = None,
    failure: Failure | None = None,
    more: Mapping[str, object] | None = None,
) -> bytes:
    """The body of an event: the payment in brief as it is after the change, and the refund or failure it is about, or
    `more` that it is about.
    """
    data: dict[str, object] = {
        "payment_id": ids.show(ids.PAYMENT, payment.id),
        "order_id": payment.order_id,
        "status": payment.status,
        "amount": Money(payment.amount_minor, payment.currency),
        "amounts": amounts_view(payment),
        "psp": payment.psp,
        "psp_reference": payment.gateway_ref,
    }
    if refund is not None:
        data["refund"] = refund_view(refund)
    if failure is not None:
        data["failure"] = failure
    data.update(more or {})
    return msgspec.json.encode(data)


def _pending_operation(attempts: Iterable[Attempt], now: datetime) -> PendingOperationView | None:
    latest = max((a for a in attempts if a.is_unresolved), key=lambda a: a.created_at, default=None)
    if latest is None:
        return None
    is_unknown = latest.status == AttemptStatus.UNKNOWN or (
        latest.status == AttemptStatus.SENDING and latest.lease_until < now
    )
    return PendingOperationView(
        operation=latest.operation,
        amount=latest.amount_minor,
        since=latest.created_at,
        reason="unknown" if is_unknown else "processing",
    )


def operation_of(attempt: Attempt) -> Operation:
    """The attempt's operation in the PSP contract's words."""
    return Operation(attempt.operation)


def _raw(text: str) -> Any:
    return msgspec.Raw(text.encode())
