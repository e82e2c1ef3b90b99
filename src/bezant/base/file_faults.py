"""What can be wrong with a file that somebody sent: a line of it, or all of it."""

import msgspec


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that cannot be read. `text`: at most its first 500 characters, without card data."""

    number: int
    reason: str
    text: str
    field: str | None = None


class FileRefused(Exception):
    """The whole file is at fault: another type, truncated, an encoding, totals that do not add up.

    `line` from 1 and `field` where one can be named.
    """

    def __init__(self, reason: str, *, line: int | None = None, field: str | None = None) -> None:
        place = "".join([f" line {line}" if line else "", f" field {field!r}" if field else ""])
        super().__init__(f"{reason}{' (' + place.strip() + ')' if place else ''}")
        self.reason = reason
        self.line = line
        self.field = field
