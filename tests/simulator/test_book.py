"""Whatever is asked of the book, and whatever the clock does: its sums stay true and each change is told once."""

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bezant_simulator.behaviours import of_authorization, of_operation
from bezant_simulator.book import Book, Request
from bezant_simulator.decisions import due_at, new_id
from bezant_simulator.disputes import STEPS, Claim, Step, accept, answer
from bezant_simulator.events import Event, event_of
from bezant_simulator.model import Charge, Delivery, Dispute, DisputeStatus, Kind, Operation, OperationStatus, Stage
from bezant_simulator.settlement.movements import movements

DELAY_S = 3.0
METHODS = ["pm_card_visa", "pm_card_declined", "pm_card_3ds", "pm_wallet", "pm_card_async", "pm_card_async_fails",
           "pm_card_partial", "pm_card_capture_fails", "pm_card_refund_async", "pm_card_refund_async_fails",
           "pm_card_webhook_shuffled", "pm_card_dispute_lost", "pm_card_dispute_won"]  # fmt: skip
WORDS = ["approve", "fails", "async", "async_fails", "fails_later", "webhook_shuffled", "dispute_won", "dispute_lost"]
FATES = [DisputeStatus.NEEDS_RESPONSE, DisputeStatus.WON, DisputeStatus.LOST]
ALL_STEPS: list[Step] = [*STEPS.values(), accept, answer({"said": "x"}, [], submit=False), answer({}, [], submit=True)]
KINDS = st.sampled_from([Kind.CAPTURE, Kind.CANCEL, Kind.REFUND])


