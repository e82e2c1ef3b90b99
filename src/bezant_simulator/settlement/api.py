"""Settlement, reports and bank statements over HTTP. `/_simulator/...`

POST settle: `{"at"?, "payout"?, "payouts"?, "settle_in"?: {"EUR": {"currency": "USD", "rate": "1.08"}}, "fees"?,
"adjustments"?, "bank_fees"?}` closes a batch of everything that moved money since the last one, until `at` (RFC 3339,
default now): a report, and unless `payout` is false a payout per currency (`payouts` many), which arrive at the bank on
the same day. `fees`, `adjustments` and `bank_fees`: `[{"currency", "amount", "description"?}]`.

GET reports (`after=` an id gives those that came later), GET reports/{id} the CSV. GET statements (`account=`,
`after=`), GET statements/{id} the camt.053. POST plant: `{"kinds": {"missing_psp_row": 2, ...}, "seed"}`: what is to be
wrong in the next batch; what finds no place there waits for the one after. GET planted: what was planted so far, and
what waits.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec

from bezant_simulator import wire
from bezant_simulator.api import HttpRequest
from bezant_simulator.settlement import camt
from bezant_simulator.settlement.closing import Adjustment, Fee, Terms
from bezant_simulator.settlement.currencies import Conversion
from bezant_simulator.settlement.model import Batch, Label, Payout, Plan, PlantKind, Statement
from bezant_simulator.settlement.report import unpacked
from bezant_simulator.wire import Reply, rfc3339
from bezant_simulator.world import World

PATHS: Final = frozenset({"settle", "reports", "statements", "plant", "planted"})
_CSV: Final = "text/csv; charset=utf-8"
_XML: Final = "application/xml"


class _Settle(msgspec.Struct, forbid_unknown_fields=True):
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    payout: bool = True
    payouts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    settle_in: dict[str, Conversion] | None = None
    fees: list[Fee] = []
    adjustments: list[Adjustment] = []
    bank_fees: list[Fee] = []


class _Plant(msgspec.Struct, forbid_unknown_fields=True):
    kinds: dict[PlantKind, Annotated[int, msgspec.Meta(ge=0, le=10_000)]]
    seed: int = 0


class _ReportFact(msgspec.Struct):
    id: str
    at: str
    rows: int
    payouts: list[Payout]


class _StatementFact(msgspec.Struct):
    id: str
    account: str
    currency: str
    sequence: int
    at: str
    opening: int
    closing: int
    entries: int


Fact = TypeVar("Fact", _ReportFact, _StatementFact)


class _Settled(msgspec.Struct):
    """`report` is null where there was nothing to report."""

    report: _ReportFact | None
    statements: list[_StatementFact]
    planted: list[Label]


class _Facts(msgspec.Struct):
    data: Sequence[_ReportFact] | Sequence[_StatementFact]


class _Planted(msgspec.Struct):
    data: list[Label]
    waiting: dict[PlantKind, int]


def answer(world: World, request: HttpRequest) -> Reply:
    """The answer to a call that is about one of `PATHS`."""
    match request.method, request.path.removeprefix("/_simulator/").split("/"):
        case "POST", ["settle"]:
            return _settle(world, msgspec.json.decode(request.body or b"{}", type=_Settle))
        case "POST", ["plant"]:
            wanted = msgspec.json.decode(request.body, type=_Plant)
            world.plan(Plan(wanted.kinds, wanted.seed))
            return _reply(_planted(world))
        case "GET", ["planted"]:
            return _reply(_planted(world))
        case "GET", ["reports"]:
            reports = [_report(batch) for batch in world.papers.batches() if batch.rows]
            return _reply(_Facts(_after(reports, request)))
        case "GET", ["reports", report_id]:
            batch = world.papers.batch(report_id)
            return _nothing() if batch is None else Reply(200, unpacked(batch.report), content_type=_CSV)
        case "GET", ["statements"]:
            account = request.parameter("account") if request.query else None
            found = (_statement(each) for each in world.papers.statements() if account in (None, each.account))
            return _reply(_Facts(_after(found, request)))
        case "GET", ["statements", statement_id]:
            statement = next((each for each in world.papers.statements() if each.id == statement_id), None)
            return _nothing() if statement is None else Reply(200, camt.written(statement), content_type=_XML)
        case _:
            return _nothing()


def _settle(world: World, wanted: _Settle) -> Reply:
    settings, last = world.settings, world.papers.last
    at = wanted.at.timestamp() if wanted.at else max(world.now(), last.at if last else 0.0)
    if last is not None and at < last.at:
        return wire.error_reply(422, "refused", "too_early", f"The last batch was closed at {rfc3339(last.at)}.")
    terms = Terms(
        at=at,
        is_paid=wanted.payout,
        payouts=wanted.payouts,
        fee_basis_points=settings.fee_basis_points,
        fee_fixed=settings.fee_fixed,
        settle_in=settings.settle_in if wanted.settle_in is None else wanted.settle_in,
        fees=wanted.fees,
        adjustments=wanted.adjustments,
        bank_fees=wanted.bank_fees,
    )
    batch = world.settle(terms)
    if batch is None:
        return _reply(_Settled(None, [], []))
    statements = [_statement(each) for each in batch.statements]
    return _reply(_Settled(_report(batch) if batch.rows else None, statements, batch.planted), 201)


def _report(batch: Batch) -> _ReportFact:
    return _ReportFact(batch.report_id, rfc3339(batch.at), batch.rows, batch.payouts)


def _statement(statement: Statement) -> _StatementFact:
    return _StatementFact(
        id=statement.id,
        account=statement.account,
        currency=statement.currency,
        sequence=statement.sequence,
        at=rfc3339(statement.at),
        opening=statement.opening,
        closing=statement.closing,
        entries=len(statement.entries),
    )


def _planted(world: World) -> _Planted:
    labels = [label for batch in world.papers.batches() for label in batch.planted]
    return _Planted(labels, world.papers.plan.kinds)


def _after(facts: Iterable[Fact], request: HttpRequest) -> list[Fact]:
    """Those that came after the one of the id that is asked for; all where there is none such."""
    found = list(facts)
    after = request.parameter("after") if request.query else None
    position = next((number for number, fact in enumerate(found, start=1) if fact.id == after), 0)
    return found[position:]


def _reply(body: msgspec.Struct, status: int = 200) -> Reply:
    return Reply(status, wire.encode(body))


def _nothing() -> Reply:
    return wire.error_reply(404, "invalid_request", "unknown_path", "There is nothing here.")
