"""The book of charges: every decision of the PSP, as pure state. No I/O and no clock: the caller brings the time.

What is pending with a time is decided by the clock whenever the charge is looked at, so nothing has to run in the
background and a restart changes nothing.
"""

import secrets
from collections.abc import Iterable
from itertools import islice

import msgspec

from bezant_simulator.behaviours import FAILED, Behaviour, Decision, of_operation
from bezant_simulator.model import Charge, Kind, Operation, OperationStatus, Refusal, Stage


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What every operation has: the caller's names for it, and when it came."""

    reference: str
    idempotency_key: str | None
    at: float
    decides_at: float


class Book:
    """All charges, by id and by the references of their operations."""

    def __init__(self) -> None:
        self._charges: dict[str, Charge] = {}
        self._by_reference: dict[str, list[str]] = {}
        self._by_operation: dict[str, str] = {}

    def put(self, charge: Charge) -> None:
        """Enters a charge, or a later version of one."""
        self._charges[charge.id] = charge
        for operation in charge.operations:
            self._index(charge, operation)

    def clear(self) -> None:
        """Forgets everything."""
        self._charges.clear()
        self._by_reference.clear()
        self._by_operation.clear()

    def charge(self, charge_id: str, now: float) -> Charge | None:
        """The charge as it stands at `now`."""
        charge = self._charges.get(charge_id)
        if charge is not None:
            self._advance(charge, now)
        return charge

    def charges(self, now: float) -> Iterable[Charge]:
        """All charges as they stand at `now`, oldest first."""
        for charge in self._charges.values():
            self._advance(charge, now)
            yield charge

    def page(self, after: str | None, limit: int, now: float) -> list[Charge]:
        """At most `limit` charges, oldest first, that came after the charge of that id; None starts at the first."""
        following = iter(self._charges)
        if after is not None:
            next((charge_id for charge_id in following if charge_id == after), None)
        found = [self._charges[charge_id] for charge_id in islice(following, limit)]
        for charge in found:
            self._advance(charge, now)
        return found

    def by_reference(self, reference: str, now: float) -> list[tuple[Charge, Operation]]:
        """The operations that carry the caller's reference."""
        found = [self.charge(charge_id, now) for charge_id in self._by_reference.get(reference, ())]
        return [(charge, o) for charge in found if charge for o in charge.operations if o.reference == reference]

    def operation(self, operation_id: str, now: float) -> tuple[Charge, Operation] | None:
        """An operation by the PSP's own id."""
        charge = self.charge(self._by_operation.get(operation_id, ""), now)
        if charge is None:
            return None
        return next((charge, o) for o in charge.operations if o.id == operation_id)

    def authorize(self, charge: Charge, behaviour: Behaviour, request: Request) -> Charge:
        """Enters a new charge and decides it, or leaves it to the customer or the clock."""
        capture = of_operation(Kind.CAPTURE, charge.payment_method, charge.metadata)
        decision, refusal = behaviour.decision, behaviour.refusal
        if charge.capture and decision is Decision.APPROVE and capture.decision is Decision.LATER:
            decision, refusal = Decision.LATER, capture.refusal
        amount = max(1, charge.amount // 2) if decision is Decision.HALF else charge.amount
        operation = _operation(Kind.AUTHORIZE, amount, request)
        charge.operations.append(operation)
        match decision:
            case Decision.CUSTOMER:
                charge.stage, charge.page = Stage.CUSTOMER_ACTION, behaviour.page
            case Decision.LATER:
                operation.decides_at, operation.refusal = request.decides_at, refusal
            case Decision.DECLINE:
                operation.refusal = refusal or FAILED[Kind.AUTHORIZE]
                _settle(charge, operation, request.at)
            case Decision.APPROVE | Decision.HALF:
                _settle(charge, operation, request.at)
        self.put(charge)
        return charge

    def decide(self, charge: Charge, refusal: Refusal | None, now: float) -> bool:
        """The customer's decision on the page; False where none is awaited any more."""
        if charge.stage is not Stage.CUSTOMER_ACTION:
            return False
        charge.operations[0].refusal = refusal
        _settle(charge, charge.operations[0], now)
        self.put(charge)
        return True

    def capture(
        self,
        charge: Charge,
        amount: int | None,
        currency: str | None,
        behaviour: Behaviour,
        request: Request,
        *,
        final: bool,
    ) -> Operation:
        """Takes `amount`, or all that is left; `final` releases the rest."""
        operation = _operation(Kind.CAPTURE, charge.capturable if amount is None else amount, request)
        operation.final = final
        refusal = _wrong_currency(charge, currency)
        if charge.stage is not Stage.OPEN or charge.capturable == 0:
            refusal = refusal or _refused("not_capturable", "Nothing is left to capture on this charge.")
        elif operation.amount > charge.capturable:
            refusal = refusal or _refused("over_capture", "The amount is above what is left to capture.")
        return self._perform(charge, operation, refusal, behaviour, request)

    def cancel(self, charge: Charge, behaviour: Behaviour, request: Request) -> Operation:
        """Releases what is authorized and not captured, or gives up a charge that is not decided yet."""
        operation = _operation(Kind.CANCEL, charge.capturable, request)
        refusal = None
        undecided = charge.stage in (Stage.CUSTOMER_ACTION, Stage.PROCESSING)
        if charge.pending(Kind.CANCEL) or (not undecided and charge.capturable == 0):
            refusal = _refused("not_cancelable", "Nothing is left to release on this charge.")
        return self._perform(charge, operation, refusal, behaviour, request)

    def refund(
        self, charge: Charge, amount: int | None, currency: str | None, behaviour: Behaviour, request: Request
    ) -> Operation:
        """Gives `amount` back, or all that is left."""
        operation = _operation(Kind.REFUND, charge.refundable if amount is None else amount, request)
        refusal = _wrong_currency(charge, currency)
        if charge.refundable == 0:
            refusal = refusal or _refused("not_refundable", "Nothing is left to refund on this charge.")
        elif operation.amount > charge.refundable:
            refusal = refusal or _refused("over_refund", "The amount is above what is left to refund.")
        return self._perform(charge, operation, refusal, behaviour, request)

    def _perform(
        self, charge: Charge, operation: Operation, refusal: Refusal | None, behaviour: Behaviour, request: Request
    ) -> Operation:
        later = refusal is None and behaviour.decision is Decision.LATER
        failing = behaviour.decision is Decision.DECLINE or (later and behaviour.refusal is not None)
        operation.refusal = refusal or (FAILED[operation.kind] if failing else None)
        charge.operations.append(operation)
        if later:
            operation.decides_at = request.decides_at
        else:
            _settle(charge, operation, request.at)
        self._index(charge, operation)
        return operation

    def _advance(self, charge: Charge, now: float) -> None:
        """Decides what the clock decides: operations whose time has come, in the order of their times."""
        due = [o for o in charge.operations if o.decides_at is not None and o.decides_at <= now]
        for operation in sorted(due, key=lambda o: o.decides_at or 0):
            if operation.decides_at is not None:
                _settle(charge, operation, operation.decides_at)
        if due:
            self.put(charge)

    def _index(self, charge: Charge, operation: Operation) -> None:
        known = self._by_reference.setdefault(operation.reference, [])
        if charge.id not in known:
            known.append(charge.id)
        self._by_operation[operation.id] = charge.id


def new_id(prefix: str) -> str:
    """A new id that cannot be guessed."""
    return f"{prefix}_{secrets.token_hex(12)}"


def _operation(kind: Kind, amount: int, request: Request) -> Operation:
    return Operation(
        id=new_id("op"),
        kind=kind,
        amount=amount,
        reference=request.reference,
        idempotency_key=request.idempotency_key,
        status=OperationStatus.PENDING,
        at=request.at,
    )


def _settle(charge: Charge, operation: Operation, now: float) -> None:
    """Makes a pending operation final: its refusal, or its effect on the charge's amounts and stage."""
    operation.decides_at = None
    if operation.refusal is not None:
        operation.status = OperationStatus.FAILED
        if operation.kind is Kind.AUTHORIZE:
            charge.stage = Stage.REFUSED
        return
    operation.status = OperationStatus.SUCCEEDED
    match operation.kind:
        case Kind.AUTHORIZE:
            charge.stage, charge.amount_authorized = Stage.OPEN, operation.amount
            if charge.capture:
                _capture_at_once(charge, operation, now)
        case Kind.CAPTURE:
            charge.amount_captured += operation.amount
            if operation.final:
                charge.amount_released += charge.capturable
        case Kind.CANCEL:
            _release(charge, operation)
        case Kind.REFUND:
            charge.amount_refunded += operation.amount
    if charge.stage is Stage.OPEN and charge.amount_captured + charge.amount_released == charge.amount_authorized:
        charge.stage = Stage.CLOSED


def _capture_at_once(charge: Charge, authorization: Operation, now: float) -> None:
    request = Request(
        reference=authorization.reference, idempotency_key=authorization.idempotency_key, at=now, decides_at=now
    )
    capture = _operation(Kind.CAPTURE, authorization.amount, request)
    if of_operation(Kind.CAPTURE, charge.payment_method, charge.metadata).decision is Decision.DECLINE:
        capture.refusal = FAILED[Kind.CAPTURE]
    charge.operations.append(capture)
    _settle(charge, capture, now)


def _release(charge: Charge, operation: Operation) -> None:
    if charge.stage in (Stage.CUSTOMER_ACTION, Stage.PROCESSING):
        authorization = charge.operations[0]
        authorization.status, authorization.decides_at = OperationStatus.FAILED, None
        authorization.refusal = _refused("canceled", "The charge was canceled before it was decided.")
        charge.stage = Stage.CLOSED
    elif charge.stage is Stage.OPEN:
        operation.amount = operation.amount or charge.capturable
        charge.amount_released += operation.amount


def _wrong_currency(charge: Charge, currency: str | None) -> Refusal | None:
    if currency is None or currency == charge.currency:
        return None
    return _refused("currency_mismatch", "The currency is not the charge's.")


def _refused(code: str, message: str) -> Refusal:
    return Refusal("refused", code, message)
