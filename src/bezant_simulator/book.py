"""The book of charges: every decision of the PSP, as pure state. No I/O and no clock: the caller brings the time.

What is pending with a time is decided by the clock whenever the charge is looked at; an alarm outside only sees to it
that somebody looks. So a restart changes nothing.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Protocol

import msgspec

from bezant_simulator import disputes
from bezant_simulator.behaviours import FAILED, Behaviour, Decision, of_operation
from bezant_simulator.decisions import due_at, new_id, refused, reverse, settle
from bezant_simulator.disputes import Claim, Step
from bezant_simulator.model import (
    ANSWERABLE,
    OPEN,
    Charge,
    Delivery,
    Dispute,
    DisputeStatus,
    Kind,
    Operation,
    OperationStatus,
    Refusal,
    Stage,
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What every operation has: the caller's names for it, and when it came. Neither name: made in the dashboard."""

    reference: str | None
    idempotency_key: str | None
    at: float
    decides_at: float


class Watcher(Protocol):
    """Who wants to know what happens."""

    def tell(self, charge: Charge, subject: Operation | Dispute, at: float) -> None:
        """The operation or dispute has just become what it is now."""
        ...

    def moved(self, charge: Charge) -> None:
        """The clock has changed the charge."""
        ...

    def delay_s(self) -> float:
        """How long what comes later takes."""
        ...

    def dispute_fee(self) -> int:
        """What a dispute costs."""
        ...


