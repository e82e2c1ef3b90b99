"""Closes a batch: what moved becomes rows, rows are paid out, payouts arrive. Pure but for new names.

Amounts in a currency that is settled in another one are converted row by row; a charge's fee is a share of what it is
settled at. A payout of nothing is not sent: its rows name one that a later batch sends.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Annotated

import msgspec

from bezant_simulator.decisions import new_id
from bezant_simulator.settlement.arrivals import Arrived, arrive
from bezant_simulator.settlement.currencies import Conversion, converted
from bezant_simulator.settlement.model import (
    Batch,
    Entry,
    Label,
    Movement,
    Payout,
    Plan,
    PlantKind,
    Row,
    RowType,
    Statement,
    Unpaid,
)
from bezant_simulator.settlement.planting import Planted, plant
from bezant_simulator.settlement.report import written

Text = Annotated[str, msgspec.Meta(pattern="^[ -~]{1,100}$")]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
Signed = Annotated[int, msgspec.Meta(ge=-999_999_999_999, le=999_999_999_999)]
Amount = Annotated[int, msgspec.Meta(ge=1, le=999_999_999_999)]


class Fee(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the PSP or the bank takes for itself."""

    currency: Currency
    amount: Amount
    description: Text = "Account fee"


class Adjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the PSP adds or takes for another reason."""

    currency: Currency
    amount: Signed
    description: Text = "Adjustment"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch is closed. `payouts`: how many each currency's rows are sent in; none where `is_paid` is false."""

    at: float
    is_paid: bool = True
    payouts: int = 1
    fee_basis_points: int = 290
    fee_fixed: int = 30
    settle_in: Mapping[str, Conversion] = {}
    fees: Sequence[Fee] = ()
    adjustments: Sequence[Adjustment] = ()
    bank_fees: Sequence[Fee] = ()

    def fee_of(self, amount: int) -> int:
        """The fee of a charge, half up."""
        return (amount * self.fee_basis_points * 2 + 10_000) // 20_000 + self.fee_fixed


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier batches leave to this one. `accounts`: the last statement of each currency's account."""

    number: int = 0
    late: Sequence[Row] = ()
    unpaid: Mapping[str, Unpaid] = {}
    accounts: Mapping[str, Statement] = {}


def close(movements: Sequence[Movement], before: Before, terms: Terms, plan: Plan) -> Batch | None:
    """The batch; None where there is nothing to say."""
    number = before.number + 1
    random = Random(f"{plan.seed}:{number}")
    rows = [_row(movement, terms) for movement in sorted(movements, key=lambda movement: movement.at)]
    planted = plant(rows, plan.kinds, random, terms.fee_of)
    rows = [*before.late, *planted.rows, *_own(terms)]
    payouts, unpaid = _pay(rows, before.unpaid, terms)
    arrived = arrive(payouts, planted.left, random) if terms.is_paid else Arrived({}, [], planted.left)
    for fee in terms.bank_fees:
        entry = Entry(new_id("bk"), -fee.amount, fee.description, "Simulator Bank", is_fee=True)
        arrived.entries.setdefault(fee.currency, []).append(entry)
    statements = [
        _statement(currency, entries, before.accounts.get(currency), terms.at)
        for currency, entries in sorted(arrived.entries.items())
    ]
    if not (rows or payouts or statements or planted.withheld or planted.late):
        return None
    report_id = new_id("rep")
    text, count = written(report_id, rows, payouts, terms.at)
    return Batch(
        report_id=report_id,
        number=number,
        at=terms.at,
        rows=count,
        report=text,
        payouts=payouts,
        statements=statements,
        withheld=planted.withheld,
        late=planted.late,
        unpaid=unpaid,
        planted=_labelled(planted, arrived, report_id, statements, rows),
        left=Plan(arrived.left, plan.seed),
    )


