"""Apply what PSPs tell unasked: the same end of all roads, reached by a notice instead of an answer.

Runs in the inbox's transaction, so that a notice's effect and its being settled commit together. A notice that
completes what we hold is applied at once. One that contradicts what stands, or that its PSP signed too little of, moves
nothing: the PSP is asked, and its answer is applied. So the order of arrival makes no difference to the end.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Transaction
from bezant.inbox.contract import Applied, Aside, Effect, Reread, Told, Waits
from bezant.payments import store
from bezant.payments.asks import ask_for
from bezant.payments.changes import Ages, Changes
from bezant.payments.foreign import begin
from bezant.payments.match import Unmatched, contradicts, find, is_another_payment
from bezant.payments.rules import conclude, conclude_superseded
from bezant.payments.states import Attempt, AttemptStatus, Payment, Refund
from bezant.payments.store import Key
from bezant.payments.write import write
from bezant.psp.call import contradiction_of
from bezant.psp.contract import Ask, Manifest, Operation, Outcome, Verdict
from bezant.psp.notices import Notice

_UNKNOWN = Waits("names nothing that is known here")


class Facts:
    """Handles batches of notices about payments. Repeating a batch changes nothing more."""

    def __init__(self, ages: Ages, manifests: Mapping[str, Manifest]) -> None:
        self._ages = ages
        self._manifests = manifests

    async def __call__(self, transaction: Transaction, told: Sequence[Told]) -> Sequence[Effect]:
        """What became of each notice, in their order. Raises DataRefused where the database refuses any of it."""
        owners = await _owners(transaction, told)
        family = await _Family.load(transaction, {key for keys in owners for key in keys})
        effects: list[Effect] = [_UNKNOWN] * len(told)
        for positions in _rounds(owners):
            changes = Changes(transaction.now, transaction.xid, self._ages)
            for position in positions:
                item = told[position]
                effects[position] = self._apply(changes, family, item, owners[position], _notice(item))
            await write(transaction, changes)
        return effects

    def _apply(self, changes: Changes, family: "_Family", told: Told, owners: Sequence[Key], notice: Notice) -> Effect:
        payments = [family.payments[key[0]] for key in owners]
        own = [p for p in payments if p.psp == told.psp and p.psp_account_id == told.psp_account_id]
        if not payments:
            return _UNKNOWN
        if not own:
            return Aside("names a payment of another account")
        if len(own) > 1:
            return Aside("names more than one payment: " + ", ".join(ids.show(ids.PAYMENT, p.id) for p in own))
        payment, outcome = own[0], notice.outcome
        if outcome.currency not in (None, payment.currency):
            return Aside(f"speaks of {outcome.currency}, the payment is in {payment.currency}")
        found = find(family.attempts[payment.id], notice.operation, outcome)
        if isinstance(found, Unmatched):
            return self._apply_foreign(changes, family, told, payment, notice, found)
        if is_another_payment(found, outcome):
            if outcome.verdict is Verdict.APPROVED:
                detail = f"{outcome.psp_reference} carries our reference at the PSP, and so does {found.psp_reference}"
                changes.raise_break(found, "second_payment_at_psp", detail)
            return Applied((payment.id, payment.merchant_id))
        if _must_ask(told, found, payment, outcome):
            return Reread(_question(payment, found, outcome), (payment.id, payment.merchant_id))
        family.conclude(changes, payment, found, outcome, told.event_id)
        return Applied((payment.id, payment.merchant_id))

    def _apply_foreign(
        self, changes: Changes, family: "_Family", told: Told, payment: Payment, notice: Notice, why: Unmatched
    ) -> Effect:
        """Something that the PSP did without us: booked as it was, once the PSP says that it still is so.

        Nothing of ours stands that an older notice would contradict, so the PSP is always asked.
        """
        if why is Unmatched.EARLY:
            return Waits("an operation of ours in flight may be the one")
        outcome, key = notice.outcome, (payment.id, payment.merchant_id)
        applied = Applied(key)
        if outcome.verdict is not Verdict.APPROVED:
            return applied
        if notice.operation is Operation.REFUND and _lacks_capture(payment, outcome):
            return Waits("more is refunded than is known to be captured yet")
        manifest = self._manifests[payment.psp]
        if not told.confirmed:
            tried = Changes(changes.now, changes.xid, self._ages)
            begun = begin(tried, msgspec.structs.replace(payment), notice.operation, outcome, manifest)
            return applied if begun is None else Reread(_question(payment, begun[0], outcome), key)
        begun = begin(changes, payment, notice.operation, outcome, manifest)
        if begun is not None:
            family.add(*begun)
            family.conclude(changes, payment, begun[0], outcome, told.event_id)
        return applied


class _Family:
    """The payments that a batch names, under their locks, with all that belongs to them."""

    def __init__(self, payments: dict[UUID, Payment], attempts: Sequence[Attempt], refunds: dict[UUID, Refund]) -> None:
        self.payments = payments
        self.attempts: dict[UUID, list[Attempt]] = {payment_id: [] for payment_id in payments}
        for attempt in attempts:
            self.attempts[attempt.payment_id].append(attempt)
        self._refunds = refunds

    @classmethod
    async def load(cls, transaction: Transaction, keys: set[Key]) -> "_Family":
        if not keys:
            return cls({}, (), {})
        payments = await store.lock_payments(transaction, keys)
        families = [(p.id, p.merchant_id, *ids.family_range(p.id)) for p in payments.values()]
        attempts = await store.all_attempts(transaction.connection, families)
        refund_keys = [(a.refund_id, a.merchant_id) for a in attempts if a.refund_id is not None]
        return cls(payments, attempts, await store.refunds(transaction.connection, refund_keys) if refund_keys else {})

    def add(self, attempt: Attempt, refund: Refund | None) -> None:
        """What this batch has learned of is known to what comes later in it."""
        self.attempts[attempt.payment_id].append(attempt)
        if refund is not None:
            self._refunds[refund.id] = refund

    def conclude(self, changes: Changes, payment: Payment, attempt: Attempt, outcome: Outcome, event_id: UUID) -> None:
        """As an answer would: the first conclusive outcome stands, the same one again changes nothing."""
        was_open, status = not attempt.is_conclusive, attempt.status
        refund = None if attempt.refund_id is None else self._refunds[attempt.refund_id]
        conclude(changes, payment, attempt, refund, outcome)
        if attempt.is_conclusive and attempt.status != status:
            attempt.told_by = event_id
        if attempt.operation == Operation.CANCEL and was_open and attempt.is_conclusive:
            for other in self.attempts[payment.id]:
                if other.status == AttemptStatus.SUPERSEDED:
                    conclude_superseded(changes, other, attempt)


async def _owners(transaction: Transaction, told: Sequence[Told]) -> list[list[Key]]:
    """The payments that each notice names: by our reference, else by the PSP's names."""
    outcomes = [_notice(item).outcome for item in told]
    references = [None if o.reference is None else ids.parse(ids.ATTEMPT, o.reference) for o in outcomes]
    names = [tuple(name for name in (o.psp_reference, o.operation_reference) if name) for o in outcomes]
    connection = transaction.connection
    wanted = sorted({reference for reference in references if reference is not None})
    by_attempt = await store.payments_by_attempt(connection, wanted) if wanted else {}
    spoken = sorted({name for pair in names for name in pair})
    by_name = await store.payments_by_name(connection, spoken) if spoken else {}
    owners: list[list[Key]] = []
    for item, reference, pair in zip(told, references, names, strict=True):
        if reference is not None and reference in by_attempt:
            owners.append([by_attempt[reference]])
        else:
            owners.append(sorted({key for name in pair for key in by_name.get((item.psp, name), ())}))
    return owners


