"""What a break is."""

import msgspec


class Breaking(msgspec.Struct, frozen=True):
    """`sql` breaks what `check` looks at and returns the ids that it must name, with `prefix` before them."""

    check: str
    prefix: str
    sql: str
    also: frozenset[str] = frozenset()
    drop: tuple[str, str] | None = None
    """A constraint (table, name) that stands in the way."""
    what: str = ""