class Book:
    """All charges, by id and by the references of their operations."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._charges: dict[str, Charge] = {}
        self._by_reference: dict[str, list[str]] = {}
        self._by_part: dict[str, str] = {}

    def put(self, charge: Charge) -> None:
        """Enters a charge, or a later version of one."""
        self._charges[charge.id] = charge
        for operation in charge.operations:
            self._index(charge, operation)
        for dispute in charge.disputes:
            self._by_part[dispute.id] = charge.id

    def clear(self) -> None:
        """Forgets everything."""
        self._charges.clear()
        self._by_reference.clear()
        self._by_part.clear()

    def charge(self, charge_id: str, now: float) -> Charge | None:
        """The charge as it stands at `now`."""
        charge = self._charges.get(charge_id)
        if charge is not None:
            self._advance(charge, now)
        return charge

    def as_kept(self) -> Iterable[Charge]:
        """All charges as they were when last somebody looked, oldest first."""
        return self._charges.values()

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
        charge = self.charge(self._by_part.get(operation_id, ""), now)
        return None if charge is None else next(((charge, o) for o in charge.operations if o.id == operation_id), None)

    def dispute(self, dispute_id: str, now: float) -> tuple[Charge, Dispute] | None:
        """A dispute by its id."""
        charge = self.charge(self._by_part.get(dispute_id, ""), now)
        return None if charge is None else next(((charge, d) for d in charge.disputes if d.id == dispute_id), None)

    def authorize(self, charge: Charge, behaviour: Behaviour, request: Request) -> Charge:
        """Enters a new charge and decides it, or leaves it to the customer or the clock."""
        capture = of_operation(Kind.CAPTURE, charge.payment_method, charge.metadata)
        decision, refusal = behaviour.decision, behaviour.refusal
        if charge.capture and decision is Decision.APPROVE and capture.decision is Decision.LATER:
            decision, refusal = Decision.LATER, capture.refusal
        amount = max(1, charge.amount // 2) if decision is Decision.HALF else charge.amount
        operation = _operation(Kind.AUTHORIZE, amount, behaviour, request)
        charge.operations.append(operation)
        charge.fate = behaviour.dispute or (capture.dispute if charge.capture else None)
        match decision:
            case Decision.CUSTOMER:
                charge.stage, charge.page = Stage.CUSTOMER_ACTION, behaviour.page
                self._watcher.tell(charge, operation, request.at)
            case Decision.LATER:
                operation.decides_at, operation.refusal = request.decides_at, refusal
                self._watcher.tell(charge, operation, request.at)
            case Decision.DECLINE:
                operation.refusal = refusal or FAILED[Kind.AUTHORIZE]
                self._announce_and_settle(charge, operation, request.at)
            case Decision.APPROVE | Decision.HALF:
                self._announce_and_settle(charge, operation, request.at)
        self.put(charge)
        return charge

    def decide(self, charge: Charge, refusal: Refusal | None, now: float) -> bool:
        """The customer's decision on the page; False where none is awaited any more."""
        if charge.stage is not Stage.CUSTOMER_ACTION:
            return False
        charge.operations[0].refusal = refusal
        self._settle(charge, charge.operations[0], now)
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
        operation = _operation(Kind.CAPTURE, charge.capturable if amount is None else amount, behaviour, request)
        operation.final = final
        refusal = _wrong_currency(charge, currency)
        if charge.stage is not Stage.OPEN or charge.capturable == 0:
            refusal = refusal or refused("not_capturable", "Nothing is left to capture on this charge.")
        elif operation.amount > charge.capturable:
            refusal = refusal or refused("over_capture", "The amount is above what is left to capture.")
        if refusal is None:
            charge.fate = charge.fate or behaviour.dispute
        return self._perform(charge, operation, refusal, behaviour, request)

    def cancel(self, charge: Charge, behaviour: Behaviour, request: Request) -> Operation:
        """Releases what is authorized and not captured, or gives up a charge that is not decided yet."""
        operation = _operation(Kind.CANCEL, charge.capturable, behaviour, request)
        refusal = None
        if charge.pending(Kind.CANCEL) or (not _is_undecided(charge) and charge.capturable == 0):
            refusal = refused("not_cancelable", "Nothing is left to release on this charge.")
        return self._perform(charge, operation, refusal, behaviour, request)

    def refund(
        self, charge: Charge, amount: int | None, currency: str | None, behaviour: Behaviour, request: Request
    ) -> Operation:
        """Gives `amount` back, or all that is left."""
        operation = _operation(Kind.REFUND, charge.refundable if amount is None else amount, behaviour, request)
        refusal = _wrong_currency(charge, currency)
        if charge.refundable <= 0:
            refusal = refusal or refused("not_refundable", "Nothing is left to refund on this charge.")
        elif operation.amount > charge.refundable:
            refusal = refusal or refused("over_refund", "The amount is above what is left to refund.")
        return self._perform(charge, operation, refusal, behaviour, request)

    def open_dispute(self, charge: Charge, claim: Claim, now: float) -> Dispute:
        """A dispute of what was captured, even where it was refunded."""
        dispute = disputes.begin(charge, claim, self._watcher.dispute_fee(), now)
        self._by_part[dispute.id] = charge.id
        self._let_fate_decide(dispute, now)
        self._watcher.tell(charge, dispute, now)
        return dispute

    def move_dispute(self, charge: Charge, dispute: Dispute, step: Step, now: float) -> bool:
        """Takes a dispute a step on; False where it does not stand where that step begins."""
        before = dispute.changes
        if not step(dispute, now):
            return False
        self._let_fate_decide(dispute, now)
        if dispute.changes > before:
            self._watcher.tell(charge, dispute, now)
        return True

    def _let_fate_decide(self, dispute: Dispute, now: float) -> None:
        is_awaited = dispute.after_evidence and dispute.status in ANSWERABLE
        if dispute.is_decided_by_fate and dispute.status in OPEN and not is_awaited:
            dispute.decides_at = now + self._watcher.delay_s()

    def _perform(
        self, charge: Charge, operation: Operation, refusal: Refusal | None, behaviour: Behaviour, request: Request
    ) -> Operation:
        later = refusal is None and behaviour.decision is Decision.LATER
        failing = behaviour.decision is Decision.DECLINE or (later and behaviour.refusal is not None)
        operation.refusal = refusal or (FAILED[operation.kind] if failing else None)
        if refusal is not None and request.reference is None:
            return operation  # what the dashboard does not allow leaves nothing behind
        charge.operations.append(operation)
        self._index(charge, operation)
        if later:
            operation.decides_at = request.decides_at
            self._watcher.tell(charge, operation, request.at)
        elif refusal is not None:
            self._settle(charge, operation, request.at)
        else:
            self._announce_and_settle(charge, operation, request.at)
        return operation

    def _announce_and_settle(self, charge: Charge, operation: Operation, now: float) -> None:
        """What is to be told shuffled needs something to be shuffled with."""
        if operation.delivery is Delivery.SHUFFLED:
            self._watcher.tell(charge, operation, now)
        self._settle(charge, operation, now)

    def _settle(self, charge: Charge, operation: Operation, now: float) -> None:
        gives_up = operation.kind is Kind.CANCEL and operation.refusal is None and _is_undecided(charge)
        captured = charge.amount_captured
        settle(charge, operation, now)
        if operation.fails_later and operation.kind is Kind.REFUND and operation.status is OperationStatus.SUCCEEDED:
            operation.reverses_at = now + self._watcher.delay_s()
        if charge.fate and charge.amount_captured > captured and charge.dispute_at is None and not charge.disputes:
            charge.dispute_at = now + self._watcher.delay_s()
        if gives_up:
            self._watcher.tell(charge, charge.operations[0], now)
        self._watcher.tell(charge, operation, now)

    def _advance(self, charge: Charge, now: float) -> None:
        """Does what the clock does: everything whose time has come, in the order of the times."""
        at = due_at(charge)
        if at is None or at > now:
            return
        while at is not None and at <= now:
            self._do_due(charge, at)
            at = due_at(charge)
        self.put(charge)
        self._watcher.moved(charge)

    def _do_due(self, charge: Charge, at: float) -> None:
        """One thing whose time is `at`."""
        for operation in charge.operations:
            if operation.decides_at == at:
                return self._settle(charge, operation, at)
            if operation.reverses_at == at:
                reverse(charge, operation, at)
                return self._watcher.tell(charge, operation, at)
        for dispute in charge.disputes:
            if dispute.decides_at == at:
                self.move_dispute(charge, dispute, disputes.BY_FATE[dispute.fate], at)
                return None
            if dispute.evidence_due == at and dispute.status in ANSWERABLE:
                self.move_dispute(charge, dispute, disputes.expire, at)
                return None
        charge.dispute_at = None
        if charge.refundable > 0:
            fate = charge.fate or DisputeStatus.NEEDS_RESPONSE
            self.open_dispute(charge, Claim(amount=charge.refundable, fate=fate), at)
        return None

    def _index(self, charge: Charge, operation: Operation) -> None:
        self._by_part[operation.id] = charge.id
        if operation.reference is None:
            return
        known = self._by_reference.setdefault(operation.reference, [])
        if charge.id not in known:
            known.append(charge.id)


def _operation(kind: Kind, amount: int, behaviour: Behaviour, request: Request) -> Operation:
    return Operation(
        id=new_id("op"),
        kind=kind,
        amount=amount,
        reference=request.reference,
        idempotency_key=request.idempotency_key,
        status=OperationStatus.PENDING,
        at=request.at,
        fails_later=behaviour.fails_later,
        delivery=behaviour.delivery,
    )


def _is_undecided(charge: Charge) -> bool:
    return charge.stage in (Stage.CUSTOMER_ACTION, Stage.PROCESSING)


def _wrong_currency(charge: Charge, currency: str | None) -> Refusal | None:
    if currency is None or currency == charge.currency:
        return None
    return refused("currency_mismatch", "The currency is not the charge's.")
