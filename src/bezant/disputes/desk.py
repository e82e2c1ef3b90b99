"""Disputes in hand within one transaction: loaded under the locks of their payments, decided, written at once."""

from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Transaction
from bezant.disputes import store
from bezant.disputes.cases import Case
from bezant.disputes.states import Dispute, Policy, Round, Status
from bezant.disputes.store import Key, Name
from bezant.payments.disputing import changes_in, lock
from bezant.payments.states import Payment
from bezant.payments.write import write
from bezant.psp.notices import DisputeNotice


class Desk:
    """The disputes of some payments, whose locks are held until the transaction ends."""

    def __init__(
        self,
        transaction: Transaction,
        payments: Mapping[UUID, Payment],
        disputes: Iterable[Dispute],
        rounds: Mapping[UUID, list[Round]],
        policies: Mapping[UUID, Policy],
    ) -> None:
        self.payments = payments
        self.changes = changes_in(transaction)
        self._transaction = transaction
        self._policies = policies
        self._cases: dict[Name, Case] = {}
        self._before: dict[UUID, tuple[Dispute, list[Round]]] = {}
        for dispute in disputes:
            case = self._case(dispute, rounds.get(dispute.id, []))
            copied = [msgspec.structs.replace(each) for each in case.rounds]
            self._before[dispute.id] = (msgspec.structs.replace(dispute), copied)

    @classmethod
    async def load(cls, transaction: Transaction, keys: Iterable[Key]) -> "Desk":
        """Lock these payments (id, merchant) and load all their disputes."""
        payments = await lock(transaction, keys)
        if not payments:
            return cls(transaction, {}, (), {}, {})
        connection = transaction.connection
        disputes = await store.of_payments(connection, [(p.id, p.merchant_id) for p in payments.values()])
        rounds = await store.rounds(connection, [(d.id, d.merchant_id) for d in disputes]) if disputes else {}
        policies = await store.policies(connection, (p.merchant_id for p in payments.values()))
        return cls(transaction, payments, disputes, rounds, policies)

    def case(self, dispute_id: UUID) -> Case:
        """A dispute that is known."""
        return next(case for case in self._cases.values() if case.dispute.id == dispute_id)

    def cases(self) -> Iterable[Case]:
        """All disputes on the desk."""
        return self._cases.values()

    def named(self, name: Name) -> Case | None:
        """The dispute of this name; None where it is not known yet, or is of another payment."""
        return self._cases.get(name)

    def begin(self, payment: Payment, notice: DisputeNotice) -> Case:
        """A dispute of which nobody has heard before; it is kept once something has been heard of it."""
        now, account = self._transaction.now, payment.psp_account_id
        reference = notice.dispute_reference
        account_name = "" if account is None else account.hex
        dispute = Dispute(
            id=ids.derived(payment.id, payment.merchant_id.hex, "dispute", payment.psp, account_name, reference),
            merchant_id=payment.merchant_id,
            payment_id=payment.id,
            psp=payment.psp,
            psp_account_id=account,
            psp_reference=reference,
            stage=notice.stage,
            status=Status.UNCONFIRMED,
            round=0,
            amount_minor=notice.amount_minor,
            currency=notice.currency,
            reason=None,
            evidence_due_at=None,
            reminded_days=None,
            doubt=None,
            next_check_at=None,
            checks=0,
            created_at=now,
            updated_at=now,
        )
        return self._case(dispute, [])

    async def write(self) -> None:
        """Write what has changed. Raises DataRefused where the database refuses any of it."""
        now = self._transaction.now
        disputes: list[Dispute] = []
        rounds: list[Round] = []
        for case in self._cases.values():
            before, rounds_before = self._before.get(case.dispute.id) or (None, list[Round]())
            changed = [each for n, each in enumerate(case.rounds) if rounds_before[n : n + 1] != [each]]
            if case.dispute != before:
                if before is None or changed or _without_looks(case.dispute) != _without_looks(before):
                    case.dispute.updated_at = now
                disputes.append(case.dispute)
            rounds += changed
        await write(self._transaction, self.changes)
        await store.write_disputes(self._transaction, disputes)
        await store.write_rounds(self._transaction, rounds)
        breaks = [each for case in self._cases.values() for each in case.breaks]
        await store.insert_breaks(self._transaction, breaks)

    def _case(self, dispute: Dispute, rounds: list[Round]) -> Case:
        payment = self.payments[dispute.payment_id]
        case = Case(self.changes, dispute, rounds, payment, self._policies[dispute.merchant_id])
        self._cases[dispute.psp, dispute.psp_account_id, dispute.psp_reference] = case
        return case


def _without_looks(dispute: Dispute) -> Dispute:
    return msgspec.structs.replace(dispute, next_check_at=None, checks=0)
