"""PayPal: only its settlement and transaction reports are read so far; payments are not made through it."""

from typing import Final

from bezant.connectors.paypal.reports import REPORTS

NAME: Final = "paypal"

__all__ = ["NAME", "REPORTS"]
