"""The simulator's calls and its list of charges: build the request, read the answer.

An answer of another shape, or about something else than what was asked, is no answer: the outcome is unknown.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from bezant.connectors.simulator import mapping
from bezant.connectors.simulator.mapping import Charge, ChargeList, Dispute, OperationList, Refusal
from bezant.connectors.simulator.mapping import Operation as Done
from bezant.psp.contract import (
    Ask,
    Credentials,
    Failure,
    Holding,
    NextAction,
    Operation,
    Outcome,
    PspRequest,
    PspResponse,
    PspSilence,
    Send,
    Verdict,
)
from bezant.psp.disputes import DisputeAsk, DisputeState, EvidenceAsk
from bezant.psp.notices import DisputeNotice

CHARGES: Final = "/v1/charges"
OPERATIONS: Final = "/v1/operations"
DISPUTES: Final = "/v1/disputes"
FACTS: Final = "/_simulator/charges"
PAGE_MAX: Final = 200

Body = TypeVar("Body")


def authenticate(credentials: Credentials) -> Mapping[str, str]:
    """The key, or the one that every simulator takes."""
    return {"Authorization": f"Bearer {credentials.fields.get('api_key', mapping.DEFAULT_KEY)}"}


async def authorize(ask: Ask, send: Send) -> Outcome:
    """Create a charge; `capture` takes the money at once."""
    body = {
        "amount": ask.amount_minor,
        "currency": ask.currency,
        "payment_method": ask.payment_method,
        "reference": ask.reference,
        "payment_reference": ask.payment_reference,
        "capture": ask.capture,
        "metadata": dict(ask.metadata),
        "return_url": ask.return_url,
        "description": ask.description,
        "statement_descriptor": ask.statement_descriptor,
    }
    response = await send(_post(ask.reference, CHARGES, body))
    if response.status >= 400:
        return _refused(ask, response)
    return _authorization(ask, _read(response, Charge))


async def capture(ask: Ask, send: Send) -> Outcome:
    """Capture; `final` releases the rest."""
    body = {"amount": ask.amount_minor, "currency": ask.currency, "final": ask.final, **_name(ask)}
    return await _modify(ask, send, "capture", body)


async def cancel(ask: Ask, send: Send) -> Outcome:
    """Release what is authorized and not captured, or give up a charge that is not decided."""
    return await _modify(ask, send, "cancel", _name(ask))


async def refund(ask: Ask, send: Send) -> Outcome:
    """Give a part of what was captured back, or all of it."""
    body = {"amount": ask.amount_minor, "currency": ask.currency, **_name(ask)}
    return await _modify(ask, send, "refunds", body)


async def fetch(ask: Ask, send: Send) -> Outcome:
    """What became of an operation: by the PSP's own name where we know it, else by our reference."""
    if ask.operation is Operation.AUTHORIZE:
        return await _fetch_authorization(ask, send)
    if ask.operation_reference is not None:
        response = await send(_get(f"{OPERATIONS}/{quote(ask.operation_reference, safe='')}"))
        return _not_found(ask) if response.status == 404 else _operation(ask, _read(response, Done))
    response = await send(_get(OPERATIONS, ask.reference))
    found = [done for done in _read(response, OperationList).data if done.kind == ask.operation]
    if len(found) > 1:
        raise PspSilence(f"{len(found)} operations carry one reference")
    return _operation(ask, found[0]) if found else _not_found(ask)


async def holdings(after: str | None, send: Send) -> Sequence[Holding]:
    """A page of everything that the simulator holds, from its control plane."""
    query = {"limit": str(PAGE_MAX)} | ({} if after is None else {"after": after})
    response = await send(PspRequest(method="GET", path=FACTS, query=query))
    return [
        Holding(
            psp_reference=fact.id,
            reference=fact.reference,
            currency=fact.currency,
            authorized_minor=fact.amount_authorized,
            captured_minor=fact.amount_captured,
            refunded_minor=fact.amount_refunded,
        )
        for fact in _read(response, mapping.ChargeFacts).data
    ]


async def submit_evidence(ask: EvidenceAsk, send: Send) -> DisputeState:
    """Hand everything in at once."""
    files = [
        {
            "field": file.field,
            "name": file.name,
            "content_type": file.content_type,
            "content": b64encode(file.content).decode(),
        }
        for file in ask.files
    ]
    return await _answer_dispute(ask, send, "evidence", {"texts": dict(ask.texts), "files": files, "submit": True})


async def accept_dispute(ask: DisputeAsk, send: Send) -> DisputeState:
    """Give in."""
    return await _answer_dispute(ask, send, "accept", {})


async def fetch_dispute(ask: DisputeAsk, send: Send) -> DisputeState:
    """The dispute as it stands."""
    response = await send(_get(_dispute_path(ask)))
    if response.status == 404:
        return DisputeState(verdict=Verdict.NOT_FOUND)
    return DisputeState(verdict=Verdict.APPROVED, notice=notice_of_dispute(_read(response, Dispute)))


def notice_of_dispute(dispute: Dispute) -> DisputeNotice:
    """How a dispute stands, whoever asked."""
    status, stage = mapping.DISPUTE.get(dispute.status), mapping.STAGE.get(dispute.stage)
    if status is None or stage is None:
        raise ValueError(f"a dispute of the status {dispute.status} and the stage {dispute.stage}")
    return DisputeNotice(
        dispute_reference=dispute.id,
        psp_reference=dispute.charge,
        stage=stage,
        status=status,
        amount_minor=dispute.amount,
        currency=dispute.currency,
        round=dispute.round,
        reason=dispute.reason,
        evidence_due_at=datetime.fromtimestamp(dispute.evidence_due, UTC),
        fee_minor=dispute.fee if dispute.round else None,
    )


