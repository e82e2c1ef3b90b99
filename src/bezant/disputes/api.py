"""The HTTP calls about disputes."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import WAIT_MAX_S, Database, DatabaseError, Transaction
from bezant.base.errors import Busy, NotFound, OutcomeUnknown
from bezant.base.log import logger
from bezant.disputes import store
from bezant.disputes.act import Acts, Ready, Verb
from bezant.disputes.bring import BODY_MAX, BringEvidence, bring
from bezant.disputes.once import Again, Once, PaymentOf
from bezant.disputes.queries import DisputeQuery, Queries, view
from bezant.disputes.render import DisputeView
from bezant.idempotency.claims import Reply as KeptReply
from bezant.web import Call, Page, Reply, Route, json_reply

_ONE: Final = "/disputes/{dispute_id}"
_READ: Final = "disputes:read"
_WRITE: Final = "disputes:write"
_STATE_ERRORS: Final = {
    409: ("invalid_state", "attempt_in_progress", "idempotency_key_in_use"),
    422: ("idempotency_key_reused", "evidence_overdue", "card_data_refused"),
}
_log = logger(__name__)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body without fields."""


class DisputesApi:
    """The calls, with what they need. `committed` is told when events may be there."""

    def __init__(self, database: Database, queries: Queries, acts: Acts, committed: Callable[[], None]) -> None:
        self._database = database
        self._committed = committed
        self._queries = queries
        self._acts = acts
        self._once = Once(database)

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        evidence_errors = ("evidence_type_refused", "evidence_too_large")
        return (
            Route("GET", "/disputes", self.list, scope=_READ, query=DisputeQuery, responses={200: Page[DisputeView]}),
            Route("GET", _ONE, self.show, scope=_READ, responses={200: DisputeView}),
            Route(
                "POST",
                f"{_ONE}/evidence",
                self.bring,
                scope=_WRITE,
                request=BringEvidence,
                responses={200: DisputeView},
                errors={**_STATE_ERRORS, 422: (*_STATE_ERRORS[422], *evidence_errors)},
                body_max=BODY_MAX,
            ),
            self._action("submit", (*_STATE_ERRORS[422], "evidence_missing", "unsupported_by_psp")),
            self._action("accept", (*_STATE_ERRORS[422], "unsupported_by_psp")),
        )

    def _action(self, verb: Verb, unprocessable: tuple[str, ...]) -> Route:
        return Route(
            "POST",
            f"{_ONE}/{verb}",
            self.submit if verb == "submit" else self.accept,
            scope=_WRITE,
            idempotency="required",
            request=Nothing,
            responses={200: DisputeView, 202: DisputeView},
            errors={**_STATE_ERRORS, 422: unprocessable, 504: ("outcome_unknown",)},
        )

    async def list(self, call: Call) -> Reply:
        """List disputes, those of the newest payments first."""
        return json_reply(200, await self._queries.page(call.principal.merchant_id, call.read_query(DisputeQuery)))

    async def show(self, call: Call) -> Reply:
        """Show a dispute."""
        return json_reply(200, await self._queries.show(call.principal.merchant_id, _dispute_id(call)))

    async def bring(self, call: Call) -> Reply:
        """Bring evidence.

        Texts and documents (PDF, PNG or JPEG by their content, in base64) are kept until they are submitted; what a
        field held before is replaced. Documents are not shown again. Possible while the dispute waits for an answer.
        """
        body, merchant_id, dispute_id = call.read(BringEvidence), call.principal.merchant_id, _dispute_id(call)

        async def perform(transaction: Transaction) -> KeptReply:
            await bring(transaction, merchant_id, dispute_id, body)
            return await _reply(transaction, merchant_id, dispute_id)

        done = await self._once.run(call, _payment_of(merchant_id, dispute_id), perform)
        return done if isinstance(done, Reply) else await self._current(merchant_id, dispute_id)

    async def submit(self, call: Call) -> Reply:
        """Submit the evidence.

        Everything that was brought goes to the PSP, once and for good. 202 while nobody knows whether it has arrived.
        """
        return await self._act(call, "submit")

    async def accept(self, call: Call) -> Reply:
        """Accept a dispute.

        It is lost then. 202 while it is not known whether the PSP has heard it.
        """
        return await self._act(call, "accept")

    async def _act(self, call: Call, verb: Verb) -> Reply:
        call.read(Nothing)
        merchant_id, dispute_id = call.principal.merchant_id, _dispute_id(call)
        begun: list[Ready] = []

        async def begin(transaction: Transaction) -> None:
            begun[:] = [await self._acts.begin(transaction, merchant_id, dispute_id, verb)]

        done = await self._once.run(call, _payment_of(merchant_id, dispute_id), begin)
        if isinstance(done, Reply):
            return done
        if isinstance(done, Again):
            return await self._again(merchant_id, dispute_id)
        try:
            await self._acts.perform(begun[0])
            self._committed()
            return await self._keep(call, merchant_id, dispute_id)
        except DatabaseError as fault:
            _log.error("dispute_action_not_recorded", dispute=dispute_id.hex, error=str(fault))
            raise OutcomeUnknown from fault

    async def _keep(self, call: Call, merchant_id: UUID, dispute_id: UUID) -> Reply:
        """The first reply: what a repeat of the key gets, once it says what came of it."""
        async with self._database.transaction() as transaction:
            reply = await _reply(transaction, merchant_id, dispute_id)
            if reply.status == 200:
                await self._once.keep(transaction, call, reply)
        return Reply(reply.status, reply.body)

    async def _again(self, merchant_id: UUID, dispute_id: UUID) -> Reply:
        """A repeat of a key whose outcome was not known at first: how it stands now."""
        async with self._database.snapshot(WAIT_MAX_S) as connection:
            shown = await view(connection, merchant_id, dispute_id)
        if shown.action is not None and shown.action.status == "processing":
            raise Busy(
                "idempotency_key_in_use", "A request with this Idempotency-Key is still in flight.", retry_after_s=1
            )
        return _shown(shown, {"Idempotent-Replayed": "true"})

    async def _current(self, merchant_id: UUID, dispute_id: UUID) -> Reply:
        async with self._database.snapshot(WAIT_MAX_S) as connection:
            return _shown(await view(connection, merchant_id, dispute_id), {"Idempotent-Replayed": "true"})


def _dispute_id(call: Call) -> UUID:
    dispute_id = ids.parse(ids.DISPUTE, call.path_params["dispute_id"])
    if dispute_id is None:
        raise NotFound("There is no such dispute.")
    return dispute_id


def _payment_of(merchant_id: UUID, dispute_id: UUID) -> PaymentOf:
    async def payment_id(transaction: Transaction) -> UUID:
        found = await store.dispute(transaction.connection, merchant_id, dispute_id)
        if found is None:
            raise NotFound("There is no such dispute.")
        return found.payment_id

    return payment_id


async def _reply(transaction: Transaction, merchant_id: UUID, dispute_id: UUID) -> KeptReply:
    shown = _shown(await view(transaction.connection, merchant_id, dispute_id), {})
    return KeptReply(shown.status, shown.body)


def _shown(dispute: DisputeView, headers: dict[str, str]) -> Reply:
    is_open = dispute.action is not None and dispute.action.status in ("processing", "unknown")
    return json_reply(202 if is_open else 200, dispute, headers)
