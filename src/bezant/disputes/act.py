"""Hand evidence in, or accept a dispute: intent committed, then the PSP, then the outcome; as attempts of payments are.

An action's id is the idempotency key that the PSP gets. Whoever performs it holds its lease; when that is dead, a job
takes the action up: it looks the dispute up first, and sends again, under the same key, only what has not arrived.
"""

import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import Conflict, Unprocessable
from bezant.base.failpoints import reach
from bezant.base.log import logger
from bezant.disputes import rules, store
from bezant.disputes.bring import desk_of, require_answerable
from bezant.disputes.cases import Case
from bezant.disputes.rules import Weight
from bezant.disputes.states import Action, Dispute, Stage
from bezant.psp.call import CalledOnDispute, Caller
from bezant.psp.contract import Failure, Verdict
from bezant.psp.disputes import DisputeAsk, EvidenceAsk, EvidenceFile
from bezant.psp.log import keep_requests

_MARGIN_S: Final = 5.0
_SLOWNESS: Final = 3
"""How many time-outs of a call evidence may take: it is uploaded file by file."""

_DECIDED: Final = (Verdict.APPROVED, Verdict.DECLINED)
_TOO_LATE: Final = Failure(code="invalid_state", message="The dispute was decided before this reached the PSP.")
_REFUSED: Final = Failure(code="psp_refused", message="The PSP does not take it.")
_BATCH: Final = 20
_log = logger(__name__)

Verb = Literal["submit", "accept"]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """An action whose lease this process holds, and what the PSP is asked; before `send_before` of its clock."""

    action: Action
    dispute: Dispute
    psp_reference: str | None
    send_before: float


