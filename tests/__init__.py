"""Bezant's tests. Folders are named as in `src/bezant`; `make test` runs all of them."""
