"""What a merchant can do about a dispute over the wire. `/v1/disputes/{id}`.

GET shows it. POST /evidence: `{"texts"?: {field: text}, "files"?: [{"name", "content_type", "content" (base64),
"field"?}], "submit"?}`: may be sent in pieces until one says `submit`; then the bank looks into it. POST /accept gives
in. Both take an `Idempotency-Key`, and go wrong where the charge's `metadata.simulate` says so
(`evidence:timeout_after`).
"""

import binascii
import hashlib
import re
from base64 import b64decode
from typing import Annotated, Final

import msgspec

from bezant_simulator import disputes, wire
from bezant_simulator.api import Answer, HttpRequest, invalid, not_heard, once, unknown
from bezant_simulator.behaviours import of_dispute
from bezant_simulator.disputes import Step
from bezant_simulator.model import Charge, Delivery, EvidenceFile
from bezant_simulator.wire import Reply
from bezant_simulator.world import World

FILES_MAX: Final = 20
TEXTS_MAX: Final = 50
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Text = Annotated[str, msgspec.Meta(max_length=20_000)]
_TYPE: Final = re.compile(r"(image/(png|jpeg)|application/pdf|text/plain)")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    name: _Name
    content_type: _Name
    content: str
    field: _Name | None = None


class _Evidence(msgspec.Struct, forbid_unknown_fields=True):
    texts: Annotated[dict[_Name, _Text], msgspec.Meta(max_length=TEXTS_MAX)] = {}
    files: Annotated[list[_File], msgspec.Meta(max_length=FILES_MAX)] = []
    submit: bool = False


class _Acceptance(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing is said but yes."""


def answer(world: World, request: HttpRequest) -> Answer:
    """The answer to a call below /v1/disputes."""
    if (unheard := not_heard(world, request)) is not None:
        return unheard
    try:
        match request.method, request.path.split("/")[3:]:
            case "GET", [dispute_id]:
                return _show(world, dispute_id)
            case "POST", [dispute_id, "evidence"]:
                body = msgspec.json.decode(request.body, type=_Evidence)
                files = [_seen(file) for file in body.files]
                return _take(world, request, dispute_id, body, disputes.answer(body.texts, files, submit=body.submit))
            case "POST", [dispute_id, "accept"]:
                body = msgspec.json.decode(request.body or b"{}", type=_Acceptance)
                return _take(world, request, dispute_id, body, disputes.accept)
            case _:
                return wire.error_reply(404, "api_error", "unknown_path", "There is nothing here.")
    except msgspec.ValidationError as error:
        return invalid("invalid_request", str(error))
    except (msgspec.DecodeError, RecursionError) as error:
        return invalid("invalid_json", str(error))
    except binascii.Error as error:
        return invalid("invalid_file", f"The content of a file is not base64: {error}")


def _show(world: World, dispute_id: str) -> Reply:
    found = world.book.dispute(dispute_id, world.now())
    if found is None:
        return _nowhere()
    return Reply(200, wire.encode(wire.dispute_view(*found)))


def _take(world: World, request: HttpRequest, dispute_id: str, body: msgspec.Struct, step: Step) -> Answer:
    found = world.book.dispute(dispute_id, world.now())
    if found is None:
        return _nowhere()
    behaviour = of_dispute(request.path.rpartition("/")[2], found[0].metadata)

    def perform(now: float) -> tuple[Charge, Delivery, Reply]:
        charge, dispute = world.book.dispute(dispute_id, now) or found
        if world.book.move_dispute(charge, dispute, step, now):
            reply = Reply(200, wire.encode(wire.dispute_view(charge, dispute)))
        else:
            reply = wire.error_reply(422, "refused", "not_possible", f"This dispute is {dispute.status}.")
        return charge, Delivery.NORMAL, reply

    return once(world, request, body, behaviour, perform)


def _seen(file: _File) -> EvidenceFile:
    if not _TYPE.fullmatch(file.content_type):
        raise msgspec.ValidationError("Evidence is a PNG, a JPEG, a PDF or plain text.")
    content = b64decode(file.content, validate=True)
    if not content:
        raise msgspec.ValidationError("A file is empty.")
    return EvidenceFile(file.name, file.content_type, len(content), hashlib.sha256(content).hexdigest(), file.field)


def _nowhere() -> Reply:
    return unknown("unknown_dispute", "There is no such dispute.")
