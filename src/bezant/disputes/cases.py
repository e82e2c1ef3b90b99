"""One dispute in hand: what its steps do to its rounds, its payment and the ledger, and what is told of them. Pure.

Which step is taken is decided in `rules.py`.
"""

from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.disputes.render import dispute_data
from bezant.disputes.states import Dispute, Outcome, Policy, Round
from bezant.ledger.rules import (
    Journal,
    Line,
    dispute_fee_charged_lines,
    dispute_loss_absorbed_lines,
    dispute_lost_lines,
    dispute_opened_lines,
)
from bezant.payments.changes import Changes
from bezant.payments.disputing import decide, hold, part_of, take_again
from bezant.payments.states import Payment


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A mismatch that somebody must look at. `name` tells those of one dispute and kind apart."""

    dispute_id: UUID
    merchant_id: UUID
    payment_id: UUID
    psp: str
    kind: str
    name: str
    detail: str
    currency: str
    at_risk_minor: int


class Case:
    """A dispute with its rounds, oldest first, and its payment under its lock."""

    def __init__(
        self, changes: Changes, dispute: Dispute, rounds: list[Round], payment: Payment, policy: Policy
    ) -> None:
        self.changes = changes
        self.dispute = dispute
        self.rounds = rounds
        self.payment = payment
        self.breaks: list[Break] = []
        self._policy = policy
        self._told = self._seen()

    def begin(self) -> None:
        """Something is about to be heard."""
        self._told = self._seen()

    def open_round(self) -> None:
        """Money is taken: what is owed to the merchant is less while it is held."""
        d, p = self.dispute, self.payment
        held_minor = part_of(p, d.amount_minor, d.currency)
        self.rounds.append(
            Round(
                dispute_id=d.id,
                merchant_id=d.merchant_id,
                payment_id=d.payment_id,
                round=d.round,
                amount_minor=d.amount_minor,
                currency=d.currency,
                held_minor=held_minor,
                outcome=Outcome.OPEN,
                absorbed_minor=0,
                overturned=False,
                fee_minor=None,
                fee_currency=None,
                fee_charged_minor=0,
                opened_at=self.changes.now,
                decided_at=None,
            )
        )
        excess_minor = p.excess_refunded_minor
        hold(p, held_minor)
        self._post("dispute_opened", d.currency, dispute_opened_lines(d.amount_minor))
        if d.currency != p.currency:
            self.raise_break("currency_mismatch", f"disputed in {d.currency}, the payment is in {p.currency}")
        if p.excess_refunded_minor > excess_minor:
            detail = f"{p.excess_refunded_minor} more is refunded and disputed than the {p.captured_minor} captured"
            self.raise_break("excess", detail, p.excess_refunded_minor - excess_minor)

    def win(self) -> None:
        """What was held is the merchant's again."""
        last = self._decide(Outcome.WON)
        self._post("dispute_won", last.currency, dispute_opened_lines(-last.amount_minor))

    def lose(self) -> None:
        """What was held is gone; the platform bears it where the merchant's terms say so."""
        last = self._decide(Outcome.LOST)
        self._post("dispute_lost", last.currency, dispute_lost_lines(last.amount_minor))
        if self._policy.absorbs_loss:
            last.absorbed_minor = last.amount_minor
            lines = dispute_loss_absorbed_lines(last.amount_minor)
            self._post("dispute_loss_absorbed", last.currency, lines)

    def overturn(self) -> None:
        """What was lost is won all the same: the loss is taken back, then it is won."""
        last = self.rounds[-1]
        self._post("dispute_lost_reversed", last.currency, dispute_lost_lines(-last.amount_minor))
        if last.absorbed_minor:
            lines = dispute_loss_absorbed_lines(-last.absorbed_minor)
            self._post("dispute_loss_absorbed_reversed", last.currency, lines)
        take_again(self.payment, last.held_minor)
        last.outcome, last.overturned = Outcome.OPEN, True
        self.win()

    def take_fee(self, of: Round, fee_minor: int, currency: str) -> None:
        """The PSP takes a fee for the dispute, once a round; the merchant bears it where his terms say so."""
        if of.fee_minor is not None:
            return
        of.fee_minor, of.fee_currency = fee_minor, currency
        if self._policy.charges_fee and fee_minor:
            of.fee_charged_minor = fee_minor
            self._post("dispute_fee_charged", currency, dispute_fee_charged_lines(fee_minor), of.round)

    def tell(self, kind: str, more: dict[str, object] | None = None) -> None:
        """An event of the payment, with its status as it is then."""
        self.changes.touch(self.payment)
        data = {"dispute": dispute_data(self.dispute), **(more or {})}
        self.changes.emit(self.payment, kind, more=data)
        self._told = self._seen()

    def tell_what_is_left(self) -> None:
        """`dispute.updated`, if something has changed that no event has told yet."""
        if self._seen() != self._told:
            self.tell("dispute.updated")

    def raise_break(self, kind: str, detail: str, at_risk_minor: int | None = None) -> None:
        """Put a mismatch in front of a person."""
        d = self.dispute
        self.breaks.append(
            Break(
                dispute_id=d.id,
                merchant_id=d.merchant_id,
                payment_id=d.payment_id,
                psp=d.psp,
                kind=kind,
                name=f"{d.round}",
                detail=detail,
                currency=d.currency,
                at_risk_minor=d.amount_minor if at_risk_minor is None else at_risk_minor,
            )
        )

    def _decide(self, outcome: Outcome) -> Round:
        last = self.rounds[-1]
        last.outcome, last.decided_at = outcome, self.changes.now
        decide(self.payment, last.held_minor, is_won=outcome is Outcome.WON)
        return last

    def _post(self, kind: str, currency: str, lines: tuple[Line, ...], number: int | None = None) -> None:
        p = self.payment
        self.changes.journals.append(
            Journal(
                merchant_id=p.merchant_id,
                payment_id=p.id,
                kind=kind,
                correlation_id=f"{ids.show(ids.DISPUTE, self.dispute.id)}:{number or self.dispute.round}",
                currency=currency,
                effective_at=self.changes.now,
                lines=lines,
            )
        )

    def _seen(self) -> object:
        """What a reader of the dispute sees."""
        d = self.dispute
        return (d.stage, d.status, d.round, d.amount_minor, d.currency, d.reason, d.evidence_due_at)
