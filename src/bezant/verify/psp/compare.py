"""Compares our payments with what the PSPs hold: with their whole list where there is one, else by asking for each."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Database
from bezant.payments.asks import ask_for
from bezant.payments.states import Attempt, Payment
from bezant.psp.call import Caller, not_set_up
from bezant.psp.contract import Holding, PspSilence, Verdict
from bezant.verify.psp import store
from bezant.verify.psp.rules import Belief, Place, attempt_of, difference, difference_of_answer
from bezant.verify.report import Findings, Result, shown

ASKED_MAX: Final = 1_000
"""How many payments, the newest, are asked for at a PSP that cannot list its charges."""
_PAGE: Final = 5_000
_CONCURRENCY: Final = 8

Counted = Callable[[str, int], None]
"""Told which PSP is being read, and how many charges of it so far."""


class Comparison:
    """Collects what differs, over all PSPs."""

    def __init__(self, database: Database, caller: Caller, on_count: Counted) -> None:
        self._database = database
        self._caller = caller
        self._on_count = on_count
        self.answers = Findings("psp_answers", "Each PSP that was ever used is set up and answers.")
        self.strangers = Findings(
            "psp_charges_are_ours", "Each charge that a PSP holds was made by an attempt of ours."
        )
        self.amounts = Findings(
            "psp_amounts_agree", "Each charge is authorized, captured and refunded at the PSP as our payment says."
        )
        self.missing = Findings("psp_holds_our_payments", "Each payment that was authorized exists at its PSP.")

    async def run(self) -> tuple[Result, ...]:
        """Compare with every account that was used, and with every other of ours that lists its charges."""
        used = await store.places(self._database)
        for book in await self._books(used):
            try:
                await self._compare(book)
            except PspSilence as silence:
                self.answers.add(str(book[0]), str(silence))
        for psp, endpoint in self._caller.endpoints.items():
            if endpoint.connector.holdings is not None and psp not in {place.psp for place in used}:
                try:
                    await self._compare_with_list([Place(psp, None)])
                except PspSilence:
                    continue  # nothing of ours is there
        findings = (self.answers, self.strangers, self.amounts, self.missing)
        return tuple(finding.result() for finding in findings)

    async def _books(self, places: Sequence[Place]) -> Sequence[Sequence[Place]]:
        """The accounts that are set up, those together that are one and the same to their PSP."""
        books: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[Place]] = {}
        for place in places:
            endpoint = await self._caller.endpoint(place.psp, place.account_id)
            if endpoint is None:
                self.answers.add(str(place), not_set_up(place.psp, place.account_id))
            else:
                credentials = tuple(sorted(endpoint.credentials.fields.items()))
                books.setdefault((place.psp, endpoint.base_url, credentials), []).append(place)
        return list(books.values())

    async def _compare(self, book: Sequence[Place]) -> None:
        endpoint = await self._caller.endpoint(book[0].psp, book[0].account_id)
        if endpoint is not None and endpoint.connector.holdings is not None:
            await self._compare_with_list(book)
        else:
            for place in book:
                await self._ask_for_each(place)

    async def _compare_with_list(self, book: Sequence[Place]) -> None:
        began_at = await store.database_time(self._database)
        seen: set[str] = set()
        psp, account_id = book[0].psp, book[0].account_id
        page = await self._caller.holdings(psp, None, account_id)
        while page:
            await self._compare_page(psp, page, began_at)
            seen.update(holding.psp_reference for holding in page)
            self._on_count(str(book[0]), len(seen))
            page = await self._caller.holdings(psp, page[-1].psp_reference, account_id)
        for place in book:
            await self._find_missing(place, seen, began_at)

    async def _compare_page(self, psp: str, page: Sequence[Holding], began_at: datetime) -> None:
        named = [(attempt_of(holding.reference), holding) for holding in page]
        ours = [(attempt_id, holding) for attempt_id, holding in named if attempt_id is not None]
        rows = await store.beliefs(self._database, psp, ours)
        beliefs = {row[0]: Belief(*row) for row in rows}
        for attempt_id, holding in named:
            belief = None if attempt_id is None else beliefs.get(attempt_id)
            if belief is None:
                amounts = f"authorized {holding.authorized_minor}, captured {holding.captured_minor}"
                self.strangers.add(holding.psp_reference, f"at {psp} under {holding.reference}: {amounts}")
            elif (wrong := difference(holding, belief, began_at)) is not None:
                self.amounts.add(shown(ids.PAYMENT, belief.payment_id), wrong)

    async def _find_missing(self, place: Place, seen: set[str], began_at: datetime) -> None:
        after: UUID | None = None
        while rows := await store.authorized(self._database, place, began_at, after, _PAGE):
            for payment_id, psp_reference in rows:
                if psp_reference not in seen:
                    self.missing.add(shown(ids.PAYMENT, payment_id), f"{place} does not hold {psp_reference}")
            after = rows[-1][0]

    async def _ask_for_each(self, place: Place) -> None:
        slots = asyncio.Semaphore(_CONCURRENCY)
        asked = 0

        async def ask(payment: Payment, attempts: list[Attempt]) -> None:
            nonlocal asked
            async with slots:
                await self._ask(place, payment, attempts)
            asked += 1
            self._on_count(str(place), asked)

        silence: str | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                for payment, attempts in await store.newest(self._database, place, ASKED_MAX):
                    tasks.create_task(ask(payment, attempts))
        except* PspSilence as silences:
            silence = str(silences.exceptions[0])
        if silence is not None:
            raise PspSilence(silence)

    async def _ask(self, place: Place, payment: Payment, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            ask = msgspec.structs.replace(ask_for(payment, attempt), capture=True)  # it may have been captured since
            outcome = (await self._caller.fetch(place.psp, ask, place.account_id)).outcome
            wrong = difference_of_answer(payment, attempt, outcome)
            if wrong is not None and not await store.has_changed(self._database, payment):
                findings = self.missing if outcome.verdict is Verdict.NOT_FOUND else self.amounts
                findings.add(shown(ids.PAYMENT, payment.id), wrong)
            elif wrong is None and outcome.verdict in (Verdict.UNKNOWN, Verdict.NOT_EXECUTED):
                raise PspSilence(outcome.detail or "no answer")