class Acts:
    """Performs actions and takes up those that were left. `answering`: the PSPs where disputes can be answered."""

    def __init__(self, database: Database, caller: Caller, answering: Collection[str], *, timeout_s: float) -> None:
        self._database = database
        self._caller = caller
        self._answering = answering
        self._call_s = timeout_s * _SLOWNESS
        self._lease_s = self._call_s + _MARGIN_S

    async def begin(
        self, transaction: Transaction, merchant_id: UUID | None, dispute_id: UUID, verb: Verb, by: By | None = None
    ) -> Ready:
        """Commit the intent with the caller's transaction.

        Raises NotFound; Busy, Conflict or Unprocessable where the dispute, its deadline or its PSP do not allow it.
        """
        began_at = time.monotonic()
        desk = await desk_of(transaction, merchant_id, dispute_id)
        case = desk.case(dispute_id)
        dispute, now = case.dispute, transaction.now
        key = (dispute.id, dispute.merchant_id)
        require_answerable(dispute, await store.actions(transaction.connection, key), now, what=_WHAT[verb])
        if verb == "accept" and dispute.stage == Stage.INQUIRY:
            raise Conflict("invalid_state", "An inquiry has taken nothing: there is nothing to accept.")
        own = [e for e in await store.evidence(transaction.connection, key) if e.round == dispute.round]
        if verb == "submit" and not own:
            raise Unprocessable("evidence_missing", "Nothing was brought against this dispute yet.")
        if dispute.psp not in self._answering:
            raise Unprocessable("unsupported_by_psp", f"Disputes at {dispute.psp} are answered in its own dashboard.")
        lease = now + timedelta(seconds=self._lease_s)
        action = Action(
            id=ids.child_of(dispute.payment_id),
            merchant_id=dispute.merchant_id,
            payment_id=dispute.payment_id,
            dispute_id=dispute.id,
            round=dispute.round,
            action=verb,
            status="sending",
            failure=None,
            detail=None,
            lease_until=lease,
            next_check_at=lease,
            checks=0,
            created_at=now,
            updated_at=now,
        )
        await store.write_actions(transaction, [action])
        if by is not None:
            subject = ids.show(ids.DISPUTE, dispute.id)
            await record(transaction, by, f"{verb}_dispute", subject, dispute.merchant_id, {"round": dispute.round})
        send_before = began_at + self._lease_s - self._call_s
        return Ready(action=action, dispute=dispute, psp_reference=case.payment.gateway_ref, send_before=send_before)

    async def perform(self, ready: Ready) -> None:
        """Ask the PSP and record what came of it. Raises DatabaseError where that cannot be recorded."""
        ask = await self._ask(ready)
        d, verb = ready.dispute, _verb(ready.action)
        called = await self._caller.on_dispute(d.psp, ask, verb, d.psp_account_id, ready.send_before)
        reach("dispute_record.before_begin", (verb,))
        await self._record(ready.action, called)
        reach("dispute_record.after_commit", (verb,))

    async def take_up(self) -> int:
        """Find out what became of actions that nobody answered for, and perform those that never arrived."""
        async with self._database.connection() as connection:
            taken = await store.take_up(connection, timedelta(seconds=self._lease_s * 2), _BATCH)
            disputes = [await store.dispute(connection, a.merchant_id, a.dispute_id) for a in taken]
        for action, dispute in zip(taken, disputes, strict=True):
            if dispute is not None:
                await self._take_up(action, dispute)
        return len(taken)

    async def _take_up(self, action: Action, dispute: Dispute) -> None:
        look = DisputeAsk(
            reference=ids.show(ids.DISPUTE_ACTION, action.id),
            dispute_reference=dispute.psp_reference,
            psp_reference=None,
        )
        looked = await self._caller.on_dispute(dispute.psp, look, "fetch", dispute.psp_account_id)
        told = looked.state.notice
        if looked.state.verdict is not Verdict.APPROVED or told is None:
            await self._record(action, looked)
        elif told.status in ("inquiry", "needs_response"):
            send_before = time.monotonic() + self._lease_s - self._call_s
            await self.perform(Ready(action=action, dispute=dispute, psp_reference=None, send_before=send_before))
        else:
            await self._record(action, _as_found(action, looked))

    async def _ask(self, ready: Ready) -> DisputeAsk:
        action, dispute = ready.action, ready.dispute
        ask = DisputeAsk(
            reference=ids.show(ids.DISPUTE_ACTION, action.id),
            dispute_reference=dispute.psp_reference,
            psp_reference=ready.psp_reference,
        )
        if action.action == "accept":
            return ask
        async with self._database.connection() as connection:
            brought = await store.contents(connection, (dispute.id, dispute.merchant_id), action.round)
        files = tuple(
            EvidenceFile(
                reference=ids.show(ids.DISPUTE_EVIDENCE, evidence_id),
                field=field,
                name=name or field,
                content_type=content_type or "",
                content=content,
            )
            for evidence_id, field, _, name, content_type, content in brought
            if content is not None
        )
        return EvidenceAsk(
            reference=ask.reference,
            dispute_reference=ask.dispute_reference,
            psp_reference=ask.psp_reference,
            texts={field: words for _, field, words, _, _, _ in brought if words is not None},
            files=files,
        )

    async def _record(self, action: Action, called: CalledOnDispute) -> None:
        """What came of it, in one transaction with what it does to the dispute. The first outcome stands."""
        async with self._database.transaction() as transaction:
            desk = await desk_of(transaction, action.merchant_id, action.dispute_id)
            case = desk.case(action.dispute_id)
            key = (action.dispute_id, action.merchant_id)
            current = next(a for a in await store.actions(transaction.connection, key) if a.id == action.id)
            is_held = current.lease_until == action.lease_until
            if current.is_unresolved and (is_held or called.state.verdict in _DECIDED):
                self._conclude(case, current, called)
                await store.write_actions(transaction, [current])
                if current.status == "approved" and current.action == "submit":
                    await store.mark_submitted(transaction, current)
            logs = [(action.merchant_id, action.id, log) for log in called.requests]
            await keep_requests(transaction, logs)
            await desk.write()
            reach("dispute_record.before_commit", (action.action,))

    def _conclude(self, case: Case, action: Action, called: CalledOnDispute) -> None:
        state, now = called.state, case.changes.now
        action.updated_at = now
        action.detail = state.detail
        match state.verdict:
            case Verdict.APPROVED:
                action.status, action.next_check_at = "approved", None
                _approved(case, action, called)
            case Verdict.DECLINED:
                action.status, action.next_check_at = "declined", None
                action.failure = msgspec.json.encode(state.failure or _REFUSED).decode()
                case.dispute.next_check_at = now  # whatever it was, the PSP knows better how it stands
            case _:
                action.status = "unknown"
                wait_s = rules.BACK_OFF_S[min(action.checks, len(rules.BACK_OFF_S) - 1)]
                action.next_check_at = now + timedelta(seconds=min(wait_s, 5 * (action.checks + 1) ** 2))
                action.lease_until = now
                action.checks += 1
                _log.warning("dispute_action_unknown", action=action.id.hex, verdict=state.verdict, detail=state.detail)


def _as_found(action: Action, looked: CalledOnDispute) -> CalledOnDispute:
    """A dispute that waits for no answer any more: it got ours, or it has ended without."""
    told = looked.state.notice
    if told is not None and rules.has_arrived(action.action, told.status):
        return looked
    state = msgspec.structs.replace(looked.state, verdict=Verdict.DECLINED, failure=_TOO_LATE)
    return CalledOnDispute(state, looked.requests)


def _approved(case: Case, action: Action, called: CalledOnDispute) -> None:
    """What the PSP shows now, as a word of it; and what we know because it took ours."""
    if action.round != case.dispute.round:
        return  # a further round has begun meanwhile, and says enough
    if called.state.notice is not None:
        rules.hear(case, called.state.notice, Weight.WORD, can_ask=True)
    if action.action == "accept":
        rules.accepted(case)
    else:
        rules.handed_in(case)


def _verb(action: Action) -> Verb:
    return "accept" if action.action == "accept" else "submit"


_WHAT: Final[Mapping[Verb, str]] = {"submit": "Evidence", "accept": "Accepting"}
