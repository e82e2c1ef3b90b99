"""What transactions of a PayPal report add up to: their number, and sums per currency and side. Pure."""

from collections.abc import Sequence
from typing import Final

from bezant.connectors.paypal.codes import CREDIT

NAMES: Final = ("gross credits", "gross debits", "fee credits", "fee debits")


class Totals:
    """Of a section, or of a file."""

    def __init__(self) -> None:
        self.count = 0
        self.is_missed = False
        """A transaction could not be read: sums cannot be checked."""
        self._sums: dict[str, list[int]] = {}
        self._checked: set[str] = set()

    def add(self, currency: str, side: str, amount: int) -> None:
        """A transaction's gross, unsigned."""
        self._of(currency)[0 if side == CREDIT else 1] += amount

    def add_fee(self, currency: str, side: str, amount: int) -> None:
        """A transaction's fee, unsigned."""
        self._of(currency)[2 if side == CREDIT else 3] += amount

    def difference(self, currency: str, stated: Sequence[int]) -> str | None:
        """What does not add up to the four totals of a currency; with them the currency is checked."""
        self._checked.add(currency)
        for name, found, should in zip(NAMES, self._sums.get(currency, [0, 0, 0, 0]), stated, strict=True):
            if found != should:
                return f"the {name} in {currency} add up to {found}, not to {should}"
        return None

    def unchecked(self) -> list[str]:
        """The currencies of which no totals have come."""
        return sorted(self._sums.keys() - self._checked)

    def _of(self, currency: str) -> list[int]:
        return self._sums.setdefault(currency, [0, 0, 0, 0])
