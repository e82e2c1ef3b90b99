"""What the PSP tells unasked: events, and the signature under which they are sent. No I/O."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import msgspec

from bezant_simulator import wire
from bezant_simulator.decisions import new_id
from bezant_simulator.model import (
    OPEN,
    Charge,
    Delivery,
    Dispute,
    Kind,
    Operation,
    OperationStatus,
    Stage,
)

SIGNATURE_HEADER = "Simulator-Signature"


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened: the bytes that are sent each time, and how. `charge`: whose it is."""

    id: str
    type: str
    created: float
    charge: str
    body: str
    delivery: Delivery = Delivery.NORMAL


class _Body(msgspec.Struct):
    id: str
    type: str
    created_at: str
    data: object


def event_of(charge: Charge, subject: Operation | Dispute, at: float) -> Event:
    """The event that the operation or dispute is now what it is. The same fact has the same id each time."""
    if isinstance(subject, Dispute):
        event_type, data, delivery = _dispute_type(subject), wire.dispute_view(charge, subject), Delivery.NORMAL
        delivery = charge.operations[0].delivery
    elif subject.kind is Kind.AUTHORIZE:
        event_type, delivery = _charge_type(charge, subject), subject.delivery
        data = wire.charge_view(charge, charge.base_url)
    else:
        event_type, delivery = f"operation.{subject.status}", subject.delivery
        data = wire.operation_view(charge, subject)
    name = f"{subject.id}:{event_type}"
    if isinstance(subject, Dispute) and subject.changes > 1:
        name = f"{name}:{subject.changes}"  # it may be updated, or won, more than once
    digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
    return _event(f"evt_{digest}", event_type, at, charge.id, data, delivery)


def custom_event(event_type: str, data: Mapping[str, object], at: float) -> Event:
    """An event of any type and content, as a PSP sends them that knows more than its caller."""
    return _event(new_id("evt"), event_type, at, "", data, Delivery.NORMAL)


def signature(secrets: Sequence[str], body: bytes, at: float) -> str:
    """The header's value: the time, and a signature by each secret over time and body."""
    signed = b"%d." % int(at) + body
    marks = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join((f"t={int(at)}", *(f"v1={mark}" for mark in marks)))


def _event(event_id: str, event_type: str, at: float, charge_id: str, data: object, delivery: Delivery) -> Event:
    body = wire.encode(_Body(event_id, event_type, wire.rfc3339(at), data)).decode()
    return Event(id=event_id, type=event_type, created=at, charge=charge_id, body=body, delivery=delivery)


def _charge_type(charge: Charge, authorization: Operation) -> str:
    match authorization.status:
        case OperationStatus.SUCCEEDED:
            return "charge.approved"
        case OperationStatus.FAILED:
            return "charge.declined"
        case OperationStatus.PENDING:
            return "charge.action_required" if charge.stage is Stage.CUSTOMER_ACTION else "charge.pending"


def _dispute_type(dispute: Dispute) -> str:
    if dispute.status not in OPEN:
        return f"dispute.{dispute.status}"
    return "dispute.updated" if dispute.changes else "dispute.opened"
