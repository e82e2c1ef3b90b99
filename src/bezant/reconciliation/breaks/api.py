"""The HTTP calls about breaks, matches by hand and what is on its way, for the operator alone."""

from collections.abc import Awaitable, Callable
from typing import Final

from bezant.audit.record import By
from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import NotFound
from bezant.idempotency.claims import Claim
from bezant.reconciliation.breaks.by_hand.unmatch import item_of
from bezant.reconciliation.breaks.matches import (
    MatchByHand,
    MatchView,
    UndoMatch,
    UndoneView,
    made_view,
    undone_view,
)
from bezant.reconciliation.breaks.overview.status import Overview, ReconciliationStatus, TransitFilter, TransitView
from bezant.reconciliation.breaks.resolve import MOVES_MONEY, match_items, resolve, unmatch_item
from bezant.reconciliation.breaks.rules import Resolution
from bezant.reconciliation.breaks.views import (
    AssignBreak,
    BreakDetail,
    BreakFilter,
    BreakView,
    CommentOnBreak,
    ResolveBreak,
)
from bezant.reconciliation.breaks.work import Work, assign, comment
from bezant.reconciliation.lease import Lease
from bezant.web import Call, Page, Reply, Route, json_reply
from bezant.webhooks.once import once

_AT: Final = "/reconciliation"
_READ: Final = "reconciliation:read"
_WRITE: Final = "reconciliation:write"
_REUSED: Final = "idempotency_key_reused"

Decide = Callable[[Transaction], Awaitable[Reply]]


class BreaksApi:
    """The calls, with what they need."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._work = Work(database)
        self._overview = Overview(database)

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        one = _AT + "/breaks/{break_id}"
        return (
            _read(_AT + "/status", self.status, ReconciliationStatus),
            _read(_AT + "/transit", self.transit, Page[TransitView], TransitFilter),
            _read(_AT + "/breaks", self.list_breaks, Page[BreakView], BreakFilter),
            _read(_AT + "/exports/breaks", self.export_breaks, None, BreakFilter),
            _read(one, self.show_break, BreakDetail),
            _write(one + "/assign", self.assign_break, AssignBreak, BreakDetail),
            _write(one + "/comment", self.comment_on_break, CommentOnBreak, BreakDetail),
            _write(one + "/resolve", self.resolve_break, ResolveBreak, BreakDetail),
            _write(_AT + "/matches", self.match_by_hand, MatchByHand, MatchView),
            _write(_AT + "/matches/{match_id}/undo", self.undo_match, UndoMatch, UndoneView),
        )

    async def status(self, _: Call) -> Reply:
        """Show what is not explained yet.

        Operations, lines, payouts and bank lines by account, kind and age; breaks by kind; files.
        """
        return json_reply(200, await self._overview.status())

    async def transit(self, call: Call) -> Reply:
        """List what is in transit, operation by operation, and why."""
        return json_reply(200, await self._overview.transit(call.read_query(TransitFilter)))

    async def list_breaks(self, call: Call) -> Reply:
        """List breaks, newest first."""
        return json_reply(200, await self._work.page(call.read_query(BreakFilter)))

    async def export_breaks(self, call: Call) -> Reply:
        """Get breaks as CSV.

        The same filters as the list, and all that they let through. No cell begins like a formula.
        """
        pieces = [piece async for piece in self._work.export(call.read_query(BreakFilter))]
        headers = {"Content-Disposition": 'attachment; filename="breaks.csv"'}
        return Reply(200, "".join(pieces).encode(), headers, "text/csv; charset=utf-8; header=present")

    async def show_break(self, call: Call) -> Reply:
        """Show a break with its comments, what it is about, and what could explain it."""
        return json_reply(200, await self._work.show(call.path_params["break_id"]))

    async def assign_break(self, call: Call) -> Reply:
        """Say who is to look at a break."""
        wanted, break_id = call.read(AssignBreak), call.path_params["break_id"]
        return await self._worked(call, lambda t: assign(t, break_id, wanted.owner, _actor(call)))

    async def comment_on_break(self, call: Call) -> Reply:
        """Say something of a break."""
        wanted, break_id = call.read(CommentOnBreak), call.path_params["break_id"]
        return await self._worked(call, lambda t: comment(t, break_id, wanted.body, _actor(call)))

    async def resolve_break(self, call: Call) -> Reply:
        """End a break.

        `written_off` and `accepted` post what that means for the books, and wait for a run to end.
        """
        wanted, break_id = call.read(ResolveBreak), call.path_params["break_id"]
        resolution, by = Resolution(wanted.resolution), By(_actor(call), wanted.reason)

        async def end(transaction: Transaction) -> None:
            await resolve(transaction, break_id, resolution, by)

        return await self._worked(call, end, is_leased=resolution in MOVES_MONEY)

    async def match_by_hand(self, call: Call) -> Reply:
        """Match operations and lines, or payouts and bank lines, by hand."""
        wanted = call.read(MatchByHand)
        by = By(_actor(call), wanted.reason)

        async def decide(transaction: Transaction) -> Reply:
            made = await match_items(transaction, wanted.ours, wanted.theirs, by, write_off=wanted.write_off)
            return json_reply(200, made_view(made))

        return await self._decided(call, decide)

    async def undo_match(self, call: Call) -> Reply:
        """Take a match back.

        Its postings are reversed, and what it explained is open again. `match_id` may be anything that it explains. No
        run matches its lines again.
        """
        item_id, wanted = item_of(call.path_params["match_id"]), call.read(UndoMatch)
        if item_id is None:
            raise NotFound("There is no such match.")
        by = By(_actor(call), wanted.reason)

        async def decide(transaction: Transaction) -> Reply:
            return json_reply(200, undone_view(await unmatch_item(transaction, item_id, by)))

        return await self._decided(call, decide)

    async def _worked(
        self, call: Call, work: Callable[[Transaction], Awaitable[None]], *, is_leased: bool = False
    ) -> Reply:
        """Do something with a break, once per Idempotency-Key; the break as it is then."""

        async def decide(transaction: Transaction) -> Reply:
            await work(transaction)
            shown = await self._work.shown(transaction.connection, call.path_params["break_id"])
            return json_reply(200, shown)

        if is_leased:
            return await self._decided(call, decide)
        return await once(self._database, call, lambda transaction, _: decide(transaction))

    async def _decided(self, call: Call, decide: Decide) -> Reply:
        """Decide about money, once per Idempotency-Key, while no run does."""
        lease = Lease(self._database)

        async def perform(transaction: Transaction, _: Claim | None) -> Reply:
            await lease.guard(transaction)
            return await decide(transaction)

        async with lease.held(is_run=False):
            return await once(self._database, call, perform)


def _read(
    path: str, handler: Callable[[Call], Awaitable[Reply]], shown: type | None, query: type | None = None
) -> Route:
    errors = {404: ("not_found",)}  # what a filter names may not be there either
    return Route("GET", path, handler, scope=_READ, operator=True, query=query, responses={200: shown}, errors=errors)


def _write(path: str, handler: Callable[[Call], Awaitable[Reply]], request: type, shown: type) -> Route:
    refusals = (_REUSED, "money_at_risk", "not_a_loss", "not_acceptable", "amounts_differ", "invalid_match")
    errors = {409: ("invalid_state", "run_in_progress"), 422: refusals}
    return Route(
        "POST", path, handler, scope=_WRITE, operator=True, request=request, responses={200: shown}, errors=errors
    )


def _actor(call: Call) -> str:
    return ids.show(ids.API_KEY, call.principal.key_id)
