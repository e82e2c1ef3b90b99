"""Bank statements: one file per format, each a reader over bytes. No I/O, no state, no business.

A reader says what a file holds; it refuses the file where its own totals do not add up. What a line means is decided
by reconciliation.
"""
