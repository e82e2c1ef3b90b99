"""The PSP's HTTP API: from a request to an answer, a delayed answer, or a fault. Knows no sockets."""

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

import msgspec

from bezant_simulator import wire
from bezant_simulator.behaviours import Behaviour, Fault, of_authorization, of_operation
from bezant_simulator.book import Request
from bezant_simulator.decisions import new_id
from bezant_simulator.keys import KEY_LENGTH_MAX, KeyConflict, StoredAnswer, fingerprint
from bezant_simulator.model import Charge, Delivery, Kind, Stage
from bezant_simulator.wire import CreateCharge, Modify, Reply
from bezant_simulator.world import World


class HttpRequest(msgspec.Struct):
    """A request as it came over the wire."""

    method: str
    path: str
    query: str
    body: bytes
    host: str
    authorization: str | None = None
    idempotency_key: str | None = None

    @property
    def base_url(self) -> str:
        """How the caller reaches this server."""
        return f"http://{self.host}"

    def parameter(self, name: str) -> str | None:
        """A query parameter."""
        return parse_qs(self.query).get(name, [None])[0]


class Later(msgspec.Struct, frozen=True):
    """An answer that takes its time: `run` does the work and gives it."""

    delay_s: float
    run: Callable[[], "Answer"]


class Told(msgspec.Struct, frozen=True):
    """An answer that is given after these events were sent and answered."""

    event_ids: Sequence[str]
    answer: "Answer"


Answer = Reply | Fault | Later | Told
Perform = Callable[[float], tuple[Charge, Delivery, Reply]]

_KINDS: Final = {"capture": Kind.CAPTURE, "cancel": Kind.CANCEL, "refunds": Kind.REFUND}
_CARD_NUMBER: Final = re.compile(r"(?:\d[ -]?){12,18}\d")
_decode_create: Final = msgspec.json.Decoder(CreateCharge).decode
_decode_modify: Final = msgspec.json.Decoder(Modify).decode


def answer(world: World, request: HttpRequest) -> Answer:
    """The answer to a call below /v1."""
    if (unheard := not_heard(world, request)) is not None:
        return unheard
    parts = request.path.split("/")[2:]
    try:
        match request.method, parts:
            case "POST", ["charges"]:
                return _create(world, request)
            case "POST", ["charges", charge_id, ("capture" | "cancel" | "refunds") as verb]:
                return _modify(world, request, charge_id, _KINDS[verb])
            case "GET", ["charges", charge_id]:
                return _show_charge(world, request, charge_id)
            case "GET", ["charges" | "operations" as what]:
                return _find(world, request, operations=what == "operations")
            case "GET", ["operations", operation_id]:
                return _show_operation(world, operation_id)
            case _:
                return wire.error_reply(404, "api_error", "unknown_path", "There is nothing here.")
    except msgspec.ValidationError as error:
        return invalid("invalid_request", str(error))
    except msgspec.DecodeError as error:
        return invalid("invalid_json", str(error))


def not_heard(world: World, request: HttpRequest) -> Answer | None:
    """What a call gets that is not looked at: in an outage, or without a key."""
    if world.settings.outage is not None:
        return Fault(world.settings.outage)
    if not (request.authorization or "").startswith("Bearer sim_"):
        return wire.error_reply(401, "authentication_error", "invalid_key", "Send 'Authorization: Bearer sim_...'.")
    return None


def _create(world: World, request: HttpRequest) -> Answer:
    body = _decode_create(request.body)
    if _CARD_NUMBER.search(body.payment_method):
        return invalid("card_data_refused", "Card numbers are not accepted here; send a payment method's name.")
    behaviour = of_authorization(body.payment_method, body.metadata)
    if behaviour is None:
        return wire.error_reply(422, "refused", "unknown_payment_method", "There is no such payment method.")

    def perform(now: float) -> tuple[Charge, Delivery, Reply]:
        charge = Charge(
            id=new_id("ch"),
            reference=body.reference,
            payment_reference=body.payment_reference,
            amount=body.amount,
            currency=body.currency,
            payment_method=body.payment_method,
            capture=body.capture,
            created=now,
            stage=Stage.PROCESSING,
            operations=[],
            metadata=body.metadata,
            return_url=body.return_url,
            base_url="" if behaviour.page is None else request.base_url,
        )
        world.book.authorize(charge, behaviour, _request(world, request, body, now))
        first = charge.operations[0]
        if charge.stage is Stage.REFUSED and first.refusal:
            return charge, first.delivery, wire.refused(first.refusal, charge, first)
        return charge, first.delivery, Reply(201, wire.encode(wire.charge_view(charge, request.base_url)))

    return once(world, request, body, behaviour, perform)


