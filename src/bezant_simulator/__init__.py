"""An offline PSP: its own process, its own words, HTTP on loopback. Imports nothing of bezant.

What it believes is the truth that Bezant is checked against from outside: a charge moves money here or nowhere. It
keeps idempotency keys as real PSPs do, can be asked by the caller's reference with a visibility lag, and misbehaves on
request (`behaviours.py`). `book.py` decides, `api.py` speaks the wire, `http.py` and `journal.py` do the I/O.
"""
