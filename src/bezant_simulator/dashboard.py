"""What a person does in the PSP's own dashboard, past its callers: they hear of it by webhook alone.

POST /_simulator/charges/{id}/refund, /capture, /cancel: `{"amount"?, "final"?, "simulate"?}`, where `simulate` holds
words as in metadata, e.g. `refund:fails_later`; what is not allowed leaves nothing behind. POST
/_simulator/events: `{"type", "data"}`, an event of any kind. POST /_simulator/events/{id}/redeliver.

POST /_simulator/charges/{id}/dispute: `{"amount"?, "currency"?, "reason"?, "inquiry"?, "fate"?, "after_evidence"?,
"evidence_s"?, "beyond"?}`. With the `fate` "won" or "lost" it decides itself, some time after it was opened or after
evidence was submitted; `beyond` allows more than was captured. POST /_simulator/disputes/{id}/win, /lose, /escalate (an
inquiry), /review, /expire, /reopen (one that was won).
"""

from typing import Annotated, Final

import msgspec

from bezant_simulator import wire
from bezant_simulator.api import HttpRequest
from bezant_simulator.behaviours import of_operation
from bezant_simulator.book import Request
from bezant_simulator.disputes import STEPS, Claim, Step
from bezant_simulator.events import custom_event
from bezant_simulator.model import EVIDENCE_S, DisputeStatus, Kind
from bezant_simulator.wire import Amount, Currency, Reply
from bezant_simulator.world import World

_KINDS: Final = {"refund": Kind.REFUND, "capture": Kind.CAPTURE, "cancel": Kind.CANCEL}


class _Operation(msgspec.Struct, forbid_unknown_fields=True):
    amount: Amount | None = None
    final: bool = True
    simulate: str = ""


class _Dispute(msgspec.Struct, forbid_unknown_fields=True):
    amount: Amount | None = None
    currency: Currency | None = None
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "fraudulent"
    inquiry: bool = False
    fate: DisputeStatus = DisputeStatus.NEEDS_RESPONSE
    after_evidence: bool = False
    evidence_s: Annotated[float, msgspec.Meta(gt=0, le=365 * 24 * 3600)] = EVIDENCE_S
    beyond: bool = False


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    data: dict[str, object] = {}


def answer(world: World, request: HttpRequest, parts: list[str]) -> Reply:
    """The answer to a POST below /_simulator."""
    match parts:
        case ["charges", charge_id, ("refund" | "capture" | "cancel") as verb]:
            return _operate(world, request, charge_id, _KINDS[verb])
        case ["charges", charge_id, "dispute"]:
            return _dispute(world, request, charge_id)
        case ["disputes", dispute_id, verb] if verb in STEPS:
            return _take(world, dispute_id, STEPS[verb])
        case ["events"]:
            wanted = msgspec.json.decode(request.body, type=_Event)
            event = custom_event(wanted.type, wanted.data, world.now())
            world.say(event)
            return Reply(201, event.body.encode())
        case ["events", event_id, "redeliver"]:
            return Reply(200, b"{}") if world.courier.redeliver(event_id) else nothing_here()
        case _:
            return nothing_here()


def nothing_here() -> Reply:
    """There is no such path or thing."""
    return wire.error_reply(404, "invalid_request", "unknown_path", "There is nothing here.")


def _operate(world: World, request: HttpRequest, charge_id: str, kind: Kind) -> Reply:
    wanted = msgspec.json.decode(request.body or b"{}", type=_Operation)
    now = world.now()
    charge = world.book.charge(charge_id, now)
    if charge is None:
        return nothing_here()
    by_hand = Request(reference=None, idempotency_key=None, at=now, decides_at=now + world.settings.async_delay_s)
    behaviour = of_operation(kind, charge.payment_method, {"simulate": wanted.simulate})
    match kind:
        case Kind.CAPTURE:
            operation = world.book.capture(charge, wanted.amount, None, behaviour, by_hand, final=wanted.final)
        case Kind.REFUND:
            operation = world.book.refund(charge, wanted.amount, None, behaviour, by_hand)
        case _:
            operation = world.book.cancel(charge, behaviour, by_hand)
    world.keep(charge)
    if operation.refusal is not None and operation.decides_at is None:
        return wire.refused(operation.refusal, charge, operation)
    return Reply(201, wire.encode(wire.operation_view(charge, operation)))


def _dispute(world: World, request: HttpRequest, charge_id: str) -> Reply:
    wanted = msgspec.json.decode(request.body or b"{}", type=_Dispute)
    now = world.now()
    charge = world.book.charge(charge_id, now)
    if charge is None:
        return nothing_here()
    is_foreign = wanted.currency not in (None, charge.currency)
    amount = wanted.amount or (0 if is_foreign else charge.undisputed)
    is_within = wanted.beyond or is_foreign or amount <= charge.undisputed
    if not (amount and charge.amount_captured and is_within):
        return wire.error_reply(422, "refused", "not_disputable", "No more can be disputed than was captured.")
    claim = Claim(
        amount=amount,
        reason=wanted.reason,
        fate=wanted.fate,
        currency=wanted.currency,
        is_inquiry=wanted.inquiry,
        after_evidence=wanted.after_evidence,
        evidence_s=wanted.evidence_s,
    )
    dispute = world.book.open_dispute(charge, claim, now)
    world.keep(charge)
    return Reply(201, wire.encode(wire.dispute_view(charge, dispute)))


def _take(world: World, dispute_id: str, step: Step) -> Reply:
    now = world.now()
    found = world.book.dispute(dispute_id, now)
    if found is None:
        return nothing_here()
    if not world.book.move_dispute(*found, step, now):
        return wire.error_reply(409, "refused", "not_possible", f"This dispute is {found[1].status}.")
    world.keep(found[0])
    return Reply(200, wire.encode(wire.dispute_view(*found)))