class Machine(RuleBasedStateMachine):
    """A book, and everything that it tells."""

    charges: Bundle[str] = Bundle("charges")
    disputes: Bundle[tuple[str, str]] = Bundle("disputes")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.book = Book(self)
        self.told: list[tuple[Event, str]] = []
        self.kept: dict[str, bytes] = {}
        self.references = 0

    def tell(self, charge: Charge, subject: Operation | Dispute, at: float) -> None:
        assert at <= self.now
        event = event_of(charge, subject, at)
        assert event_of(charge, subject, at) == event, "the same fact is the same event, byte for byte"
        self.told.append((event, subject.id))

    def moved(self, charge: Charge) -> None:
        self.keep(charge)

    def delay_s(self) -> float:
        return DELAY_S

    def dispute_fee(self) -> int:
        return 1500

    def keep(self, charge: Charge) -> None:
        self.kept[charge.id] = msgspec.json.encode(charge)

    def request(self, *, by_hand: bool = False) -> Request:
        self.references += 1
        name = None if by_hand else f"att_{self.references}"
        return Request(reference=name, idempotency_key=name, at=self.now, decides_at=self.now + DELAY_S)

    @rule(target=charges, method=st.sampled_from(METHODS), capture=st.booleans(), amount=st.integers(1, 1000))
    def create(self, method: str, capture: bool, amount: int) -> str:
        request = self.request()
        charge = Charge(
            id=new_id("ch"), reference=request.reference or "", payment_reference="pay", amount=amount, currency="USD",
            payment_method=method, capture=capture, created=self.now, stage=Stage.PROCESSING, operations=[],
        )  # fmt: skip
        behaviour = of_authorization(method, {})
        assert behaviour is not None
        self.book.authorize(charge, behaviour, request)
        self.keep(charge)
        return charge.id

    @rule(charge_id=charges, kind=KINDS, word=st.sampled_from(WORDS), amount=st.none() | st.integers(1, 1000),
          final=st.booleans(), by_hand=st.booleans())  # fmt: skip
    def operate(self, charge_id: str, kind: Kind, word: str, amount: int | None, final: bool, by_hand: bool) -> None:
        charge = self.charge(charge_id)
        behaviour = of_operation(kind, charge.payment_method, {"simulate": f"{kind}:{word}"})
        request = self.request(by_hand=by_hand)
        match kind:
            case Kind.CAPTURE:
                self.book.capture(charge, amount, None, behaviour, request, final=final)
            case Kind.REFUND:
                self.book.refund(charge, amount, None, behaviour, request)
            case _:
                self.book.cancel(charge, behaviour, request)
        self.keep(charge)

    @rule(charge_id=charges, approves=st.booleans())
    def customer_decides(self, charge_id: str, approves: bool) -> None:
        charge = self.charge(charge_id)
        refusal = None if approves else of_authorization("pm_card_stolen", {})
        self.book.decide(charge, refusal.refusal if refusal else None, self.now)
        self.keep(charge)

    @rule(target=disputes, charge_id=charges, amount=st.integers(1, 1000), fate=st.sampled_from(FATES),
          inquiry=st.booleans(), after_evidence=st.booleans(), evidence_s=st.sampled_from([2.0, 1_000.0]))  # fmt: skip
    def dispute(
        self, charge_id: str, amount: int, fate: DisputeStatus, inquiry: bool, after_evidence: bool, evidence_s: float
    ) -> Any:
        charge = self.charge(charge_id)
        claim = Claim(
            amount=amount, fate=fate, is_inquiry=inquiry, after_evidence=after_evidence, evidence_s=evidence_s
        )
        dispute = self.book.open_dispute(charge, claim, self.now)
        self.keep(charge)
        return charge_id, dispute.id

    @rule(of=disputes, step=st.sampled_from(ALL_STEPS))
    def move_dispute(self, of: tuple[str, str], step: Step) -> None:
        found = self.book.dispute(of[1], self.now)
        assert found is not None
        before = msgspec.json.encode(found[1])
        if not self.book.move_dispute(*found, step, self.now):
            assert msgspec.json.encode(found[1]) == before, "what is not possible leaves nothing behind"
        self.keep(found[0])

    @rule(seconds=st.sampled_from([0.5, 1.0, DELAY_S, 10.0]), look=st.booleans())
    def wait(self, seconds: float, look: bool) -> None:
        self.now += seconds
        if look:
            for charge in self.book.charges(self.now):
                due = due_at(charge)
                assert due is None or due > self.now

    @rule()
    def restart(self) -> None:
        """From what was kept comes what was there."""
        before = [msgspec.json.encode(charge) for charge in self.book.as_kept()]
        self.book = Book(self)
        for kept in self.kept.values():
            self.book.put(msgspec.json.decode(kept, type=Charge))
        assert [msgspec.json.encode(charge) for charge in self.book.as_kept()] == before

    @invariant()
    def sums_are_true(self) -> None:
        for charge in self.book.as_kept():
            done: dict[Kind, int] = dict.fromkeys(Kind, 0)
            for operation in charge.operations:
                if operation.status is OperationStatus.SUCCEEDED:
                    done[operation.kind] += operation.amount
            assert charge.amount_authorized == done[Kind.AUTHORIZE]
            assert charge.amount_captured == done[Kind.CAPTURE]
            assert charge.amount_refunded == done[Kind.REFUND] <= charge.amount_captured
            assert charge.amount_captured + charge.amount_released <= charge.amount_authorized
            assert charge.amount_released >= done[Kind.CANCEL]
            assert charge.capturable >= 0

    @invariant()
    def disputes_hold_what_they_took(self) -> None:
        for charge in self.book.as_kept():
            for dispute in charge.disputes:
                is_taken = dispute.is_held or dispute.is_lost
                assert sum(move.amount for move in dispute.moves) == (-dispute.amount if is_taken else 0)
                assert [move.at for move in dispute.moves] == sorted(move.at for move in dispute.moves)

    @invariant()
    def movements_are_what_was_moved(self) -> None:
        for charge in self.book.as_kept():
            found = list(movements(charge))
            assert len({movement.line_id for movement in found}) == len(found)
            disputed = sum(move.amount for dispute in charge.disputes for move in dispute.moves)
            assert sum(m.amount for m in found) == charge.amount_captured - charge.amount_refunded + disputed
            assert all(movement.at <= self.now for movement in found)

    @invariant()
    def each_change_is_told_once(self) -> None:
        assert len({event.id for event, _ in self.told}) == len(self.told)
        last = {subject_id: msgspec.json.decode(event.body)["data"] for event, subject_id in self.told}
        for charge in self.book.as_kept():
            first = charge.operations[0]
            assert last[first.id]["authorization"]["status"] == first.status
            for operation in charge.operations[1:]:
                is_with_the_first = operation.kind is Kind.CAPTURE and operation.reference == first.reference
                assert (operation.id in last) is not is_with_the_first
                if not is_with_the_first:
                    assert last[operation.id]["status"] == operation.status
            for dispute in charge.disputes:
                assert last[dispute.id]["status"] == dispute.status

    @invariant()
    def what_is_shuffled_was_announced(self) -> None:
        types = {(subject_id, event.type.rpartition(".")[2]) for event, subject_id in self.told}
        for event, subject_id in self.told:
            is_refused_at_once = "refused" in event.body and '"type":"refused"' in event.body
            if event.delivery is Delivery.SHUFFLED and not event.type.startswith("dispute") and not is_refused_at_once:
                assert (subject_id, "pending") in types or (subject_id, "action_required") in types

    def charge(self, charge_id: str) -> Charge:
        found = self.book.charge(charge_id, self.now)
        assert found is not None
        return found


TestBook = Machine.TestCase
TestBook.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