def _row(movement: Movement, terms: Terms) -> Row:
    into = terms.settle_in.get(movement.currency)
    if into is not None and into.currency == movement.currency:
        into = None
    gross = movement.amount if into is None else converted(movement.amount, movement.currency, into)
    if movement.type is RowType.CHARGE:
        fee = terms.fee_of(gross)
    else:
        fee = movement.fee if into is None else converted(movement.fee, movement.currency, into)
    return Row(
        type=movement.type,
        line_id=movement.line_id,
        currency=movement.currency if into is None else into.currency,
        gross=gross,
        at=movement.at,
        fee=fee,
        charge_id=movement.charge_id,
        operation_id=movement.operation_id,
        reference=movement.reference,
        presented_amount=None if into is None else movement.amount,
        presented_currency=None if into is None else movement.currency,
        fx_rate=None if into is None else _plain(into.rate),
    )


def _plain(rate: Decimal) -> str:
    return f"{rate:f}"


def _own(terms: Terms) -> list[Row]:
    """What is about no charge."""
    fees = [
        Row(RowType.FEE, new_id("txn"), fee.currency, -fee.amount, terms.at, description=fee.description)
        for fee in terms.fees
    ]
    others = [
        Row(RowType.ADJUSTMENT, new_id("txn"), each.currency, each.amount, terms.at, description=each.description)
        for each in terms.adjustments
    ]
    return [*fees, *others]


def _pay(rows: Sequence[Row], unpaid: Mapping[str, Unpaid], terms: Terms) -> tuple[list[Payout], dict[str, Unpaid]]:
    """Names each row's payout, and sends those that are not nothing."""
    by_currency: dict[str, list[Row]] = {currency: [] for currency in unpaid}
    for row in rows:
        by_currency.setdefault(row.currency, []).append(row)
    payouts: list[Payout] = []
    kept: dict[str, Unpaid] = {}
    for currency, of_currency in sorted(by_currency.items()):
        open_payout = unpaid.get(currency)
        for part in _parts(of_currency, terms.payouts if terms.is_paid else 1):
            payout_id = new_id("po") if open_payout is None else open_payout.payout_id
            amount = sum(row.net for row in part) + (0 if open_payout is None else open_payout.amount)
            for row in part:
                row.payout_id = payout_id
            if terms.is_paid and amount:
                payouts.append(Payout(payout_id, currency, amount))
                open_payout = None
            else:
                open_payout = Unpaid(payout_id, amount)
        if open_payout is not None:
            kept[currency] = open_payout
    return payouts, kept


def _parts(rows: list[Row], count: int) -> list[list[Row]]:
    """At most `count` parts of about the same length, in order; one that is empty where there are no rows."""
    size = max(1, -(-len(rows) // count))
    return [rows[start : start + size] for start in range(0, max(1, len(rows)), size)]


def _statement(currency: str, entries: list[Entry], last: Statement | None, at: float) -> Statement:
    opening = 0 if last is None else last.closing
    return Statement(
        id=new_id("stm"),
        account=f"SIMULATOR-{currency}",
        currency=currency,
        sequence=1 if last is None else last.sequence + 1,
        at=at,
        opening=opening,
        closing=opening + sum(entry.amount for entry in entries),
        entries=entries,
    )


def _labelled(
    planted: Planted, arrived: Arrived, report_id: str, statements: Sequence[Statement], rows: Sequence[Row]
) -> list[Label]:
    """The labels, with where each stands."""
    payout_of = {row.line_id: row.payout_id for row in rows} if planted.labels else {}
    statement_of = {statement.currency: statement.id for statement in statements}
    replace = msgspec.structs.replace
    return [
        *(replace(each, report_id=report_id, payout_id=payout_of.get(each.line_id, "")) for each in planted.labels),
        *(
            each if each.kind is PlantKind.MISSING_DEPOSIT else replace(each, statement_id=statement_of[each.currency])
            for each in arrived.labels
        ),
    ]
