"""How well reconciliation explains: an invented world whose truth is known, and what the matcher makes of it.

The world is drawn without any knowledge of how matching decides: `generate.py` and what it is made of import the types
that the matcher takes, and nothing else of it. `run.py` alone calls it.
"""
