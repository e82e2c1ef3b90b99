"""Where events go. One file per sink; each takes batches of CloudEvents and says when they are safe.

No table is owned. Guarantee of every sink: when `publish` returns, the receiver has acknowledged every event of the
batch, those of one key in the order given. It may have taken some of them twice or some of a batch that failed.
"""
