"""The HTTP calls about balances and the ledger."""

from datetime import datetime

import msgspec

from bezant.base import ids
from bezant.base.db import Database
from bezant.ledger import read, store
from bezant.ledger.read import AccountView, BalanceView, JournalView, TrialBalanceView
from bezant.web import Call, Page, PageQuery, Reply, Route, decode_cursor, encode_cursor, json_reply


class AccountList(msgspec.Struct, frozen=True):
    """Every account that was ever posted to, per currency."""

    data: list[AccountView]


class JournalQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journals of one payment, or of all."""

    payment_id: str | None = None


class TrialBalanceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`at`: the moment; without it, now."""

    at: datetime | None = None


class LedgerApi:
    """The calls, with what they need."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        scope = "ledger:read"
        return (
            Route("GET", "/balance", self.balance, scope=scope, responses={200: BalanceView}),
            Route("GET", "/ledger/accounts", self.accounts, scope=scope, responses={200: AccountList}),
            Route(
                "GET",
                "/ledger/journals",
                self.journals,
                scope=scope,
                query=JournalQuery,
                responses={200: Page[JournalView]},
            ),
            Route(
                "GET",
                "/ledger/trial_balance",
                self.trial_balance,
                scope=scope,
                query=TrialBalanceQuery,
                responses={200: TrialBalanceView},
            ),
        )

    async def balance(self, call: Call) -> Reply:
        """Show what the merchant is owed, what is in transit, and what is available."""
        async with self._database.snapshot() as connection:
            return json_reply(200, await read.balance(connection, call.principal.merchant_id))

    async def accounts(self, call: Call) -> Reply:
        """List the accounts with their balances."""
        async with self._database.snapshot() as connection:
            return json_reply(200, AccountList(await read.accounts(connection, call.principal.merchant_id)))

    async def journals(self, call: Call) -> Reply:
        """List journals with their entries, newest first."""
        query = call.read_query(JournalQuery)
        before = None if query.cursor is None else decode_cursor("journals", query.cursor, _order)
        payment_id = None if query.payment_id is None else ids.parse(ids.PAYMENT, query.payment_id)
        if query.payment_id is not None and payment_id is None:
            return json_reply(200, Page[JournalView]([], False, None))
        async with self._database.snapshot() as connection:
            rows = await store.journals(
                connection,
                call.principal.merchant_id,
                payment_id=payment_id,
                before=before,
                limit=query.limit + 1,
            )
        shown = rows[: query.limit]
        has_more = len(rows) > query.limit
        cursor = encode_cursor("journals", f"{shown[-1][-2]}.{shown[-1][-1]}") if has_more else None
        return json_reply(200, Page([read.journal_view(row) for row in shown], has_more, cursor))

    async def trial_balance(self, call: Call) -> Reply:
        """Show all accounts at a moment, now or in the past, re-derived from the entries known then."""
        at = call.read_query(TrialBalanceQuery).at
        async with self._database.snapshot() as connection:
            return json_reply(200, await read.trial_balance(connection, call.principal.merchant_id, at))


def _order(position: str) -> tuple[int, int]:
    tx, _, number = position.partition(".")
    return int(tx), int(number)