def outcome_of_charge(charge: Charge) -> Outcome:
    """How its authorization stands, whoever asked."""
    verdict = mapping.STATUS.get(charge.authorization.status, Verdict.PENDING)
    approved = verdict is Verdict.APPROVED
    return Outcome(
        verdict=verdict,
        psp_reference=charge.id,
        operation_reference=charge.authorization.id,
        reference=charge.reference,
        amount_minor=charge.authorization.amount if approved else None,
        currency=charge.currency,
        captured_minor=charge.authorization.captured,
        failure=_failure(charge.failure) if verdict is Verdict.DECLINED else None,
        next_action=None if charge.redirect_url is None else NextAction(url=charge.redirect_url),
    )


def outcome_of_operation(done: Done) -> Outcome:
    """How a capture, cancel or refund stands, whoever asked."""
    verdict = mapping.STATUS.get(done.status, Verdict.PENDING)
    # The cancel of a charge that was not decided yet moves nothing, and says so with an amount of 0.
    approved = verdict is Verdict.APPROVED and done.amount > 0
    return Outcome(
        verdict=verdict,
        psp_reference=done.charge,
        operation_reference=done.id,
        reference=done.reference,
        amount_minor=done.amount if approved else None,
        currency=done.currency,
        failure=_failure(done.failure) if verdict is Verdict.DECLINED else None,
    )


async def _fetch_authorization(ask: Ask, send: Send) -> Outcome:
    if ask.psp_reference is not None:
        response = await send(_get(_charge_path(ask)))
        return _not_found(ask) if response.status == 404 else _authorization(ask, _read(response, Charge))
    found = _read(await send(_get(CHARGES, ask.reference)), ChargeList).data
    if len(found) > 1:
        raise PspSilence(f"{len(found)} charges carry one reference")
    return _authorization(ask, found[0]) if found else _not_found(ask)


async def _modify(ask: Ask, send: Send, verb: str, body: Mapping[str, object]) -> Outcome:
    response = await send(_post(ask.reference, f"{_charge_path(ask)}/{verb}", body))
    if response.status >= 400:
        return _refused(ask, response)
    return _operation(ask, _read(response, Done))


async def _answer_dispute(ask: DisputeAsk, send: Send, verb: str, body: Mapping[str, object]) -> DisputeState:
    response = await send(_post(ask.reference, f"{_dispute_path(ask)}/{verb}", body))
    if response.status < 400:
        return DisputeState(verdict=Verdict.APPROVED, notice=notice_of_dispute(_read(response, Dispute)))
    error = msgspec.convert(response.body, mapping.Refused).error
    verdict = mapping.REFUSED.get(error.type, Verdict.UNKNOWN)
    failure = _failure(error) if verdict is Verdict.DECLINED else None
    return DisputeState(verdict=verdict, failure=failure, detail=f"HTTP {response.status} {error.code}")


def _dispute_path(ask: DisputeAsk) -> str:
    return f"{DISPUTES}/{quote(ask.dispute_reference, safe='')}"


def _name(ask: Ask) -> dict[str, object]:
    return {"reference": ask.reference, "metadata": dict(ask.metadata)}


def _post(key: str, path: str, body: Mapping[str, object]) -> PspRequest:
    return PspRequest(method="POST", path=path, headers={"Idempotency-Key": key}, json=body)


def _get(path: str, reference: str | None = None) -> PspRequest:
    return PspRequest(method="GET", path=path, query={} if reference is None else {"reference": reference})


def _charge_path(ask: Ask) -> str:
    if ask.psp_reference is None:
        raise PspSilence(f"a {ask.operation} needs the charge's id")
    return f"{CHARGES}/{quote(ask.psp_reference, safe='')}"


def _read(response: PspResponse, shape: type[Body]) -> Body:
    if response.status >= 300:
        raise PspSilence(f"HTTP {response.status} where {shape.__name__} was expected")
    return msgspec.convert(response.body, shape)


def _authorization(ask: Ask, charge: Charge) -> Outcome:
    if ask.psp_reference not in (None, charge.id):
        raise PspSilence(f"asked about {ask.psp_reference}, answered about {charge.id}")
    return outcome_of_charge(charge)


def _operation(ask: Ask, done: Done) -> Outcome:
    if done.charge != ask.psp_reference or done.kind != ask.operation:
        raise PspSilence(f"asked about a {ask.operation} of {ask.psp_reference}, got a {done.kind} of {done.charge}")
    return outcome_of_operation(done)


def _not_found(ask: Ask) -> Outcome:
    return Outcome(verdict=Verdict.NOT_FOUND, psp_reference=ask.psp_reference)


def _refused(ask: Ask, response: PspResponse) -> Outcome:
    error = msgspec.convert(response.body, mapping.Refused).error
    verdict = mapping.REFUSED.get(error.type, Verdict.UNKNOWN)
    return Outcome(
        verdict=verdict,
        psp_reference=error.charge or ask.psp_reference,
        operation_reference=error.operation,
        failure=_failure(error) if verdict is Verdict.DECLINED else None,
        detail=f"HTTP {response.status} {error.code}",
    )


def _failure(refusal: Refusal | None) -> Failure:
    if refusal is None:
        raise ValueError("refused without a reason")
    code, retryable = mapping.FAILURES.get(refusal.decline_code or refusal.code) or mapping.FAILURES.get(
        refusal.code, mapping.FAILURE_DEFAULT
    )
    return Failure(
        code=code, message=refusal.message, decline_code=refusal.decline_code or refusal.code, retryable=retryable
    )
