"""What a person explains, writes off, or takes back: with its postings, and with his name in the audit log.

Everything here runs under the lease of runs, so that no run decides about the same things meanwhile. What a person has
taken apart no run puts together again: its lines carry in `undone_matches` how often that was.
"""