def _modify(world: World, request: HttpRequest, charge_id: str, kind: Kind) -> Answer:
    body = _decode_modify(request.body)
    charge = world.book.charge(charge_id, world.now())
    if charge is None:
        return unknown("unknown_charge", "There is no such charge.")
    behaviour = of_operation(kind, charge.payment_method, body.metadata, charge.metadata)

    def perform(now: float) -> tuple[Charge, Delivery, Reply]:
        current = world.book.charge(charge_id, now) or charge
        asked = _request(world, request, body, now)
        match kind:
            case Kind.CAPTURE:
                operation = world.book.capture(current, body.amount, body.currency, behaviour, asked, final=body.final)
            case Kind.REFUND:
                operation = world.book.refund(current, body.amount, body.currency, behaviour, asked)
            case _:
                operation = world.book.cancel(current, behaviour, asked)
        if operation.refusal is not None and operation.decides_at is None:
            return current, operation.delivery, wire.refused(operation.refusal, current, operation)
        return current, operation.delivery, Reply(201, wire.encode(wire.operation_view(current, operation)))

    return once(world, request, body, behaviour, perform)


def once(world: World, request: HttpRequest, body: msgspec.Struct, behaviour: Behaviour, perform: Perform) -> Answer:
    """Executes under the idempotency key: at most once, with the fault that the behaviour asks for."""
    key = request.idempotency_key
    if key is not None and not (0 < len(key) <= KEY_LENGTH_MAX):
        return invalid("invalid_idempotency_key", "Idempotency-Key takes 1 to 255 characters.")
    mark = fingerprint(request.path, body)
    if key is not None:
        try:
            stored = world.keys.find(key, mark, world.now())
        except KeyConflict as conflict:
            return _key_conflict(in_flight=conflict.in_flight)
        if stored is not None:
            return Reply(stored.status, stored.body.encode(), replayed=True)
    if behaviour.fault is not None and not behaviour.executes and world.strike(key):
        return behaviour.fault

    def execute() -> Answer:
        now = world.now()
        charge, delivery, reply = perform(now)
        stored = None if key is None else StoredAnswer(key, mark, reply.status, reply.body.decode(), now)
        events = world.keep(charge, stored)
        answer = behaviour.fault if behaviour.fault is not None and behaviour.executes else reply
        return Told([event.id for event in events], answer) if delivery is Delivery.FIRST else answer

    if not behaviour.delay_s:
        return execute()
    if key is not None:
        world.keys.begin(key, mark)
    return Later(behaviour.delay_s, execute)


def _request(world: World, request: HttpRequest, body: CreateCharge | Modify, now: float) -> Request:
    return Request(
        reference=body.reference,
        idempotency_key=request.idempotency_key,
        at=now,
        decides_at=now + world.settings.async_delay_s,
    )


def _show_charge(world: World, request: HttpRequest, charge_id: str) -> Reply:
    charge = world.book.charge(charge_id, world.now())
    if charge is None:
        return unknown("unknown_charge", "There is no such charge.")
    return Reply(200, wire.encode(wire.charge_view(charge, request.base_url)))


def _show_operation(world: World, operation_id: str) -> Reply:
    found = world.book.operation(operation_id, world.now())
    if found is None:
        return unknown("unknown_operation", "There is no such operation.")
    return Reply(200, wire.encode(wire.operation_view(*found)))


def _find(world: World, request: HttpRequest, *, operations: bool) -> Reply:
    """What carries the caller's reference, as an index would show it: with the visibility lag."""
    reference = request.parameter("reference")
    if reference is None:
        return invalid("invalid_request", "Say which reference to look for.")
    now = world.now()
    found = [
        (charge, operation)
        for charge, operation in world.book.by_reference(reference, now)
        if operation.at <= now - world.settings.visibility_lag_s
    ]
    if operations:
        return Reply(200, wire.encode(wire.Page([wire.operation_view(*each) for each in found])))
    charges = [charge for charge, operation in found if operation.kind is Kind.AUTHORIZE]
    return Reply(200, wire.encode(wire.Page([wire.charge_view(charge, request.base_url) for charge in charges])))


def _key_conflict(*, in_flight: bool) -> Reply:
    if in_flight:
        message = "A request with this Idempotency-Key is still being worked on."
        return wire.error_reply(HTTPStatus.CONFLICT, "idempotency_error", "key_in_flight", message)
    return invalid("key_reused", "This Idempotency-Key was used with another request.", "idempotency_error")


def invalid(code: str, message: str, error_type: str = "invalid_request") -> Reply:
    """A request that says something wrong."""
    return wire.error_reply(HTTPStatus.BAD_REQUEST, error_type, code, message)


def unknown(code: str, message: str) -> Reply:
    """A request about something that is not there."""
    return wire.error_reply(HTTPStatus.NOT_FOUND, "invalid_request", code, message)
