"""What a person does in the PSP's own dashboard, past its callers: they hear of it by webhook alone.

POST /_simulator/charges/{id}/refund, /capture, /cancel: `{"amount"?, "final"?, "simulate"?}`, where `simulate` holds
words as in metadata, e.g. `refund:fails_later`; what is not allowed leaves nothing behind. POST
/_simulator/charges/{id}/dispute: `{"amount"?, "reason"?, "fate"?}`; with `fate` it decides itself. POST
/_simulator/disputes/{id}/win and /lose. POST /_simulator/events: `{"type", "data"}`, an event of any kind. POST
/_simulator/events/{id}/redeliver.
"""

from typing import Annotated, Final

import msgspec

from bezant_simulator import wire
from bezant_simulator.api import HttpRequest
from bezant_simulator.behaviours import of_operation
from bezant_simulator.book import Request
from bezant_simulator.events import custom_event
from bezant_simulator.model import Charge, DisputeStatus, Kind
from bezant_simulator.wire import Amount, Reply
from bezant_simulator.world import World

_KINDS: Final = {"refund": Kind.REFUND, "capture": Kind.CAPTURE, "cancel": Kind.CANCEL}


class _Operation(msgspec.Struct, forbid_unknown_fields=True):
    amount: Amount | None = None
    final: bool = True
    simulate: str = ""


class _Dispute(msgspec.Struct, forbid_unknown_fields=True):
    amount: Amount | None = None
    reason: str = "fraudulent"
    fate: DisputeStatus = DisputeStatus.OPEN


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
        case ["disputes", dispute_id, ("win" | "lose") as verb]:
            return _decide(world, dispute_id, DisputeStatus.WON if verb == "win" else DisputeStatus.LOST)
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
    amount = wanted.amount or _undisputed(charge)
    if not 0 < amount <= _undisputed(charge):
        return wire.error_reply(422, "refused", "not_disputable", "No more can be disputed than was captured.")
    dispute = world.book.open_dispute(charge, amount, wanted.reason, wanted.fate, now, by_itself=True)
    world.keep(charge)
    return Reply(201, wire.encode(wire.dispute_view(charge, dispute)))


def _undisputed(charge: Charge) -> int:
    """A bank may take back what was refunded as well."""
    return charge.amount_captured - charge.disputed(DisputeStatus.OPEN) - charge.disputed(DisputeStatus.LOST)


def _decide(world: World, dispute_id: str, status: DisputeStatus) -> Reply:
    now = world.now()
    found = world.book.dispute(dispute_id, now)
    if found is None:
        return nothing_here()
    if not world.book.close_dispute(*found, status, now):
        return wire.error_reply(409, "refused", "already_decided", "This dispute was decided before.")
    world.keep(found[0])
    return Reply(200, wire.encode(wire.dispute_view(*found)))
