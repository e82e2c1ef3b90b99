"""Stripe's disputes: evidence with its files, accepting, looking up.

A dispute waits for an answer while its status says `needs_response`; submitting evidence makes it `under_review`, and
closing it makes it `lost` (https://docs.stripe.com/api/disputes). Evidence is submitted in one request, which
overwrites what was staged: sent again under the same key, or later, it says the same. Files go to a host of their own
(https://docs.stripe.com/file-upload), each under its own key.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from bezant.connectors.stripe import mapping, outcomes
from bezant.connectors.stripe.mapping import Dispute
from bezant.psp.contract import Failure, PspRequest, PspResponse, PspSilence, Send, Upload, Verdict
from bezant.psp.disputes import DisputeAsk, DisputeState, EvidenceAsk, EvidenceFile

DISPUTES: Final = "/v1/disputes"
FILES: Final = "/v1/files"
FILES_HOST: Final = "files.stripe.com"
WAITS_FOR_ANSWER: Final = frozenset({"needs_response", "warning_needs_response", "appeal_needs_response"})


IsDone = Callable[[Dispute], bool]


class _Uploaded(msgspec.Struct, frozen=True):
    id: str


async def submit_evidence(ask: EvidenceAsk, send: Send) -> DisputeState:
    """Upload the files, then submit everything at once."""
    form = {f"evidence[{field}]": text for field, text in ask.texts.items()}
    for file in ask.files:
        response = await send(_upload(file))
        if response.status != 200:
            return _refused(response)
        form[f"evidence[{file.field}]"] = msgspec.convert(response.body, _Uploaded).id
    response = await send(_post(ask, "", {**form, "submit": "true"}))
    if response.status != 200:
        return await _refused_unless_done(ask, send, response, _waits_for_nothing)
    return _answered(ask, response, _waits_for_nothing)


async def accept_dispute(ask: DisputeAsk, send: Send) -> DisputeState:
    """Close the dispute, which cannot be taken back."""
    response = await send(_post(ask, "/close", {}))
    if response.status != 200:
        return await _refused_unless_done(ask, send, response, _is_lost)
    return _answered(ask, response, _is_lost)


async def fetch_dispute(ask: DisputeAsk, send: Send) -> DisputeState:
    """The dispute as Stripe shows it."""
    response = await send(PspRequest(method="GET", path=_path(ask)))
    if response.status == 404:
        return DisputeState(verdict=Verdict.NOT_FOUND)
    return DisputeState(verdict=Verdict.APPROVED, notice=outcomes.dispute(_dispute(ask, response)))


def _waits_for_nothing(dispute: Dispute) -> bool:
    return dispute.status not in WAITS_FOR_ANSWER


def _is_lost(dispute: Dispute) -> bool:
    return dispute.status == "lost"


def _answered(ask: DisputeAsk, response: PspResponse, is_done: IsDone) -> DisputeState:
    """An answer whose object does not show the effect yet is an acknowledgement, and no outcome."""
    dispute = _dispute(ask, response)
    verdict = Verdict.APPROVED if is_done(dispute) else Verdict.PENDING
    return DisputeState(verdict=verdict, notice=outcomes.dispute(dispute))


async def _refused_unless_done(ask: DisputeAsk, send: Send, response: PspResponse, is_done: IsDone) -> DisputeState:
    """A second copy of a request is refused when the first was done: the dispute shows whether it was."""
    refusal = _refused(response)
    if refusal.verdict is not Verdict.DECLINED:
        return refusal
    found = _answered(ask, await send(PspRequest(method="GET", path=_path(ask))), is_done)
    return found if found.verdict is Verdict.APPROVED else msgspec.structs.replace(refusal, notice=found.notice)


def _refused(response: PspResponse) -> DisputeState:
    """400: refused before anything was done. 401, 403 and a lock: not executed. Everything else says nothing."""
    error = msgspec.convert(response.body, mapping.Refused).error
    detail = f"HTTP {response.status} {error.code or error.type}"
    if response.status in {401, 403} or error.code == "lock_timeout":
        return DisputeState(verdict=Verdict.NOT_EXECUTED, detail=detail)
    if response.status != 400 or error.type == "idempotency_error":
        return DisputeState(verdict=Verdict.UNKNOWN, detail=detail)
    message = error.message or "The request was refused."
    failure = Failure(code=mapping.REFUSAL_DEFAULT, message=message, decline_code=error.code)
    return DisputeState(verdict=Verdict.DECLINED, failure=failure, detail=detail)


def _dispute(ask: DisputeAsk, response: PspResponse) -> Dispute:
    if response.status != 200:
        raise PspSilence(f"HTTP {response.status} where a dispute was expected")
    dispute = msgspec.convert(response.body, Dispute)
    if dispute.id != ask.dispute_reference:
        raise PspSilence(f"asked about {ask.dispute_reference}, answered about {dispute.id}")
    return dispute


def _upload(file: EvidenceFile) -> PspRequest:
    upload = Upload(
        fields={"purpose": "dispute_evidence"},
        name="file",
        file_name=file.name,
        content_type=file.content_type,
        content=file.content,
    )
    key = {"Idempotency-Key": file.reference}
    return PspRequest(method="POST", path=FILES, headers=key, upload=upload, host=FILES_HOST)


def _post(ask: DisputeAsk, action: str, form: Mapping[str, str]) -> PspRequest:
    return PspRequest(method="POST", path=_path(ask) + action, headers={"Idempotency-Key": ask.reference}, form=form)


def _path(ask: DisputeAsk) -> str:
    return f"{DISPUTES}/{quote(ask.dispute_reference, safe='')}"
