"""The control plane, for checks from outside: what the PSP itself believes, and how it shall behave. No payment is made
through it.

GET /_simulator/charges (`reference=` and `payment_reference=` narrow it; `limit=` and `after=` an id give a page of
it), POST /_simulator/reset, GET and POST /_simulator/settings.
"""

from datetime import UTC, datetime

import msgspec

from bezant_simulator import wire
from bezant_simulator.api import HttpRequest
from bezant_simulator.model import Charge, Kind, OperationStatus
from bezant_simulator.wire import Reply
from bezant_simulator.world import Settings, World


class OperationFact(msgspec.Struct):
    """An operation, as CONTRACT section 5 lists it."""

    kind: Kind
    amount: int
    idempotency_key: str | None
    status: OperationStatus
    at: str
    id: str
    reference: str


class ChargeFact(msgspec.Struct):
    """A charge, as CONTRACT section 5 lists it."""

    id: str
    reference: str
    payment_method: str
    currency: str
    amount_authorized: int
    amount_captured: int
    amount_refunded: int
    operations: list[OperationFact]
    amount_released: int
    payment_reference: str
    status: str


class Facts(msgspec.Struct):
    """The whole list."""

    data: list[ChargeFact]


def answer(world: World, request: HttpRequest) -> Reply:
    """The answer to a call below /_simulator."""
    match request.method, request.path.removeprefix("/_simulator"):
        case "GET", "/charges":
            return Reply(200, wire.encode(Facts([_fact(charge) for charge in _wanted(world, request)])))
        case "POST", "/reset":
            world.reset()
            return Reply(200, b"{}")
        case "GET", "/settings":
            return Reply(200, wire.encode(world.settings))
        case "POST", "/settings":
            return _set(world, request)
        case _:
            return wire.error_reply(404, "invalid_request", "unknown_path", "There is nothing here.")


def _wanted(world: World, request: HttpRequest) -> list[Charge]:
    limit = request.parameter("limit") if request.query else None
    if limit is not None and limit.isdecimal():
        return world.book.page(request.parameter("after"), int(limit), world.now())
    reference = request.parameter("reference") if request.query else None
    payment = request.parameter("payment_reference") if request.query else None
    return [
        charge
        for charge in world.book.charges(world.now())
        if reference in (None, charge.reference) and payment in (None, charge.payment_reference)
    ]


def _set(world: World, request: HttpRequest) -> Reply:
    """Changes the settings that are named; they last until a reset or a restart."""
    try:
        changes = msgspec.json.decode(request.body, type=dict[str, object])
        world.settings = msgspec.convert({**msgspec.structs.asdict(world.settings), **changes}, Settings)
    except msgspec.DecodeError as error:
        return wire.error_reply(400, "invalid_request", "invalid_settings", str(error))
    return Reply(200, wire.encode(world.settings))


def _fact(charge: Charge) -> ChargeFact:
    return ChargeFact(
        id=charge.id,
        reference=charge.reference,
        payment_method=charge.payment_method,
        currency=charge.currency,
        amount_authorized=charge.amount_authorized,
        amount_captured=charge.amount_captured,
        amount_refunded=charge.amount_refunded,
        operations=[
            OperationFact(
                kind=o.kind,
                amount=o.amount,
                idempotency_key=o.idempotency_key,
                status=o.status,
                at=datetime.fromtimestamp(o.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                id=o.id,
                reference=o.reference,
            )
            for o in charge.operations
        ],
        amount_released=charge.amount_released,
        payment_reference=charge.payment_reference,
        status=wire.status_word(charge),
    )
