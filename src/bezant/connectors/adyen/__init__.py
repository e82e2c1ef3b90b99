"""Adyen: only its settlement reports are read so far; payments are not made through it."""

from typing import Final

from bezant.connectors.adyen.reports import REPORTS

NAME: Final = "adyen"

__all__ = ["NAME", "REPORTS"]
