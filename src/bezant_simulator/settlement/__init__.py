"""The PSP's and the bank's papers: what was moved since the last time goes into a report, is paid out, and arrives.

`movements.py` says what moved, `closing.py` makes a batch of it, `planting.py` and `arrivals.py` make the papers wrong
on request, `report.py` and `camt.py` write them, `papers.py` keeps them, `api.py` speaks the wire. What is planted is
in the papers alone: the book of charges stays true.
"""
