"""Fees that were agreed, and lines whose fee is another. A fee never decides what a line explains."""

from collections.abc import Iterable

from bezant.reconciliation.matching.model import Fee, Line, Terms


def fee_off_by(lines: Iterable[Line], terms: Terms) -> tuple[int, int] | None:
    """What was agreed for lines that explain one thing, and by how much their fee is off; None where it is as agreed.

    A charge that is reported in parts may bear the fixed part once or with each part.
    """
    of_kind: list[Line] = list(lines)
    if not of_kind:
        return None
    agreed = next((f for f in terms.fees if (f.kind, f.currency) == (of_kind[0].kind, of_kind[0].currency)), None)
    if agreed is None or any((line.kind, line.currency) != (agreed.kind, agreed.currency) for line in of_kind):
        return None
    gross = abs(sum(line.gross_minor for line in of_kind))
    least = agreed_fee(agreed, gross)
    most = least + agreed.fixed_minor * (len(of_kind) - 1)
    tolerance = agreed.tolerance_minor * len(of_kind)
    taken = sum(line.fee_minor for line in of_kind)
    if taken < least - tolerance:
        return least, taken - least
    return (most, taken - most) if taken > most + tolerance else None


def agreed_fee(fee: Fee, gross_minor: int) -> int:
    """The fee on an amount above zero, half up."""
    return (gross_minor * fee.basis_points + 5_000) // 10_000 + fee.fixed_minor
