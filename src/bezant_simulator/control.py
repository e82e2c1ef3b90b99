"""The control plane, for checks from outside: what the PSP itself believes, and how it shall behave. `/_simulator/...`

GET charges (`reference=` and `payment_reference=` narrow it; `limit=` and `after=` an id give a page of it), GET
balances, GET events (`charge=` narrows it), GET and POST settings, POST reset, POST webhook_secrets. What is done in
the PSP's dashboard, past all callers, is in `dashboard.py`; reports and bank statements are in `settlement/api.py`.
"""

from collections.abc import Sequence

import msgspec

from bezant_simulator import dashboard, wire
from bezant_simulator.api import HttpRequest
from bezant_simulator.courier import Sent
from bezant_simulator.model import Charge, Delivery, Dispute, DisputeStage, DisputeStatus, Kind, OperationStatus
from bezant_simulator.settings import Settings
from bezant_simulator.settlement import api as settlement_api
from bezant_simulator.wire import Reply, rfc3339
from bezant_simulator.world import World


class OperationFact(msgspec.Struct):
    """An operation, as CONTRACT section 5 lists it."""

    kind: Kind
    amount: int
    idempotency_key: str | None
    status: OperationStatus
    at: str
    id: str
    reference: str | None


class DisputeFact(msgspec.Struct):
    """A dispute."""

    id: str
    status: DisputeStatus
    stage: DisputeStage
    amount: int
    currency: str
    reason: str
    at: str


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
    amount_disputed: int
    amount_lost: int
    disputes: list[DisputeFact]


class EventFact(msgspec.Struct):
    """An event, and how far its delivery has come."""

    id: str
    type: str
    charge: str
    created_at: str
    delivery: Delivery
    told: bool
    tries: int
    last_answer: str | None


class Balance(msgspec.Struct):
    """What the PSP holds for the merchant in one currency: captured, less what was given back or taken."""

    currency: str
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    lost: int = 0
    balance: int = 0


class Facts(msgspec.Struct):
    """A whole list."""

    data: list[ChargeFact] | list[EventFact] | list[Balance]


class EventFacts(Facts):
    """The events that are remembered; `given_up` more were too many."""

    given_up: int


class _Secrets(msgspec.Struct, forbid_unknown_fields=True):
    secrets: list[str]


def answer(world: World, request: HttpRequest) -> Reply:
    """The answer to a call below /_simulator."""
    try:
        match request.method, request.path.removeprefix("/_simulator").split("/")[1:]:
            case "GET", ["charges"]:
                return _reply(Facts([_fact(charge) for charge in _wanted(world, request)]))
            case "GET", ["balances"]:
                return _reply(Facts(_balances(world)))
            case "GET", ["events"]:
                return _reply(_events(world, request.parameter("charge") if request.query else None))
            case "POST", ["reset"]:
                world.reset()
                return Reply(200, b"{}")
            case "GET", ["settings"]:
                return _reply(world.settings)
            case "POST", ["settings"]:
                return _set(world, request)
            case "POST", ["webhook_secrets"]:
                world.courier.secrets = tuple(msgspec.json.decode(request.body, type=_Secrets).secrets)
                return Reply(200, b"{}")
            case _, [what, *_] if what in settlement_api.PATHS:
                return settlement_api.answer(world, request)
            case "POST", parts:
                return dashboard.answer(world, request, parts)
            case _:
                return dashboard.nothing_here()
    except (msgspec.DecodeError, RecursionError) as error:
        return wire.error_reply(400, "invalid_request", "invalid_request", str(error))


def _reply(body: msgspec.Struct) -> Reply:
    return Reply(200, wire.encode(body))


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
    except (msgspec.DecodeError, RecursionError) as error:
        return wire.error_reply(400, "invalid_request", "invalid_settings", str(error))
    world.courier.retarget()
    return _reply(world.settings)


def _balances(world: World) -> list[Balance]:
    found: dict[str, Balance] = {}
    for charge in world.book.charges(world.now()):
        of = found.setdefault(charge.currency, Balance(charge.currency))
        of.captured += charge.amount_captured
        of.refunded += charge.amount_refunded
        for dispute in charge.disputes:
            currency = dispute.currency or charge.currency
            taken = found.setdefault(currency, Balance(currency))
            taken.disputed += dispute.amount if dispute.is_held else 0
            taken.lost += dispute.amount if dispute.is_lost else 0
    for of in found.values():
        of.balance = of.captured - of.refunded - of.disputed - of.lost
    return list(found.values())


def _events(world: World, charge_id: str | None) -> EventFacts:
    wanted: Sequence[Sent] = [
        sent for sent in world.courier.listing() if charge_id is None or sent.event.charge == charge_id
    ]
    facts = [
        EventFact(
            id=sent.event.id,
            type=sent.event.type,
            charge=sent.event.charge,
            created_at=rfc3339(sent.event.created),
            delivery=sent.event.delivery,
            told=sent.told,
            tries=sent.tries,
            last_answer=sent.last_answer,
        )
        for sent in wanted
    ]
    return EventFacts(facts, given_up=world.courier.given_up)


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
                at=rfc3339(o.at),
                id=o.id,
                reference=o.reference,
            )
            for o in charge.operations
        ],
        amount_released=charge.amount_released,
        payment_reference=charge.payment_reference,
        status=wire.status_word(charge),
        amount_disputed=charge.amount_disputed,
        amount_lost=charge.amount_lost,
        disputes=[_dispute_fact(charge, dispute) for dispute in charge.disputes],
    )


def _dispute_fact(charge: Charge, dispute: Dispute) -> DisputeFact:
    return DisputeFact(
        id=dispute.id,
        status=dispute.status,
        stage=dispute.stage,
        amount=dispute.amount,
        currency=dispute.currency or charge.currency,
        reason=dispute.reason,
        at=rfc3339(dispute.opened),
    )
