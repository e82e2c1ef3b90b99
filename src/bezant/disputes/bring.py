"""Bring evidence: texts and documents, kept until they are handed in together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base.db import Transaction
from bezant.base.errors import Busy, Conflict, InvalidRequest, NotFound, Unprocessable
from bezant.disputes import store
from bezant.disputes.desk import Desk
from bezant.disputes.documents import Refused, safe_name, type_of
from bezant.disputes.rules import Limits
from bezant.disputes.states import Action, Dispute, Evidence
from bezant.psp.disputes import FILE_FIELDS, TEXT_FIELDS

BODY_MAX: Final = 3_000_000
"""One document as large as may be, in base64, or all texts."""

_LIMITS: Final = Limits()
Field = Annotated[str, Meta(pattern="^[a-z_]{1,60}$")]


class EvidenceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document: PDF, PNG or JPEG, which its content must show. `content` is base64."""

    field: Field
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    content: bytes


class BringEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts and documents by field; what a field held before is replaced, and a text that is null is taken back."""

    texts: Annotated[
        dict[Field, Annotated[str, Meta(min_length=1, max_length=20_000)] | None], Meta(max_length=50)
    ] = {}
    files: Annotated[list[EvidenceFile], Meta(max_length=20)] = []
    remove: Annotated[list[Field], Meta(max_length=50)] = []


async def bring(transaction: Transaction, merchant_id: UUID, dispute_id: UUID, body: BringEvidence) -> Dispute:
    """Keep what is brought.

    Raises NotFound, InvalidRequest for a field that does not exist, Conflict and Unprocessable where the dispute, the
    deadline, a limit or a document's content do not allow it.
    """
    _require_fields(body)
    dispute = await locked(transaction, merchant_id, dispute_id)
    key = (dispute.id, dispute.merchant_id)
    actions = await store.actions(transaction.connection, key)
    require_answerable(dispute, actions, transaction.now, what="Evidence")
    types = [_type(n, file) for n, file in enumerate(body.files)]
    require_within_limits(
        body, [e for e in await store.evidence(transaction.connection, key) if e.round == dispute.round]
    )
    removed = [*body.remove, *(field for field, words in body.texts.items() if words is None)]
    if removed:
        await store.remove_evidence(transaction, dispute, removed)
    for field, words in body.texts.items():
        if words is not None:
            await store.put_evidence(transaction, dispute, field, words=words)
    for file, content_type in zip(body.files, types, strict=True):
        document = (safe_name(file.name, content_type), content_type, file.content)
        await store.put_evidence(transaction, dispute, file.field, file=document)
    return dispute


async def locked(transaction: Transaction, merchant_id: UUID | None, dispute_id: UUID) -> Dispute:
    """The dispute under the lock of its payment. Raises NotFound."""
    return (await desk_of(transaction, merchant_id, dispute_id)).case(dispute_id).dispute


async def desk_of(transaction: Transaction, merchant_id: UUID | None, dispute_id: UUID) -> Desk:
    """The desk with the dispute on it. Raises NotFound."""
    found = await store.dispute(transaction.connection, merchant_id, dispute_id)
    if found is None:
        raise NotFound("There is no such dispute.")
    return await Desk.load(transaction, [(found.payment_id, found.merchant_id)])


def require_answerable(dispute: Dispute, actions: Sequence[Action], now: datetime, *, what: str) -> None:
    """Raises Busy while something is under way, Conflict where it is decided, Unprocessable after the deadline."""
    of_round = [a for a in actions if a.round == dispute.round]
    if any(a.is_unresolved for a in of_round):
        raise Busy("attempt_in_progress", "What was done about this dispute is not resolved yet.", retry_after_s=2)
    if any(a.status == "approved" for a in of_round) or not dispute.is_answerable:
        raise Conflict("invalid_state", f"The dispute is {dispute.status}. {what} comes too late.")
    if dispute.evidence_due_at is not None and dispute.evidence_due_at <= now:
        raise Unprocessable("evidence_overdue", f"{what} was due at {dispute.evidence_due_at:%Y-%m-%d %H:%M}Z.")


def require_within_limits(body: BringEvidence, before: Sequence[Evidence]) -> None:
    """Raises Unprocessable (`evidence_too_large`) where it would be more than a PSP takes."""
    replaced = {*body.texts, *body.remove, *(file.field for file in body.files)}
    kept = [e for e in before if e.field not in replaced]
    words = [len(text) for text in body.texts.values() if text is not None]
    sizes = [len(file.content) for file in body.files]
    if sum(words) + sum(len(e.words or "") for e in kept) > _LIMITS.all_words_max:
        raise _too_large("texts", f"{_LIMITS.all_words_max} characters", "/texts")
    if any(size > _LIMITS.file_max for size in sizes):
        raise _too_large("a file", f"{_LIMITS.file_max} bytes", "/files")
    if sum(sizes) + sum(e.size or 0 for e in kept) > _LIMITS.all_files_max:
        raise _too_large("files", f"{_LIMITS.all_files_max} bytes", "/files")


def _require_fields(body: BringEvidence) -> None:
    for where, fields, known in (
        ("texts", list(body.texts), TEXT_FIELDS),
        ("files", [file.field for file in body.files], FILE_FIELDS),
        ("remove", body.remove, TEXT_FIELDS | FILE_FIELDS),
    ):
        for place, field in enumerate(fields):
            if field not in known:
                param = f"/texts/{field}" if where == "texts" else f"/{where}/{place}"
                raise InvalidRequest("invalid_request", f"There is no such field: {_listed(known)}.", param=param)
    fields = [file.field for file in body.files]
    if len(fields) > len(set(fields)):
        raise InvalidRequest("invalid_request", "A field takes one document.", param="/files")


def _type(place: int, file: EvidenceFile) -> str:
    try:
        return type_of(file.content)
    except Refused as refused:
        raise Unprocessable(
            "evidence_type_refused", f"The document is refused: {refused}.", param=f"/files/{place}/content"
        ) from None


def _too_large(what: str, most: str, param: str) -> Unprocessable:
    return Unprocessable("evidence_too_large", f"Evidence may hold {what} of at most {most}.", param=param)


def _listed(fields: frozenset[str]) -> str:
    return ", ".join(sorted(fields))