def _rounds(owners: Sequence[Sequence[Key]]) -> Iterable[Sequence[int]]:
    """Positions of notices, at most one of a payment in each round: each legal step is written for itself, since the
    database would refuse two of them taken as one.
    """
    rounds: list[list[int]] = []
    seen: Counter[Key] = Counter()
    for position, keys in enumerate(owners):
        turn = max((seen[key] for key in keys), default=0)
        for key in keys:
            seen[key] = turn + 1
        rounds.extend([] for _ in range(turn + 1 - len(rounds)))
        rounds[turn].append(position)
    return rounds


def _notice(told: Told) -> Notice:
    if not isinstance(told.notice, Notice):
        raise AssertionError("the table of handlers sends only notices about payments here")
    return told.notice


def _must_ask(told: Told, attempt: Attempt, payment: Payment, outcome: Outcome) -> bool:
    """Whether the PSP has to say it once more before anything is booked."""
    if told.confirmed:
        return False
    if contradicts(attempt, outcome):
        return True
    if attempt.is_conclusive:
        return False
    says_otherwise = outcome.verdict is Verdict.APPROVED and contradiction_of(ask_for(payment, attempt), outcome)
    return bool(says_otherwise) or not told.trusted


def _lacks_capture(payment: Payment, outcome: Outcome) -> bool:
    """Whether a capture that has not been heard of yet explains a refund."""
    missing_minor = payment.refunded_minor + (outcome.amount_minor or 0) - payment.captured_minor
    return missing_minor > 0 and payment.authorized_minor > payment.captured_minor + payment.released_minor


def _question(payment: Payment, attempt: Attempt, outcome: Outcome) -> Ask:
    """What the PSP is asked, under every name that the notice gave."""
    ask = ask_for(payment, attempt)
    return msgspec.structs.replace(
        ask,
        psp_reference=ask.psp_reference or outcome.psp_reference,
        operation_reference=ask.operation_reference or outcome.operation_reference,
    )
